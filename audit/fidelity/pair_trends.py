"""Pair trends: how far each pair of columns is from the real pair, seen together."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import MOST_DETAIL, Estimate, Evidence, Metric, Row, reasoned
from audit.intervals import half_samples
from audit.reading import modelled
from audit.shape import Compared, PairLook, pairs


class PairTrends(Metric):
    """Mean over pairs of columns of the total variation distance of their joint distribution, 1/2 Σ|p - q|.

    Numbers are cut at quantiles of the training rows, categories beyond the most frequent share one code, missing is
    a code of its own. The value is the mean over random splits of the holdout of half A against as many synthetic
    rows as half B has, the reference the mean of A against B; intervals are half-sample intervals
    (`audit.intervals.half_samples`). The detail names every pair, worst first, as far as it may be long; `ratio` is
    the distance in noise floors, none where the floor is 0.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Pair trends"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Mean over pairs of columns of the total variation distance between their real and synthetic joint "
        "distributions on shared bins; 0 (alike) to 1 (two-way marginals: Tao et al. 2021, arXiv:2112.09238)."
    )

    class Config(PairLook, frozen=True, extra="forbid"):
        """How coarsely columns are read, and how much is compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each pair's joint distribution with that of real rows never seen."""
        modelled(evidence.holdout.schema, fewest=2)
        seen = pairs(evidence, self.config)
        synthetic, fresh = seen.found.mean(axis=2)
        return Estimate(
            value=float(synthetic.mean()),
            interval=half_samples(synthetic, 0, 1),
            reference=float(fresh.mean()),
            reference_interval=half_samples(fresh, 0, 1),
            detail=_grid(seen),
            rows=seen.rows,
        )


def _grid(seen: Compared) -> tuple[Row, ...]:
    """Return the pairs, those furthest beyond their noise floor first."""
    distance, floor = seen.found.mean(axis=1)
    rows: list[Row] = []
    for place in np.argsort(floor - distance, kind="stable")[:MOST_DETAIL]:
        first, second = (seen.columns[column].name for column in seen.sets[place])
        ratio = float(distance[place] / floor[place]) if floor[place] > 0 else None
        rows.append(
            {
                "first": first,
                "second": second,
                "distance": float(distance[place]),
                "reference": float(floor[place]),
                "ratio": 1.0 if ratio is None and distance[place] == 0 else ratio,
            }
        )
    return tuple(rows)
