"""Detection: how well a classifier tells synthetic rows from real rows that the generator never saw."""

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import auc, auc_interval
from audit.learner import LARGEST_SEED, THREADS, Trees, blanked, classifier
from audit.reading import Features, features, modelled
from audit.reference import independent, match, parts
from tabular.table import Table

GIVEAWAYS = 15
SHUFFLED = 2_000


class Detection(Metric):
    """Classifier two-sample test: mean out-of-fold ROC AUC of gradient-boosted trees, real against synthetic rows.

    The real side is half A of the holdout, never the training rows, against which a copying generator would look
    better than perfect. The reference is the same AUC of half B, as large as the synthetic side, against A. Rows of
    one privacy unit are held out together. Intervals are analytic (`audit.intervals.auc_interval`) with half the rows
    for n: across folds, each pair of rows meets as training and test row both ways, which up to doubles the variance
    of a mean AUC where there is nothing to tell. Real rows count as many as their privacy units
    (`audit.reference.independent`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Detection"
    definition: ClassVar[str] = (
        "Out-of-fold ROC AUC of gradient-boosted trees that tell synthetic rows from unseen real ones; 0.5 (cannot be "
        "told apart) to 1 (Lopez-Paz & Oquab, Revisiting classifier two-sample tests, 2017, arXiv:1610.06545)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes of the two sides, folds and the learner."""

        minimum: PositiveInt = 50
        most: PositiveInt = 10_000
        folds: int = Field(default=3, ge=2)
        trees: Trees = Trees()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Try to tell the synthetic rows from real ones."""
        columns = modelled(evidence.holdout.schema)
        split = match(evidence, rng, self.config.minimum, self.config.most)
        tables = (
            evidence.holdout.take(split.real),
            evidence.synthetic.take(split.synthetic),
            evidence.holdout.take(split.fresh),
        )
        read = features(evidence.train, tables, columns)
        folds = [_folds(table, self.config.folds, rng) for table in tables]
        value, detail = self._told(read, folds, 1, rng)
        reference, _ = self._told(read, folds, 2, rng)
        real, fresh = (independent(tables[each]) / 2 for each in (0, 2))
        return Estimate(
            value=value,
            interval=auc_interval(value, len(split.synthetic) / 2, real),
            reference=reference,
            reference_interval=auc_interval(reference, fresh, real),
            detail=detail,
            rows=len(split.synthetic),
        )

    def _told(
        self, read: Features, folds: list[NDArray[np.int64]], other: int, rng: np.random.Generator
    ) -> tuple[float, tuple[Row, ...]]:
        """Return the mean AUC over folds of table `other` against table 0, and what gives it away."""
        x = np.concatenate([read.matrices[0], read.matrices[other]])
        fold = np.concatenate([folds[0], folds[other]])
        told = np.arange(len(x)) >= len(read.matrices[0])
        found: list[float] = []
        detail: tuple[Row, ...] = ()
        with threadpool_limits(THREADS):
            for each in range(self.config.folds):
                out = fold == each
                model = classifier(self.config.trees, read.categorical, int(rng.integers(LARGEST_SEED)))
                train, test = blanked(x[~out], x[out])
                model.fit(train, told[~out])
                found.append(auc(model.predict_proba(test)[:, 1], told[out]))
                if each == 0 and other == 1:
                    detail = _giveaways(model.decision_function, test, told[out], read.names, rng)
        return float(np.mean(found)), detail


def _folds(table: Table, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(table), dtype=np.int64)
    for each, rows in enumerate(parts(table, count, rng)):
        if len(rows) == 0:
            raise NotComputable(f"the real rows are of too few privacy units to be held out in {count} parts")
        fold[rows] = each
    return fold


def _giveaways(
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    x: NDArray[np.float64],
    told: NDArray[np.bool_],
    names: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[Row, ...]:
    """Return the columns whose shuffling costs the classifier most AUC on rows that it was not trained on."""
    rows = rng.permutation(len(x))[:SHUFFLED]
    x, told = x[rows], told[rows]
    whole = auc(score(x), told)
    lost = np.empty(len(names))
    for place in range(len(names)):
        shuffled = x.copy()
        shuffled[:, place] = rng.permutation(x[:, place])
        lost[place] = whole - auc(score(shuffled), told)
    return tuple(
        {"column": names[place], "auc_lost_when_shuffled": float(lost[place])}
        for place in np.argsort(-lost, kind="stable")[:GIVEAWAYS]
    )
