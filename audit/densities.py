"""How much denser released rows lie around a row than reference rows do, over pairs and triples of columns."""

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.reading import bins
from audit.reference import some
from tabular.table import Table

Values = NDArray[np.float64]
Codes = NDArray[np.int64]
# Beyond so many sets of columns the wanted ones are drawn one by one, not from a list of all.
LISTED = 100_000


class Density(NamedTuple):
    """Mean log density ratios of rows.

    Attributes:
        ratios: By each released table, shape (T, n).
        copied: By the first one, if the row stood in it once more, shape (n,).
    """

    ratios: Values
    copied: Values


class Shares(NamedTuple):
    """One released table as counts are taken of it.

    Attributes:
        codes: Each column's codes of the rows counted.
        part: Share of the table that is counted.
    """

    codes: list[Codes]
    part: float


def densities(
    known: Table,
    asked: tuple[Table, ...],
    released: tuple[Table, ...],
    orders: tuple[int, ...],
    most: tuple[int, int],
    rng: np.random.Generator,
) -> list[Density]:
    """Return, for marginals of each order, the mean of log[(c_S + ½) / (n_S + ½)] - log[(c_R + ½) / (n_R + ½)].

    c counts the rows of S or R in the row's cell; columns are cut as in `audit.reading.bins`.

    Args:
        known: The reference rows R.
        asked: Rows to look up, one after the other.
        released: Tables in the place of S.
        orders: Columns of a marginal, each one an answer; fewer where the table has fewer.
        most: Most marginals of an order, and most rows of a released table that are counted; both are drawn at random.
        rng: Source of the draws.
    """
    counted = [table.take(some(np.arange(len(table)), most[1], rng)) for table in released]
    tables = (known, *counted, *asked)
    coded = [bins(column, known, tables) for column in known.schema.modelled]
    sizes = [each.size for each in coded]
    parts = [[column.codes[side] for column in coded] for side in range(len(tables))]
    shares = [
        Shares(codes, len(few) / max(len(all_rows), 1))
        for codes, few, all_rows in zip(parts[1:], counted, released, strict=False)
    ]
    queries = [np.concatenate(each) for each in zip(*parts[1 + len(released) :], strict=True)]
    return [
        _mean(_sets(len(sizes), min(order, len(sizes)), most[0], rng), sizes, parts[0], shares, queries)
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


def _mean(
    sets: list[tuple[int, ...]], sizes: list[int], known: list[Codes], released: list[Shares], queries: list[Codes]
) -> Density:
    """Sum the log ratios over marginals by tables of their cells."""
    ratios, copied = np.zeros((len(released), len(queries[0]))), np.zeros(len(queries[0]))
    for columns in sets:
        size = int(np.prod([sizes[each] for each in columns]))
        cell = _cells(columns, sizes, queries)
        base = _log_share(np.bincount(_cells(columns, sizes, known), minlength=size)[cell], len(known[0]))
        for place, table in enumerate(released):
            counts = np.bincount(_cells(columns, sizes, table.codes), minlength=size)[cell]
            rows = len(table.codes[0])
            ratios[place] += _log_share(counts, rows) - base
            if place == 0:
                copied += _log_share(counts + table.part, rows) - base
    return Density(ratios / len(sets), copied / len(sets))


def _cells(columns: tuple[int, ...], sizes: list[int], codes: list[Codes]) -> Codes:
    cell = codes[columns[0]]
    for each in columns[1:]:
        cell = cell * sizes[each] + codes[each]
    return cell


def _log_share(counts: NDArray[np.integer] | NDArray[np.floating], rows: int) -> Values:
    return np.asarray(np.log((counts + 0.5) / (rows + 0.5)), dtype=np.float64)
