"""Rows as points in space, and the search for the nearest ones: exact, by brute force, in bounded memory."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from audit.learner import THREADS
from audit.reading import bins
from tabular.schema import Column
from tabular.table import Table

Points = NDArray[np.float32]
Distances = NDArray[np.float64]
Floats = NDArray[np.floating]

QUERY_BLOCK = 256
# Most numbers that the categories of a row are placed by.
WIDEST = 4_000
ROW_BLOCK = 4096
# Squared lengths above which the digits of float32 no longer tell two points far out apart.
FAR = 64.0
# Numbers further out are placed here: beyond, float32 would not hold their squares' digits.
FARTHEST = 1e6
# Units of the last digit by which a row on the very edge of a ball may miss it.
SLACK = 32


def encode(known: Table, table: Table, categories: int) -> Points:
    """Place rows in space by what the reference rows show, shape (n, D).

    A number lies over its 5-95 % range, missing ones at the median with an indicator of weight 1; categories are
    one-hot times √½, so that two unequal ones lie at distance 1. Of very many columns fewer categories are told apart.
    """
    blocks: list[Points] = []
    kept = max(min(categories, WIDEST // max(sum(column.is_code for column in known.schema.modelled), 1)), 2)
    for column in known.schema.modelled:
        if column.is_code:
            coded = bins(column, known, (table,), categories=kept)
            blocks.append((np.eye(coded.size) * np.sqrt(0.5)).astype(np.float32)[coded.codes[0]])
        else:
            blocks.append(_place(column, known, table))
    return np.ascontiguousarray(np.concatenate(blocks, axis=1))


def nearest(queries: Points, rows: Points, count: int = 1) -> Distances:
    """Return the Euclidean distances of each query, shape (n, D), to its nearest rows, shape (m, D), in rising order.

    Returns:
        Shape (n, count); infinite where there are fewer rows.
    """
    return _search(queries, rows, count, None)[0]


def reach(queries: Points, rows: Points, radii: Distances) -> tuple[Distances, NDArray[np.int64]]:
    """Return each query's distance to its nearest row, and how many rows lie within its radius, each of shape (n,)."""
    distances, within = _search(queries, rows, 1, radii)
    return distances[:, 0], within


def _search(queries: Points, rows: Points, count: int, radii: Distances | None) -> tuple[Distances, NDArray[np.int64]]:
    """Search for queries near the origin in float32, for those far out in float64."""
    distances = np.full((len(queries), count), np.inf)
    within = np.zeros(len(queries), dtype=np.int64)
    far = np.einsum("ij,ij->i", queries, queries) > FAR
    with threadpool_limits(THREADS):
        near, out = np.flatnonzero(~far), np.flatnonzero(far)
        sides: tuple[tuple[NDArray[np.int64], Floats], ...] = (
            (near, queries[near]),
            (out, queries[out].astype(np.float64)),
        )
        for those, asked in sides:
            bounds = None if radii is None else radii[those]
            if len(asked) and len(rows):
                distances[those], within[those] = _sweep(asked, rows, count, bounds)
    return distances, within


def _sweep(queries: Floats, rows: Points, count: int, radii: Distances | None) -> tuple[Distances, NDArray[np.int64]]:
    """Find the nearest rows by |r|² / 2 - q·r, which orders rows as their distance does and is one product."""
    squares = np.einsum("ij,ij->i", queries, queries)
    asked = np.column_stack([queries, np.ones(len(queries), dtype=queries.dtype)])
    slack = SLACK * float(np.finfo(queries.dtype).eps)
    edge = None if radii is None else (radii**2 * (1 + slack) + slack * (1 + squares) - squares) / 2
    found = np.zeros((len(queries), count), dtype=np.int64)
    best = np.full((len(queries), count), np.inf, dtype=queries.dtype)
    within = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(rows), ROW_BLOCK):
        part: Floats = np.asarray(rows[start : start + ROW_BLOCK], dtype=queries.dtype)
        offered = np.column_stack([-part, np.einsum("ij,ij->i", part, part) / 2]).T.copy()
        for first in range(0, len(queries), QUERY_BLOCK):
            block = slice(first, first + QUERY_BLOCK)
            ranks = asked[block] @ offered
            _keep(ranks, start, best[block], found[block])
            if edge is not None:
                within[block] += np.count_nonzero(ranks <= edge[block, None].astype(queries.dtype), axis=1)
    return _measured(queries, rows, best, found), within


def _keep(ranks: Floats, start: int, best: Floats, found: NDArray[np.int64]) -> None:
    """Put the rows of a part that are nearer than those found so far in their place."""
    count = best.shape[1]
    if count == 1:
        places = ranks.argmin(axis=1)[:, None]
    elif count < ranks.shape[1]:
        places = np.argpartition(ranks, count - 1, axis=1)[:, :count]
    else:
        places = np.broadcast_to(np.arange(ranks.shape[1]), ranks.shape)
    values = np.concatenate([best, np.take_along_axis(ranks, places, axis=1)], axis=1)
    names = np.concatenate([found, places + start], axis=1)
    order = np.argsort(values, axis=1, kind="stable")[:, :count]
    best[:] = np.take_along_axis(values, order, axis=1)
    found[:] = np.take_along_axis(names, order, axis=1)


def _measured(queries: Floats, rows: Points, best: Floats, found: NDArray[np.int64]) -> Distances:
    """Measure the distances to the rows found by their differences, which cancel no digits."""
    exact = np.empty(found.shape)
    for first in range(0, len(queries), QUERY_BLOCK):
        block = slice(first, first + QUERY_BLOCK)
        apart = queries[block, None, :].astype(np.float64) - rows[found[block]]
        exact[block] = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
    return np.sort(np.where(np.isfinite(best), exact, np.inf), axis=1)


def _place(column: Column, known: Table, table: Table) -> Points:
    seen = known.numbers(column.name)
    seen = seen[~np.isnan(seen)]
    low, middle, high = np.quantile(seen, [0.05, 0.5, 0.95]) if len(seen) else (0.0, 0.0, 0.0)
    spread = high - low or (seen.max() - seen.min() if len(seen) else 0.0) or 1.0
    values = table.numbers(column.name)
    missing = np.isnan(values)
    placed = np.clip((np.where(missing, middle, values) - middle) / spread, -FARTHEST, FARTHEST)
    return np.stack([placed, missing], axis=1).astype(np.float32)
