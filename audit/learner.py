"""The learners of the audit: gradient-boosted trees, and linear models on one-hot codes and standardised numbers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveFloat, PositiveInt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from audit.reading import bins, features
from tabular.schema import Column
from tabular.table import Table

# Threads of a tree learner that wait for one another burn the cores that the other questions are answered on.
THREADS = 1
LARGEST_SEED = 2**31 - 1
FEWEST_ROUNDS = 30
# One row of a rare class in a leaf would move its answers by tens, for the loss there is nearly flat.
PENALTY_OF_MANY = 10.0
FARTHEST = 20.0
STEPS = 25
HALVINGS = 10
NEARLY = 1e-10

Array = NDArray[np.float64]


class Trees(BaseModel, frozen=True, extra="forbid"):
    """Settings of the tree learner.

    Attributes:
        rounds: Trees, one after the other; of more than two classes each grows its own, in fewer rounds.
        leaves: Most leaves of a tree.
        smallest: Fewest rows in a leaf.
    """

    rounds: PositiveInt = 100
    leaves: PositiveInt = 31
    smallest: PositiveInt = 20


class Linear(BaseModel, frozen=True, extra="forbid"):
    """Settings of the linear learner: logistic regression for classes, ridge regression for numbers.

    Attributes:
        categories: Categories of a column with a coefficient of their own; the rarer ones share one.
        penalty: Weight of the sum of squared coefficients (over two for classes), the intercept's left out.
    """

    categories: PositiveInt = 30
    penalty: PositiveFloat = 1.0


Learner = Trees | Linear


class Inputs(NamedTuple):
    """Tables as matrices for a learner.

    Attributes:
        matrices: One matrix per table, shape (n, D).
        categorical: Whether a feature is a category without order, shape (D,).
    """

    matrices: tuple[Array, ...]
    categorical: NDArray[np.bool_]


def inputs(learner: Learner, real: Table, tables: tuple[Table, ...], columns: list[Column]) -> Inputs:
    """Read columns as the learner's features.

    The linear learner reads a code column as one indicator per category and one for missing; a number in standard
    deviations of the real rows, at most 20 from their mean (which stands for missing ones), and an indicator of
    missing.

    Args:
        learner: The learner.
        real: Rows that frequencies, means and deviations are taken from.
        tables: Tables to read.
        columns: Columns to read.
    """
    if isinstance(learner, Trees):
        read = features(real, tables, columns)
        return Inputs(read.matrices, read.categorical)
    blocks = [_block(column, real, tables, learner.categories) for column in columns]
    matrices = tuple(np.concatenate([block[place] for block in blocks], axis=1) for place in range(len(tables)))
    return Inputs(matrices, np.zeros(matrices[0].shape[1], dtype=bool))


def predict(learner: Learner, x: Array, y: Array, read: Inputs, target: Column, seed: int) -> Array:
    """Fit on rows x, shape (n, D), with answers y, shape (n,), and answer the first of the tables read, of m rows.

    Returns:
        Probabilities of the target's categories, shape (m, K), or numbers, shape (m,).
    """
    test = read.matrices[0]
    if isinstance(learner, Trees):
        return learn(x, y, test, read.categorical, target, learner, seed)
    with threadpool_limits(THREADS):
        if target.is_number:
            centre, spread = float(y.mean()), float(y.std()) or 1.0
            ridge = Ridge(alpha=learner.penalty, solver="cholesky").fit(x, (y - centre) / spread)
            return np.asarray(ridge.predict(test) * spread + centre, dtype=np.float64)
        shares = np.zeros((len(test), len(target.categories)))
        seen = np.unique(y).astype(np.int64)
        if len(seen) <= 2:
            shares[:, seen[-1]] = _chance(x, y == seen[-1], test, learner.penalty) if len(seen) == 2 else 1.0
            shares[:, seen[0]] += 1 - shares[:, seen[-1]]
            return shares
        for code in seen:
            shares[:, code] = _chance(x, y == code, test, learner.penalty)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def answers(table: Table, target: Column) -> Array:
    """Return the target as positions in its categories or as numbers, shape (n,); missing is NaN."""
    if target.is_number:
        return table.numbers(target.name)
    codes = table.codes(target.name)
    return np.where(codes == -1, np.nan, codes.astype(np.float64))


def classifier(
    trees: Trees, categorical: NDArray[np.bool_], seed: int, penalty: float = 0.0
) -> HistGradientBoostingClassifier:
    """Return an untrained classifier; the penalty is the weight of half the sum of squared leaves."""
    return HistGradientBoostingClassifier(
        max_iter=trees.rounds,
        max_leaf_nodes=trees.leaves,
        min_samples_leaf=trees.smallest,
        categorical_features=categorical,
        l2_regularization=penalty,
        early_stopping=False,
        random_state=seed,
    )


def learn(
    x: Array, y: Array, test: Array, categorical: NDArray[np.bool_], target: Column, trees: Trees, seed: int
) -> Array:
    """Fit trees on rows x, shape (n, D), with answers y, shape (n,), and answer on test rows, shape (m, D)."""
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
            guess: Array = regressor.fit(x, (y - centre) / spread).predict(test)
        return guess * spread + centre
    shares = np.zeros((len(test), len(target.categories)))
    seen = np.unique(y).astype(np.int64)
    if len(seen) == 1:
        shares[:, seen[0]] = 1.0
        return shares
    fewest = min(trees.rounds, FEWEST_ROUNDS)
    shared = trees.model_copy(update={"rounds": max(trees.rounds // max(len(seen) - 1, 1), fewest)})
    with threadpool_limits(THREADS):
        penalty = PENALTY_OF_MANY if len(seen) > 2 else 0.0
        shares[:, seen] = classifier(shared, categorical, seed, penalty).fit(x, y).predict_proba(test)
    return shares


def blanked(train: Array, test: Array) -> tuple[Array, Array]:
    """Set features without any value in the training rows to 0 in both, shapes (n, D) and (m, D): nothing to learn."""
    unknown = np.isnan(train).all(axis=0)
    return np.where(unknown, 0.0, train), np.where(unknown, 0.0, test)


def logistic(x: Array, positive: NDArray[np.bool_], penalty: float) -> tuple[Array, Array]:
    """Fit a logistic regression by Newton's method, the steps halved until they improve it.

    Args:
        x: Rows with a column of ones first, shape (n, D).
        positive: Whether a row is positive, shape (n,).
        penalty: Weight of half the sum of squared coefficients but the first.

    Returns:
        Coefficients, shape (D,), and the information matrix there, shape (D, D).

    Raises:
        scipy.linalg.LinAlgError: If the information matrix is singular.
    """
    y = positive.astype(np.float64)
    ridge = np.full(x.shape[1], penalty)
    ridge[0] = 0.0
    coefficients = np.zeros(x.shape[1])

    def loss(at: Array) -> float:
        score = x @ at
        return float(np.logaddexp(0, score).sum() - y @ score + ridge @ at**2 / 2)

    def information(chance: Array) -> Array:
        return (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(ridge)

    now = loss(coefficients)
    for _ in range(STEPS):
        chance = expit(x @ coefficients)
        slope = x.T @ (chance - y) + ridge * coefficients
        step = cho_solve(cho_factor(information(chance)), slope)
        for half in range(HALVINGS):
            new = coefficients - step / 2**half
            if (then := loss(new)) <= now + NEARLY * abs(now):
                break
        else:
            break
        coefficients, now = new, then
        if float(slope @ step) < NEARLY:
            break
    return coefficients, information(expit(x @ coefficients))


def _chance(x: Array, positive: NDArray[np.bool_], test: Array, penalty: float) -> Array:
    ones = np.ones((len(x), 1))
    coefficients, _ = logistic(np.concatenate([ones, x], axis=1), positive, penalty)
    return np.asarray(expit(coefficients[0] + test @ coefficients[1:]), dtype=np.float64)


def _block(column: Column, real: Table, tables: tuple[Table, ...], categories: int) -> list[Array]:
    """Return one column's features of each table, shapes (n, 1 or more)."""
    if column.is_code:
        coded = bins(column, real, tables, categories=categories)
        return [np.eye(coded.size)[codes] for codes in coded.codes]
    known = real.numbers(column.name)
    known = known[~np.isnan(known)]
    centre = float(known.mean()) if len(known) else 0.0
    spread = (float(known.std()) if len(known) else 0.0) or 1.0
    blocks = []
    for table in tables:
        with np.errstate(over="ignore"):
            values = (table.numbers(column.name) - centre) / spread
        missing = np.isnan(values)
        blocks.append(np.stack([np.clip(np.where(missing, 0.0, values), -FARTHEST, FARTHEST), missing], axis=1))
    return blocks
