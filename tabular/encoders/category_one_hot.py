"""A code column as one-hot blocks: one block, or two digits where there are more than 256 classes."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.classes import Classes
from tabular.encoding import Encoder, Matrix, Values
from tabular.layout import Block
from tabular.rounding import largest, one_hot
from tabular.schema import CODE_KINDS


class CategoryOneHot(Encoder):
    """Missing is a class of its own."""

    reads = "one_hot"
    kinds = CODE_KINDS
    classes: Classes

    def fit(self, values: Values) -> Self:
        """Count the classes; the schema's categories all have one, also those that training never shows."""
        self.classes = Classes.fit(self.column, values.astype(np.int64))
        return self

    def blocks(self) -> tuple[Block, ...]:
        """Return one one-hot block a digit."""
        sizes = self.classes.sizes
        starts = (0, *sizes[:-1])
        return tuple(
            Block(column=self.column.name, part=part, start=start, stop=start + size, kind="one_hot", cardinality=size)
            for part, start, size in zip(self.classes.parts, starts, sizes, strict=True)
        )

    def encode(self, values: Values, rng: np.random.Generator | None = None) -> Matrix:
        """Set a single 1 in each block."""
        digits = self.classes.digits(values.astype(np.int64))
        return np.hstack([one_hot(digit, size) for digit, size in zip(digits, self.classes.sizes, strict=True)])

    def log_measure(self, values: Values) -> NDArray[np.float64]:
        """Return 0: a class is a class."""
        return np.zeros(len(values))

    def decode(self, x: Matrix, rng: np.random.Generator) -> Values:
        """Take the largest entry of each block."""
        return self.classes.codes([largest(x[:, block.start : block.stop]) for block in self.blocks()])

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the category of each class."""
        return {"positions": self.classes.positions}

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back the category of each class."""
        self.classes = Classes(np.asarray(arrays["positions"], dtype=np.int64))
        return self
