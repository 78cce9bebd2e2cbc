"""How much denser released rows lie around a row than reference rows do, over pairs and triples of columns."""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from audit.reading import bins
from audit.reference import some
from tabular.table import Table

Values = NDArray[np.float64]
Codes = NDArray[np.int64]
# Beyond so many sets of columns the wanted ones are drawn one by one, not from a list of all.
LISTED = 100_000


def densities(
    known: Table,
    asked: tuple[Table, ...],
    released: tuple[Table, ...],
    orders: tuple[int, ...],
    most: tuple[int, int],
    rng: np.random.Generator,
) -> list[Values]:
    """Return, for marginals of each order, the mean of log[(c_S + ½) / (n_S + ½)] - log[(c_R + ½) / (n_R + ½)].

    c counts the rows of S or R in the row's cell; columns are cut as in `audit.reading.bins`.

    Args:
        known: The reference rows R.
        asked: Rows to look up, one after the other.
        released: Tables in the place of S.
        orders: Columns of a marginal, each one an answer; fewer where the table has fewer.
        most: Most marginals of an order, and most rows of a released table that are counted; both are drawn at random.
        rng: Source of the draws.

    Returns:
        For each order, the means by each released table, shape (T, n).
    """
    counted = [table.take(some(np.arange(len(table)), most[1], rng)) for table in released]
    tables = (known, *counted, *asked)
    coded = [bins(column, known, tables) for column in known.schema.modelled]
    sizes = [each.size for each in coded]
    parts = [[column.codes[side] for column in coded] for side in range(len(tables))]
    queries = [np.concatenate(each) for each in zip(*parts[1 + len(released) :], strict=True)]
    return [
        _mean(_sets(len(sizes), min(order, len(sizes)), most[0], rng), sizes, parts[: 1 + len(released)], queries)
        for order in orders
    ]


def _sets(columns: int, order: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return sets of columns: all of them, or as many as wanted at random."""
    count = comb(columns, order)
    if count <= LISTED:
        every = list(combinations(range(columns), order))
        return [every[place] for place in sorted(some(np.arange(count), most, rng))]
    found: set[tuple[int, ...]] = set()
    while len(found) < most:
        found.add(tuple(sorted(rng.choice(columns, order, replace=False).tolist())))
    return sorted(found)


def _mean(sets: list[tuple[int, ...]], sizes: list[int], tables: list[list[Codes]], queries: list[Codes]) -> Values:
    """Average the log ratios of all tables to the first over marginals."""
    ratios = np.zeros((len(tables) - 1, len(queries[0])))
    for columns in sets:
        size = int(np.prod([sizes[each] for each in columns]))
        cell = _cells(columns, sizes, queries)
        known, *released = (_log_shares(_cells(columns, sizes, table), size)[cell] for table in tables)
        for place, found in enumerate(released):
            ratios[place] += found - known
    return ratios / len(sets)


def _cells(columns: tuple[int, ...], sizes: list[int], codes: list[Codes]) -> Codes:
    cell = codes[columns[0]]
    for each in columns[1:]:
        cell = cell * sizes[each] + codes[each]
    return cell


def _log_shares(cells: Codes, size: int) -> Values:
    return np.asarray(np.log((np.bincount(cells, minlength=size) + 0.5) / (len(cells) + 0.5)), dtype=np.float64)
