"""The classes of a code column, missing among them, and the two digits that many classes are written in."""

from dataclasses import dataclass
from math import ceil, isqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.schema import Column

Integers = NDArray[np.int64]

MOST_CLASSES = 256


@dataclass(frozen=True)
class Classes:
    """Which category each class stands for.

    More than 256 classes are written as a high and a low digit. They are then numbered by falling frequency (ordered
    categories: in their order), missing first, so that a high digit gathers classes that are alike.

    Attributes:
        positions: Position of each class in the column's categories, -1 for missing, shape (K,).
    """

    positions: Integers

    @classmethod
    def fit(cls, column: Column, codes: Integers) -> Self:
        """Count the codes, shape (n,), -1 for missing."""
        positions = np.arange(len(column.categories))
        missing = [-1] if column.nullable or bool((codes == -1).any()) or not len(positions) else []
        if len(positions) + len(missing) <= MOST_CLASSES:
            return cls(np.array([*positions, *missing], dtype=np.int64))
        if column.kind != "ordinal":
            counts = np.bincount(codes[codes >= 0], minlength=len(positions))
            positions = np.argsort(-counts, kind="stable")
        return cls(np.array([*missing, *positions], dtype=np.int64))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Cardinality of each digit, high first; a single one up to 256 classes."""
        total = len(self.positions)
        if total <= MOST_CLASSES:
            return (total,)
        base = isqrt(total - 1) + 1
        return (ceil(total / base), base)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the digits."""
        return ("class",) if len(self.sizes) == 1 else ("high", "low")

    def digits(self, codes: Integers) -> list[Integers]:
        """Write codes, shape (n,), -1 for missing, as digits, each of shape (n,).

        Raises:
            ValueError: If a value is missing and no class stands for that.
        """
        lookup = np.full(int(self.positions.max()) + 2, -1, dtype=np.int64)
        lookup[self.positions] = np.arange(len(self.positions))
        classes = lookup[codes]
        if (classes < 0).any():
            raise ValueError("a value is missing, but none was in training and the column is not nullable")
        return [classes] if len(self.sizes) == 1 else [classes // self.sizes[1], classes % self.sizes[1]]

    def codes(self, digits: list[Integers]) -> Integers:
        """Read digits, each of shape (n,), as codes; a pair that stands for no class counts as the last one."""
        classes = digits[0] if len(digits) == 1 else digits[0] * self.sizes[1] + digits[1]
        return self.positions[np.clip(classes, 0, len(self.positions) - 1)]
