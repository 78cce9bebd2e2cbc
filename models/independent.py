"""Each column by itself: the honest baseline that keeps every margin and breaks every dependence."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from tabular.layout import Block, Layout

MOST_CELLS = 2**62

Codes = NDArray[np.int64]


class Independent(GenerativeModel):
    r"""Product of the columns' own frequencies, p(x) = ∏_c p_c(x_c).

    A column's blocks are counted jointly, with α pseudo-rows spread evenly over its C cells:
    p_c(v) = (n_c(v) + α / C) / (n + α). Density and conditional draws are exact.

    Lewis, Approximating probability distributions to reduce storage requirements, Information and Control 2(3), 1959,
    doi:10.1016/S0019-9958(59)90207-4.
    """

    reads = "codes"

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """How much of a column's mass lies where no row was seen.

        Attributes:
            smoothing: α, in rows per column.
        """

        smoothing: PositiveFloat = 0.5

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        names = dict.fromkeys(block.column for block in layout.blocks)
        self._columns = tuple(_Column.empty(layout.of(name)) for name in names)

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Count the cells of each column in encoded rows, shape (n, D); draws nothing from `rng`.

        Raises:
            ValueError: If there is no row, or a code lies outside its block.
        """
        if not len(x):
            raise ValueError("independent: got no training rows, wanted at least one")
        monitor = monitor or Silent()
        fitted = []
        for done, column in enumerate(self._columns, start=1):
            cells, counts = np.unique(column.flat(x), return_counts=True)
            fitted.append(_Column(column.blocks, cells.astype(np.int64), counts.astype(np.float64)))
            monitor.progress(done / len(self._columns), f"counted {column.blocks[0].column}")
        self._columns = tuple(fitted)
        self.notes = {"rows": float(len(x)), "cells": float(sum(len(column.cells) for column in fitted))}
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D)."""
        nothing = np.zeros((n, self.layout.width), dtype=np.float32)
        return self.sample_given(nothing, np.zeros(self.layout.width, dtype=bool), rng)

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their entries, exactly: only a column's own known blocks tell about it."""
        x = np.empty((len(known), self.layout.width), dtype=np.float32)
        for column in self._columns:
            x[:, column.span] = column.draw(known, mask[column.span], self.config.smoothing, rng)
        return x

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""
        total = np.zeros(len(x))
        for column in self._columns:
            total += column.log_prob(x, self.config.smoothing)
        return total

    def state(self) -> State:
        """Return each column's cells and their counts."""
        return {
            f"{name}.{index}": getattr(column, name)
            for index, column in enumerate(self._columns)
            for name in ("cells", "counts")
        }

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        loaded = []
        for index, column in enumerate(self._columns):
            pair = [arrays.get(f"{name}.{index}") for name in ("cells", "counts")]
            if pair[0] is None or pair[1] is None or pair[0].ndim != 1 or pair[0].shape != pair[1].shape:
                raise ValueError(
                    f"independent: arrays cells.{index} and counts.{index} of column {column.blocks[0].column!r} "
                    "are missing or differ in length"
                )
            loaded.append(_Column(column.blocks, pair[0].astype(np.int64), pair[1].astype(np.float64)))
        self._columns = tuple(loaded)
        return self


@dataclass(frozen=True)
class _Column:
    """The cells of one column that were seen, as mixed-radix numbers in rising order, and how often."""

    blocks: tuple[Block, ...]
    cells: Codes
    counts: NDArray[np.float64]

    @classmethod
    def empty(cls, blocks: tuple[Block, ...]) -> Self:
        size = math.prod(block.cardinality for block in blocks)
        if size > MOST_CELLS:
            raise ValueError(f"column {blocks[0].column!r}: its blocks span {size} cells, at most 2**62 can be counted")
        return cls(blocks, np.zeros(0, dtype=np.int64), np.zeros(0))

    @property
    def span(self) -> list[int]:
        return [block.start for block in self.blocks]

    @property
    def radix(self) -> NDArray[np.int64]:
        return np.array([block.cardinality for block in self.blocks], dtype=np.int64)

    def codes(self, x: Matrix, blocks: NDArray[np.bool_]) -> Codes:
        """Read the codes of some of the blocks, shape (n, number of them), refusing what lies outside."""
        codes = np.rint(x[:, np.array(self.span)[blocks]]).astype(np.int64)
        if ((codes < 0) | (codes >= self.radix[blocks])).any():
            raise ValueError(
                f"column {self.blocks[0].column!r}: got a code outside 0 .. cardinality - 1, "
                f"wanted cardinalities {self.radix[blocks].tolist()}"
            )
        return codes

    def flat(self, x: Matrix) -> Codes:
        """Number the cell of each row, shape (n,)."""
        everything = np.ones(len(self.blocks), dtype=bool)
        return _number(self.codes(x, everything), self.radix)

    def log_prob(self, x: Matrix, smoothing: float) -> NDArray[np.float64]:
        flat = self.flat(x)
        at = np.minimum(np.searchsorted(self.cells, flat), len(self.cells) - 1)
        seen = np.where(self.cells[at] == flat, self.counts[at], 0.0)
        log_prob: NDArray[np.float64] = np.log(seen + smoothing / math.prod(self.radix.tolist()))
        return log_prob - math.log(float(self.counts.sum()) + smoothing)

    def draw(self, known: Matrix, mask: NDArray[np.bool_], smoothing: float, rng: np.random.Generator) -> Codes:
        """Draw codes, shape (n, blocks), among the cells that agree with the known blocks."""
        digits = np.stack(np.unravel_index(self.cells, self.radix.tolist()), axis=1).astype(np.int64)
        given = self.codes(known, mask)
        keys = _number(digits[:, mask], self.radix[mask])
        wanted = _number(given, self.radix[mask])
        order = np.argsort(keys, kind="stable")
        first = np.searchsorted(keys[order], wanted, side="left")
        last = np.searchsorted(keys[order], wanted, side="right")
        heap = np.concatenate([[0.0], np.cumsum(self.counts[order])])
        mass = heap[last] - heap[first]
        height = rng.random(len(known)) * (mass + smoothing / math.prod(self.radix[mask].tolist()))
        at = np.searchsorted(heap, heap[first] + height, side="right") - 1
        codes: Codes = digits[order[np.clip(at, 0, np.maximum(last - 1, 0))]]
        unseen = height >= mass
        codes[unseen] = rng.integers(0, self.radix, size=(int(unseen.sum()), len(self.blocks)))
        codes[:, mask] = given
        return codes


def _number(digits: Codes, radix: NDArray[np.int64]) -> Codes:
    """Number rows of digits, shape (n, b), in a mixed radix, shape (n,)."""
    number = np.zeros(len(digits), dtype=np.int64)
    for index, size in enumerate(radix):
        number = number * size + digits[:, index]
    return number
