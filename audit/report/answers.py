"""What was found about one model's rows: checks, answers, gates and a verdict, as plain frozen data."""

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from audit.core import Estimate, Interval, Metric, Question
from audit.report.marginals import Marginal

Verdict = Literal["accepted", "refused", "inconclusive", "invalid"]
GateVerdict = Literal["passed", "failed", "inconclusive", "invalid"]


class Part(BaseModel):
    """A frozen piece of the document, in which every number is finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rows(Part):
    """A set of rows.

    Attributes:
        rows: How many.
        sha256: Of the file that holds them; None where it is not told.
    """

    rows: int
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Check(Part):
    """What one expectation of the contract found.

    Attributes:
        expectation: Name of the expectation.
        column: The column that it looks at; None where it looks at the whole table.
        success: Whether it holds.
        unexpected: Share of rows that break it, in [0, 1].
        sentence: What was found, in words.
    """

    expectation: str
    column: str | None = None
    success: bool
    unexpected: float | None = None
    sentence: str


class Waiver(Part):
    """Somebody's word that a gate does not count for a while.

    Attributes:
        reason: Why.
        author: Who says so.
        expires: The day after which it counts again.
    """

    reason: str = Field(min_length=1)
    author: str = Field(min_length=1)
    expires: date


class Gate(Part):
    """One demand of the policy or of the specification and whether it was met.

    Attributes:
        metric: Name of the metric, `question.name`.
        demand: The demand as a sentence.
        verdict: Whether it was met.
        origin: Who demands it: the policy, or the specification beyond it.
        value: What the synthetic rows got.
        interval: Its uncertainty.
        reference: What fresh real rows get.
        bound: The value that the demand comes to, drawn in the charts.
        fails_beyond: The value beyond which the whole interval must lie for a failure.
        power: What could have been seen with so many rows, as a sentence.
        waiver: Who waived it until when, and why; it then counts neither way.
        sentence: Why this verdict.
    """

    metric: str
    demand: str
    verdict: GateVerdict
    origin: Literal["policy", "specification"] = "policy"
    value: float | None = None
    interval: Interval | None = None
    reference: float | None = None
    bound: float | None = None
    fails_beyond: float | None = None
    power: str | None = None
    waiver: Waiver | None = None
    sentence: str = ""


class Control(Part):
    """Rows whose faults are known, put to the same gates: the audit's own audit.

    Attributes:
        name: `fresh`, `copy`, `paste` or `shuffled`.
        title: What the rows are, in words.
        question: Which question they were put to; None for every gate.
        expected: What the gates must say.
        got: What they said: `failed` where one gate failed, `inconclusive` where none did but one was open.
        right: Whether that is as expected; None where the rows were too few to tell.
        gates: The gates, one by one.
        sentence: What follows.
    """

    name: str
    title: str
    question: Question | None = None
    expected: Literal["passed", "failed"]
    got: GateVerdict
    right: bool | None
    gates: tuple[Gate, ...] = ()
    sentence: str = ""


class NotAsked(Part):
    """A gate of the policy that the table gives nothing to judge by.

    Attributes:
        metric: Name of the metric, `question.name`.
        reason: What the table lacks.
    """

    metric: str
    reason: str


class Answer(Part):
    """One metric's words and its estimate; figures that are not numbers become “not computed”.

    Attributes:
        title: The metric's name for people.
        definition: What is computed, its range and its source, in one sentence.
        better: Whether a lower or a higher value is better, or neither.
        ideal: The value of a perfect generator with no noise.
        spread: Whether the value is a sample's with an interval, an exact count, or itself a bound of confidence.
        estimate: What was found.
    """

    title: str
    definition: str
    better: Literal["lower", "higher", "none"]
    ideal: float
    spread: Literal["interval", "exact", "bound"] = "interval"
    estimate: Estimate

    @field_validator("estimate")
    @classmethod
    def _finite_figures(cls, estimate: Estimate) -> Estimate:
        return _finite_estimate(estimate)

    @classmethod
    def of(cls, metric: type[Metric], estimate: Estimate) -> Self:
        """Put a metric's own words beside its estimate."""
        return cls(
            title=metric.title,
            definition=metric.definition,
            better=metric.better,
            ideal=metric.ideal,
            spread=metric.spread,
            estimate=estimate,
        )


class ModelAudit(Part):
    """Everything about one model's rows.

    Attributes:
        name: The family.
        settings: Its settings, defaults included.
        notes: Figures of the fit.
        seconds: Wall time in seconds, by stage.
        synthetic: Its rows.
        verdict: Whether they may be released.
        reasons: Why, one sentence each.
        gates: The demands, one by one.
        not_asked: Gates of the policy that the table gives nothing to judge by.
        controls: What the same gates said of rows whose faults are known.
        estimates: Every metric's answer, by question and by the metric's short name.
        marginals: Shares of single columns for the charts.
        contract: What the contract says of its rows.

    Raises:
        ValueError: If a gate passed although its metric was not computed.
    """

    name: str
    settings: dict[str, JsonValue] = {}
    notes: dict[str, float | str] = {}
    seconds: dict[str, float] = {}
    synthetic: Rows
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    not_asked: tuple[NotAsked, ...] = ()
    controls: tuple[Control, ...] = ()
    estimates: dict[Question, dict[str, Answer]] = {}
    marginals: tuple[Marginal, ...] = ()
    contract: tuple[Check, ...] = ()

    @field_validator("settings", mode="before")
    @classmethod
    def _finite_settings(cls, settings: Any) -> Any:
        return _finite(settings)

    @field_validator("notes", mode="before")
    @classmethod
    def _spelled_notes(cls, notes: Any) -> Any:
        return _spelled(notes)

    @model_validator(mode="after")
    def _nothing_passes_uncomputed(self) -> Self:
        for gate in self.gates:
            answer = self.answer(gate.metric)
            if gate.verdict == "passed" and (answer is None or answer.estimate.value is None):
                raise ValueError(
                    f"model {self.name!r}: gate {gate.metric!r} passed, but there is no value of this metric"
                )
        return self

    def answer(self, metric: str) -> Answer | None:
        """Return the answer of the metric `question.name`, if it is there."""
        for question, answers in self.estimates.items():
            for name, answer in answers.items():
                if metric == f"{question}.{name}":
                    return answer
        return None


def _finite_estimate(estimate: Estimate) -> Estimate:
    """Turn figures that are not numbers into none, so that they are never written and never look like an answer."""
    changes: dict[str, Any] = {"detail": tuple(_finite(dict(row)) for row in estimate.detail)}
    for name in ("interval", "reference_interval", "gap_interval"):
        if not _whole(getattr(estimate, name)):
            changes[name] = None
    if estimate.reference is not None and not math.isfinite(estimate.reference):
        changes |= {"reference": None, "reference_interval": None}
    if estimate.gap is not None and not math.isfinite(estimate.gap):
        changes |= {"gap": None, "gap_interval": None}
    changes["curves"] = tuple(curve for curve in estimate.curves if all(map(math.isfinite, (*curve.x, *curve.y))))
    if estimate.value is None:
        changes |= {
            "interval": None,
            "not_computed": estimate.not_computed or "The metric gave no value and no reason.",
        }
    elif not math.isfinite(estimate.value):
        reason = estimate.not_computed or f"The metric gave {estimate.value}, which is not a number."
        changes |= {"value": None, "interval": None, "not_computed": reason}
    return estimate.model_copy(update=changes)


def _whole(interval: Interval | None) -> bool:
    return interval is None or all(map(math.isfinite, (interval.low, interval.high, interval.level)))


def _finite(value: Any) -> Any:
    """Return plain values with every figure that is not a number replaced by none."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _spelled(value: Any) -> Any:
    """Return notes with every figure that is not a number spelled out."""
    if not isinstance(value, Mapping):
        return value
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in value.items()}
