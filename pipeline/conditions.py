"""What rows must hold, as the command line says it: `sex=Female`, `age >= 60`, `town in (Zug, Bern)`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Mistake
from tabular.coercion import expects
from tabular.rules import Rule
from tabular.schema import Category, Schema
from tabular.table import Table

SIGNS = "<>!="


@dataclass(frozen=True)
class Conditions:
    """What must hold in every row.

    Attributes:
        equal: Values by column.
        others: Conditions that leave more than one value, as rules without an `if`.
    """

    equal: dict[str, Category]
    others: tuple[Rule, ...]

    def columns(self, schema: Schema) -> tuple[str, ...]:
        """Return the columns that the conditions look at but do not settle, each once."""
        names = [name for rule in self.others for name in rule.columns(schema)]
        return tuple(name for name in dict.fromkeys(names) if name not in self.equal)

    def hold(self, table: Table) -> NDArray[np.bool_]:
        """Return the rows where every condition beside the equalities is true, shape (n,)."""
        held = np.ones(len(table), dtype=bool)
        for rule in self.others:
            held &= Rule.parse(f"if {rule.text} then {_present(rule, table.schema)}").applies(table)
        return held


def conditions(texts: Sequence[str] | None, schema: Schema) -> Conditions:
    """Read conditions on the rows of a schema.

    Raises:
        Mistake: If one is none, or names a column or a value that is not there.
    """
    equal: dict[str, Category] = {}
    others: list[Rule] = []
    for text in texts or ():
        name, equals, value = text.partition("=")
        if equals and name.strip() and name[-1] not in SIGNS and name.strip() in schema.names:
            equal[name.strip()] = _value(schema, name.strip(), value.strip())
            continue
        try:
            rule = Rule.parse(text)
            rule.check(schema)
        except ValueError as error:
            raise Mistake(f"--given {text!r}: wanted COLUMN=VALUE or a condition like 'age >= 60': {error}") from error
        if rule.sentence.given:
            raise Mistake(f"--given {text!r}: got a rule with an `if`, wanted a condition that every row must hold")
        others.append(rule)
    return Conditions(equal, tuple(others))


def _present(rule: Rule, schema: Schema) -> str:
    name = rule.columns(schema)[0].replace("`", "``")
    return f"`{name}` is present"


def _value(schema: Schema, name: str, text: str) -> Category:
    """Read a value that was given as text as the column's own type."""
    column = schema[name]
    if column.is_code:
        named = {
            str(category).lower() if isinstance(category, bool) else str(category): category
            for category in column.categories
        }
        found = named.get(text.lower() if column.kind == "boolean" else text)
        if found is None:
            raise Mistake(f"--given {name}={text}: no such value; wanted {expects(column)}")
        return found
    if column.kind in ("datetime", "date", "duration"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise Mistake(f"--given {name}={text}: wanted a number, for {name} is {column.kind}") from error
