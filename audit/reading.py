"""Columns of several tables on shared codes, bins and features; missing is a value of its own everywhere."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.core import NotComputable
from tabular.schema import Column, Schema
from tabular.table import Table

Codes = NDArray[np.int64]
TREE_CATEGORIES = 255


class Coded(NamedTuple):
    """One column of several tables on one set of codes.

    Attributes:
        codes: Codes of each table's rows, each of shape (n,), in [0, size).
        size: Number of codes; the last one is missing.
        names: What each code means, for people.
    """

    codes: tuple[Codes, ...]
    size: int
    names: tuple[str, ...]


class Features(NamedTuple):
    """Tables as matrices for a tree learner.

    Attributes:
        matrices: One matrix per table, shape (n, D); missing is NaN.
        categorical: Whether a feature is a category without order, shape (D,).
        names: Names of the columns, D of them.
    """

    matrices: tuple[NDArray[np.float64], ...]
    categorical: NDArray[np.bool_]
    names: tuple[str, ...]


def modelled(schema: Schema, fewest: int = 1) -> tuple[Column, ...]:
    """Return the columns that metrics read.

    Raises:
        NotComputable: If there are fewer than wanted.
    """
    columns = schema.modelled
    if len(columns) < fewest:
        raise NotComputable(f"the table has {len(columns)} columns to look at; this metric needs at least {fewest}")
    return columns


def levels(column: Column, tables: Sequence[Table]) -> tuple[tuple[Codes, ...], int]:
    """Code a column exactly: categories by position, numbers by the rank of their value over all the tables.

    Returns:
        The codes of each table's rows, and their number; missing is the last code.
    """
    if column.is_code:
        size = len(column.categories) + 1
        return tuple(table.codes(column.name) % size for table in tables), size
    values = [table.numbers(column.name) for table in tables]
    everything = np.concatenate(values)
    distinct = np.unique(everything[~np.isnan(everything)])
    missing = len(distinct)
    coded = tuple(np.where(np.isnan(each), missing, np.searchsorted(distinct, each)) for each in values)
    return coded, missing + 1


def bins(column: Column, real: Table, tables: Sequence[Table], widest: int = 10, categories: int = 20) -> Coded:
    """Code a column coarsely: numbers by quantiles of the real rows, categories by the real rows' most frequent ones.

    Args:
        column: The column.
        real: Rows that edges and frequencies are taken from.
        tables: Tables to code.
        widest: Largest number of bins of a number column; a value that fills several quantiles gets a bin of its own.
        categories: Largest number of categories; the others share one code.
    """
    if column.is_code:
        return _pooled(column, real, tables, categories)
    values = real.numbers(column.name)
    distinct = np.unique(values[~np.isnan(values)])
    if len(distinct) > widest:
        present = np.sort(values[~np.isnan(values)])
        at = np.arange(1, widest) * len(present) // widest
        edges = np.unique(present[at - 1])
        edges = edges[edges < distinct[-1]]
    else:
        edges = distinct[:-1]
    missing = len(edges) + 1
    numbers = [table.numbers(column.name) for table in tables]
    codes = tuple(np.where(np.isnan(each), missing, np.searchsorted(edges, each, side="left")) for each in numbers)
    return Coded(codes, missing + 1, (*_spans(column, edges), "missing"))


def features(real: Table, tables: Sequence[Table], columns: Sequence[Column]) -> Features:
    """Read columns as features of a tree learner.

    A column of more than 255 categories is read as the rank of its category's frequency among the real rows.
    """
    matrices = tuple(np.empty((len(table), len(columns))) for table in tables)
    categorical = np.zeros(len(columns), dtype=bool)
    for place, column in enumerate(columns):
        categorical[place] = column.is_code and len(column.categories) <= TREE_CATEGORIES
        for matrix, table in zip(matrices, tables, strict=True):
            matrix[:, place] = _feature(column, real, table)
    return Features(matrices, categorical, tuple(column.name for column in columns))


def _feature(column: Column, real: Table, table: Table) -> NDArray[np.float64]:
    if not column.is_code:
        return table.numbers(column.name)
    codes = table.codes(column.name)
    values = codes.astype(np.float64)
    if len(column.categories) > TREE_CATEGORIES:
        values = _frequency_rank(column, real)[codes].astype(np.float64)
    return np.where(codes == -1, np.nan, values)


def _frequency_rank(column: Column, real: Table) -> Codes:
    """Return the rank of each category, 0 for the most frequent among the real rows, shape (K,)."""
    size = len(column.categories) + 1
    counts = np.bincount(real.codes(column.name) % size, minlength=size)[:-1]
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank


def _pooled(column: Column, real: Table, tables: Sequence[Table], categories: int) -> Coded:
    rank = _frequency_rank(column, real)
    kept = min(len(rank), categories)
    pooled = len(rank) > categories
    code = np.append(np.minimum(rank, kept), kept + pooled)
    codes = tuple(code[table.codes(column.name)] for table in tables)
    names = [str(column.categories[each]) for each in np.argsort(rank)[:kept]]
    return Coded(codes, kept + pooled + 1, (*names, *(["other"] if pooled else []), "missing"))


def _spans(column: Column, edges: NDArray[np.float64]) -> list[str]:
    if len(edges) == 0:
        return ["any value"]
    if column.kind in ("datetime", "date"):
        shown = [str(each)[:16] for each in edges.astype(np.int64).astype("datetime64[us]")]
    else:
        shown = [f"{each:g}" for each in edges]
    between = [f"({low}, {high}]" for low, high in zip(shown[:-1], shown[1:], strict=True)]
    return [f"≤ {shown[0]}", *between, f"> {shown[-1]}"]
