"""The learner of the audit, and its trial: trained on synthetic and on real rows, tested on other real rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from audit.core import Evidence, NotComputable
from audit.reading import features
from audit.reference import match
from tabular.schema import Column
from tabular.table import Table

# Threads of a tree learner that wait for one another burn the cores that the other questions are answered on.
THREADS = 1
LARGEST_SEED = 2**31 - 1
FEWEST_ROUNDS = 30


class Trees(BaseModel, frozen=True, extra="forbid"):
    """Settings of the learner.

    Attributes:
        rounds: Trees, one after the other; of more than two classes each grows its own, in fewer rounds.
        leaves: Most leaves of a tree.
        smallest: Fewest rows in a leaf.
    """

    rounds: PositiveInt = 100
    leaves: PositiveInt = 31
    smallest: PositiveInt = 20


class Trial(NamedTuple):
    """What two models of one kind answer on the same real test rows.

    Attributes:
        test: The test rows, half A of the holdout, those with a target.
        truth: Their target: positions in the categories, or numbers in the real rows' standard deviations, shape (n,).
        synthetic: Answers of the model trained on synthetic rows: probabilities, shape (n, K), or numbers, shape (n,).
        real: Answers of the model trained on as many fresh real rows, half B, same shape.
        trained: How many rows each of the two was trained on, before rows without a target were left out.
    """

    test: Table
    truth: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    real: NDArray[np.float64]
    trained: int


def trial(evidence: Evidence, target: Column, trees: Trees, rng: np.random.Generator, minimum: int, most: int) -> Trial:
    """Train one model on synthetic rows and one on as many real rows, and let both answer on other real rows.

    Raises:
        NotComputable: If rows are too few, or there is no feature or nothing to predict.
    """
    columns = [column for column in evidence.holdout.schema.modelled if column.name != target.name]
    if not columns:
        raise NotComputable("the table has no column but the target; there is nothing to predict it from")
    split = match(evidence, rng, minimum, most)
    tables = [evidence.holdout.take(split.real), evidence.synthetic.take(split.synthetic)]
    tables = [_labelled(table, target) for table in (*tables, evidence.holdout.take(split.fresh))]
    for table, where in zip(tables, ("half of the holdout", "the synthetic table", "half of the holdout"), strict=True):
        if len(table) < minimum:
            raise NotComputable(f"{where} has {len(table)} rows with a target; this metric needs at least {minimum}")
    truths = [answers(table, target) for table in tables]
    if len(np.unique(truths[0])) < 2 or len(np.unique(truths[2])) < 2:
        raise NotComputable(
            f"the target {target.name!r} has one value only in the real rows; there is nothing to predict"
        )
    read = features(evidence.train, tables, columns)
    seed = int(rng.integers(LARGEST_SEED))
    outcomes = [
        learn(read.matrices[each], truths[each], read.matrices[0], read.categorical, target, trees, seed)
        for each in (1, 2)
    ]
    return Trial(tables[0], truths[0], outcomes[0], outcomes[1], len(split.synthetic))


def answers(table: Table, target: Column) -> NDArray[np.float64]:
    """Return the target as positions in its categories or as numbers, shape (n,); missing is NaN."""
    if target.is_number:
        return table.numbers(target.name)
    codes = table.codes(target.name)
    return np.where(codes == -1, np.nan, codes.astype(np.float64))


def classifier(trees: Trees, categorical: NDArray[np.bool_], seed: int) -> HistGradientBoostingClassifier:
    """Return an untrained classifier."""
    return HistGradientBoostingClassifier(
        max_iter=trees.rounds,
        max_leaf_nodes=trees.leaves,
        min_samples_leaf=trees.smallest,
        categorical_features=categorical,
        early_stopping=False,
        random_state=seed,
    )


def learn(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    test: NDArray[np.float64],
    categorical: NDArray[np.bool_],
    target: Column,
    trees: Trees,
    seed: int,
) -> NDArray[np.float64]:
    """Fit on rows x, shape (n, D), with answers y, shape (n,), and answer on test rows, shape (m, D)."""
    x, test = blanked(x, test)
    if target.is_number:
        centre, spread = float(y.mean()), float(y.std()) or 1.0
        regressor = HistGradientBoostingRegressor(
            max_iter=trees.rounds,
            max_leaf_nodes=trees.leaves,
            min_samples_leaf=trees.smallest,
            categorical_features=categorical,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(THREADS):
            guess: NDArray[np.float64] = regressor.fit(x, (y - centre) / spread).predict(test)
        return guess * spread + centre
    shares = np.zeros((len(test), len(target.categories)))
    seen = np.unique(y).astype(np.int64)
    if len(seen) == 1:
        shares[:, seen[0]] = 1.0
        return shares
    fewest = min(trees.rounds, FEWEST_ROUNDS)
    shared = trees.model_copy(update={"rounds": max(trees.rounds // max(len(seen) - 1, 1), fewest)})
    with threadpool_limits(THREADS):
        shares[:, seen] = classifier(shared, categorical, seed).fit(x, y).predict_proba(test)
    return shares


def blanked(train: NDArray[np.float64], test: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Set features without any value in the training rows to 0 in both, shapes (n, D) and (m, D): nothing to learn."""
    unknown = np.isnan(train).all(axis=0)
    return np.where(unknown, 0.0, train), np.where(unknown, 0.0, test)


def _labelled(table: Table, target: Column) -> Table:
    return table.take(np.flatnonzero(~np.isnan(answers(table, target))))
