"""What a comment may say of the rows: a specification is shared, so nothing that only few of them hold."""

import re
from math import ceil, floor, log10

import numpy as np
import pandas as pd

from audit.report.coarse import SMALLEST_COUNT
from tabular.schema import Column

TOP_CATEGORIES = 4
LONGEST_CATEGORY = 24
STEPS_OF_A_RANGE = 10
ROUND = (1, 2, 5, 10)
HIDDEN = "(a value of few rows)"
SPIKES = ", and many rows hold "
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def about(column: Column, series: pd.Series) -> str:
    """Say in a line why this kind, roughly which values, and how many are missing.

    Ranges are rounded outwards, categories are named where ten rows or more hold them.
    """
    present = series.dropna()
    parts = [_why(column, present), extent(column)]
    if column.kind in ("categorical", "boolean", "ordinal"):
        parts.append(", ".join(f"{each[:LONGEST_CATEGORY]} {share:.0%}" for each, share in _common(present)))
    missing = float(series.isna().mean())
    if missing:
        parts.append(f"{missing:.1%} missing")
    return "; ".join(part for part in parts if part)


def extent(column: Column) -> str:
    """Return a range that holds every number of a column and tells none of them; empty where it has none.

    Its ends are multiples of a round step, a tenth of the range or more and ten of the column's smallest units or
    more. Of times only years are told; of lengths of time nothing.
    """
    if not column.is_number or column.minimum is None or column.maximum is None or column.physical == "duration":
        return ""
    if column.minimum == column.maximum:
        return ""
    if column.physical not in ("integer", "real"):
        ends = np.array([column.minimum, column.maximum]).astype("datetime64[us]").astype("datetime64[Y]")
        first, last = (int(year) + 1970 for year in ends.astype(np.int64))
        years = max(int(_round_up(max(last - first, 1) / STEPS_OF_A_RANGE)), 1)
        return f"between {first // years * years} and {(last // years + 1) * years}"
    unit = 10.0 ** -(0 if column.physical == "integer" else column.decimals or 0)
    smallest = 10 * unit if column.physical == "integer" or column.decimals is not None else 0.0
    step = max(_round_up((column.maximum - column.minimum) / STEPS_OF_A_RANGE), smallest)
    low, high = floor(column.minimum / step) * step, ceil(column.maximum / step) * step
    return f"between {low:.12g} and {high:.12g}"


def is_told(series: pd.Series) -> bool:
    """Return whether ten rows or more hold every value of a column that occurs."""
    return bool((series.dropna().astype(str).value_counts() >= SMALLEST_COUNT).all())


def spoken(note: str, frame: pd.DataFrame) -> str:
    """Return a note of the reading without the values in quotes that fewer than ten cells hold."""
    quoted = {each.group(0) for each in _QUOTED.finditer(note)}
    strange = {each for each in quoted if _unquoted(each) not in frame.columns}
    if not strange:
        return note
    cells = pd.concat([frame[name].dropna().astype(str) for name in frame.columns]).value_counts()
    rare = {each for each in strange if cells.get(_unquoted(each), 0) < SMALLEST_COUNT}
    return _QUOTED.sub(lambda found: HIDDEN if found.group(0) in rare else found.group(0), note)


def _why(column: Column, present: pd.Series) -> str:
    why, spikes, _ = column.note.partition(SPIKES)
    rows = [int((present == spike).sum()) for spike in column.spikes]
    return column.note if spikes and rows and min(rows) >= SMALLEST_COUNT else why


def _common(present: pd.Series) -> list[tuple[str, float]]:
    counts = present.astype(str).value_counts()
    kept = counts[counts >= SMALLEST_COUNT].head(TOP_CATEGORIES)
    return [(str(value), count / len(present)) for value, count in kept.items()]


def _round_up(size: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is no less."""
    power = 10.0 ** floor(log10(size))
    return next((each * power for each in ROUND if each * power >= size * (1 - 1e-9)), 10 * power)


def _unquoted(quote: str) -> str:
    return re.sub(r"\\(['\"\\])", r"\1", quote[1:-1])
