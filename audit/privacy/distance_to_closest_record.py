"""Distance to the closest record: the field's usual number, shown because people ask for it; it proves nothing."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Estimate, Evidence, Metric, Row, reasoned
from audit.distances import Reaching, reached
from audit.intervals import wilson
from audit.neighbours import Distances


class DistanceToClosestRecord(Metric):
    """Share of synthetic rows that lie nearer to a training row than to any of as many holdout rows.

    Both tables are cut to the size of the smaller one, and ties count half. Distances are Euclidean: numbers over their
    5-95 % range in the holdout, unequal categories at distance 1, missing a category. The reference puts half B of the
    holdout in the place of the synthetic rows and half A in the place of the holdout. Intervals are Wilson's; real rows
    count as many as their privacy units. Detail: median and 5 % quantile of the distances to all training rows, of
    synthetic rows and of unseen real ones. Rows that are no copies can give people away, and copies among distant rows
    move these numbers little.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Distance to the closest record"
    definition: ClassVar[str] = (
        "Share of synthetic rows nearer to a training row than to any of as many unseen real rows; 0.5 (no nearer) to "
        "1 (all nearer); no value of it proves privacy (Yao et al., The DCR Delusion, 2025, arXiv:2505.01524)."
    )

    class Config(Reaching, frozen=True, extra="forbid"):
        """Sizes of the tables compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the synthetic rows that training rows are nearest to."""
        found = reached(evidence, self.config)
        synthetic, _, fresh = found.rows
        return Estimate(
            value=found.nearer,
            interval=wilson(found.nearer * synthetic, synthetic),
            reference=found.fresh_nearer,
            reference_interval=wilson(found.fresh_nearer * fresh, fresh),
            detail=(_row("synthetic", found.synthetic), _row("unseen real", found.real)),
            rows=len(found.synthetic),
        )


def _row(name: str, distances: Distances) -> Row:
    low, middle = (float(each) for each in np.quantile(distances, [0.05, 0.5]))
    return {
        "rows": name,
        "distance_median": middle,
        "distance_5_percent": low,
        "identical": float((distances == 0).mean()),
    }
