"""The row nearest to a query, found fast among many by random projection trees: nearly always the nearest one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from audit.learner import THREADS
from audit.neighbours import Points

Rows = NDArray[np.int64]
LEAF = 256
TREES = 4
# A leaf so many times as large holds points that no projection tells apart; some of them speak for all.
FULLEST = 4
# Projections are compared to so many decimals, so that equal points fall alike whatever the order of their sums.
DECIMALS = 3
WHOLE = slice(0, 0)


class Nearest(NamedTuple):
    """The nearest row found for each query, once for each part of space that is left out.

    Attributes:
        row: Its position, shape (parts, n).
        rank: Half its squared distance less the query's own length, shape (parts, n): what tells which row of several
            is nearer to the same query.
    """

    row: Rows
    rank: NDArray[np.float32]


def closest(
    queries: Points, rows: Points, rng: np.random.Generator, hidden: Sequence[slice] = (WHOLE,), leaf: int = LEAF
) -> Nearest:
    """Return a row near each query, shape (n, D), out of rows, shape (m, D), at least one.

    Rows are split at the median of a random projection, again and again, down to leaves of at most about so many rows;
    a query is compared with the rows of its own leaf, in several such trees (Dasgupta & Freund, Random projection trees
    and low dimensional manifolds, 2008, doi:10.1145/1374376.1374452). A row equal to the query is always in its leaf.
    Rows equally near are taken at random.

    Args:
        queries: Points to look up.
        rows: Points to find.
        rng: Source of the projections.
        hidden: Dimensions left out of the distance, each part by itself; no projection reads any of them.
        leaf: Most rows of a leaf.
    """
    order = rng.permutation(len(rows))
    rows = rows[order]
    found = Nearest(
        np.zeros((len(hidden), len(queries)), dtype=np.int64),
        np.full((len(hidden), len(queries)), np.inf, dtype=np.float32),
    )
    levels = max(int(np.ceil(np.log2(len(rows) / leaf))), 0)
    with threadpool_limits(THREADS):
        for _ in range(TREES if levels else 1):
            directions = rng.normal(size=(rows.shape[1], levels)).astype(np.float32)
            for part in hidden:
                directions[part] = 0
            below, asked = _leaves(*(np.round(each @ directions, DECIMALS) for each in (rows, queries)))
            for those, near in _shared(asked, below):
                if len(near) > FULLEST * leaf:
                    near = np.sort(rng.permutation(near)[: FULLEST * leaf])
                _compare(queries[those], rows[near], those, near, hidden, found)
    return Nearest(order[found.row], found.rank)


def _compare(queries: Points, rows: Points, those: Rows, near: Rows, hidden: Sequence[slice], found: Nearest) -> None:
    """Note the rows of a leaf that are nearer to its queries than those found so far."""
    whole = _ranks(queries, rows)
    places = np.arange(len(those))
    for each, part in enumerate(hidden):
        seen = whole if part.start == part.stop else whole - _ranks(queries[:, part], rows[:, part])
        best = seen.argmin(axis=1)
        rank = seen[places, best]
        nearer = rank < found.rank[each, those]
        found.rank[each, those[nearer]] = rank[nearer]
        found.row[each, those[nearer]] = near[best[nearer]]


def _ranks(queries: Points, rows: Points) -> NDArray[np.float32]:
    ranks: NDArray[np.float32] = queries @ -rows.T
    ranks += np.einsum("ij,ij->i", rows, rows) / 2
    return ranks


def _leaves(rows: NDArray[np.float32], queries: NDArray[np.float32]) -> tuple[Rows, Rows]:
    """Split by one projection a level, shapes (m, levels) and (n, levels), at each node's median of the rows."""
    leaf, asked = np.zeros(len(rows), dtype=np.int64), np.zeros(len(queries), dtype=np.int64)
    low, high = float(rows.min(initial=0)), float(rows.max(initial=0))
    for level in range(rows.shape[1]):
        # One key for leaf and place within it: sorting by one number is several times as fast as by two.
        order = np.argsort(leaf * (high - low + 1.0) + (rows[:, level].astype(np.float64) - low))
        sizes = np.bincount(leaf, minlength=2**level)
        middle = np.minimum(np.cumsum(sizes) - sizes + sizes // 2, len(rows) - 1)
        median = rows[order[middle], level]
        leaf = 2 * leaf + (rows[:, level] >= median[leaf])
        asked = 2 * asked + (queries[:, level] >= median[asked])
    return leaf, asked


def _shared(asked: Rows, below: Rows) -> list[tuple[Rows, Rows]]:
    """Return the queries and the rows of each leaf that has both."""
    ends = np.arange(max(int(asked.max(initial=0)), int(below.max(initial=0))) + 2)
    sides = []
    for leaf in (asked, below):
        order = np.argsort(leaf, kind="stable")
        starts = np.searchsorted(leaf[order], ends)
        sides.append([order[low:high] for low, high in zip(starts[:-1], starts[1:], strict=True)])
    return [(those, near) for those, near in zip(*sides, strict=True) if len(those) and len(near)]
