"""Guesses that only a column's name can give: target, sensitive columns, the privacy unit."""

import pandas as pd

from tabular.kinds import words
from tabular.schema import Column, Schema

TARGET_NAMES = ("target", "class", "label", "outcome", "y", "revenue", "income", "churn", "default")
CODES_ONLY = frozenset({"revenue", "income", "default"})
MOST_CLASSES = 20
LEAST_BLOCKS = 100
SENSITIVE_WORDS = frozenset(
    "sex gender race ethnicity ethnic age religion disability disabled nationality female male black white marital "
    "marriage orientation pregnant citizenship".split()
)
SENSITIVE_PAIRS = frozenset({"foreign_worker", "native_country", "personal_status", "date_of_birth", "birth_date"})
NOT_SENSITIVE_WORDS = frozenset({"page", "image", "usage", "average", "days", "count"})
UNIT_WORDS = frozenset({"id", "person", "patient", "customer", "client", "user", "household", "student", "member"})
LEAST_UNITS = 20
LEAST_REPEATS = 1.2
"""Rows a unit, on average, from which a column is taken to repeat."""


def guess_target(schema: Schema, frame: pd.DataFrame) -> str | None:
    """Return the one column whose name says that it is to be predicted; None where none or several do.

    Only columns that models see, with at least two values, no missing ones and (where they are codes) at most 20
    categories are taken; an income or a revenue is one only where it is a class. `default payment ...` counts too.
    """
    for wanted in TARGET_NAMES:
        found = [column for column in schema.columns if _named(column.name, wanted) and _predictable(column, frame)]
        found = [column for column in found if column.is_code or wanted not in CODES_ONLY]
        if len(found) == 1:
            return found[0].name
        if found:
            return None
    return None


def is_sensitive(column: Column) -> bool:
    """Tell by its name whether the bias audit should look at a column."""
    plain = column.name.lower().replace("-", "_").replace(" ", "_")
    named = plain in SENSITIVE_PAIRS or bool(words(column.name) & SENSITIVE_WORDS)
    return column.is_modelled and column.kind != "constant" and named and not words(column.name) & NOT_SENSITIVE_WORDS


def repeating_units(schema: Schema, frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return columns that may name a privacy unit, each with how often it repeats, at most three.

    Either the name says so, or every value's rows stand together in one block.
    """
    found: list[tuple[str, str]] = []
    for column in schema.columns:
        named = bool(words(column.name) & UNIT_WORDS) or column.kind == "identifier"
        if column.unique or not (named or column.kind in ("integer", "categorical", "text")):
            continue
        present = frame[column.name].dropna()
        codes, values = pd.factorize(present)
        count = len(values)
        blocks = int((codes[1:] != codes[:-1]).sum()) + 1
        named = named or (blocks == count and count >= LEAST_BLOCKS)
        if named and count >= LEAST_UNITS and len(present) / count >= LEAST_REPEATS:
            found.append((column.name, f"{count:,} values in {len(present):,} rows"))
    return found[:3]


def _named(name: str, wanted: str) -> bool:
    plain = name.strip().lower()
    return plain == wanted or (wanted == "default" and plain.startswith("default payment"))


def _predictable(column: Column, frame: pd.DataFrame) -> bool:
    few = not column.is_code or len(column.categories) <= MOST_CLASSES
    whole = not frame[column.name].isna().any()
    two = frame[column.name].nunique() >= 2
    return column.is_modelled and column.kind != "constant" and few and whole and bool(two)
