"""A schema widened to whatever rows hold: new categories, numbers beyond its limits, values that are missing."""

import numpy as np
import pandas as pd

from tabular.coercion import as_category, cast
from tabular.raw import settle
from tabular.schema import Category, Column, Schema
from tabular.table import numbers


def widened(schema: Schema, frame: pd.DataFrame) -> Schema:
    """Return a schema that every value of a frame fits that can be read as its column's type.

    What the schema knows stays: its categories come first, new ones after them, numbers in their order; limits move
    outward only. Columns that the frame lacks stay as they are.
    """
    return Schema(
        columns=tuple(
            _widened(column, frame[column.name].reset_index(drop=True)) if column.name in frame else column
            for column in schema.columns
        )
    )


def _widened(column: Column, raw: pd.Series) -> Column:
    changes: dict[str, object] = {"nullable": column.nullable or bool(raw.isna().any())}
    if column.is_code:
        categories = _categories(column, raw)
        changes["categories"] = categories
        if column.kind == "constant" and len(categories) > 1:
            changes["kind"] = "categorical"
    elif column.is_number:
        free = column.model_copy(update={"minimum": None, "maximum": None})
        values = numbers(free, cast(free, raw))
        values = values[np.isfinite(values)]
        if column.minimum is not None and len(values):
            changes["minimum"] = min(column.minimum, float(values.min()))
        if column.maximum is not None and len(values):
            changes["maximum"] = max(column.maximum, float(values.max()))
    return column.model_copy(update=changes)


def _categories(column: Column, raw: pd.Series) -> tuple[Category, ...]:
    """Return the column's categories and, after them, the new ones that the values hold."""
    typed = (
        column if column.categories or column.physical != "text" else column.model_copy(update={"categories": ("",)})
    )
    found = [as_category(typed, value) for value in settle(raw).dropna().unique().tolist()]
    new = sorted(
        {each for each in found if each is not None and each not in (np.inf, -np.inf)} - set(column.categories)
    )
    known = list(column.categories)
    if known == sorted(known) and not isinstance(known[0] if known else "", str):
        return tuple(sorted([*known, *new]))
    return (*known, *new)
