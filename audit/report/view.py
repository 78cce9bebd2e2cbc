"""The document arranged as the page shows it: every list bounded, every row with its verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from audit.core import QUESTIONS, Estimate, Question
from audit.report import charts
from audit.report.answers import Answer, Check, Gate, ModelAudit
from audit.report.demands import MILDEST
from audit.report.document import Document
from audit.report.frame import ticks
from audit.report.panel import Panel
from audit.report.panels import panels
from audit.report.wording import percent

DRAWN_COLUMNS = 60
LISTED_COLUMNS = 1_000
FIRST: dict[Question, tuple[str, ...]] = {
    "privacy": (
        "membership_inference",
        "membership_epsilon",
        "membership_outliers",
        "attribute_inference",
        "attribute_inference_outliers",
        "exact_copies",
    ),
    "fidelity": ("column_shapes", "worst_column", "pair_trends", "worst_pair", "subsample_equivalence", "detection"),
}
LISTED_BREACHES = 20
NEAREST = ("accepted", "inconclusive", "invalid", "refused")


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
class Shown:
    """One model's pictures of one metric: those shown at once, and the tables behind a summary."""

    model: str
    open: tuple[Panel, ...]
    closed: tuple[Panel, ...]


@dataclass(frozen=True)
class MetricView:
    """One metric over all models."""

    name: str
    title: str
    definition: str
    better: str
    ideal: float | None
    spread: str
    strips: tuple[tuple[Line, Markup], ...]
    axis: Markup
    shown: tuple[Shown, ...]

    @property
    def is_demanded(self) -> bool:
        """Whether anybody demands anything of it, or it has something to show by a picture."""
        return bool(self.demands) or any(each.open for each in self.shown)

    @property
    def demands(self) -> tuple[str, ...]:
        """What was demanded, each wording once."""
        return tuple(dict.fromkeys(line.gate.demand for line, _ in self.strips if line.gate is not None))

    @property
    def set_by(self) -> tuple[tuple[str, str], ...]:
        """Who demands what of it, each wording once."""
        gates = [line.gate for line, _ in self.strips if line.gate is not None]
        return tuple(dict.fromkeys((gate.origin, gate.demand) for gate in gates))


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
    # Of several gates of one metric the gravest that counts is shown.
    mildest = sorted(model.gates, key=lambda gate: (gate.waiver is None, MILDEST.index(gate.verdict)))
    gates = {gate.metric: gate for gate in mildest}
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
    for model in chosen_first(document):
        for line in lines(model):
            if line.question == question:
                by_metric.setdefault(line.metric, []).append(line)
    names = tuple(column.name for column in document.inputs.columns)
    places = {f"{question}.{name}": place for place, name in enumerate(FIRST.get(question, ()))}
    ordered = sorted(by_metric, key=lambda metric: places.get(metric, len(places)))
    return tuple(_metric(by_metric[metric], names) for metric in ordered)


def chosen_first(document: Document) -> list[ModelAudit]:
    """Return the models, the one whose rows are released first, then those that came nearest to it."""
    return sorted(document.models, key=lambda model: (model.name != document.chosen, NEAREST.index(model.verdict)))


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


def _metric(found: Sequence[Line], columns: Sequence[str]) -> MetricView:
    answered = [line.answer for line in found if line.answer is not None]
    bounds = [line.gate.bound for line in found if line.gate is not None and line.gate.bound is not None]
    scale = charts.scale(answered, bounds)
    first = answered[0] if answered else None
    return MetricView(
        name=found[0].metric,
        title=found[0].metric if first is None else first.title,
        definition="" if first is None else first.definition,
        better="none" if first is None else first.better,
        ideal=None if first is None else first.ideal,
        spread="" if first is None else first.spread,
        strips=tuple(
            (line, Markup("") if line.answer is None else charts.strip(line.answer, line.gate, line.status, scale))
            for line in found
        ),
        axis=ticks(scale) if any(line.estimate.value is not None for line in found) else Markup(""),
        shown=tuple(each for each in _shown(found, columns) if each.open or each.closed),
    )


def _shown(found: Sequence[Line], columns: Sequence[str]) -> Iterator[Shown]:
    for line in found:
        if line.answer is not None and line.status != "not_computed":
            drawn = panels(line.metric, line.answer, line.gate, columns)
            yield Shown(
                model=line.model,
                open=tuple(panel for panel in drawn if panel.is_open),
                closed=tuple(panel for panel in drawn if not panel.is_open),
            )


def _contract(name: str, checks: Sequence[Check]) -> ContractView:
    held: dict[str, tuple[int, int]] = {}
    for check in checks:
        good, total = held.get(check.expectation, (0, 0))
        held[check.expectation] = (good + check.success, total + 1)
    return ContractView(name, held, tuple(check for check in checks if not check.success))
