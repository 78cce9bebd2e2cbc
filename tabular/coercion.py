"""One raw column cast to its schema's type: what does not fit becomes missing."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionDtype

from tabular.raw import UTC_TYPE, read_moments, settle
from tabular.schema import Category, Column

PLAIN_TYPES: Mapping[str, ExtensionDtype | np.dtype[np.generic]] = {
    "integer": pd.Int64Dtype(),
    "real": np.dtype("float64"),
    "text": pd.StringDtype(),
    "boolean": pd.BooleanDtype(),
    "timestamp": np.dtype("datetime64[us]"),
    "timestamp_utc": UTC_TYPE,
    "date": np.dtype("datetime64[us]"),
    "duration": np.dtype("timedelta64[us]"),
}
TRUTH: Mapping[str, bool] = {"true": True, "false": False, "1": True, "0": False}


def dtype_of(column: Column) -> ExtensionDtype | np.dtype[np.generic]:
    """Return the pandas type that a table keeps the column in."""
    if column.kind == "boolean":
        return pd.BooleanDtype()
    if column.is_code:
        return categories_of(column)
    return PLAIN_TYPES[column.physical]


def categories_of(column: Column) -> "pd.CategoricalDtype[object]":
    """Return the categorical type of a code column."""
    return pd.CategoricalDtype(list(column.categories), ordered=column.kind == "ordinal")


def cast(column: Column, raw: pd.Series) -> pd.Series:
    """Cast raw values, shape (n,), to the column's type; a value of another type becomes missing."""
    settled = settle(raw)
    if column.is_code:
        positions = _positions(column, settled)
        if column.kind == "boolean":
            truth = np.array([*column.categories, False], dtype=bool)
            return pd.Series(pd.arrays.BooleanArray(truth[positions], positions == -1), index=raw.index)
        return pd.Series(pd.Categorical.from_codes(positions, dtype=categories_of(column)), index=raw.index)
    if column.physical == "text":
        return settled.astype("string")
    if column.physical == "boolean":
        return settled.astype("boolean") if settled.dtype == "boolean" else _nothing(column, settled)
    if column.physical in ("integer", "real"):
        return _cast_numbers(column, settled)
    return _cast_moments(column, settled)


def expects(column: Column) -> str:
    """Say in words which values the column takes."""
    if column.is_code:
        more = f" and {len(column.categories) - 20} more" if len(column.categories) > 20 else ""
        return f"one of {', '.join(map(repr, column.categories[:20]))}{more}" if column.categories else "no value"
    what = {
        "integer": "a whole number",
        "real": "a number",
        "text": "text",
        "boolean": "true or false",
        "timestamp": "a time without a zone",
        "timestamp_utc": "a time",
        "date": "a date",
        "duration": "a duration",
    }[column.physical]
    ends = [("from", column.minimum), ("to", column.maximum)]
    return what + "".join(f" {word} {written(column, end)}" for word, end in ends if end is not None)


def written(column: Column, end: float) -> str:
    """Write a limit of the column for people."""
    if column.physical == "duration":
        return str(pd.Timedelta(end, unit="us"))
    if column.is_number and column.physical not in ("integer", "real"):
        return str(np.datetime64(int(end), "us")).removesuffix("T00:00:00.000000")
    return f"{end:.15g}"


def _positions(column: Column, settled: pd.Series) -> NDArray[np.int64]:
    """Return the position of each value in the categories, -1 for one that is not there."""
    codes, distinct = pd.factorize(settled)
    lookup: dict[Category | None, int] = {category: position for position, category in enumerate(column.categories)}
    found = [lookup.get(as_category(column, value), -1) for value in distinct.tolist()]
    return np.array([*found, -1], dtype=np.int64)[codes]


def as_category(column: Column, value: object) -> Category | None:
    """Turn a distinct value into the type of the column's categories, None where it has no such form."""
    first = column.categories[0] if column.categories else None
    if isinstance(first, str):
        if isinstance(value, float) and value.is_integer() and str(value) not in column.categories:
            return str(int(value))
        return str(value)
    if isinstance(first, bool):
        return TRUTH.get(str(int(value)) if isinstance(value, int | float) else str(value).strip().lower())
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _cast_numbers(column: Column, settled: pd.Series) -> pd.Series:
    if settled.dtype == "string":
        found = pd.to_numeric(settled.astype(object).where(settled.notna(), None), errors="coerce")
        settled = settle(found if found.dtype == np.int64 else found.astype("float64"))
    if settled.dtype == "boolean":
        settled = settled.astype("Int64")
    if settled.dtype not in ("Int64", "float64"):
        return _nothing(column, settled)
    if column.physical == "real" or settled.dtype == "Int64":
        return settled.astype("float64" if column.physical == "real" else "Int64")
    values = settled.to_numpy(dtype=np.float64)
    fits = np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2.0**63)
    return pd.Series(pd.arrays.IntegerArray(np.where(fits, values, 0).astype(np.int64), ~fits), index=settled.index)


def _cast_moments(column: Column, settled: pd.Series) -> pd.Series:
    if column.physical == "duration":
        if settled.dtype == "string":
            settled = settle(pd.to_timedelta(settled.astype(object).where(settled.notna(), None), errors="coerce"))
        return settled if settled.dtype.kind == "m" else _nothing(column, settled)
    zoned = column.physical == "timestamp_utc"
    if settled.dtype == "string":
        settled = read_moments(settled.str.strip(), zoned)
    if settled.dtype.kind != "M":
        return _nothing(column, settled)
    if zoned:
        return settled if settled.dtype == UTC_TYPE else settled.dt.tz_localize("UTC")
    plain = settled.dt.tz_localize(None) if settled.dtype == UTC_TYPE else settled
    return plain.dt.normalize() if column.physical == "date" else plain


def _nothing(column: Column, like: pd.Series) -> pd.Series:
    return pd.Series(index=like.index, dtype=dtype_of(column))
