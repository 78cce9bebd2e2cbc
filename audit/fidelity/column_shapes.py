"""Column shapes: how far each column's own distribution is from the real one."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.shape import Look, columns


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

    class Config(Look, frozen=True, extra="forbid"):
        """How often the holdout is split, and how many rows are compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each column's distribution with that of real rows never seen."""
        every, _, found, rows = columns(evidence, self.config)
        by_column = found.mean(axis=1)
        worst = np.argsort(by_column[1] - by_column[0], kind="stable")[:DETAIL_ROWS]
        return Estimate(
            value=float(by_column[0].mean()),
            interval=half_samples(found[0].mean(axis=1), 0, 1),
            reference=float(by_column[1].mean()),
            reference_interval=half_samples(found[1].mean(axis=1), 0, 1),
            detail=tuple(
                {
                    "column": every[place].name,
                    "kind": every[place].kind,
                    "distance": float(by_column[0, place]),
                    "reference": float(by_column[1, place]),
                }
                for place in worst
            ),
            rows=rows,
        )
