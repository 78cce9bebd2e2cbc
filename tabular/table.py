"""A frame that keeps its schema's promise, and its two readings: numbers and codes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tabular.schema import Column, Schema

MICROSECONDS = {"timestamp": "datetime64[us]", "date": "datetime64[us]", "duration": "timedelta64[us]"}
ARROW_TYPES: dict[str, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "timestamp_utc": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "duration": pa.duration("us"),
}


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
            f"column {name!r}: {int(broken[name].sum())} values do not fit the schema "
            f"(first: {frame[name][broken[name].to_numpy()].iloc[0]!r})"
            if name in frame
            else f"column {name!r} is missing"
            for name in broken.columns
            if broken[name].any()
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
        """
        plain = frame.reset_index(drop=True)
        series: dict[str, pd.Series] = {}
        broken: dict[str, NDArray[np.bool_]] = {}
        for column in schema.columns:
            if column.name in plain:
                series[column.name], broken[column.name] = _coerce(column, plain[column.name])
            else:
                series[column.name] = pd.Series([None] * len(plain)).astype(_dtype(column))
                broken[column.name] = np.ones(len(plain), dtype=bool)
        return (
            cls(schema, pd.DataFrame(series, index=plain.index, columns=list(schema.names))),
            pd.DataFrame(broken, index=plain.index, columns=list(schema.names)),
        )

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Return those rows (positions or a mask), in that order, as a table of their own."""
        return type(self)(self.schema, self.frame.iloc[rows].reset_index(drop=True))

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
        return cls.conform(schema, rows.to_pandas(date_as_object=False))


def numbers(column: Column, series: pd.Series) -> NDArray[np.float64]:
    """Read a number column as float64, shape (n,): missing is NaN; times and durations in microseconds."""
    if column.physical in ("timestamp", "timestamp_utc", "date", "duration"):
        missing = series.isna().to_numpy()
        values = series.astype("int64").to_numpy().astype(np.float64)
        return np.where(missing, np.nan, values)
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def codes(column: Column, series: pd.Series) -> NDArray[np.int64]:
    """Read a code column as positions in its categories, shape (n,): missing is -1."""
    if column.kind == "boolean":
        lookup = {value: code for code, value in enumerate(column.categories)}
        return series.map(lookup).fillna(-1).to_numpy(dtype=np.int64)
    return series.cat.codes.to_numpy(dtype=np.int64)


def from_numbers(column: Column, values: NDArray[np.float64]) -> pd.Series:
    """Write numbers, shape (n,), as the column's own type: on its decimal grid, inside its range, NaN as missing."""
    grid = values if column.decimals is None else np.round(values, column.decimals)
    inside = np.clip(
        grid,
        -np.inf if column.minimum is None else column.minimum,
        np.inf if column.maximum is None else column.maximum,
    )
    if column.physical == "real":
        return pd.Series(inside)
    whole = np.round(inside)
    missing = np.isnan(whole)
    if column.physical == "date":
        day = 86_400_000_000.0
        whole = np.floor(whole / day) * day
    integers = np.where(missing, 0, whole).astype(np.int64)
    if column.physical == "integer":
        return pd.Series(pd.arrays.IntegerArray(integers, missing))
    unit = "timedelta64[us]" if column.physical == "duration" else "datetime64[us]"
    moments = integers.astype(unit)
    moments[missing] = np.array("NaT", dtype=unit)
    series = pd.Series(moments)
    return series.dt.tz_localize("UTC") if column.physical == "timestamp_utc" else series


def from_codes(column: Column, positions: NDArray[np.int64]) -> pd.Series:
    """Write positions in the categories, shape (n,), as the column's own type: -1 as missing."""
    if column.kind == "boolean":
        lookup = np.array([*column.categories, False], dtype=bool)
        return pd.Series(pd.arrays.BooleanArray(lookup[positions], positions == -1))
    return pd.Series(pd.Categorical.from_codes(positions, dtype=_dtype(column)))


def _dtype(column: Column) -> object:
    if column.kind == "boolean":
        return "boolean"
    if column.is_code:
        return pd.CategoricalDtype(list(column.categories), ordered=column.kind == "ordinal")
    if column.physical == "timestamp_utc":
        return pd.DatetimeTZDtype("us", "UTC")
    return {"integer": "Int64", "real": "float64", "text": "string", "boolean": "boolean"}.get(
        column.physical
    ) or MICROSECONDS[column.physical]


def _coerce(column: Column, raw: pd.Series) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Cast one column; return it with a mask, shape (n,), of the values that did not fit."""
    given = raw.notna().to_numpy()
    if column.kind == "boolean" or column.is_code:
        series = _coerce_codes(column, raw)
    elif column.physical == "text":
        series = raw.astype("string")
    elif column.physical in ("integer", "real"):
        series = _coerce_numbers(column, raw)
    else:
        series = _coerce_moments(column, raw)
    kept = series.notna().to_numpy()
    if column.is_number:
        values = numbers(column, series)
        with np.errstate(invalid="ignore"):
            inside = np.isfinite(values)
            inside &= values >= (-np.inf if column.minimum is None else column.minimum)
            inside &= values <= (np.inf if column.maximum is None else column.maximum)
        series = series.mask(pd.Series(kept & ~inside, index=series.index))
        kept &= inside
    broken = given & ~kept
    if not column.nullable:
        broken |= ~given
    return series, broken


def _coerce_codes(column: Column, raw: pd.Series) -> pd.Series:
    kinds = {type(value) for value in column.categories}
    values = raw.astype(object).where(raw.notna(), None)
    if kinds <= {int, float} and kinds:
        values = pd.to_numeric(values, errors="coerce")
    elif kinds == {str}:
        values = values.map(lambda value: value if isinstance(value, str) else str(value), na_action="ignore")
    elif kinds == {bool}:
        values = values.map(_TRUTH, na_action="ignore")
    dtype = pd.CategoricalDtype(list(column.categories), ordered=column.kind == "ordinal")
    coded = pd.Categorical(values, categories=dtype.categories, ordered=bool(dtype.ordered))
    series = pd.Series(coded, index=raw.index)
    return series.astype(object).astype("boolean") if column.kind == "boolean" else series


def _coerce_numbers(column: Column, raw: pd.Series) -> pd.Series:
    values = pd.to_numeric(raw.astype(object).where(raw.notna(), None), errors="coerce").astype("float64")
    if column.physical == "integer":
        values = values.where(np.isfinite(values) & (values == np.round(values)) & (values.abs() < 2.0**63))
        whole = raw if raw.dtype.kind in "iu" or str(raw.dtype) == "Int64" else values
        return whole.astype("Int64")
    return values


def _coerce_moments(column: Column, raw: pd.Series) -> pd.Series:
    if column.physical == "duration":
        return pd.to_timedelta(raw, errors="coerce").astype("timedelta64[us]")
    utc = pd.to_datetime(raw, errors="coerce", utc=True, format=None if raw.dtype.kind == "M" else "ISO8601")
    moments = utc.astype(pd.DatetimeTZDtype("us", "UTC"))
    if column.physical == "timestamp_utc":
        return moments
    plain = moments.dt.tz_localize(None)
    return plain.dt.normalize() if column.physical == "date" else plain


def _plain(column: Column, series: pd.Series) -> pd.Series:
    if column.is_code and column.kind != "boolean":
        return series.astype(object).where(series.notna(), None)
    return series


_TRUTH = {True: True, False: False, 1: True, 0: False, "true": True, "false": False, "True": True, "False": False}
