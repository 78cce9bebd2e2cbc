"""Identifiers made anew: unique values in the manner of the original, none of them a real one."""

import re

import numpy as np
import pandas as pd

from tabular.schema import Column, Schema


def is_made_anew(column: Column) -> bool:
    """Whether its values name somebody or something: identifiers and the privacy unit."""
    return column.kind == "identifier" or column.role == "unit"


def synthetic_schema(schema: Schema) -> Schema:
    """Return the schema of synthetic rows: no free text, and identifiers without a trace of the old ones."""
    return Schema(columns=tuple(_renewed(column) for column in schema.columns if column.kind != "text"))


def fresh_prefix(column: Column, taken: pd.Series) -> str:
    """Return a prefix for text identifiers that none of the real ones, shape (n,), begins with."""
    prefix = re.sub(r"[^0-9a-z]+", "-", column.name.lower()).strip("-") or "id"
    texts = taken.dropna().astype("string")
    while texts.str.startswith(f"{prefix}-").any():
        prefix = f"synthetic-{prefix}"
    return prefix


def fresh_identifiers(column: Column, prefix: str, first: int, n: int) -> pd.Series:
    """Return n identifiers, numbered from first + 1: plain numbers, or text such as "person-000124"."""
    serial = np.arange(first + 1, first + n + 1)
    if column.physical == "integer":
        return pd.Series(serial).astype("Int64")
    if column.physical == "real":
        return pd.Series(serial.astype(np.float64))
    return pd.Series(np.char.mod(f"{prefix}-%06d", serial)).astype("string")


def _renewed(column: Column) -> Column:
    if not is_made_anew(column):
        return column
    physical = column.physical if column.physical in ("integer", "real") else "text"
    return Column(name=column.name, kind="identifier", physical=physical, role=column.role, note=column.note)
