"""The grammar of rules, `[if CONDITION and ... then] CONDITION and ...`: text to conditions and back."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, cast

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
Relation = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is missing", "is present"]
Form = Literal["word", "value", "column"]

KEYWORDS = frozenset({"if", "then", "and", "or", "in", "not", "is", "missing", "present"})
WORD = re.compile(r"[^\s`\"'=!<>(),]+")
TOKEN = re.compile(
    r"(?P<column>`(?:[^`]|``)+`)"
    r"|(?P<value>\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*')"
    r"|(?P<sign><=|>=|!=|=|<|>)"
    r"|(?P<mark>[(),])"
    rf"|(?P<word>{WORD.pattern})"
)
RELATIONS = "one of =, !=, <, <=, >, >=, in (...), not in (...), is missing, is present"


class Operand(NamedTuple):
    """What a column is compared with.

    Attributes:
        text: The text, without quotes or backticks.
        form: `value` where it stood in quotes, `column` where it stood in backticks; a bare `word` is a column where
            the table has one of that name, else a value.
    """

    text: str
    form: Form

    def __str__(self) -> str:
        """Write it as `read` reads it."""
        if self.form == "value":
            return '"' + self.text.replace('"', '""') + '"'
        return self.text if self.form == "word" else "`" + self.text.replace("`", "``") + "`"


class Condition(NamedTuple):
    """One demand on one column.

    Attributes:
        column: Its name.
        relation: What must hold.
        operands: One for a comparison, one or more values for `in` and `not in`, none for `is`.
    """

    column: str
    relation: Relation
    operands: tuple[Operand, ...] = ()

    def __str__(self) -> str:
        """Write it as `read` reads it."""
        bare = WORD.fullmatch(self.column) and self.column not in KEYWORDS
        words = [str(Operand(self.column, "word" if bare else "column")), self.relation]
        if self.relation in ("in", "not in"):
            words.append(f"({', '.join(map(str, self.operands))})")
        else:
            words += map(str, self.operands)
        return " ".join(words)


@dataclass(frozen=True)
class Sentence:
    """A rule as it was understood.

    Attributes:
        given: Where all of these hold, the rule applies; empty where it always does.
        then: All of these must hold there.
    """

    given: tuple[Condition, ...]
    then: tuple[Condition, ...]

    def __str__(self) -> str:
        """Write it as `read` reads it."""
        given, then = (" and ".join(map(str, part)) for part in (self.given, self.then))
        return f"if {given} then {then}" if self.given else then


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


@lru_cache(maxsize=4096)
def read(text: str) -> Sentence:
    """Understand a rule.

    Raises:
        ValueError: If it is none; says what was got, what was wanted, and at which character, counted from 1.
    """
    reader = _Reader(text)
    given: tuple[Condition, ...] = ()
    if reader.took("if"):
        given = reader.conditions("'and' or 'then'")
        reader.demand("then", "'and' or 'then'")
    then = reader.conditions("'and' or the end")
    if reader.next.kind != "end":
        raise reader.wrong("'and' or the end")
    return Sentence(given, then)


class _Reader:
    """Tokens of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.at = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def _tokens(self) -> list[_Token]:
        found: list[_Token] = []
        at = 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            match = TOKEN.match(self.text, at)
            if match is None:
                unended = self.text[at] in "`\"'"
                wanted = f"one more {self.text[at]} to end what it begins" if unended else "a name, a value or a sign"
                raise ValueError(f"got {self.text[at]!r} at position {at + 1}, wanted {wanted}")
            found.append(_Token(str(match.lastgroup), match.group(), at + 1))
            at = match.end()
        return [*found, _Token("end", "the end", len(self.text) + 1)]

    def wrong(self, wanted: str) -> ValueError:
        """Return the complaint about the next token."""
        got = self.next
        shown = got.text if got.kind == "end" else repr(got.text)
        hint = "; rules know no 'or': write `in (...)` or several rules" if got.text == "or" else ""
        return ValueError(f"got {shown} at position {got.position}, wanted {wanted}{hint}")

    def took(self, text: str) -> bool:
        """Take the next token if it is that keyword, sign or mark."""
        if self.next.kind in ("word", "sign", "mark") and self.next.text == text:
            self.at += 1
            return True
        return False

    def demand(self, text: str, wanted: str) -> None:
        """Take the next token, which must be that one."""
        if not self.took(text):
            raise self.wrong(wanted)

    def conditions(self, after: str) -> tuple[Condition, ...]:
        """Take conditions with `and` between them."""
        found = [self._condition()]
        while self.took("and"):
            found.append(self._condition())
        if self.next.kind in ("word", "value", "column") and self.next.text not in KEYWORDS:
            raise self.wrong(f"{after}; a value of several words stands in quotes")
        return tuple(found)

    def _condition(self) -> Condition:
        column = self._operand("a column's name")
        if column.form == "value":
            self.at -= 1
            raise self.wrong("a column's name, bare or in backticks")
        if self.took("is"):
            if self.took("missing"):
                return Condition(column.text, "is missing")
            self.demand("present", "'missing' or 'present'")
            return Condition(column.text, "is present")
        if self.took("not"):
            self.demand("in", "'in'")
            return Condition(column.text, "not in", self._values())
        if self.took("in"):
            return Condition(column.text, "in", self._values())
        if self.next.kind != "sign":
            several = self.next.kind == "word" and self.next.text not in KEYWORDS
            raise self.wrong(RELATIONS + ("; a name of several words stands in backticks" if several else ""))
        relation = cast(Comparison, self.next.text)
        self.at += 1
        return Condition(column.text, relation, (self._operand("a value or a column's name"),))

    def _values(self) -> tuple[Operand, ...]:
        self.demand("(", "'(' and values with commas between them")
        values = [self._value()]
        while self.took(","):
            values.append(self._value())
        self.demand(")", "',' or ')'")
        return tuple(values)

    def _value(self) -> Operand:
        value = self._operand("a value")
        if value.form == "column":
            self.at -= 1
            raise self.wrong("a value")
        return value

    def _operand(self, wanted: str) -> Operand:
        kind, text = self.next.kind, self.next.text
        if kind == "word" and text in KEYWORDS:
            raise self.wrong(f"{wanted} (quotes or backticks make a keyword one)")
        if kind not in ("word", "value", "column"):
            raise self.wrong(wanted)
        self.at += 1
        if kind == "word":
            return Operand(text, "word")
        mark = text[0]
        return Operand(text[1:-1].replace(mark * 2, mark), "value" if kind == "value" else "column")
