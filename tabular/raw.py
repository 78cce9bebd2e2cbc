"""Raw columns freed from the way they happen to be stored: few types remain, and text may turn out to be more."""

import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
LEADING_ZERO = re.compile(r"[+-]?0\d.*")
DAY = r"\d{4}-\d{2}-\d{2}"
MOMENT = re.compile(DAY + r"([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?")
ZONED = re.compile(DAY + r"[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)")
_TRUTH = {"true": True, "false": False}
UTC_TYPE = pd.DatetimeTZDtype("us", "UTC")


def settle(raw: pd.Series) -> pd.Series:
    """Return the same values, index and all, as one of few types.

    These are `Int64`, `float64`, `boolean`, `datetime64[us]`, `datetime64[us, UTC]`, `timedelta64[us]` and `string`.
    What is none of these, a mixture of types for one, becomes text.
    """
    dtype = raw.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return settle(raw.dt.to_timestamp())
    if isinstance(dtype, pd.StringDtype):
        return raw.astype("string")
    if isinstance(dtype, pd.CategoricalDtype | pd.ArrowDtype | pd.IntervalDtype) or dtype.kind in "OUSVc":
        return _settle_objects(raw.astype(object))
    if dtype.kind == "b":
        return raw.astype("boolean")
    if dtype.kind in "iu":
        past = dtype.kind == "u" and bool((raw > np.iinfo(np.int64).max).any())
        return raw.astype(object).map(str, na_action="ignore").astype("string") if past else raw.astype("Int64")
    if dtype.kind == "f":
        return pd.Series(raw.to_numpy(dtype=np.float64, na_value=np.nan), index=raw.index)
    if dtype.kind == "m":
        return raw.astype("timedelta64[us]")
    return raw.astype("datetime64[us]") if getattr(raw.dt, "tz", None) is None else raw.astype(UTC_TYPE)


def is_mixed(raw: pd.Series) -> bool:
    """Whether an object column holds values of several types."""
    return raw.dtype == object and pd.api.types.infer_dtype(raw, skipna=True) in ("mixed", "mixed-integer")


def as_numbers(texts: pd.Series) -> pd.Series | None:
    """Read text as `Int64` or `float64` where every value is a plain number, otherwise None.

    A leading zero says that it is a code (00501), not a number.
    """
    codes, distinct = pd.factorize(texts)
    for text in distinct:
        if not NUMBER.fullmatch(text.strip()) or LEADING_ZERO.fullmatch(text.strip()):
            return None
    plain = np.array([text.strip() for text in distinct], dtype=np.str_)
    reals = plain.astype(np.float64)
    # Whole numbers beyond the smallest of 64 bits are refused there, and can only be reals.
    found = pd.to_numeric(pd.Series(plain, dtype=object)) if reals.min(initial=0) > -(2.0**63) else pd.Series(reals)
    if found.dtype not in (np.int64, np.float64):
        return None
    missing = pd.Series([None], dtype="Int64" if found.dtype == np.int64 else "float64")
    numbers: pd.Series = pd.concat([found.astype(missing.dtype), missing])
    return numbers.iloc[codes].set_axis(texts.index)


def as_moments(texts: pd.Series) -> pd.Series | None:
    """Read text as timestamps where every value is an ISO 8601 date or time, all with a zone or all without."""
    distinct = pd.factorize(texts)[1]
    zoned = len(distinct) > 0 and ZONED.fullmatch(distinct[0]) is not None
    if not all((ZONED if zoned else MOMENT).fullmatch(text) for text in distinct):
        return None
    moments = read_moments(texts, zoned)
    return moments if bool((moments.notna() == texts.notna()).all()) else None


def read_moments(texts: pd.Series, zoned: bool) -> pd.Series:
    """Read ISO 8601 text as `datetime64[us]`, or `datetime64[us, UTC]` where zoned; what is none becomes missing.

    A time without a zone counts as UTC where zones are wanted; otherwise a zone is refused.
    """
    codes, distinct = pd.factorize(texts)
    moments = np.array([*map(_moment, distinct), np.datetime64("NaT", "us")], dtype="datetime64[us]")
    naive = np.array([MOMENT.fullmatch(text) is not None for text in distinct] + [True])
    if not zoned:
        moments[~naive] = np.datetime64("NaT", "us")
    series = pd.Series(moments[codes], index=texts.index)
    return series.dt.tz_localize("UTC") if zoned else series


def as_booleans(texts: pd.Series) -> pd.Series | None:
    """Read text as `boolean` where every value is true or false, in any case, otherwise None."""
    codes, distinct = pd.factorize(texts)
    truth = [_TRUTH.get(text.strip().lower()) for text in distinct]
    if None in truth:
        return None
    return pd.Series(pd.array([*truth, None], dtype="boolean")).iloc[codes].set_axis(texts.index)


def _settle_objects(raw: pd.Series) -> pd.Series:
    given = raw.where(raw.notna(), None)
    found = pd.api.types.infer_dtype(given, skipna=True)
    if found in ("string", "empty"):
        return given.astype("string")
    if found == "boolean":
        return given.astype("boolean")
    if found in ("floating", "mixed-integer-float", "decimal"):
        return given.astype("float64")
    try:
        if found == "integer":
            return given.astype("Int64")
        if found in ("timedelta", "timedelta64"):
            return _from_arrow(given, pa.duration("us"))
        if found in ("date", "datetime", "datetime64"):
            zoned = getattr(given.dropna().iloc[0], "tzinfo", None) is not None
            return _from_arrow(given, pa.timestamp("us", tz="UTC") if zoned else pa.timestamp("us"))
    except (OverflowError, TypeError, pa.ArrowInvalid, pa.ArrowTypeError):
        return given.map(str, na_action="ignore").astype("string")
    return given.map(str, na_action="ignore").astype("string")


def _from_arrow(given: pd.Series, target: pa.DataType) -> pd.Series:
    series: pd.Series = pa.array(given, from_pandas=True).cast(target, safe=False).to_pandas()
    return series.set_axis(given.index)


def _moment(text: str) -> np.datetime64:
    """Read one text; years 1 to 9999, digits past the microsecond are dropped."""
    if not MOMENT.fullmatch(text) and not ZONED.fullmatch(text):
        return np.datetime64("NaT", "us")
    try:
        moment = datetime.fromisoformat(text)
        return np.datetime64(moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None), "us")
    except (ValueError, OverflowError):
        return np.datetime64("NaT", "us")
