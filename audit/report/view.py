"""The document arranged as the page shows it: every list bounded, every row with its verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from audit.core import QUESTIONS, Estimate, Question
from audit.report import charts
from audit.report.answers import Answer, Check, Gate, ModelAudit
from audit.report.document import Document
from audit.report.wording import clean, number, percent

DRAWN_COLUMNS = 60
DETAIL_ROWS = 20
DETAIL_KEYS = 8
LISTED_COLUMNS = 1_000
LISTED_BREACHES = 20
MAPPED_COLUMNS = 30
MAP_COVERAGE = 0.6


@dataclass(frozen=True)
class Line:
    """One metric of one model: what was found, what was demanded, and the status shown for it."""

    model: str
    metric: str
    question: str
    answer: Answer | None
    gate: Gate | None

    @property
    def status(self) -> str:
        """The gate's verdict, `reported` where nothing was demanded, `not_computed` where there is no value."""
        if self.answer is None or self.answer.estimate.value is None:
            return "not_computed"
        return "reported" if self.gate is None else self.gate.verdict

    @property
    def title(self) -> str:
        """The metric's name for people, or the name that the demand uses where the metric did not run."""
        return self.metric if self.answer is None else self.answer.title

    @property
    def reason(self) -> str:
        """Why there is no value; empty where there is one."""
        if self.answer is None:
            return "This metric did not run."
        return self.answer.estimate.not_computed or ""

    @property
    def estimate(self) -> Estimate:
        """What was found; an estimate without a value where the metric did not run."""
        return Estimate(value=None, not_computed=self.reason) if self.answer is None else self.answer.estimate


@dataclass(frozen=True)
class Detail:
    """Rows of a table behind one estimate, and a map where they are pairs of columns."""

    model: str
    keys: tuple[str, ...]
    rows: tuple[tuple[float | int | str | None, ...], ...]
    left_out: int
    drawing: Markup | None


@dataclass(frozen=True)
class MetricView:
    """One metric over all models."""

    name: str
    title: str
    definition: str
    better: str
    ideal: float | None
    strips: tuple[tuple[Line, Markup], ...]
    axis: Markup
    details: tuple[Detail, ...]

    @property
    def demands(self) -> tuple[str, ...]:
        """What was demanded, each wording once."""
        return tuple(dict.fromkeys(line.gate.demand for line, _ in self.strips if line.gate is not None))


@dataclass(frozen=True)
class ContractView:
    """One set of rows against the contract: what holds per kind of expectation, and what does not."""

    rows: str
    held: dict[str, tuple[int, int]]
    broken: tuple[Check, ...]

    @property
    def total(self) -> tuple[int, int]:
        """How many expectations hold, and how many there are."""
        return sum(held for held, _ in self.held.values()), sum(all_ for _, all_ in self.held.values())


def lines(model: ModelAudit) -> tuple[Line, ...]:
    """Return one model's metrics by question, those demanded first; a demand without a metric is a line too."""
    gates = {gate.metric: gate for gate in model.gates}
    found = [
        Line(model.name, f"{question}.{name}", question, answer, gates.pop(f"{question}.{name}", None))
        for question in QUESTIONS
        for name, answer in model.estimates.get(question, {}).items()
    ]
    found += [Line(model.name, metric, metric.split(".", 1)[0], None, gate) for metric, gate in gates.items()]
    order: dict[str, int] = {question: place for place, question in enumerate(QUESTIONS)}
    return tuple(sorted(found, key=lambda line: (order.get(line.question, len(order)), line.gate is None)))


def metrics(document: Document, question: Question) -> tuple[MetricView, ...]:
    """Return one question's metrics over all models."""
    by_metric: dict[str, list[Line]] = {}
    for model in document.models:
        for line in lines(model):
            if line.question == question:
                by_metric.setdefault(line.metric, []).append(line)
    names = frozenset(column.name for column in document.inputs.columns)
    return tuple(_metric(found, names) for found in by_metric.values())


def contract(document: Document) -> tuple[ContractView, ...]:
    """Return the contract's results of the real rows and of each model."""
    sets = [("real rows", document.contract), *((model.name, model.contract) for model in document.models)]
    return tuple(_contract(name, checks) for name, checks in sets)


def marginal_charts(model: ModelAudit) -> list[tuple[str, str, str, str, Markup]]:
    """Return column, difference, first and last label, and drawing of the columns that differ most."""
    shown = sorted((one for one in model.marginals if one.labels), key=lambda one: -one.difference)[:DRAWN_COLUMNS]
    return [
        (
            one.column,
            percent(one.difference),
            one.labels[0] if one.reads == "numbers" else "",
            one.labels[-1] if one.reads == "numbers" and len(one.labels) > 1 else "",
            charts.shares(one),
        )
        for one in shown
    ]


def _metric(found: Sequence[Line], columns: frozenset[str]) -> MetricView:
    answered = [line.answer for line in found if line.answer is not None]
    bounds = [line.gate.bound for line in found if line.gate is not None and line.gate.bound is not None]
    scale = charts.Scale.over(answered, bounds)
    first = answered[0] if answered else None
    return MetricView(
        name=found[0].metric,
        title=found[0].metric if first is None else first.title,
        definition="" if first is None else first.definition,
        better="none" if first is None else first.better,
        ideal=None if first is None else first.ideal,
        strips=tuple(
            (line, Markup("") if line.answer is None else charts.strip(line.answer, line.gate, line.status, scale))
            for line in found
        ),
        axis=charts.axis(scale) if any(line.estimate.value is not None for line in found) else Markup(""),
        details=tuple(_details(found, columns)),
    )


def _details(found: Sequence[Line], columns: frozenset[str]) -> Iterator[Detail]:
    for line in found:
        rows = line.estimate.detail
        if rows:
            keys = tuple(dict.fromkeys(key for row in rows[:DETAIL_ROWS] for key in row))[:DETAIL_KEYS]
            yield Detail(
                model=line.model,
                keys=keys,
                rows=tuple(tuple(row.get(key) for key in keys) for row in rows[:DETAIL_ROWS]),
                left_out=max(0, len(rows) - DETAIL_ROWS),
                drawing=_pair_map(line, columns),
            )


def _pair_map(line: Line, columns: frozenset[str]) -> Markup | None:
    """Draw the detail as a map where its rows are most of the pairs of some columns, each with a number."""
    values: dict[tuple[str, str], float] = {}
    key = ""
    for row in line.estimate.detail:
        texts = [value for value in row.values() if isinstance(value, str)]
        figures = [(name, value) for name, value in row.items() if isinstance(value, int | float)]
        if len(texts) != 2 or not figures or not columns.issuperset(texts):
            return None
        key, value = figures[0]
        values[texts[0], texts[1]] = value
    named = list(dict.fromkeys(name for pair in values for name in pair))[:MAPPED_COLUMNS]
    inside = {pair: value for pair, value in values.items() if set(pair) <= set(named)}
    if len(named) < 3 or len(inside) < MAP_COVERAGE * len(named) * (len(named) - 1) / 2:
        return None
    (first, second), worst = max(inside.items(), key=lambda item: item[1])
    said = (
        f"{clean(key, 30)} of {len(inside)} pairs of columns; highest for {clean(first, 48)} and {clean(second, 48)}: "
        f"{number(worst)}"
    )
    return charts.pair_map(named, inside, said)


def _contract(name: str, checks: Sequence[Check]) -> ContractView:
    held: dict[str, tuple[int, int]] = {}
    for check in checks:
        good, total = held.get(check.expectation, (0, 0))
        held[check.expectation] = (good + check.success, total + 1)
    return ContractView(name, held, tuple(check for check in checks if not check.success))
