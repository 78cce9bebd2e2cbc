"""Mined rules: how many synthetic rows break what nearly all real rows keep, though nobody declared it?"""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Interval, Metric, Row, reasoned
from audit.intervals import share_difference, wilson
from audit.reading import Coded, bins, modelled
from audit.reference import independent, need, one_each, parts, some
from tabular.rule_grammar import KEYWORDS, WORD, Condition, Operand
from tabular.schema import Column
from tabular.table import Table

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
NONE_FOUND = "no rule was found that nearly all real rows keep, so there is none to break"


class Implication(NamedTuple):
    """Rows with one code in one column nearly always have one code in another.

    Attributes:
        first: Place of the column of the condition.
        second: Place of the column of the consequence.
        given: Code of the condition.
        then: Code of the consequence.
        support: Training rows of the condition.
        lift: Share of the consequence among them, by its share among all.
    """

    first: int
    second: int
    given: int
    then: int
    support: int
    lift: float


class Order(NamedTuple):
    """One number column nearly never exceeds another.

    Attributes:
        low: Name of the lower column.
        high: Name of the higher column.
        support: Training rows with both.
    """

    low: str
    high: str
    support: int


class Judged(NamedTuple):
    """What two tables, synthetic rows and fresh real ones, make of the rules.

    Attributes:
        hit: Whether a row breaks a rule, for each of the two tables.
        rows: Detail for people, with the number of synthetic rows that break the rule.
    """

    hit: tuple[Mask, Mask]
    rows: list[Row]


class MinedRules(Metric):
    """Share of rows that break a rule which the real rows keep nearly always.

    Two sorts of rules are mined on training rows. Implications, column A = a means column B = b: at least `support`
    rows with a, `confidence` of them with b, and less than that share of all rows with b (else it says nothing).
    Numbers count in at most `widest` quantile bins, missing is a value. Orders, x ≤ y between two number columns, both
    of plain numbers, of times or of durations: at least `support` rows with both, `order` of them so, and at least
    `tolerance` not so if the two were independent (else the ranges alone say it). A rule is kept if it concerns half A
    of the holdout and at most `tolerance` of the rows there that it applies to break it; the implications of highest
    lift, at most `rules`, stay, and so many orders. The value is over all synthetic rows, the reference over half B.
    Intervals are Wilson's, the gap's is Newcombe's; rows of one privacy unit count as one
    (`audit.reference.independent`), and training rows are one of each unit. Where no rule is found no row can break
    one: the value is 0, exactly.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Mined rules"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Share of synthetic rows that break an implication or order that at least 99.5 % (99.9 %) of real rows keep; 0 "
        "(none) to 1 (association rules: Agrawal, Imielinski & Swami, 1993, doi:10.1145/170035.170072)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """What counts as a rule.

        Attributes:
            minimum: Fewest rows in half of the holdout.
            support: Fewest training rows that a rule is about.
            confidence: Share of them that keep an implication.
            order: Share of them that keep an order.
            tolerance: Largest share of half A that may break it.
            rules: Most implications, and most orders, that are kept.
            widest: Most bins of a number column.
            categories: Most frequent categories of a column that are told apart.
            most: Most training rows that rules are mined on, drawn at random.
        """

        minimum: PositiveInt = 50
        support: PositiveInt = 200
        confidence: float = Field(default=0.995, gt=0.5, le=1)
        order: float = Field(default=0.999, gt=0.5, le=1)
        tolerance: float = Field(default=0.005, ge=0, lt=0.5)
        rules: PositiveInt = 500
        widest: PositiveInt = 10
        categories: PositiveInt = 200
        most: PositiveInt = 100_000

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Mine the rules, keep those that hold in half A, and count who breaks them."""
        columns = modelled(evidence.holdout.schema, 2)
        confirming, fresh = parts(evidence.holdout, 2, rng)
        for got, where in ((confirming, "half of the holdout"), (fresh, "half of the holdout")):
            need(len(got), self.config.minimum, where)
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        training = one_each(evidence.train, rng)
        need(len(training), self.config.support, "the training table, one row of each privacy unit,")
        known = (evidence.train.take(some(training, self.config.most, rng)), evidence.holdout.take(confirming))
        judged = (evidence.synthetic, evidence.holdout.take(fresh))
        implied = self._implications(columns, known, judged)
        ordered = self._orders(columns, known, judged)
        hit = [a | b for a, b in zip(implied.hit, ordered.hit, strict=True)]
        rows = sorted(implied.rows + ordered.rows, key=lambda row: float(row["synthetic_share"] or 0), reverse=True)
        shares = [float(each.mean()) for each in hit]
        n, m = float(len(hit[0])), independent(judged[1])
        exact = Interval(low=0.0, high=0.0) if not rows else None
        return Estimate(
            value=shares[0],
            interval=exact or wilson(shares[0] * n, n),
            reference=shares[1],
            reference_interval=exact or wilson(shares[1] * m, m),
            gap=shares[0] - shares[1],
            gap_interval=exact or share_difference(shares[0], shares[1], n, m),
            detail=tuple(rows[:DETAIL_ROWS]) or ({"rule": NONE_FOUND},),
            rows=len(hit[0]),
        )

    def _implications(
        self, columns: Sequence[Column], known: tuple[Table, Table], judged: tuple[Table, Table]
    ) -> Judged:
        tables = (*known, *judged)
        coded = [bins(each, known[0], tables, self.config.widest, self.config.categories) for each in columns]
        found: list[Implication] = []
        for first, second in combinations(range(len(columns)), 2):
            train, half = (_met(coded[first], coded[second], side) for side in (0, 1))
            found += self._mined(train, half, (first, second))
            found += self._mined(train.T, half.T, (second, first))
        kept = sorted(found, key=lambda each: -each.lift)[: self.config.rules]
        hit = (np.zeros(len(judged[0]), dtype=bool), np.zeros(len(judged[1]), dtype=bool))
        rows: list[Row] = []
        for first, second in sorted({(each.first, each.second) for each in kept}):
            rules = [each for each in kept if (each.first, each.second) == (first, second)]
            breaks = np.zeros((coded[first].size, coded[second].size), dtype=bool)
            for rule in rules:
                breaks[rule.given] = True
                breaks[rule.given, rule.then] = False
            for side in (0, 1):
                hit[side][breaks[coded[first].codes[2 + side], coded[second].codes[2 + side]]] = True
            broken = [(_met(coded[first], coded[second], side) * breaks).sum(axis=1) for side in (2, 3)]
            for rule in rules:
                words = [
                    _words(columns[place], coded[place], code)
                    for place, code in ((first, rule.given), (second, rule.then))
                ]
                counts = int(broken[0][rule.given]), int(broken[1][rule.given])
                rows.append(_row(f"if {words[0]} then {words[1]}", rule.support, counts, hit))
        return Judged(hit, rows)

    def _mined(self, train: Counts, half: Counts, place: tuple[int, int]) -> list[Implication]:
        """Return the rules from the rows of a table of counts to its columns, shape (K, L)."""
        support, all_rows = train.sum(axis=1), max(int(train.sum()), 1)
        then = train.argmax(axis=1)
        codes = np.arange(len(train))
        confidence = train[codes, then] / np.maximum(support, 1)
        base = train.sum(axis=0)[then] / all_rows
        seen = half.sum(axis=1)
        broken = seen - half[codes, then]
        kept = (support >= self.config.support) & (confidence >= self.config.confidence)
        kept &= (base < self.config.confidence) & (seen > 0) & (broken <= self.config.tolerance * seen)
        return [
            Implication(*place, int(code), int(then[code]), int(support[code]), float(confidence[code] / base[code]))
            for code in np.flatnonzero(kept)
        ]

    def _orders(self, columns: Sequence[Column], known: tuple[Table, Table], judged: tuple[Table, Table]) -> Judged:
        numbers = [column for column in columns if column.is_number]
        values = {column.name: tuple(table.numbers(column.name) for table in (*known, *judged)) for column in numbers}
        hit = (np.zeros(len(judged[0]), dtype=bool), np.zeros(len(judged[1]), dtype=bool))
        rows: list[Row] = []
        for first, second in combinations(numbers, 2):
            if _unit(first) != _unit(second):
                continue
            for low, high in ((first.name, second.name), (second.name, first.name)):
                support = self._order(values[low], values[high])
                if support and len(rows) < self.config.rules:
                    broken = [values[low][2 + side] > values[high][2 + side] for side in (0, 1)]
                    for each, wrong in zip(hit, broken, strict=True):
                        each |= wrong
                    words = str(Condition(low, "<=", (Operand(high, _form(high, "column")),)))
                    rows.append(_row(words, support, (int(broken[0].sum()), int(broken[1].sum())), hit))
        return Judged(hit, rows)

    def _order(self, low: Sequence[NDArray[np.float64]], high: Sequence[NDArray[np.float64]]) -> int:
        """Return on how many training rows `low ≤ high` was found, 0 where it is no rule."""
        both = ~(np.isnan(low[0]) | np.isnan(high[0]))
        support = int(both.sum())
        if support < self.config.support or (low[0] > high[0]).sum() > (1 - self.config.order) * support:
            return 0
        below = np.searchsorted(np.sort(high[0][both]), low[0][both], side="left")
        seen = int((~(np.isnan(low[1]) | np.isnan(high[1]))).sum())
        by_chance = float(below.mean()) / support
        confirmed = seen > 0 and int((low[1] > high[1]).sum()) <= self.config.tolerance * seen
        return support if confirmed and by_chance >= self.config.tolerance else 0


def _met(first: Coded, second: Coded, side: int) -> Counts:
    """Count how often two columns' codes meet in one of the tables, shape (K, L)."""
    a, b = first.codes[side], second.codes[side]
    return np.bincount(a * second.size + b, minlength=first.size * second.size).reshape(first.size, second.size)


def _unit(column: Column) -> str:
    """Say what a number column counts in: only like can be ordered."""
    return {"integer": "number", "real": "number", "duration": "duration"}.get(column.physical, "time")


def _form(text: str, other: Literal["value", "column"]) -> Literal["word", "value", "column"]:
    return "word" if WORD.fullmatch(text) and text not in KEYWORDS else other


def _words(column: Column, coded: Coded, code: int) -> str:
    """Say one code of one column."""
    if code == coded.size - 1:
        return str(Condition(column.name, "is missing"))
    name = coded.names[code]
    if column.is_code and name == "other" and name not in map(str, column.categories):
        return f"{column.name} is one of its rarest"
    if column.is_code:
        return str(Condition(column.name, "=", (Operand(name, _form(name, "value")),)))
    shown = str(Operand(column.name, _form(column.name, "column")))
    return f"{shown} in {name}" if name.startswith("(") else f"{shown} {name}"


def _row(words: str, support: int, broken: tuple[int, int], judged: tuple[Mask, Mask]) -> Row:
    return {
        "rule": words,
        "training_rows": support,
        "broken_rows": broken[0],
        "synthetic_share": broken[0] / len(judged[0]),
        "real_share": broken[1] / len(judged[1]),
    }
