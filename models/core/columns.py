"""Columns of code blocks as ordered groups of cells: neighbours in the order depend alike on the other columns."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.core.base import Matrix, State
from models.core.quantification import orders
from tabular.layout import Block, Layout

MOST_GROUPS = 128
MOST_CELLS = 2**62

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """The cells of one column that were seen, in groups that follow one order; a last group holds those never seen.

    Attributes:
        blocks: Blocks of the column; a cell is one combination of their codes, numbered in a mixed radix.
        cells: Numbers of the cells seen, in rising order, shape (m,).
        counts: Rows of each, shape (m,).
        group: Group of each, shape (m,).
    """

    blocks: tuple[Block, ...]
    cells: Codes
    counts: Floats
    group: Codes

    @property
    def span(self) -> Codes:
        """Matrix columns of the blocks."""
        return np.array([block.start for block in self.blocks], dtype=np.int64)

    @property
    def radix(self) -> Codes:
        """Cardinalities of the blocks."""
        return np.array([block.cardinality for block in self.blocks], dtype=np.int64)

    @property
    def unseen(self) -> int:
        """Number of cells that training never showed."""
        return int(math.prod(self.radix.tolist())) - len(self.cells)

    @property
    def seen_groups(self) -> int:
        """Number of groups but that of the unseen."""
        return int(self.group.max(initial=-1)) + 1

    @property
    def size(self) -> int:
        """Number of groups."""
        return self.seen_groups + (self.unseen > 0)

    @property
    def margin(self) -> Floats:
        """Share of each group, shape (G,); the unseen are worth half a row."""
        rows = np.bincount(self.group, self.counts, minlength=self.size)
        rows[self.seen_groups :] = 0.5
        margin: Floats = rows / rows.sum()
        return margin

    @property
    def inside(self) -> Floats:
        """Share of each seen cell in its group, shape (m,)."""
        share: Floats = self.counts / np.bincount(self.group, self.counts)[self.group]
        return share

    def number(self, x: Matrix) -> Codes:
        """Number the cell of each row of the matrix, shape (n,), refusing codes outside of their blocks."""
        return _number(self.digits(x, np.ones(len(self.blocks), dtype=bool)), self.radix)

    def digits(self, x: Matrix, which: Mask) -> Codes:
        """Read the codes of some of the blocks, shape (n, number of them), refusing what lies outside."""
        digits: Codes = np.rint(x[:, self.span[which]]).astype(np.int64)
        if ((digits < 0) | (digits >= self.radix[which])).any():
            raise ValueError(
                f"column {self.blocks[0].column!r}: got a code outside 0 .. cardinality - 1, "
                f"wanted cardinalities {self.radix[which].tolist()}"
            )
        return digits

    def find(self, x: Matrix) -> tuple[Codes, Floats]:
        """Return each row's group and the log-probability of its cell in it, both of shape (n,)."""
        number = self.number(x)
        at = np.minimum(np.searchsorted(self.cells, number), len(self.cells) - 1)
        seen = self.cells[at] == number
        inside = np.where(seen, self.inside[at], 1.0 / max(self.unseen, 1))
        return np.where(seen, self.group[at], self.seen_groups), np.log(inside)

    def draw(self, group: Codes, rng: np.random.Generator) -> Codes:
        """Draw the codes of a cell of each row's group, shape (n, blocks)."""
        none = np.zeros(len(self.blocks), dtype=bool)
        return self.draw_given(group, np.zeros((len(group), 0), dtype=np.int64), none, rng)

    def draw_given(self, group: Codes, digits: Codes, which: Mask, rng: np.random.Generator) -> Codes:
        """Draw the codes of a cell of each row's group, shape (n, blocks), among those with the known codes."""
        drawn = np.empty((len(group), len(self.blocks)), dtype=np.int64)
        seen = np.array(np.unravel_index(self.cells, self.radix.tolist()), dtype=np.int64).T
        height = rng.random(len(group))
        for key, rows in _alike(digits):
            fits = np.flatnonzero((seen[:, which] == key).all(axis=1))
            order = fits[np.argsort(self.group[fits], kind="stable")]
            heap = np.concatenate([[0.0], np.cumsum(self.counts[order])])
            first = heap[np.searchsorted(self.group[order], group[rows], side="left")]
            last = heap[np.searchsorted(self.group[order], group[rows], side="right")]
            found = group[rows] < self.seen_groups
            at = np.searchsorted(heap, first + height[rows] * (last - first), side="right") - 1
            drawn[rows[found]] = seen[order[np.clip(at[found], 0, max(len(order) - 1, 0))]]
            drawn[rows[~found]] = self._never(seen[fits], key, which, height[rows[~found]])
        return drawn

    def weigh(self, digits: Codes, which: Mask) -> Floats:
        """Return the probability of the known codes in every group, shape (n, G)."""
        weight = np.zeros((len(digits), self.size))
        seen = np.array(np.unravel_index(self.cells, self.radix.tolist()), dtype=np.int64).T
        free = math.prod(self.radix[~which].tolist())
        for key, rows in _alike(digits):
            fits = (seen[:, which] == key).all(axis=1)
            share = np.bincount(self.group[fits], self.inside[fits], minlength=self.size)
            share[self.seen_groups :] = (free - fits.sum()) / max(self.unseen, 1)
            weight[rows] = share
        return weight

    def _never(self, seen: Codes, key: Codes, which: Mask, height: Floats) -> Codes:
        """Draw evenly among the cells with the known codes that are not among the `seen`, shape (n, blocks)."""
        free = self.radix[~which]
        taken = np.sort(_number(seen[:, ~which], free))
        rank = np.floor(height * max(math.prod(free.tolist()) - len(taken), 1)).astype(np.int64)
        number = rank + np.searchsorted(taken - np.arange(len(taken)), rank, side="right")
        digits = np.empty((len(height), len(self.blocks)), dtype=np.int64)
        digits[:, which] = key
        for place in np.flatnonzero(~which)[::-1]:
            number, digits[:, place] = np.divmod(number, self.radix[place])
        return digits


class Columns:
    """All columns of a layout as ordered groups.

    A column with up to `MOST_GROUPS` cells has a group for each; otherwise neighbours share one, in equal shares of
    rows, and the cell is drawn from its group's frequencies alone.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        names = dict.fromkeys(block.column for block in layout.blocks)
        self.parts = [layout.of(name) for name in names]
        for blocks in self.parts:
            size = math.prod(block.cardinality for block in blocks)
            if size > MOST_CELLS:
                raise ValueError(
                    f"column {blocks[0].column!r}: its blocks span {size} cells, at most 2**62 can be counted"
                )
        nothing = np.zeros(0, dtype=np.int64)
        self.columns = tuple(Column(blocks, nothing, nothing.astype(np.float64), nothing) for blocks in self.parts)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of groups of each column."""
        return tuple(column.size for column in self.columns)

    def fit(self, x: Matrix, rng: np.random.Generator) -> Self:
        """Count the cells of encoded rows, shape (n, D), order them, and form groups."""
        found = [np.unique(column.number(x), return_inverse=True, return_counts=True) for column in self.columns]
        ranks = orders([inverse for _, inverse, _ in found], rng)
        self.columns = tuple(
            Column(blocks, cells.astype(np.int64), counts.astype(np.float64), _groups(counts, rank))
            for blocks, (cells, _, counts), rank in zip(self.parts, found, map(_placed, self.parts, ranks), strict=True)
        )
        return self

    def read(self, x: Matrix) -> tuple[Codes, Floats]:
        """Return the groups of encoded rows, shape (n, d), and log p(x | groups), shape (n,)."""
        found = [column.find(x) for column in self.columns]
        groups = np.array([group for group, _ in found], dtype=np.int64).reshape(len(found), len(x)).T
        return groups, np.sum([inside for _, inside in found], axis=0).reshape(len(x))

    def write(self, groups: Codes, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), from their groups, shape (n, d)."""
        x = np.empty((len(groups), self.layout.width), dtype=np.float32)
        for index, column in enumerate(self.columns):
            x[:, column.span] = column.draw(groups[:, index], rng)
        return x

    def given(self, known: Matrix, mask: Mask) -> dict[int, Codes | Floats]:
        """Return what is known of each column of which a block is known, by column.

        That is the rows' groups, shape (n,), or, where a part of its blocks is known, the probability of what is known
        in every group, shape (n, G).
        """
        told: dict[int, Codes | Floats] = {}
        for index, column in enumerate(self.columns):
            which = mask[column.span]
            if which.all():
                told[index] = column.find(known)[0]
            elif which.any():
                told[index] = column.weigh(column.digits(known, which), which)
        return told

    def write_given(self, groups: Codes, known: Matrix, mask: Mask, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), from their groups, equal to `known` under the mask."""
        x = np.empty((len(groups), self.layout.width), dtype=np.float32)
        for index, column in enumerate(self.columns):
            which = mask[column.span]
            digits = column.digits(known, which)
            x[:, column.span] = digits if which.all() else column.draw_given(groups[:, index], digits, which, rng)
        return x

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return each column's cells, counts and groups."""
        return {
            f"{name}.{index}": getattr(column, name)
            for index, column in enumerate(self.columns)
            for name in ("cells", "counts", "group")
        }

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned.

        Raises:
            ValueError: If an array is missing, or the arrays of a column differ in length.
        """
        loaded = []
        for index, blocks in enumerate(self.parts):
            own = [arrays.get(f"{name}.{index}") for name in ("cells", "counts", "group")]
            kept = [array for array in own if array is not None and array.ndim == 1]
            if len(kept) < 3 or len({array.shape for array in kept}) > 1 or not len(kept[0]):
                raise ValueError(
                    f"arrays cells.{index}, counts.{index} and group.{index} of column {blocks[0].column!r} "
                    "are missing, empty or differ in length"
                )
            cells, counts, group = kept
            loaded.append(Column(blocks, cells.astype(np.int64), counts.astype(np.float64), group.astype(np.int64)))
        self.columns = tuple(loaded)
        return self


def _placed(blocks: tuple[Block, ...], rank: Codes) -> Codes:
    """Return the places of a column's cells, shape (m,): those of a number cut into fine cells stay where they are.

    Such a cell holds some ten rows: an order by what these say scatters neighbours over groups that then have no place.
    """
    return np.arange(len(rank), dtype=np.int64) if blocks[-1].part == "fine" else rank


def _groups(counts: NDArray[np.int64], rank: Codes) -> Codes:
    """Return the group of each cell, shape (m,), by its place in the order: of equal shares where cells are many."""
    if len(counts) <= MOST_GROUPS:
        return rank
    order = np.argsort(rank)
    heap = np.cumsum(counts[order])
    level = np.floor((heap - counts[order] / 2) / heap[-1] * MOST_GROUPS)
    group = np.empty(len(counts), dtype=np.int64)
    group[order] = np.unique(level, return_inverse=True)[1]
    return group


def _number(digits: Codes, radix: Codes) -> Codes:
    """Number rows of digits, shape (n, b), in a mixed radix, shape (n,)."""
    number = np.zeros(len(digits), dtype=np.int64)
    for index, size in enumerate(radix):
        number = number * size + digits[:, index]
    return number


def _alike(digits: Codes) -> list[tuple[Codes, Codes]]:
    """Return every different row of digits, shape (n, b), with the positions of the rows that are like it."""
    if not len(digits):
        return []
    if not digits.shape[1]:
        return [(digits[0], np.arange(len(digits), dtype=np.int64))]
    keys, member = np.unique(digits, axis=0, return_inverse=True)
    order = np.argsort(member, kind="stable").astype(np.int64)
    return list(zip(keys, np.split(order, np.cumsum(np.bincount(member))[:-1]), strict=True))
