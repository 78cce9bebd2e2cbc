"""A code column as whole numbers: one code, or two digits where there are more than 256 classes."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.classes import Classes
from tabular.encoding import Encoder, Matrix, Values
from tabular.layout import Block
from tabular.rounding import whole
from tabular.schema import CODE_KINDS


class CategoryCodes(Encoder):
    """Missing is a class of its own."""

    reads = "codes"
    kinds = CODE_KINDS
    classes: Classes

    def fit(self, values: Values) -> Self:
        """Count the classes; the schema's categories all have one, also those that training never shows."""
        self.classes = Classes.fit(self.column, values.astype(np.int64))
        return self

    def blocks(self) -> tuple[Block, ...]:
        """Return one code block a digit."""
        return tuple(
            Block(column=self.column.name, part=part, start=i, stop=i + 1, kind="code", cardinality=size)
            for i, (part, size) in enumerate(zip(self.classes.parts, self.classes.sizes, strict=True))
        )

    def encode(self, values: Values, rng: np.random.Generator | None = None) -> Matrix:
        """Write each digit into its column."""
        return np.stack(self.classes.digits(values.astype(np.int64)), axis=1).astype(np.float32)

    def log_measure(self, values: Values) -> NDArray[np.float64]:
        """Return 0: a class is a class."""
        return np.zeros(len(values))

    def decode(self, x: Matrix, rng: np.random.Generator) -> Values:
        """Round to whole digits; out of range counts as the nearest class."""
        return self.classes.codes([whole(x[:, i], size) for i, size in enumerate(self.classes.sizes)])

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the category of each class."""
        return {"positions": self.classes.positions}

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back the category of each class."""
        self.classes = Classes(np.asarray(arrays["positions"], dtype=np.int64))
        return self
