"""Regressions that people declare: their formulas, their columns as a design, their coefficients with intervals."""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.stats import norm, t

from audit.core import NotComputable
from audit.intervals import LEVEL
from audit.learner import Array, answers, logistic
from tabular.schema import Column, Schema
from tabular.table import Table

NAME = re.compile(r"`([^`]+)`|([^`+~\s]+)")
FORMULA = re.compile(rf"\s*(?:{NAME.pattern})\s*~\s*(?:{NAME.pattern})\s*(?:\+\s*(?:{NAME.pattern})\s*)*")
SEPARATED = 15.0
COLLINEAR = 1e-9


class Analysis(NamedTuple):
    """A regression of one column on others.

    Attributes:
        formula: As declared.
        outcome: A number, or a code column of two categories, the last of which is positive.
        predictors: Numbers and code columns.
    """

    formula: str
    outcome: Column
    predictors: tuple[Column, ...]


class Scale(NamedTuple):
    """How one predictor is read.

    Attributes:
        column: The predictor.
        centre: Mean of a number among the real rows.
        spread: Standard deviation of it.
        levels: Positions of the categories with a coefficient; the most frequent one is what they are compared with.
        names: Names of the coefficients.
    """

    column: Column
    centre: float
    spread: float
    levels: tuple[int, ...]
    names: tuple[str, ...]


class Design(NamedTuple):
    """The rows of a table without a missing value.

    Attributes:
        x: A column of ones and the predictors, shape (n, 1 + P).
        y: The outcome, shape (n,).
        rows: Which rows of the table they are, shape (n,).
    """

    x: Array
    y: Array
    rows: NDArray[np.int64]


def parsed(formula: str, schema: Schema) -> Analysis:
    """Read a formula `y ~ a + b`, names with spaces in backticks.

    Raises:
        NotComputable: If it is none, names an unknown column, or one that cannot stand there.
    """
    said = f"the analysis {formula!r}"
    found = FORMULA.fullmatch(formula)
    if found is None:
        raise NotComputable(f"{said} cannot be read; wanted y ~ a + b, names with spaces in `backticks`")
    names = [first or second for first, second in NAME.findall(formula)]
    for name in names:
        if name not in schema.names:
            raise NotComputable(f"{said} names the column {name!r}, which the table has not")
        if not schema[name].is_modelled:
            raise NotComputable(f"{said} names the column {name!r}, which is a key or free text")
    if len(set(names)) < len(names):
        raise NotComputable(f"{said} names a column twice")
    outcome, *predictors = (schema[name] for name in names)
    if outcome.is_code and len(outcome.categories) != 2:
        raise NotComputable(f"{said}: its outcome {outcome.name!r} is neither a number nor of two classes")
    return Analysis(formula, outcome, tuple(predictors))


def scales(analysis: Analysis, real: Table, levels: int, fewest: int) -> list[Scale]:
    """Say how predictors are read, from the real rows.

    Args:
        analysis: The regression.
        real: The real rows.
        levels: Most categories of a column with a coefficient of their own, the most frequent ones.
        fewest: Fewest real rows of a category with a coefficient of its own; the others share that of the most
            frequent category.
    """
    found = []
    for column in analysis.predictors:
        if column.is_code:
            size = len(column.categories) + 1
            counts = np.bincount(real.codes(column.name) % size, minlength=size)[:-1]
            order = np.argsort(-counts, kind="stable")
            kept = tuple(int(each) for each in order[1 : levels + 1] if counts[each] >= fewest)
            names = tuple(f"{column.name} = {column.categories[each]}" for each in kept)
            found.append(Scale(column, 0.0, 1.0, kept, names))
            continue
        values = real.numbers(column.name)
        values = values[~np.isnan(values)]
        spread = float(values.std()) if len(values) else 0.0
        if spread > 0:
            found.append(Scale(column, float(values.mean()), spread, (), (column.name,)))
    return found


def design(analysis: Analysis, read: list[Scale], table: Table) -> Design:
    """Return the rows of a table that have a value of every column."""
    y = answers(table, analysis.outcome)
    known = ~np.isnan(y)
    blocks = [np.ones((len(table), 1))]
    for each in read:
        if each.column.is_code:
            codes = table.codes(each.column.name)
            known &= codes >= 0
            blocks.append((codes[:, None] == np.array(each.levels, dtype=np.int64)).astype(np.float64))
            continue
        values = (table.numbers(each.column.name) - each.centre) / each.spread
        known &= ~np.isnan(values)
        blocks.append(values[:, None])
    return Design(np.concatenate(blocks, axis=1)[known], y[known], np.flatnonzero(known))


def coefficients(x: Array, y: Array, classes: bool) -> Array | None:
    """Fit ordinary least squares, or a logistic regression to y in {0, 1}, and return coefficients with intervals.

    Standard errors are the usual ones of independent rows.

    Args:
        x: A column of ones and the predictors, shape (n, 1 + P).
        y: The outcome, shape (n,).
        classes: Whether the regression is logistic.

    Returns:
        Estimate, low and high of each coefficient, NaN for a predictor that never varies, shape (3, 1 + P). None where
        there is no single best fit: collinear predictors, separated classes, too few rows.
    """
    varies = np.ptp(x, axis=0) > 0 if len(x) else np.zeros(x.shape[1], dtype=bool)
    varies[0] = True
    found = np.full((3, x.shape[1]), np.nan)
    inner = x[:, varies]
    free = len(inner) - inner.shape[1]
    if free < 1 or (classes and len(np.unique(y)) < 2):
        return None
    values = np.linalg.svd(inner / np.maximum(np.linalg.norm(inner, axis=0), COLLINEAR), compute_uv=False)
    if values[-1] < COLLINEAR**0.5 * values[0]:
        return None
    try:
        if classes:
            middle, information = logistic(inner, y == 1, 0.0)
            if np.abs(middle).max() > SEPARATED:
                return None
            errors = np.sqrt(np.diag(cho_solve(cho_factor(information), np.eye(len(middle)))))
            quantile = float(norm.ppf((1 + LEVEL) / 2))
        else:
            middle = np.asarray(np.linalg.lstsq(inner, y, rcond=None)[0], dtype=np.float64)
            inverse = cho_solve(cho_factor(inner.T @ inner), np.eye(len(middle)))
            errors = np.sqrt(np.diag(inverse) * float(((y - inner @ middle) ** 2).sum()) / free)
            quantile = float(t.ppf((1 + LEVEL) / 2, free))
    except LinAlgError:
        return None
    found[:, varies] = np.stack([middle, middle - quantile * errors, middle + quantile * errors])
    return found


def overlap(first: Array, second: Array) -> Array:
    """Return how far two intervals overlap, on average as a share of either; 0 where they do not meet.

    Karr et al., A framework for evaluating the utility of data altered to protect confidentiality, 2006,
    doi:10.1198/000313006X124640, formula 4, cut at 0.

    Args:
        first: Lower and upper ends, shape (2, P).
        second: The others', shape (2, P).

    Returns:
        Overlaps in [0, 1], shape (P,); 0 where an end is unknown.
    """
    shared = np.minimum(first[1], second[1]) - np.maximum(first[0], second[0])
    lengths = [np.where(each[1] > each[0], each[1] - each[0], np.nan) for each in (first, second)]
    share = (shared / lengths[0] + shared / lengths[1]) / 2
    return np.where(np.isnan(share), 0.0, np.maximum(share, 0.0))
