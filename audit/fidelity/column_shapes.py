"""Column shapes: how far each column's own distribution is from the real one."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import Codes, levels, modelled
from audit.reference import match


class ColumnShapes(Metric):
    """Mean over columns of the distance between real and synthetic marginal distributions.

    Total variation for code columns, missing being one more category: 1/2 Σ|p - q|. For number columns the
    Kolmogorov-Smirnov distance sup|F - G| of the values present, times the share present on both sides, plus the
    difference of the shares missing; without missing values that is Kolmogorov-Smirnov alone.

    The value is the mean over random splits of the holdout of half A against as many synthetic rows as half B has, the
    reference the mean of A against B; intervals are half-sample intervals (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Column shapes"
    definition: ClassVar[str] = (
        "Mean over columns of the distance between real and synthetic distributions: total variation for categories, "
        "Kolmogorov-Smirnov for numbers, missing counted; 0 (alike) to 1 (Kolmogorov 1933; Smirnov 1948)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How often the holdout is split, and how few rows are too few."""

        splits: PositiveInt = 10
        minimum: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each column's distribution with that of real rows never seen."""
        columns = modelled(evidence.holdout.schema)
        splits = [match(evidence, rng, self.config.minimum) for _ in range(self.config.splits)]
        found = np.empty((2, len(splits), len(columns)))
        for place, column in enumerate(columns):
            (real, synthetic), size = levels(column, (evidence.holdout, evidence.synthetic))
            for turn, split in enumerate(splits):
                half = real[split.real]
                found[0, turn, place] = distance(half, synthetic[split.synthetic], size, column.is_number)
                found[1, turn, place] = distance(half, real[split.fresh], size, column.is_number)
        by_column = found.mean(axis=1)
        worst = np.argsort(by_column[1] - by_column[0], kind="stable")[:DETAIL_ROWS]
        return Estimate(
            value=float(by_column[0].mean()),
            interval=half_samples(found[0].mean(axis=1), 0, 1),
            reference=float(by_column[1].mean()),
            reference_interval=half_samples(found[1].mean(axis=1), 0, 1),
            detail=tuple(
                {
                    "column": columns[place].name,
                    "kind": columns[place].kind,
                    "distance": float(by_column[0, place]),
                    "reference": float(by_column[1, place]),
                }
                for place in worst
            ),
            rows=len(splits[0].synthetic),
        )


def distance(first: Codes, second: Codes, size: int, ordered: bool) -> float:
    """Return the distance of two samples of one column.

    Args:
        first: Codes of one sample, shape (n,), in [0, size); the last code is missing.
        second: Codes of the other, shape (m,).
        size: Number of codes.
        ordered: Whether the codes are ranks of numbers.
    """
    p = _shares(first, size)
    q = _shares(second, size)
    if not ordered:
        return float(np.abs(p - q).sum() / 2)
    present_p, present_q = 1 - p[-1], 1 - q[-1]
    gap = abs(float(p[-1] - q[-1]))
    if min(present_p, present_q) <= 0:
        return gap
    steps = np.abs(np.cumsum(p[:-1]) / present_p - np.cumsum(q[:-1]) / present_q)
    return float(min(present_p, present_q) * steps.max()) + gap


def _shares(codes: Codes, size: int) -> NDArray[np.float64]:
    return np.bincount(codes, minlength=size) / len(codes)
