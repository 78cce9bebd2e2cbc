"""Which statistical kind a column is, found from its values and, where those leave it open, from its name."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular.raw import UTC_TYPE, as_booleans, as_moments, as_numbers
from tabular.schema import Category, Column, Physical

MOST_CATEGORIES = 10_000
MOST_CODES = 20
MOST_DECIMALS = 9
MOST_SPIKES = 5
SPIKE_SHARE = 0.05
SPIKE_HEIGHT = 3.0
FEWEST_BESIDE_SPIKES = 30
FEWEST_IDENTIFIERS = 10
FEWEST_NAMED = 50
FEWEST_NAMES = 256
RARE_ROWS = 5
LONG_TEXT = 40
FEWEST_OF_ONE_PEAK = 7
DAY = 86_400_000_000

ORDERED_WORDS = frozenset(
    "age amount count counts cnt day days grade hour hours level minute minutes month months n num number points qty "
    "quantity quarter rank rate rating score second seconds size total week weeks year years yr".split()
)
IDENTIFIER_WORDS = frozenset({"id", "uuid", "guid", "key", "rowid", "rownum", "no", "nr", "index", "identifier"})
TEXT_IDENTIFIER_WORDS = frozenset({"id", "uuid", "guid", "email", "mail", "identifier"})
CALENDAR_WORDS = frozenset({"year", "yr", "month", "day", "week", "date", "time", "hour"})


def find(name: str, settled: pd.Series) -> Column:
    """Find the kind of a column.

    Args:
        name: Name of the column.
        settled: Its values as `settle` gives them, shape (n,).

    Raises:
        ValueError: If a number is infinite.
    """
    present = settled.dropna()
    if not len(present):
        return _column(name, settled, "constant", note="no value at all")
    if settled.dtype == "string":
        return _text(name, settled, present)
    if settled.dtype == "boolean":
        return code_column(name, settled, "boolean", "true or false")
    if settled.dtype.kind in "mM":
        return moment_column(name, settled)
    return _number(name, settled, present)


def through_text(settled: pd.Series) -> tuple[pd.Series, str]:
    """Return what text stands for (numbers, times, truth) with a word for it; the text itself where for nothing."""
    if settled.dtype == "string" and settled.notna().any():
        for read, what in ((as_booleans, "truth values"), (as_numbers, "numbers"), (as_moments, "times")):
            found = read(settled)
            if found is not None:
                return found, what
    return settled, ""


def code_column(name: str, settled: pd.Series, kind: str, note: str) -> Column:
    """Describe a column of codes: every value that occurs is a category, in rising order."""
    column = _column(name, settled, kind, note)
    if column.kind == "boolean" or column.physical == "boolean":
        return column.model_copy(update={"categories": (False, True)})
    values: list[Category] = sorted(settled.dropna().unique().tolist())
    return column.model_copy(update={"categories": tuple(values)})


def number_column(name: str, settled: pd.Series, kind: str, note: str) -> Column:
    """Describe a column of numbers: its range, its decimal places and, where semicontinuous, its spikes."""
    column = _column(name, settled, kind, note)
    values = settled.dropna().to_numpy(dtype=np.float64)
    heavy: tuple[float, ...] = ()
    if kind == "semicontinuous":
        distinct, counts = np.unique(values, return_counts=True)
        heavy = tuple(_spikes(distinct, counts).tolist()) or (float(distinct[np.argmax(counts)]),)
    return column.model_copy(
        update={
            "minimum": float(values.min()),
            "maximum": float(values.max()),
            "decimals": 0 if column.physical == "integer" else decimals(values),
            "spikes": heavy,
        }
    )


def moment_column(name: str, settled: pd.Series) -> Column:
    """Describe a column of times, dates or durations: its range in microseconds."""
    present = settled.dropna()
    plain = present.dt.tz_localize(None) if settled.dtype == UTC_TYPE else present
    units = plain.to_numpy().astype(np.int64)
    one = ", one value only" if len(np.unique(units)) == 1 else ""
    if settled.dtype.kind == "m":
        column = _column(name, settled, "duration", f"lengths of time{one}")
    elif settled.dtype != UTC_TYPE and bool((units % DAY == 0).all()):
        column = _column(name, settled, "date", f"days without a time{one}", "date")
    else:
        column = _column(name, settled, "datetime", f"points in time{one}")
    return column.model_copy(update={"minimum": float(units.min()), "maximum": float(units.max())})


def narrowed(settled: pd.Series) -> pd.Series:
    """Return whole numbers that are stored as reals only for the sake of missing values as `Int64`."""
    values = settled.dropna().to_numpy(dtype=np.float64)
    gaps = settled.dtype == "float64" and 0 < len(values) < len(settled)
    return (
        settled.astype("Int64")
        if gaps and bool((values % 1 == 0).all() and np.abs(values).max() < 2.0**53)
        else settled
    )


def decimals(values: NDArray[np.float64]) -> int | None:
    """Return how many decimal places the values have, None for more than 9 or for none that fits them all."""
    for places in range(MOST_DECIMALS + 1):
        scaled = np.abs(values) * 10.0**places
        if scaled.max() > 2.0**50:
            return None
        whole = np.round(scaled)
        if bool((np.abs(scaled - whole) <= 1e-6).all()) and len(np.unique(whole)) == len(np.unique(scaled)):
            return places
    return None


def _text(name: str, settled: pd.Series, present: pd.Series) -> Column:
    distinct, rows = present.nunique(), len(present)
    meaning, what = through_text(settled)
    if what and not (distinct == 1 and what == "truth values"):
        column = find(name, meaning)
        return column.model_copy(update={"note": f"{what} written as text: {column.note}"})
    if distinct == 1 and rows == len(settled):
        return code_column(name, settled, "constant", "one value only")
    spaced = any(len(text.split(maxsplit=1)) > 1 for text in present.unique())
    if distinct == rows and rows >= FEWEST_IDENTIFIERS:
        if not spaced or words(name) & IDENTIFIER_WORDS:
            return _column(name, settled, "identifier", "text, each value once, in one word")
        return _column(name, settled, "text", "free text, each value once")
    if distinct > FEWEST_NAMED and words(name) & TEXT_IDENTIFIER_WORDS:
        return _column(name, settled, "identifier", f"{distinct:,} different texts, named like an identifier")
    if distinct > MOST_CATEGORIES:
        return _column(name, settled, "text", f"{distinct:,} different texts, more than {MOST_CATEGORIES:,}")
    if rows >= FEWEST_IDENTIFIERS and distinct > rows / 2:
        return _column(name, settled, "text", f"{distinct:,} different texts in {rows:,} rows: most name one row only")
    if spaced and distinct > rows / 5 and float(present.str.len().mean()) > LONG_TEXT:
        return _column(name, settled, "text", "long texts with few repetitions")
    if distinct > FEWEST_NAMES and _name_few(present):
        note = f"{distinct:,} different texts like names or addresses, most rows hold one that fewer than five share"
        return _column(name, settled, "text", note)
    return code_column(name, settled, "categorical", f"{distinct:,} different texts in {rows:,} rows")


def _name_few(present: pd.Series) -> bool:
    """Whether texts look like names (a blank or an @ in most) and most rows share theirs with fewer than four."""
    counts = present.value_counts()
    rare = int(counts[counts < RARE_ROWS].sum()) > len(present) / 2
    return rare and float(counts.index.astype("string").str.contains(r"[\s@]").mean()) > 0.5


def _number(name: str, settled: pd.Series, present: pd.Series) -> Column:
    values = present.to_numpy(dtype=np.float64)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise ValueError(
            f"column {name!r}: {infinite} of {len(settled)} values are infinite; replace them by a number or leave "
            "them empty"
        )
    distinct, counts = np.unique(values, return_counts=True)
    is_whole = bool((distinct == np.round(distinct)).all())
    settled = narrowed(settled)
    if len(distinct) == 1 and len(values) == len(settled):
        return code_column(name, settled, "constant", "one value only")
    if is_whole and len(values) == len(settled):
        reason = _identifies(name, values, len(distinct))
        if reason:
            return _column(name, settled, "identifier", reason)
    if len(distinct) <= 2:
        return code_column(name, settled, "categorical", f"{len(distinct)} different numbers")
    if is_whole and len(distinct) <= min(MOST_CODES, len(values) / 5) and not _is_ordered(name, distinct, counts):
        note = f"{len(distinct)} different whole numbers, and nothing says that their order means anything"
        return code_column(name, settled, "categorical", note)
    heavy = _spikes(distinct, counts)
    if 0 < len(heavy) and len(distinct) - len(heavy) >= FEWEST_BESIDE_SPIKES:
        shares = ", ".join(f"{value:.15g} ({counts[distinct == value][0] / len(values):.0%})" for value in heavy)
        note = f"{len(distinct):,} different numbers, and many rows hold {shares}"
        return number_column(name, settled, "semicontinuous", note)
    kind = "integer" if is_whole else "continuous"
    return number_column(name, settled, kind, f"{len(distinct):,} different {'whole ' * is_whole}numbers")


def words(name: str) -> frozenset[str]:
    """Split a name such as `numberOf_Days` into its words, in lower case."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return frozenset(re.sub(r"[^A-Za-z]+", " ", parts).lower().split())


def _identifies(name: str, values: NDArray[np.float64], distinct: int) -> str:
    """Say why whole numbers without a gap name their row; empty where they do not."""
    if distinct < FEWEST_IDENTIFIERS:
        return ""
    named = bool(words(name) & IDENTIFIER_WORDS)
    if distinct == len(values):
        if named:
            return "whole numbers, each once, named like an identifier"
        steps = np.diff(values)
        if bool((steps == 1).all()) and not words(name) & CALENDAR_WORDS:
            return "whole numbers that count the rows"
    if words(name) & {"id", "uuid", "guid"} and distinct > 256:
        return f"{distinct:,} different whole numbers, named like an identifier"
    return ""


def _is_ordered(name: str, distinct: NDArray[np.float64], counts: NDArray[np.int64]) -> bool:
    """Whether few whole numbers count or measure.

    Their name says so, or the common ones follow one another and are ever rarer from 0 or 1 on, or, if they are seven
    at least, first ever commoner and then ever rarer: by chance one in seventy-nine sets of frequencies does that.
    """
    if words(name) & ORDERED_WORDS:
        return True
    common = counts >= 0.01 * counts.sum()
    if len(distinct) < 4 or bool((np.diff(distinct[common]) != 1).any()):
        return False
    rises = np.diff(counts[common]) > 0
    if not rises.any():
        return bool(common[0]) and distinct[0] in (0, 1)
    return int(common.sum()) >= FEWEST_OF_ONE_PEAK and not bool((np.diff(rises.astype(int)) > 0).any())


def _spikes(distinct: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the few values that hold 5 % of the rows each and thrice what the values beside them hold, rising."""
    around = np.concatenate([[0], counts, [0]])
    beside = np.maximum(around[:-2], around[2:])
    heavy = np.flatnonzero((counts >= SPIKE_SHARE * counts.sum()) & (counts >= SPIKE_HEIGHT * beside) & (counts > 1))
    most = heavy[np.argsort(-counts[heavy], kind="stable")[:MOST_SPIKES]]
    return distinct[np.sort(most)]


def _column(name: str, settled: pd.Series, kind: str, note: str, physical: Physical | None = None) -> Column:
    return Column.model_validate(
        {
            "name": name,
            "kind": kind,
            "physical": physical or _physical(settled),
            "nullable": bool(settled.isna().any()),
            "note": note,
        }
    )


def _physical(settled: pd.Series) -> Physical:
    if settled.dtype == UTC_TYPE:
        return "timestamp_utc"
    if settled.dtype == "Int64":
        return "integer"
    if settled.dtype == "boolean":
        return "boolean"
    return {"f": "real", "M": "timestamp", "m": "duration"}.get(settled.dtype.kind, "text")  # type: ignore[return-value]
