"""The gates as the page shows them: one row each, the controls, and what was waived or could not be asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.core import QUESTIONS, Question
from audit.report.answers import Answer, Control, Gate, ModelAudit
from audit.report.document import Document
from audit.report.wording import number

ORDER: tuple[Question, ...] = ("privacy", *(question for question in QUESTIONS if question != "privacy"))
MILDEST = ("passed", "inconclusive", "invalid", "failed")
HEADLINES: dict[str, str] = {
    "accepted": "Every demand was met",
    "refused": "No model’s rows met every demand",
    "inconclusive": "Not every demand could be shown to be met, or to be missed",
    "invalid": "The audit cannot be carried by this data, so nothing follows from it",
}


@dataclass(frozen=True)
class Row:
    """One gate of one model, beside the answer that it judges."""

    question: str
    title: str
    gate: Gate
    answer: Answer | None

    @property
    def reason(self) -> str:
        """Why there is no value; empty where there is one."""
        if self.answer is None:
            return "This metric did not run."
        return self.answer.estimate.not_computed or ""

    @property
    def against(self) -> str:
        """The value against the floor: times as much where nothing is perfect, else the difference."""
        return "–" if self.answer is None else against(self.answer)


@dataclass(frozen=True)
class Tried:
    """The same controls of one or several models."""

    models: tuple[str, ...]
    controls: tuple[Control, ...]


def against(answer: Answer) -> str:
    """Say how far a value lies from what fresh real rows score."""
    value, reference = answer.estimate.value, answer.estimate.reference
    if value is None or reference is None:
        return "–"
    if answer.ideal == 0 and reference > 0 and value >= 0:
        return f"{number(value / reference)} ×"
    gap = value - reference if answer.estimate.gap is None else answer.estimate.gap
    return f"+{number(gap)}" if gap > 0 else number(gap)


def rows(model: ModelAudit) -> tuple[Row, ...]:
    """Return one model's gates by question."""
    order: dict[str, int] = {question: place for place, question in enumerate(ORDER)}
    found = []
    for gate in model.gates:
        answer = model.answer(gate.metric)
        found.append(Row(gate.metric.split(".", 1)[0], gate.metric if answer is None else answer.title, gate, answer))
    return tuple(sorted(found, key=lambda row: order.get(row.question, len(order))))


def overview(models: Sequence[ModelAudit]) -> list[tuple[str, str, str, list[Row | None]]]:
    """Return every gate once, with what it says of each model: question, metric, title, and one row per model."""
    by_model = [_gravest(rows(model)) for model in models]
    every = {name: row for held in reversed(by_model) for name, row in held.items()}
    order: dict[str, int] = {question: place for place, question in enumerate(ORDER)}
    first = {name: place for held in reversed(by_model) for place, name in enumerate(held)}
    names = sorted(every, key=lambda name: (order.get(every[name].question, len(order)), first[name]))
    return [(every[name].question, name, every[name].title, [held.get(name) for held in by_model]) for name in names]


def _gravest(found: Iterable[Row]) -> dict[str, Row]:
    """Return one row a metric: of several gates the gravest that counts."""
    every = list(found)
    mildest = sorted(every, key=lambda row: (row.gate.waiver is None, MILDEST.index(row.gate.verdict)))
    chosen = {row.gate.metric: row for row in mildest}
    return {row.gate.metric: chosen[row.gate.metric] for row in every}


def tried(models: Sequence[ModelAudit]) -> list[Tried]:
    """Return the controls, those that are the same for several models once."""
    found: list[Tried] = []
    for model in models:
        same = next((place for place, one in enumerate(found) if one.controls == model.controls), None)
        if same is not None:
            found[same] = Tried((*found[same].models, model.name), model.controls)
        elif model.controls:
            found.append(Tried((model.name,), model.controls))
    return found


def waived(models: Sequence[ModelAudit]) -> list[tuple[Gate, str, list[str]]]:
    """Return every waived gate once, with its title and the models that it concerns."""
    found: dict[tuple[str, str, str], tuple[Gate, str, list[str]]] = {}
    for model in models:
        for row in rows(model):
            if row.gate.waiver is not None:
                key = (row.gate.metric, row.gate.verdict, row.gate.waiver.model_dump_json())
                found.setdefault(key, (row.gate, row.title, []))[2].append(model.name)
    return list(found.values())


def not_asked(models: Sequence[ModelAudit]) -> list[tuple[str, str, list[str]]]:
    """Return every gate that could not be asked once: metric, reason and the models."""
    found: dict[tuple[str, str], list[str]] = {}
    for model in models:
        for gate in model.not_asked:
            found.setdefault((gate.metric, gate.reason), []).append(model.name)
    return [(metric, reason, names) for (metric, reason), names in found.items()]


def headline(document: Document) -> str:
    """Return the verdict as a sentence that says no more than was shown."""
    sentence = HEADLINES[document.verdict]
    if document.verdict != "accepted":
        return sentence
    chosen = [model for model in document.models if model.name == document.chosen]
    if any(gate.waiver is not None for model in chosen or document.models for gate in model.gates):
        return "Every demand that was not waived was met"
    return sentence
