"""A schema found from a raw frame, with what a person says about its columns."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from tabular.coercion import cast, written
from tabular.kinds import (
    MOST_CATEGORIES,
    code_column,
    find,
    moment_column,
    narrowed,
    number_column,
    through_text,
)
from tabular.raw import is_mixed, settle
from tabular.schema import CODE_KINDS, Category, Column, Kind, Role, Schema


class Override(BaseModel):
    """What a person says about a column; what is None is found from the values.

    Attributes:
        kind: Statistical kind.
        role: Target, privacy unit, or plain feature.
        sensitive: Whether the bias audit looks at it.
        categories: Allowed values of a code column, in order; must hold every value that occurs.
        minimum: Smallest allowed number or time; no value may lie below.
        maximum: Largest allowed number or time; no value may lie above.
        nullable: Whether a value may be missing.
        decimals: Decimal places that numbers are written with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind | None = None
    role: Role | None = None
    sensitive: bool | None = None
    categories: tuple[Category, ...] | None = None
    minimum: float | datetime | date | None = None
    maximum: float | datetime | date | None = None
    nullable: bool | None = None
    decimals: int | None = None


def infer_schema(frame: pd.DataFrame, overrides: Mapping[str, Override]) -> Schema:
    """Find the schema of a frame.

    Args:
        frame: Raw rows, values stored in any way.
        overrides: What a person says, by column name.

    Raises:
        ValueError: If the frame has no rows, no columns or two columns of one name, if an override names no column or
            cannot be, or if a number is infinite. All complaints at once.
    """
    _check_frame(frame, overrides)
    columns: list[Column] = []
    wrong: list[str] = []
    for name in frame.columns:
        try:
            columns.append(_infer(name, frame[name], overrides.get(name, Override())))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return Schema(columns=tuple(columns))


def _check_frame(frame: pd.DataFrame, overrides: Mapping[str, Override]) -> None:
    names = list(frame.columns)
    if not names:
        raise ValueError("the table has no columns")
    if not len(frame):
        raise ValueError("the table has no rows")
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise ValueError(f"got column names that are not text: {', '.join(map(repr, odd))}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"columns appear twice: {', '.join(map(repr, twice))}")
    unknown = sorted(set(overrides) - set(names))
    if unknown:
        raise ValueError(
            f"there is no column {', '.join(map(repr, unknown))}; the table has {', '.join(map(repr, names))}"
        )


def _infer(name: str, raw: pd.Series, override: Override) -> Column:
    settled = settle(raw)
    kind: Kind | None = "identifier" if override.role == "unit" else override.kind
    if kind is None and override.categories is not None:
        kind = "categorical"
    if isinstance(raw.dtype, pd.CategoricalDtype) and raw.dtype.ordered and kind in (None, "ordinal"):
        kind = "ordinal"
        if override.categories is None:
            override = override.model_copy(update={"categories": tuple(raw.dtype.categories.tolist())})
    column = find(name, settled) if kind is None else _forced(name, settled, kind, override)
    if is_mixed(raw):
        column = column.model_copy(update={"note": f"values of several types, read as text: {column.note}"})
    return _refined(column, settled, override)


def _forced(name: str, settled: pd.Series, kind: Kind, override: Override) -> Column:
    """Describe a column as the kind that a person wants.

    Raises:
        ValueError: If the values cannot be of that kind.
    """
    note = "the privacy unit" if override.role == "unit" else "as specified"
    meaning, _ = through_text(settled)
    if kind in ("identifier", "text"):
        column = _forced_name(name, settled, meaning, kind)
    elif kind in CODE_KINDS:
        column = _forced_code(name, settled, meaning, kind, override)
    elif not settled.notna().any():
        column = find(name, settled)
        note = f"{column.note}, so not {kind}"
    elif kind in ("continuous", "integer", "semicontinuous"):
        column = _forced_number(name, meaning, kind)
    else:
        column = _forced_moment(name, meaning, kind)
    return column.model_copy(update={"note": note})


def _forced_name(name: str, settled: pd.Series, meaning: pd.Series, kind: Kind) -> Column:
    values = meaning.dropna()
    if meaning.dtype == "float64" and bool((values == values.round()).all() and (values.abs() < 2.0**53).all()):
        meaning = meaning.astype("Int64")
    whole = kind == "identifier" and meaning.dtype == "Int64"
    nullable = bool(settled.isna().any())
    return Column(name=name, kind=kind, physical="integer" if whole else "text", nullable=nullable)


def _forced_code(name: str, settled: pd.Series, meaning: pd.Series, kind: Kind, override: Override) -> Column:
    if meaning.dtype.kind in "mM":
        meaning = settled
    distinct = meaning.dropna().unique()
    if meaning.dtype.kind in "mM":
        raise ValueError(f"column {name!r}: {kind} takes words, numbers or truth values, got times")
    if kind == "constant" and len(distinct) > 1:
        raise ValueError(f"column {name!r}: got {len(distinct)} different values, wanted one for a constant")
    if kind == "boolean" and meaning.dtype != "boolean":
        others = [value for value in distinct.tolist() if value not in (0, 1)]
        if others:
            raise ValueError(f"column {name!r}: got {others[0]!r}, wanted true, false, 1 or 0 for a boolean")
        return code_column(name, meaning.astype("boolean"), kind, "")
    if kind == "ordinal" and meaning.dtype == "string" and override.categories is None:
        raise ValueError(f"column {name!r}: the order of words is not known, give it as categories")
    if len(distinct) > MOST_CATEGORIES:
        raise ValueError(f"column {name!r}: got {len(distinct):,} categories, wanted {MOST_CATEGORIES:,} at most")
    return code_column(name, meaning, kind, "")


def _forced_number(name: str, meaning: pd.Series, kind: Kind) -> Column:
    if meaning.dtype == "boolean":
        meaning = meaning.astype("Int64")
    if meaning.dtype == "string":
        is_number = pd.to_numeric(meaning.astype(object), errors="coerce").notna()
        first = meaning[meaning.notna() & ~is_number]
        shown = repr((first if len(first) else meaning.dropna()).iloc[0])
        raise ValueError(f"column {name!r}: got {shown}, wanted plain numbers for kind {kind}")
    if meaning.dtype.kind in "mM":
        raise ValueError(f"column {name!r}: got times, wanted numbers for kind {kind}")
    values = meaning.dropna().to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        find(name, meaning)
    fractions = values[values != np.round(values)]
    if kind == "integer" and len(fractions):
        raise ValueError(f"column {name!r}: got {fractions[0]:.15g}, wanted whole numbers for kind integer")
    return number_column(name, narrowed(meaning), kind, "")


def _forced_moment(name: str, meaning: pd.Series, kind: Kind) -> Column:
    if kind == "duration" and meaning.dtype == "string":
        meaning = settle(pd.to_timedelta(meaning.astype(object).where(meaning.notna(), None), errors="coerce"))
        meaning = meaning if meaning.notna().any() else meaning.astype(object)
    if meaning.dtype.kind != ("m" if kind == "duration" else "M"):
        shown = meaning.dropna().iloc[0] if meaning.notna().any() else "text"
        wanted = "lengths of time" if kind == "duration" else "times or ISO 8601 text such as 2024-05-31"
        raise ValueError(f"column {name!r}: got {shown!r}, wanted {wanted} for kind {kind}")
    if kind == "date":
        plain = meaning.dt.tz_localize(None) if getattr(meaning.dt, "tz", None) is not None else meaning
        return moment_column(name, plain.dt.normalize())
    column = moment_column(name, meaning)
    return column if column.physical != "date" else column.model_copy(update={"kind": kind, "physical": "timestamp"})


def _refined(column: Column, settled: pd.Series, override: Override) -> Column:
    """Apply what a person says beside the kind.

    Raises:
        ValueError: If a value that occurs breaks it, or it makes no sense for the kind.
    """
    name = column.name
    changes: dict[str, object] = {}
    if override.role is not None:
        changes["role"] = override.role
    if override.sensitive is not None:
        changes["sensitive"] = override.sensitive
    if override.nullable is not None:
        if column.nullable and not override.nullable:
            raise ValueError(f"column {name!r}: {int(settled.isna().sum())} values are missing, but nullable is false")
        changes["nullable"] = override.nullable
    changes["unique"] = column.kind == "identifier" and override.role != "unit" and bool(settled.dropna().is_unique)
    if override.categories is not None:
        column = _with_categories(column, settled, override.categories)
    limits = {"minimum": override.minimum, "maximum": override.maximum, "decimals": override.decimals}
    given = {key: value for key, value in limits.items() if value is not None}
    if given and not column.is_number:
        raise ValueError(f"column {name!r}: {', '.join(given)} of a column of kind {column.kind} means nothing")
    changes |= {key: value if key == "decimals" else _limit(column, value) for key, value in given.items()}
    refined = column.model_copy(update=changes)
    if column.minimum is not None and refined.minimum is not None and column.minimum < refined.minimum:
        raise ValueError(f"column {name!r}: values go down to {written(column, column.minimum)}, below the minimum")
    if column.maximum is not None and refined.maximum is not None and column.maximum > refined.maximum:
        raise ValueError(f"column {name!r}: values go up to {written(column, column.maximum)}, above the maximum")
    return Column.model_validate(refined.model_dump())


def _with_categories(column: Column, settled: pd.Series, categories: tuple[Category, ...]) -> Column:
    if not column.is_code:
        raise ValueError(f"column {column.name!r}: categories of a column of kind {column.kind} mean nothing")
    types = {type(value) for value in categories}
    physical = "real" if types == {int, float} else _PHYSICAL[next(iter(types), str)]
    wanted = Column.model_validate(column.model_dump() | {"categories": categories, "physical": physical})
    strange = settled[settled.notna() & cast(wanted, settled).isna()]
    if len(strange):
        shown = ", ".join(repr(value) for value in strange.unique()[:5].tolist())
        raise ValueError(f"column {column.name!r}: {len(strange)} values are none of the categories, such as {shown}")
    return wanted


def _limit(column: Column, value: float | int | datetime | date) -> float:
    """Return a limit as the column's numbers are read: times in microseconds since 1970-01-01 UTC."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        return float(value)
    if column.kind not in ("datetime", "date"):
        raise ValueError(f"column {column.name!r}: got the time {value} as a limit, wanted a number")
    return float(np.datetime64(moment, "us").astype(np.int64))


_PHYSICAL = {bool: "boolean", int: "integer", float: "real", str: "text"}
