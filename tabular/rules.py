"""Rules that every row must keep, said in plain words: `if relationship = Husband then sex = Male`.

A rule is `[if CONDITION and CONDITION ... then] CONDITION and CONDITION ...`. A condition is `COLUMN SIGN VALUE` or
`COLUMN SIGN COLUMN` with a sign of =, !=, <, <=, > and >=; `COLUMN in (VALUE, ...)` or `COLUMN not in (...)`; or
`COLUMN is missing` or `COLUMN is present`. Names with spaces or signs in them stand in backticks, such values in
quotes; a backtick or quote inside is doubled. A bare word on the right that is a column's name is that column.

Values are read as their column is: numbers, times in ISO 8601, durations, categories by their text. Ordinal categories
are in the order of their list, categories that are numbers in that of numbers, others in none.

Truth is three-valued: a comparison with a missing value is neither true nor false, and only what is false breaks a
rule, as in an SQL CHECK. Rules are read, never executed.
"""

import re
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

from tabular.coercion import expects
from tabular.raw import NUMBER, read_moments
from tabular.rule_grammar import Condition, Operand, Relation, Sentence, read
from tabular.schema import Column, Schema
from tabular.table import Table

Mask = NDArray[np.bool_]
ORDERINGS: frozenset[Relation] = frozenset({"<", "<=", ">", ">="})
DURATION = re.compile(r"P\d[\dDTHMS.]*|PT[\dHMS.]+|-?\d+ days?( \d{1,2}:\d\d:\d\d)?|\d+:\d\d:\d\d(\.\d{1,6})?")
MEASURES = frozenset({"a number", "a time", "a duration"})


class Rule(BaseModel):
    """One rule over the columns of a row.

    Attributes:
        text: The rule as it was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str

    @field_validator("text")
    @classmethod
    def _read(cls, text: str) -> str:
        read(text)
        return text

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule.

        Raises:
            ValueError: If it is none; says what was got, what was wanted, and at which character, counted from 1.
        """
        read(text)
        return cls(text=text)

    def __str__(self) -> str:
        """Return the rule as it was written."""
        return self.text

    @property
    def sentence(self) -> Sentence:
        """The rule as it was understood."""
        return read(self.text)

    def check(self, schema: Schema) -> None:
        """Demand that the rule makes sense for a table.

        Raises:
            ValueError: If it names a column or category that is not there, orders categories that have no order,
                compares what cannot be compared, or a value is not of its column's kind.
        """
        for condition in (*self.sentence.given, *self.sentence.then):
            self._bind(condition, schema)

    def columns(self, schema: Schema) -> tuple[str, ...]:
        """Return the names of the columns that it looks at, each once, in their order in the rule.

        Raises:
            ValueError: As `check`.
        """
        bound = [self._bind(each, schema) for each in (*self.sentence.given, *self.sentence.then)]
        names = [column.name for each in bound for column in (each.column, each.other) if column is not None]
        return tuple(dict.fromkeys(names))

    def applies(self, table: Table) -> Mask:
        """Return the rows where what stands between `if` and `then` is true, shape (n,); all rows without an `if`.

        Raises:
            ValueError: As `check`.
        """
        self.check(table.schema)
        applies = np.ones(len(table), dtype=bool)
        for condition in self.sentence.given:
            applies &= _true_and_false(self._bind(condition, table.schema), table)[0]
        return applies

    def broken(self, table: Table) -> Mask:
        """Return the rows that it applies to and where a condition after `then` is false, shape (n,).

        Raises:
            ValueError: As `check`.
        """
        applies = self.applies(table)
        fails = np.zeros(len(table), dtype=bool)
        for condition in self.sentence.then:
            fails |= _true_and_false(self._bind(condition, table.schema), table)[1]
        return applies & fails

    def _bind(self, condition: Condition, schema: Schema) -> "_Bound":
        try:
            return _bind(condition, schema)
        except ValueError as error:
            raise ValueError(f"rule {self.text!r}: {error}") from error


class _Bound(NamedTuple):
    """A condition with its columns and, as the numbers that a column is read as, its values."""

    column: Column
    relation: Relation
    other: Column | None
    values: tuple[float | str, ...]


def _bind(condition: Condition, schema: Schema) -> _Bound:
    column = _column(condition.column, schema)
    relation = condition.relation
    if relation in ORDERINGS and not (_family(column) in MEASURES or column.kind == "ordinal"):
        raise ValueError(
            f"column {column.name!r} is {column.kind} and has no order for {relation!r}; "
            "its kind would have to be ordinal or a number"
        )
    if relation in ("in", "not in", "is missing", "is present"):
        return _Bound(column, relation, None, tuple(_value(column, relation, each.text) for each in condition.operands))
    (operand,) = condition.operands
    if not _is_column(operand, schema):
        return _Bound(column, relation, None, (_value(column, relation, operand.text),))
    other = _column(operand.text, schema)
    if _family(column) != _family(other):
        raise ValueError(
            f"column {column.name!r} is {_family(column)} and column {other.name!r} {_family(other)}; "
            "they cannot be compared"
        )
    lists = [(each.kind, each.categories) for each in (column, other)]
    if relation in ORDERINGS and _family(column) not in MEASURES and lists[0] != lists[1]:
        raise ValueError(f"columns {column.name!r} and {other.name!r} are not ordered by the same list of categories")
    return _Bound(column, relation, other, ())


def _column(name: str, schema: Schema) -> Column:
    if name not in schema.names:
        raise ValueError(f"there is no column {name!r}; there are {', '.join(map(repr, schema.names))}")
    column = schema[name]
    if column.kind == "text":
        raise ValueError(f"column {name!r} is free text, which synthetic tables leave out")
    return column


def _is_column(operand: Operand, schema: Schema) -> bool:
    return operand.form == "column" or (operand.form == "word" and operand.text in schema.names)


def _family(column: Column) -> str:
    """Say what may be compared with what."""
    if column.is_code:
        return "a number" if _is_numeric(column) else "of categories"
    if not column.is_number:
        return "an identifier"
    return {"integer": "a number", "real": "a number", "duration": "a duration"}.get(column.physical, "a time")


def _is_numeric(column: Column) -> bool:
    """Whether its categories are numbers, in the order of numbers where they have one."""
    numbers = [each for each in column.categories if isinstance(each, int | float) and not isinstance(each, bool)]
    ordered = column.kind != "ordinal" or numbers == sorted(numbers)
    return 0 < len(numbers) == len(column.categories) and ordered


def _value(column: Column, relation: Relation, text: str) -> float | str:
    """Read a value as its column is read: a number, a position among the categories, microseconds, or text.

    Raises:
        ValueError: If the column knows no such value.
    """
    family = _family(column)
    if family == "an identifier":
        return text
    known = column.categories if column.is_code and family == "a number" and relation not in ORDERINGS else None
    reading = {"of categories": _position, "a number": _number, "a duration": _duration, "a time": _moment}[family]
    found = reading(column, text)
    if found is None or (known is not None and found not in known):
        raise ValueError(f"column {column.name!r}: got {text!r}, wanted {_wanted(column, relation)}")
    return found


def _wanted(column: Column, relation: Relation) -> str:
    if column.is_code and not (_is_numeric(column) and relation in ORDERINGS):
        return expects(column)
    return {
        "a number": "a number",
        "a duration": "a duration such as '2 days 03:00:00' or PT36H",
        "a time": "a date or time in ISO 8601, such as 2024-02-29 or 2024-02-29T12:00",
    }[_family(column)]


def _position(column: Column, text: str) -> float | None:
    texts = [str(category) for category in column.categories]
    if bool in map(type, column.categories):
        texts, text = [each.lower() for each in texts], text.lower()
    return float(texts.index(text)) if text in texts else None


def _number(column: Column, text: str) -> float | None:
    value = float(text) if NUMBER.fullmatch(text) else np.nan
    return value if np.isfinite(value) else None


def _moment(column: Column, text: str) -> float | None:
    moment = read_moments(pd.Series([text], dtype="string"), zoned=column.physical == "timestamp_utc")
    value = moment.dt.tz_localize(None).to_numpy()[0]
    return None if np.isnat(value) else float(value.astype(np.int64))


def _duration(column: Column, text: str) -> float | None:
    try:
        return float(pd.Timedelta(text) // pd.Timedelta(1, "us")) if DURATION.fullmatch(text) else None
    except ValueError:
        return None


def _true_and_false(bound: _Bound, table: Table) -> tuple[Mask, Mask]:
    """Return the rows where a condition is true and those where it is false, each of shape (n,)."""
    left, right = _sides(bound, table)
    missing = np.isnan(left)
    if bound.relation in ("is missing", "is present"):
        return (missing, ~missing) if bound.relation == "is missing" else (~missing, missing)
    if bound.relation in ("in", "not in"):
        inside = np.isin(left, right)
        true = inside if bound.relation == "in" else ~inside
    else:
        missing |= np.isnan(right)
        true = _compare(left, bound.relation, right)
    return true & ~missing, ~true & ~missing


def _compare(left: NDArray[np.float64], relation: Relation, right: NDArray[np.float64]) -> Mask:
    signs = {
        "=": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
    }
    return np.asarray(signs[relation](left, right), dtype=bool)


def _sides(bound: _Bound, table: Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sides as numbers on one scale: a column's, shape (n,), and the other's or the values."""
    column, other = bound.column, bound.other
    if _family(column) != "an identifier":
        left = _read(column, column, table)
        return left, np.array(bound.values, dtype=np.float64) if other is None else _read(other, column, table)
    second = pd.Series(bound.values, dtype="string") if other is None else table.frame[other.name].astype("string")
    codes, _ = pd.factorize(pd.concat([table.frame[column.name].astype("string"), second], ignore_index=True))
    both = np.where(codes == -1, np.nan, codes)
    return both[: len(table)], both[len(table) :]


def _read(column: Column, scale: Column, table: Table) -> NDArray[np.float64]:
    """Return a column as numbers, shape (n,), categories by their position in another's list; missing is NaN."""
    if column.is_number:
        return table.numbers(column.name)
    if _is_numeric(column):
        values = [float(each) for each in column.categories]
    else:
        texts = [str(category) for category in scale.categories]
        values = [float(texts.index(each)) if each in texts else -1.0 for each in map(str, column.categories)]
    return np.array([*values, np.nan])[table.codes(column.name)]
