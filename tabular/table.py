"""A frame that keeps its schema's promise, and its two readings: numbers and codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tabular.coercion import cast, categories_of, dtype_of, expects
from tabular.schema import Column, Schema

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "duration": pa.duration("us"),
}
EXACT_TYPES = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
DAY = 86_400_000_000.0
WHOLE_LIMITS = (-(2.0**63) + 1024, 2.0**63 - 1024)
MOMENT_LIMITS = (-62_135_596_800e6, 253_402_300_800e6 - 32)


@dataclass(frozen=True)
class Table:
    """Rows with their schema.

    The frame has the schema's columns in the schema's order, a plain range index, and one pandas type per column:
    code columns are `category` over the schema's categories (`boolean` for kind `boolean`), integers `Int64`, reals
    `float64`, times `datetime64[us]` (dates too, at midnight), durations `timedelta64[us]`, text `string`.
    Missing is the type's own missing value.
    """

    schema: Schema
    frame: pd.DataFrame

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    @classmethod
    def conform(cls, schema: Schema, frame: pd.DataFrame) -> Self:
        """Cast a frame to a schema, refusing what does not fit.

        Raises:
            ValueError: If a column is missing or a value is not one that the schema allows; names each column.
        """
        table, broken = cls.coerce(schema, frame)
        wrong = [
            _complaint(column, frame, broken[column.name].to_numpy())
            for column in schema.columns
            if column.name not in frame or broken[column.name].any()
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return table

    @classmethod
    def coerce(cls, schema: Schema, frame: pd.DataFrame) -> tuple[Self, pd.DataFrame]:
        """Cast a frame to a schema; a value that does not fit becomes missing and is marked.

        Returns:
            The table, and a boolean frame of the same shape (rows, columns) that is true where a value broke the
            schema: a wrong type, an unknown category, a number out of range, a null where none may be.
            A column that is missing altogether is broken in every row. Columns that the schema lacks are left out.

        Raises:
            ValueError: If two columns of the frame share a name.
        """
        twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        if twice:
            raise ValueError(f"columns appear twice: {', '.join(map(repr, twice))}")
        plain = frame.reset_index(drop=True)
        series: dict[str, pd.Series] = {}
        broken: dict[str, NDArray[np.bool_]] = {}
        for column in schema.columns:
            if column.name in plain:
                series[column.name], broken[column.name] = _coerce(column, plain[column.name])
            else:
                series[column.name] = pd.Series(index=plain.index, dtype=dtype_of(column))
                broken[column.name] = np.ones(len(plain), dtype=bool)
        names = list(schema.names)
        kept = cls(schema, pd.DataFrame(series, index=plain.index, columns=names))
        return kept, pd.DataFrame(broken, index=plain.index, columns=names, dtype=bool)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return those rows (positions or a mask), in that order, as a table of their own."""
        return type(self)(self.schema, self.frame.iloc[rows].reset_index(drop=True))

    def joined(self, other: Self) -> Self:
        """Return these rows followed by those of another table of the same schema."""
        return type(self)(self.schema, pd.concat([self.frame, other.frame], ignore_index=True))

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a number column as float64, shape (n,); missing is NaN; times and durations in microseconds."""
        return numbers(self.schema[name], self.frame[name])

    def codes(self, name: str) -> NDArray[np.int64]:
        """Return a code column as positions in its categories, shape (n,); missing is -1."""
        return codes(self.schema[name], self.frame[name])

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table with plain value types (no dictionaries, no index)."""
        arrays = [
            pa.array(_plain(column, self.frame[column.name]), type=ARROW_TYPES[column.physical], from_pandas=True)
            for column in self.schema.columns
        ]
        return pa.table(dict(zip(self.schema.names, arrays, strict=True)))

    @classmethod
    def from_arrow(cls, schema: Schema, rows: pa.Table) -> Self:
        """Return a table from Arrow rows.

        Raises:
            ValueError: If the rows do not fit the schema.
        """
        frame = rows.to_pandas(date_as_object=False, types_mapper=EXACT_TYPES.get, ignore_metadata=True)
        return cls.conform(schema, frame)


def numbers(column: Column, series: pd.Series) -> NDArray[np.float64]:
    """Read a number column as float64, shape (n,): missing is NaN; times and durations in microseconds."""
    if column.physical in ("integer", "real"):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    plain = series.dt.tz_localize(None) if column.physical == "timestamp_utc" else series
    values = plain.to_numpy()
    return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(np.float64))


def codes(column: Column, series: pd.Series) -> NDArray[np.int64]:
    """Read a code column as positions in its categories, shape (n,): missing is -1."""
    if column.kind != "boolean":
        return series.cat.codes.to_numpy().astype(np.int64)
    if not column.categories:
        return np.full(len(series), -1, dtype=np.int64)
    truth = series.to_numpy(dtype=bool, na_value=False) == bool(column.categories[-1])
    positions = np.where(truth, len(column.categories) - 1, 0)
    return np.where(series.isna().to_numpy(), -1, positions).astype(np.int64)


def from_numbers(column: Column, values: NDArray[np.float64]) -> pd.Series:
    """Write numbers, shape (n,), as the column's own type: on its decimal grid, inside its range, NaN as missing."""
    low = -np.inf if column.minimum is None else column.minimum
    high = np.inf if column.maximum is None else column.maximum
    grid = values if column.decimals is None else np.round(values, column.decimals)
    if column.physical == "real" and column.kind != "integer":
        return pd.Series(np.clip(grid, low, high))
    unit = DAY if column.physical == "date" else 1.0
    whole = np.clip(np.round(grid / unit), np.ceil(low / unit), np.floor(high / unit)) * unit
    if column.physical == "real":
        return pd.Series(whole)
    whole = np.clip(whole, *(WHOLE_LIMITS if column.physical in ("integer", "duration") else MOMENT_LIMITS))
    missing = np.isnan(whole)
    integers = np.where(missing, 0, whole).astype(np.int64)
    if column.physical == "integer":
        return pd.Series(pd.arrays.IntegerArray(integers, missing))
    moments = integers.astype("timedelta64[us]" if column.physical == "duration" else "datetime64[us]")
    moments[missing] = np.array("NaT", dtype=moments.dtype)
    series = pd.Series(moments)
    return series.dt.tz_localize("UTC") if column.physical == "timestamp_utc" else series


def from_codes(column: Column, positions: NDArray[np.int64]) -> pd.Series:
    """Write positions in the categories, shape (n,), as the column's own type: -1 as missing."""
    if column.kind == "boolean":
        lookup = np.array([*column.categories, False], dtype=bool)
        return pd.Series(pd.arrays.BooleanArray(lookup[positions], positions == -1))
    return pd.Series(pd.Categorical.from_codes(positions, dtype=categories_of(column)))


def _coerce(column: Column, raw: pd.Series) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Cast one column; return it with a mask, shape (n,), of the values that did not fit."""
    given = raw.notna().to_numpy()
    series = cast(column, raw)
    kept = series.notna().to_numpy()
    if column.is_number:
        values = numbers(column, series)
        low = -np.inf if column.minimum is None else column.minimum
        high = np.inf if column.maximum is None else column.maximum
        with np.errstate(invalid="ignore"):
            inside = np.isfinite(values) & (values >= low) & (values <= high)
            inside &= (column.kind != "integer") | (values == np.round(values))
        if (kept & ~inside).any():
            series = series.mask(pd.Series(kept & ~inside, index=series.index))
            kept &= inside
    broken = given & ~kept
    return series, broken if column.nullable else broken | ~given


def _complaint(column: Column, frame: pd.DataFrame, broken: NDArray[np.bool_]) -> str:
    if column.name not in frame:
        return f"column {column.name!r} is missing"
    row = int(np.argmax(broken))
    first = frame[column.name].iloc[row]
    shown = repr(first) if isinstance(first, str) else str(first)
    return (
        f"column {column.name!r}: {int(broken.sum())} of {len(frame)} values do not fit the schema "
        f"(first: {shown} in row {row + 1}), wanted {expects(column)}"
        f"{'' if column.nullable else ', never missing'}"
    )


def _plain(column: Column, series: pd.Series) -> pd.Series:
    if column.is_code and column.kind != "boolean":
        return series.astype(object).where(series.notna(), None)
    return series
