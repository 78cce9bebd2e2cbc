"""Tables to matrices and back: one encoder per modelled column, side by side."""

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular import encoders
from tabular.coercion import expects
from tabular.identifiers import Numbering, is_made_anew, synthetic_schema
from tabular.layout import Block, Layout, Reads
from tabular.schema import Category, Column, Kind, Schema
from tabular.table import Table, codes, from_codes, from_numbers, numbers

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
    def encode(self, values: Values, rng: np.random.Generator | None = None) -> Matrix:
        """Encode values, shape (n,), to shape (n, w).

        Where `rng` is given, a value that stands for a stretch of a real block (one that many rows share, one that is
        rounded to a grid) is drawn inside it, so that encoded numbers have a density; otherwise it is its middle.
        """

    @abstractmethod
    def log_measure(self, values: Values) -> NDArray[np.float64]:
        """Return how much of the encoded space each value stands for, shape (n,), as a logarithm in nats.

        Added to log p(x) of the encoded row it gives the log-probability of the value itself at the precision of its
        column, whatever the encoding: a lower bound where draws of a neighbouring cell round to the same value. A value
        of a column without a precision gets a log-density a unit instead.
        """

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
    """All modelled columns of a table to one matrix, and back.

    Identifiers and the privacy unit are made anew, free text is left out: no value of theirs is ever repeated.

    Attributes:
        layout: Where each column lies in the matrix; there after `fit` or `load_state`.
    """

    layout: Layout

    def __init__(self, schema: Schema, reads: Reads) -> None:
        self.schema = schema
        self.reads = reads
        self.encoders = {column.name: encoder_for(column, reads)(column) for column in schema.modelled}
        self._anew = [column.name for column in self.output_schema.columns if is_made_anew(column)]
        self._numberings: dict[str, Numbering] = {}

    @property
    def output_schema(self) -> Schema:
        """The schema of decoded tables: no free text, and new identifiers in place of the old ones."""
        return synthetic_schema(self.schema)

    def fit(self, table: Table) -> Self:
        """Learn every column's encoding from the training rows.

        Raises:
            ValueError: If there are no rows, or no column that a model could learn.
        """
        if not len(table):
            raise ValueError("got a training table without rows, wanted at least one")
        for name, encoder in self.encoders.items():
            encoder.fit(_values(encoder.column, table.frame[name]))
        self._numberings = {name: Numbering.fit(self.schema[name], table.frame[name]) for name in self._anew}
        return self._settle()

    def encode(self, table: Table, rng: np.random.Generator | None = None) -> Matrix:
        """Encode rows to a matrix of shape (n, D); with `rng`, shared and rounded numbers are drawn in their stretch.

        Raises:
            ValueError: If a value is missing in a column that knows no missing values.
        """
        x = np.empty((len(table), self.layout.width), dtype=np.float32)
        for name, encoder in self.encoders.items():
            start, stop = self._spans[name]
            try:
                x[:, start:stop] = encoder.encode(_values(encoder.column, table.frame[name]), rng)
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from error
        return x

    def log_measure(self, table: Table) -> NDArray[np.float64]:
        """Return how much of the encoded space each row stands for, shape (n,), as a logarithm in nats."""
        total = np.zeros(len(table))
        for name, encoder in self.encoders.items():
            total += encoder.log_measure(_values(encoder.column, table.frame[name]))
        return total

    def decode(
        self, x: Matrix, rng: np.random.Generator, first: int = 0, given: Mapping[str, Category] | None = None
    ) -> Table:
        """Decode a matrix, shape (n, D), to rows of `output_schema`.

        Args:
            x: Any real matrix, also one that `encode` would never give.
            rng: Source of the places inside bins.
            first: Number of rows made before these: identifiers go on from there.
            given: Values that hold in every row, as in `encode_known`: written exactly, not through a bin.

        Raises:
            ValueError: If the matrix has another width, or a given value is not allowed.
        """
        if x.ndim != 2 or x.shape[1] != self.layout.width:
            raise ValueError(f"got a matrix of shape {x.shape}, wanted (n, {self.layout.width})")
        fixed = {name: self._known(name, value) for name, value in (given or {}).items()}
        series: dict[str, pd.Series] = {}
        for column in self.output_schema.columns:
            if column.name not in self.encoders:
                series[column.name] = self._numberings[column.name].make(column, first, len(x))
                continue
            start, stop = self._spans[column.name]
            values = self.encoders[column.name].decode(x[:, start:stop], rng)
            if column.name in fixed:
                values = _values(column, fixed[column.name])[np.zeros(len(x), dtype=np.int64)]
            series[column.name] = _series(column, values)
        return Table(self.output_schema, pd.DataFrame(series, index=pd.RangeIndex(len(x))))

    def renumbered(self, rows: Table, first: int = 0) -> Table:
        """Give rows of `output_schema`, drawn at several times, identifiers of their own, numbered from `first`."""
        made = {name: self._numberings[name].make(rows.schema[name], first, len(rows)) for name in self._anew}
        return Table(rows.schema, rows.frame.reset_index(drop=True).assign(**made))

    def encode_known(self, given: Mapping[str, Category]) -> tuple[Matrix, NDArray[np.bool_]]:
        """Encode given values for conditional sampling.

        Returns:
            One encoded row, shape (D,), 0 where nothing is given, and the mask of its given entries, shape (D,).

        Raises:
            ValueError: If a column cannot be given or a value is not allowed; says what is.
        """
        known = np.zeros(self.layout.width, dtype=np.float32)
        mask = np.zeros(self.layout.width, dtype=bool)
        for name, value in given.items():
            series = self._known(name, value)
            start, stop = self._spans[name]
            known[start:stop] = self.encoders[name].encode(_values(self.schema[name], series))[0]
            mask[start:stop] = True
        return known, mask

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what `fit` learned as arrays, by "position of the column in the schema/name of the array"."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for index, name in enumerate(self.schema.names):
            if name in self.encoders:
                arrays |= {f"{index}/{key}": array for key, array in self.encoders[name].state().items()}
            elif name in self._numberings:
                arrays |= {f"{index}/{key}": array for key, array in self._numberings[name].state().items()}
        return arrays

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back what `state` returned.

        Raises:
            ValueError: If an array is missing.
        """
        for index, name in enumerate(self.schema.names):
            own = {key.split("/", 1)[1]: array for key, array in arrays.items() if key.split("/", 1)[0] == str(index)}
            try:
                if name in self.encoders:
                    self.encoders[name].load_state(own)
                elif name in self._anew:
                    self._numberings[name] = Numbering.from_state(own)
            except KeyError as error:
                raise ValueError(f"column {name!r}: the state lacks the array {error}") from error
        return self._settle()

    def _settle(self) -> Self:
        """Put the blocks of all columns side by side."""
        blocks: list[Block] = []
        self._spans: dict[str, tuple[int, int]] = {}
        start = 0
        for name, encoder in self.encoders.items():
            own = encoder.blocks()
            self._spans[name] = (start, start + own[-1].stop)
            blocks += [
                block.model_copy(
                    update={
                        "start": block.start + start,
                        "stop": block.stop + start,
                        "when": None if block.when is None else block.when + start,
                    }
                )
                for block in own
            ]
            start += own[-1].stop
        if not blocks:
            raise ValueError("no column that a model could learn: all are identifiers or free text")
        self.layout = Layout(reads=self.reads, blocks=tuple(blocks))
        return self

    def _known(self, name: str, value: Category) -> pd.Series:
        """Return one given value as the column's own type."""
        if name not in self.encoders:
            can = ", ".join(map(repr, self.encoders))
            raise ValueError(f"column {name!r} cannot be given; columns that can: {can}")
        column = self.schema[name]
        one = Schema(columns=(column,))
        table, broken = Table.coerce(one, pd.DataFrame({name: pd.Series([value], dtype=object)}))
        if broken.to_numpy().any():
            raise ValueError(f"column {name!r}: got {value!r}, wanted {expects(column)}")
        return table.frame[name]


def encoder_for(column: Column, reads: Reads) -> type[Encoder]:
    """Return the encoder of the folder `encoders` that writes such a column for such a model.

    Raises:
        ValueError: If there is none.
    """
    for encoder in encoder_types():
        if encoder.reads == reads and column.kind in encoder.kinds:
            return encoder
    raise ValueError(f"column {column.name!r}: no encoder for kind {column.kind!r} read as {reads!r}")


@cache
def encoder_types() -> tuple[type[Encoder], ...]:
    """Return every encoder of the folder `encoders`, by file name."""
    found: list[type[Encoder]] = []
    for file in sorted(pkgutil.iter_modules(encoders.__path__), key=lambda file: file.name):
        module = importlib.import_module(f"{encoders.__name__}.{file.name}")
        found += [
            kind
            for _, kind in inspect.getmembers(module, inspect.isclass)
            if issubclass(kind, Encoder) and kind.__module__ == module.__name__
        ]
    return tuple(found)


def _values(column: Column, series: pd.Series) -> Values:
    return numbers(column, series) if column.is_number else codes(column, series)


def _series(column: Column, values: Values) -> pd.Series:
    if column.is_number:
        return from_numbers(column, values.astype(np.float64))
    return from_codes(column, values.astype(np.int64))
