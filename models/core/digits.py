"""Codes as digits: a number of many classes in two parts, each of few, so that tables of counts are not thin."""

import math

import numpy as np
from numpy.typing import NDArray

from tabular.layout import Block, Layout

Codes = NDArray[np.int64]

NUMBERS = ("coarse", "fine")


class Digits:
    """The blocks of a layout of codes as N digits.

    A number's block of many classes is cut along the line on which they lie into stretches of equally many classes,
    about as many as each holds: its high digit says which, its low digit the place in the stretch. Stretches differ by
    one class at most; in those that have one less, the last low digit cannot be.

    Attributes:
        sizes: Classes of each digit.
        columns: Column of each digit.
        high: Of each low digit its high one; of any other -1.
        short: Of each low digit, which high digits close its last class, shape (sizes[high],); else None.
    """

    def __init__(self, layout: Layout, most: int) -> None:
        self.layout = layout
        self.sizes: list[int] = []
        self.columns: list[str] = []
        self.high: list[int] = []
        self.short: list[NDArray[np.bool_] | None] = []
        self._places: list[tuple[Codes, Codes]] = []
        for block in layout.blocks:
            size, parts = block.cardinality, 1
            if block.part in NUMBERS and size > most:
                parts = math.ceil(math.sqrt(size))
            rank = _ranks(block)
            first = -(-np.arange(parts + 1) * size // parts)
            # The stretch of each rank, and its first rank.
            self._places.append((rank, first.astype(np.int64)))
            count = np.diff(first)
            self._add(block, parts if parts > 1 else size, -1, None)
            if parts > 1:
                self._add(block, int(count.max()), len(self.sizes) - 1, count < count.max())

    def split(self, codes: Codes) -> Codes:
        """Write codes, shape (n, D), as digits, shape (n, N)."""
        digits: list[Codes] = []
        for column, (rank, first) in zip(codes.T, self._places, strict=True):
            if len(first) == 2:
                digits.append(column)
                continue
            place = rank[column]
            high = np.searchsorted(first, place, side="right") - 1
            digits += [high, place - first[high]]
        return np.stack(digits, axis=1) if digits else np.zeros((len(codes), 0), dtype=np.int64)

    def join(self, digits: Codes) -> Codes:
        """Read digits, shape (n, N), as codes, shape (n, D)."""
        codes, at = np.zeros((len(digits), len(self._places)), dtype=np.int64), 0
        for block, (rank, first) in enumerate(self._places):
            if len(first) == 2:
                codes[:, block] = digits[:, at]
            else:
                codes[:, block] = np.argsort(rank)[first[digits[:, at]] + digits[:, at + 1]]
            at += 1 if len(first) == 2 else 2
        return codes

    def known(self, mask: NDArray[np.bool_]) -> list[int]:
        """Return the digits of the blocks that a mask, shape (D,), tells as known."""
        widths = [1 if len(first) == 2 else 2 for _, first in self._places]
        return np.flatnonzero(np.repeat(mask, widths)).tolist()

    def _add(self, block: Block, size: int, high: int, short: NDArray[np.bool_] | None) -> None:
        self.sizes.append(size)
        self.columns.append(block.column)
        self.high.append(high)
        self.short.append(short)


def _ranks(block: Block) -> Codes:
    """Return the rank of each class on the line of the values, shape (K,); those that lie nowhere come last."""
    places = np.arange(block.cardinality) if block.places is None else np.array(block.places)
    whole = np.append(places, np.full(block.cardinality - len(places), np.inf))
    return np.argsort(np.argsort(whole, kind="stable"), kind="stable").astype(np.int64)
