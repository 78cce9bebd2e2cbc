"""Detection against the training rows: can a classifier tell too little, because synthetic rows repeat them?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import auc, auc_interval
from audit.learner import LARGEST_SEED, THREADS, Trees, blanked, classifier
from audit.privacy.exact_copies import hashes
from audit.reading import features, modelled
from audit.reference import Rows, independent, need, parts
from tabular.table import Table

MIX = np.uint64(0x9E3779B97F4A7C15)


class DetectionAgainstTrain(Metric):
    """Classifier two-sample test against the training rows: mean out-of-fold ROC AUC of gradient-boosted trees.

    A row held out whose twin on the other side was trained on is taken for the other side: copies push the AUC below
    0.5, which no unseen row does but by chance, and three standard errors below raise an alarm of memorisation. Rows of
    either side are drawn by a random hash of their values, so that a row and its copies are drawn together; as many
    holdout rows in the place of the synthetic ones give the reference. Rows of one privacy unit are held out together.
    Intervals are analytic (`audit.intervals.auc_interval`) with half the rows for n, as in `fidelity.detection`; real
    rows count as many as their privacy units.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Detection against the training rows"
    definition: ClassVar[str] = (
        "Out-of-fold ROC AUC of gradient-boosted trees that tell synthetic rows from training rows; 0 to 1, 0.5 for "
        "fresh real rows, clearly below 0.5 only where training rows are repeated (classifier two-sample test: "
        "Lopez-Paz & Oquab 2017, arXiv:1610.06545)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes of the two sides, folds and the learner.

        Attributes:
            minimum: Fewest rows of each table.
            most: Most rows of each side.
            folds: Parts that are held out in turn.
            errors: Standard errors below 0.5 that raise the alarm.
            trees: The learner.
        """

        minimum: PositiveInt = 50
        most: PositiveInt = 5_000
        folds: int = Field(default=3, ge=2)
        errors: float = Field(default=3.0, gt=0)
        trees: Trees = Trees(rounds=60)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Try to tell the synthetic rows, and fresh real ones, from training rows."""
        columns = modelled(evidence.holdout.schema)
        sides = (evidence.train, evidence.synthetic, evidence.holdout)
        for table, where in zip(sides, ("training table", "synthetic table", "holdout"), strict=True):
            need(len(table), self.config.minimum, f"the {where}")
        salt = np.uint64(rng.integers(2**63))
        drawn = [table.take(_drawn(table, self.config.most, salt)) for table in sides]
        read = features(evidence.train, drawn, columns)
        folds = [_folds(table, self.config.folds, rng) for table in drawn]
        value, reference = (
            self._told((read.matrices[0], read.matrices[other]), (folds[0], folds[other]), read.categorical, rng)
            for other in (1, 2)
        )
        real, synthetic, fresh = (independent(drawn[0]) / 2, len(drawn[1]) / 2, independent(drawn[2]) / 2)
        return Estimate(
            value=value,
            interval=auc_interval(value, synthetic, real),
            reference=reference,
            reference_interval=auc_interval(reference, fresh, real),
            detail=(
                self._alarm("synthetic", value, synthetic, real),
                self._alarm("fresh real", reference, fresh, real),
            ),
            rows=len(drawn[1]),
        )

    def _told(
        self,
        x: tuple[NDArray[np.float64], NDArray[np.float64]],
        folds: tuple[NDArray[np.int64], NDArray[np.int64]],
        categorical: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> float:
        """Return the mean AUC over folds of the second rows against the first."""
        rows, fold = np.concatenate(x), np.concatenate(folds)
        told = np.arange(len(rows)) >= len(x[0])
        found: list[float] = []
        with threadpool_limits(THREADS):
            for each in range(self.config.folds):
                out = fold == each
                train, test = blanked(rows[~out], rows[out])
                model = classifier(self.config.trees, categorical, int(rng.integers(LARGEST_SEED)))
                model.fit(train, told[~out])
                found.append(auc(model.predict_proba(test)[:, 1], told[out]))
        return float(np.mean(found))

    def _alarm(self, name: str, value: float, n: float, m: float) -> Row:
        bound = 0.5 - self.config.errors * float(np.sqrt((n + m + 1) / (12 * n * m)))
        return {"rows": name, "auc": value, "alarm_below": bound, "alarm": "yes" if value < bound else "no"}


def _drawn(table: Table, most: int, salt: np.uint64) -> Rows:
    """Return the rows of the smallest hashes, the same whichever table they stand in."""
    mixed = (hashes(table) ^ salt) * MIX
    return np.sort(np.argsort(mixed ^ (mixed >> np.uint64(31)), kind="stable")[:most])


def _folds(table: Table, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(table), dtype=np.int64)
    for each, rows in enumerate(parts(table, count, rng)):
        if len(rows) == 0:
            raise NotComputable(f"the rows are of too few privacy units to be held out in {count} parts")
        fold[rows] = each
    return fold
