"""Tables to matrices and back: one encoder per modelled column, side by side."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabular.layout import Block, Layout, Reads
from tabular.schema import Column, Kind, Schema
from tabular.table import Table

Matrix = NDArray[np.float32]
Values = NDArray[np.float64] | NDArray[np.int64]


class Encoder(ABC):
    """One column to one or more blocks, and back.

    A number column arrives as float64 with NaN for missing, a code column as int64 with -1 (`Table.numbers`,
    `Table.codes`); the same type leaves `decode`.
    """

    reads: ClassVar[Reads]
    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, column: Column) -> None:
        self.column = column

    @abstractmethod
    def fit(self, values: Values) -> Self:
        """Learn bins, quantiles or frequencies from the training rows, shape (n,)."""

    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks, counted from 0; call after `fit` or `load_state`."""

    @abstractmethod
    def encode(self, values: Values) -> Matrix:
        """Encode values, shape (n,), to shape (n, w)."""

    @abstractmethod
    def decode(self, x: Matrix, rng: np.random.Generator) -> Values:
        """Decode any real matrix of shape (n, w), also one that `encode` would never give, to values, shape (n,)."""

    @abstractmethod
    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Return what `fit` learned, as arrays."""

    @abstractmethod
    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back what `state` returned."""


class TableEncoder:
    """All modelled columns of a table to one matrix, and back."""

    def __init__(self, schema: Schema, reads: Reads) -> None:
        self.schema = schema
        self.reads = reads

    # fit(table) -> Self · layout -> Layout · encode(table) -> (n, D) float32 · decode(x, rng, first=0) -> Table
    # encode_known({"sex": "Female", ...}) -> (known (D,), mask (D,)) · state() · load_state(arrays)
    layout: Layout

    def fit(self, table: Table) -> Self:
        """Learn every column's encoding from the training rows."""
        raise NotImplementedError
