"""Detection: how well a classifier tells synthetic rows from real rows that the generator never saw."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Estimate, Evidence, Metric, Row, reasoned
from audit.detector import Detected, Detector, detect
from audit.giveaways import easiest, regions
from audit.intervals import auc_interval
from audit.reference import independent

GIVEAWAYS = 15


class Detection(Metric):
    """Classifier two-sample test: mean out-of-fold ROC AUC of gradient-boosted trees, real against synthetic rows.

    The real side is half A of the holdout, never the training rows, against which a copying generator would look
    better than perfect. The reference is the same AUC of half B, as large as the synthetic side, against A. Rows of
    one privacy unit are held out together. Intervals are analytic (`audit.intervals.auc_interval`) with half the rows
    for n: across folds, each pair of rows meets as training and test row both ways, which up to doubles the variance
    of a mean AUC where there is nothing to tell. Real rows count as many as their privacy units
    (`audit.reference.independent`).

    The detail names columns, regions and rows: columns whose shuffling costs the classifier most, leaves of a shallow
    tree grown on its scores of rows held out (`audit.giveaways.regions`) with the share of synthetic and of real rows
    in each, and the synthetic rows that it is surest of; never a row that the real tables hold.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Detection"
    definition: ClassVar[str] = (
        "Out-of-fold ROC AUC of gradient-boosted trees that tell synthetic rows from unseen real ones; 0.5 (cannot be "
        "told apart) to 1 (Lopez-Paz & Oquab, Revisiting classifier two-sample tests, 2017, arXiv:1610.06545)."
    )

    class Config(Detector, frozen=True, extra="forbid"):
        """Sizes of the two sides, folds and the learner."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Try to tell the synthetic rows from real ones."""
        seen = detect(evidence, self.config)
        real, fresh = (independent(table) / 2 for table in (seen.real, seen.fresh))
        return Estimate(
            value=seen.told.auc,
            interval=auc_interval(seen.told.auc, len(seen.synthetic) / 2, real),
            reference=seen.floor.auc,
            reference_interval=auc_interval(seen.floor.auc, fresh, real),
            detail=(*_columns(seen), *regions(seen), *easiest(seen, (evidence.train, evidence.holdout))),
            rows=len(seen.synthetic),
        )


def _columns(seen: Detected) -> tuple[Row, ...]:
    """Return the columns whose shuffling costs the classifier most AUC on rows that it was not trained on."""
    return tuple(
        {"column": seen.columns[place].name, "auc_lost_when_shuffled": float(seen.told.lost[place])}
        for place in np.argsort(-seen.told.lost, kind="stable")[:GIVEAWAYS]
    )
