"""What a model's latent space holds: real rows laid out in two dimensions, and linear probes of every column."""

import warnings
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from audit.core import Interval, NotComputable
from audit.intervals import LEVEL, auc, auc_interval, wilson
from audit.reading import Coded, bins
from audit.reference import independent, parts, units
from tabular.schema import Column
from tabular.table import Table

MOST_ROWS = 4_000
FEWEST_ROWS = 20
CELLS = 100_000
FOLDS = 5
CLASSES = 20
FEATURES = 500
CATEGORIES = 30
RESAMPLES = 200
STEPS = 300

Array = NDArray[np.float64]
Measure = Literal["AUC", "accuracy", "R²"]
Told = Callable[[float, str], None]


class Figure(NamedTuple):
    """How well something predicts a column, with its interval."""

    value: float
    interval: Interval


class Probe(NamedTuple):
    """How well a linear model predicts one column.

    Attributes:
        column: The column.
        measure: AUC of two classes, accuracy of more, R² of a number's normal scores.
        rows: Rows that have a value of it.
        codes: From the latent codes, which were made from the whole row, this column included.
        others: From the other columns; None where there are none.
        constant: What the best constant scores.
    """

    column: str
    measure: Measure
    rows: int
    codes: Figure
    others: Figure | None
    constant: float


class Representation(NamedTuple):
    """Where rows lie in a latent space, and what can be read off it.

    Attributes:
        rows: Rows looked at.
        width: Width of a latent code.
        places: Where the rows lie along the two directions of largest variance, shape (n, 2).
        shares: Share of the codes' variance along each of the two.
        colour: The column that colours them.
        coloured: Its classes or bins, of each row.
        probes: One for each column that has two values at least.
        left_out: Columns that have not.
    """

    rows: int
    width: int
    places: Array
    shares: tuple[float, float]
    colour: Column
    coloured: Coded
    probes: tuple[Probe, ...]
    left_out: tuple[str, ...]


class _Answers(NamedTuple):
    """A column to be predicted: classes 0, 1, ... or normal scores, shape (m,), of some rows, shape (m,)."""

    measure: Measure
    y: Array
    rows: NDArray[np.int64]


def looked_at(table: Table, rng: np.random.Generator) -> Table:
    """Return as many rows as a representation looks at, drawn at random; fewer of wide tables, which take longer.

    Raises:
        NotComputable: If there are too few.
    """
    if len(table) < FEWEST_ROWS:
        raise NotComputable(f"there are {len(table)} rows; a latent space is looked at with {FEWEST_ROWS} at least")
    most = max(min(MOST_ROWS, CELLS // max(len(table.schema.modelled), 1)), MOST_ROWS // 8)
    return table.take(rng.permutation(len(table))[:most])


def represent(
    z: NDArray[np.float32], table: Table, colour: Column, rng: np.random.Generator, told: Told
) -> Representation:
    """Lay rows out in two dimensions and probe every column.

    The two dimensions are those of a principal component analysis of the codes. Probes are cross-validated over five
    folds, rows of one privacy unit together: logistic regression for classes (the rarest share one), ridge regression
    for numbers, both on standardised features and with a penalty of 1.

    Args:
        z: Latent codes of the rows, shape (n, k).
        table: The rows themselves, from `looked_at`.
        colour: The column that colours them.
        rng: Source of all randomness.
        told: Progress.
    """
    places, shares = _places(z.astype(np.float64))
    codes = _standardised(z.astype(np.float64))
    columns = table.schema.modelled
    categories = max(2, min(CATEGORIES, FEATURES // len(columns)))
    blocks = {column.name: _block(column, table, categories) for column in columns}
    folds = parts(table, FOLDS, rng)
    probes, left_out = [], []
    for done, column in enumerate(columns):
        told(done / len(columns), column.name)
        others = [block for name, block in blocks.items() if name != column.name]
        probe = _probe(column, (codes, np.hstack(others) if others else None), table, folds, rng)
        if probe is None:
            left_out.append(column.name)
        else:
            probes.append(probe)
    coloured = bins(colour, table, (table,), widest=5, categories=5)
    return Representation(len(table), z.shape[1], places, shares, colour, coloured, tuple(probes), tuple(left_out))


def _places(z: Array) -> tuple[Array, tuple[float, float]]:
    """Return the rows' first two principal components, shape (n, 2), and their shares of the variance."""
    spread = float(z.var(axis=0).sum())
    if spread == 0:
        return np.zeros((len(z), 2)), (0.0, 0.0)
    with threadpool_limits(1):
        found = PCA(n_components=min(2, z.shape[1]), svd_solver="full").fit_transform(z)
    places = np.zeros((len(z), 2))
    places[:, : found.shape[1]] = found
    first, second = places.var(axis=0) / spread
    return places, (float(first), float(second))


def _standardised(x: Array) -> Array:
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _normal_scores(values: Array) -> Array:
    """Return the standard normal quantiles of the ranks, shape (n,), ties at their middle; missing stays NaN."""
    scores = np.full(len(values), np.nan)
    known = ~np.isnan(values)
    scores[known] = norm.ppf((rankdata(values[known]) - 0.5) / max(int(known.sum()), 1))
    return scores


def _block(column: Column, table: Table, categories: int) -> Array:
    """Read a column as features, shape (n, 1 or more): one-hot categories, or normal scores and what is missing."""
    if column.is_code:
        coded = bins(column, table, (table,), categories=categories)
        return np.asarray(np.eye(coded.size)[coded.codes[0]])
    scores = _normal_scores(table.numbers(column.name))
    missing = np.isnan(scores)
    return np.stack([np.where(missing, 0.0, scores), missing.astype(np.float64)], axis=1)


def _answers(column: Column, table: Table) -> _Answers | None:
    """Return what is to be predicted of a column; None where all its rows are alike."""
    if column.is_number:
        scores = _normal_scores(table.numbers(column.name))
        rows = np.flatnonzero(~np.isnan(scores))
        y: Array = scores[rows]
        measure: Measure = "R²"
    else:
        coded = bins(column, table, (table,), categories=CLASSES)
        rows = np.flatnonzero(coded.codes[0] < coded.size - 1)
        _, found = np.unique(coded.codes[0][rows], return_inverse=True)
        y, measure = found.astype(np.float64), "AUC" if found.max(initial=0) == 1 else "accuracy"
    return _Answers(measure, y, rows) if len(rows) >= FEWEST_ROWS and np.ptp(y) > 0 else None


def _probe(
    column: Column,
    features: tuple[Array, Array | None],
    table: Table,
    folds: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> Probe | None:
    """Probe one column by the latent codes, shape (n, k), and by the other columns, shape (n, D)."""
    asked = _answers(column, table)
    if asked is None:
        return None
    inside = [np.flatnonzero(np.isin(asked.rows, fold)) for fold in folds]
    inside = [test for test in inside if len(test)]
    if len(inside) < 2:
        return None
    constant = np.empty(len(asked.y))
    for test in inside:
        train = np.setdiff1d(np.arange(len(asked.y)), test)
        seen = asked.y[train]
        constant[test] = seen.mean() if asked.measure == "R²" else np.bincount(seen.astype(np.int64)).argmax()
    known = table.take(asked.rows)
    figures = [
        None if x is None else _figure(asked, _predicted(x[asked.rows], asked, inside), constant, known, rng)
        for x in features
    ]
    codes, others = figures
    assert codes is not None
    score = float((constant == asked.y).mean()) if asked.measure == "accuracy" else 0.5
    return Probe(column.name, asked.measure, len(asked.y), codes, others, 0.0 if asked.measure == "R²" else score)


def _predicted(x: Array, asked: _Answers, folds: list[NDArray[np.int64]]) -> Array:
    """Predict each fold from the others: numbers, classes, or scores of the second of two classes, shape (m,)."""
    guess = np.empty(len(asked.y))
    for test in folds:
        train = np.setdiff1d(np.arange(len(asked.y)), test)
        y = asked.y[train]
        if asked.measure == "R²":
            guess[test] = Ridge(alpha=1.0).fit(x[train], y).predict(x[test])
        elif np.ptp(y) == 0:
            guess[test] = 0.0 if asked.measure == "AUC" else y[0]
        else:
            model = LogisticRegression(max_iter=STEPS, tol=1e-3)
            # A probe that stops a step short of the optimum predicts as well.
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x[train], y)
            guess[test] = model.decision_function(x[test]) if asked.measure == "AUC" else model.predict(x[test])
    return guess


def _figure(asked: _Answers, guess: Array, constant: Array, known: Table, rng: np.random.Generator) -> Figure:
    """Score guesses, shape (m,); an interval counts each privacy unit once."""
    worth = independent(known) / len(known)
    if asked.measure == "accuracy":
        right = guess == asked.y
        return Figure(float(right.mean()), wilson(float(right.sum()) * worth, len(right) * worth))
    if asked.measure == "AUC":
        positive = asked.y == 1
        value = auc(guess, positive)
        return Figure(value, auc_interval(value, positive.sum() * worth, (~positive).sum() * worth))
    unit = units(known)
    size = int(unit.max()) + 1
    drawn = rng.multinomial(size, np.full(size, 1 / size), RESAMPLES)[:, unit]
    off, far = (guess - asked.y) ** 2, (constant - asked.y) ** 2
    value = 1 - float(off.sum() / far.sum())
    low, high = np.quantile(1 - (drawn @ off) / (drawn @ far), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, Interval(low=min(float(low), value), high=max(float(high), value), level=LEVEL))
