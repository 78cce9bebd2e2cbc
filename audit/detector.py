"""A classifier that tells synthetic rows from real ones: its scores of rows that it was not trained on, made once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from threadpoolctl import threadpool_limits

from audit.core import Evidence, Metric, NotComputable
from audit.intervals import auc
from audit.learner import LARGEST_SEED, THREADS, Trees, blanked, classifier
from audit.reading import features, modelled
from audit.reference import match, parts
from tabular.schema import Column
from tabular.table import Table

SHUFFLED = 2_000


class Detector(Metric.Config, frozen=True, extra="forbid"):
    """Sizes of the two sides, folds and the learner.

    Attributes:
        minimum: Fewest rows on either side.
        most: Most rows on either side.
        folds: Parts that the rows are held out in.
        trees: Settings of the learner.
    """

    minimum: PositiveInt = 50
    most: PositiveInt = 10_000
    folds: int = Field(default=3, ge=2)
    trees: Trees = Trees()


class Scores(NamedTuple):
    """What the classifier says of rows that it was not trained on: half A of the holdout, then the other side.

    Attributes:
        other: Whether a row is of the other side, shape (n,).
        chance: The chance that it is, by the classifier of the folds that the row was not in, shape (n,).
        fold: The part that the row was held out in, shape (n,).
        auc: Mean over folds of the area under the ROC curve.
        lost: What the area loses, in the first fold, when a column is shuffled, shape (columns,).
    """

    other: NDArray[np.bool_]
    chance: NDArray[np.float64]
    fold: NDArray[np.int64]
    auc: float
    lost: NDArray[np.float64]


class Detected(NamedTuple):
    """Half A of the holdout against synthetic rows, and against fresh real rows, half B, as many.

    Attributes:
        columns: What the classifier sees.
        real: The rows of half A.
        synthetic: The synthetic rows.
        fresh: The rows of half B.
        told: Scores of A against synthetic rows.
        floor: Scores of A against B.
    """

    columns: tuple[Column, ...]
    real: Table
    synthetic: Table
    fresh: Table
    told: Scores
    floor: Scores


def detect(evidence: Evidence, settings: Detector) -> Detected:
    """Try to tell synthetic rows, and fresh real ones, from half A of the holdout, once for all metrics that ask alike.

    Rows of one privacy unit are held out together.

    Raises:
        NotComputable: If rows or privacy units are too few, or there is no column.
    """

    def make(rng: np.random.Generator) -> Detected:
        columns = modelled(evidence.holdout.schema)
        split = match(evidence, rng, settings.minimum, settings.most)
        real, fresh = (evidence.holdout.take(rows) for rows in (split.real, split.fresh))
        synthetic = evidence.synthetic.take(split.synthetic)
        read = features(evidence.train, (real, synthetic, fresh), columns)
        folds = [_folds(table, settings.folds, rng) for table in (real, synthetic, fresh)]
        scores = []
        for other in (1, 2):
            x = np.concatenate([read.matrices[0], read.matrices[other]])
            fold = np.concatenate([folds[0], folds[other]])
            scores.append(_scores(x, fold, len(real), read.categorical, settings, rng))
        return Detected(columns, real, synthetic, fresh, *scores)

    return evidence.shared(f"detector {settings.model_dump_json(include=set(Detector.model_fields))}", make)


def _scores(
    x: NDArray[np.float64],
    fold: NDArray[np.int64],
    real: int,
    categorical: NDArray[np.bool_],
    settings: Detector,
    rng: np.random.Generator,
) -> Scores:
    """Score each of the rows x, shape (n, D), the first so many of which are half A, while its fold is held out."""
    other = np.arange(len(x)) >= real
    chance, lost = np.empty(len(x)), np.zeros(x.shape[1])
    areas: list[float] = []
    with threadpool_limits(THREADS):
        for each in range(settings.folds):
            out = fold == each
            model = classifier(settings.trees, categorical, int(rng.integers(LARGEST_SEED)))
            train, test = blanked(x[~out], x[out])
            model.fit(train, other[~out])
            chance[out] = model.predict_proba(test)[:, 1]
            areas.append(auc(chance[out], other[out]))
            if each == 0:
                rows = rng.permutation(len(test))[:SHUFFLED]
                sample, kind = test[rows], other[out][rows]
                whole = auc(model.decision_function(sample), kind)
                for place in range(x.shape[1]):
                    shuffled = sample.copy()
                    shuffled[:, place] = rng.permutation(sample[:, place])
                    lost[place] = whole - auc(model.decision_function(shuffled), kind)
    return Scores(other, chance, fold, float(np.mean(areas)), lost)


def _folds(table: Table, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(table), dtype=np.int64)
    for each, rows in enumerate(parts(table, count, rng)):
        if len(rows) == 0:
            raise NotComputable(f"the real rows are of too few privacy units to be held out in {count} parts")
        fold[rows] = each
    return fold
