"""The document without what tells of a few real rows: what is published, named piece by piece; all else is left out."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from pydantic import JsonValue

from audit.report.answers import Check, Control, Gate, ModelAudit, NotAsked, Rows, Waiver
from audit.report.coarse import HIDDEN, INTERNAL, SMALLEST_COUNT, count, figure, sentence
from audit.report.document import LIMITS, ColumnRecord, Document, Environment, Inputs, Policy, Run
from audit.report.marginals import Marginal
from audit.report.public_detail import Known, estimate, interval
from audit.report.public_notes import fitted, notes, why

NAME = re.compile(r"[\w][\w .-]{0,63}")
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
VERSION = re.compile(r"[\w.+!-]{1,40}")
COMMIT = re.compile(r"[0-9a-f]{7,64}")
FILE = re.compile(r"[\w][\w-]{0,63}\.[A-Za-z0-9.]{1,16}")
EXPECTATION = re.compile(r"expect_[a-z_]{1,100}")
# Policies that come with the program; the purpose of any other is somebody's own text.
CONTROL_NAMES = frozenset({"fresh", "copy", "paste", "shuffled"})
OURS = ("structural", "analytics", "ml")
LONGEST_LABEL = 60
SHARE_DECIMALS = 3
WAIVED = f"The reason is {INTERNAL}."
LIMIT = (
    "This edition leaves out real and synthetic rows, names and cells that fewer than ten real rows hold, the lowest "
    "and the highest values, seeds and free text, and rounds its figures. That makes it tell less; it does not make it "
    "anonymous."
)
ENDS = ("lowest range", "highest range")


def scrub(document: Document) -> Document:
    """Return the public edition; scrubbing it again changes nothing."""
    known = _known(document)
    columns = frozenset(known)
    metrics = frozenset(
        f"{q}.{name}" for model in document.models for q, held in model.estimates.items() for name in held
    )
    names = {model.name: _name(model.name, f"model {k + 1}") for k, model in enumerate(document.models)}
    words = columns | {metric for metric in metrics if IDENTIFIER.fullmatch(metric.replace(".", "_"))}
    words |= frozenset(names.values()) | CONTROL_NAMES
    limits = tuple(limit for limit in document.limits if limit in LIMITS)
    return Document(
        edition="public",
        run=_run(document.run),
        policy=_policy(document.policy),
        inputs=_inputs(document.inputs),
        contract=_contract(document.contract, columns, document.inputs.read.rows),
        models=tuple(_model(model, names[model.name], known, words, document) for model in document.models),
        chosen=None if document.chosen is None else names[document.chosen],
        verdict=document.verdict,
        reasons=_said(document.reasons, words, names),
        limits=(*limits, LIMIT),
        environment=_environment(document.environment),
    )


def _known(document: Document) -> dict[str, frozenset[str]]:
    """Return the columns, and of each the labels that ten real rows or more hold in every chart of it."""
    known: dict[str, frozenset[str]] = {column.name: frozenset() for column in document.inputs.columns}
    for model in document.models:
        for marginal in model.marginals:
            if marginal.column in known and marginal.reads == "codes" and _large(marginal, document.inputs):
                known[marginal.column] |= {label for label in marginal.labels if len(label) <= LONGEST_LABEL}
    return known


def _run(run: Run) -> Run:
    return Run(
        spec=_name(run.spec, HIDDEN),
        run=_name(run.run, HIDDEN),
        when=run.when,
        seed=None,
        commit=run.commit if run.commit and COMMIT.fullmatch(run.commit) else None,
        version=run.version if VERSION.fullmatch(run.version) else HIDDEN,
    )


def _policy(policy: Policy) -> Policy:
    return Policy(
        name=_name(policy.name, HIDDEN),
        purpose=policy.purpose if policy.name in OURS else "",
        sha256=policy.sha256,
        audits_so_far=policy.audits_so_far,
    )


def _inputs(inputs: Inputs) -> Inputs:
    """Keep the columns; the hashes of real rows go, for they would confirm a guess of the one row not known."""
    file = PurePosixPath(inputs.source.replace("\\", "/")).name
    names = frozenset(column.name for column in inputs.columns)
    return Inputs(
        source=file if FILE.fullmatch(file) else "not told",
        read=Rows(rows=count(inputs.read.rows)),
        train=Rows(rows=count(inputs.train.rows)),
        holdout=Rows(rows=count(inputs.holdout.rows)),
        split_by=inputs.split_by,
        unit=inputs.unit if inputs.unit in names else None,
        columns=tuple(
            ColumnRecord(
                name=column.name,
                kind=column.kind,
                role=column.role,
                sensitive=column.sensitive,
                note=why(column.note, names),
                fate=column.fate,
            )
            for column in inputs.columns
        ),
        notes=notes(inputs.notes, names),
    )


def _environment(environment: Environment) -> Environment:
    packages = environment.packages.items()
    return Environment(
        lock_sha256=environment.lock_sha256,
        packages={name: each for name, each in packages if VERSION.fullmatch(name) and VERSION.fullmatch(each)},
    )


def _model(model: ModelAudit, name: str, known: Known, words: frozenset[str], document: Document) -> ModelAudit:
    columns = frozenset(known)
    drawn = (_marginal(each, document.inputs) for each in model.marginals if each.column in known)
    return ModelAudit(
        name=name,
        settings=_settings(model.settings),
        notes=fitted(model.notes, columns),
        seconds={stage: figure(taken, 2) for stage, taken in model.seconds.items() if IDENTIFIER.fullmatch(stage)},
        synthetic=model.synthetic,
        verdict=model.verdict,
        reasons=_said(model.reasons, words, {}),
        gates=tuple(_gate(gate, words) for gate in model.gates if _is_metric(gate.metric)),
        not_asked=tuple(
            NotAsked(metric=each.metric, reason=sentence(each.reason, words) or f"Why is {INTERNAL}.")
            for each in model.not_asked
            if _is_metric(each.metric)
        ),
        controls=tuple(_control(each, words) for each in model.controls),
        estimates={
            question: {
                metric: answer.model_copy(update={"estimate": estimate(answer.estimate, known)})
                for metric, answer in answers.items()
                if IDENTIFIER.fullmatch(metric)
            }
            for question, answers in model.estimates.items()
        },
        marginals=tuple(each for each in drawn if each is not None),
        contract=_contract(model.contract, columns, None),
    )


def _settings(settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Keep plain figures and switches; texts and lists may hold categories or edges of the data."""
    kept: dict[str, JsonValue] = {}
    for key, value in settings.items():
        if IDENTIFIER.fullmatch(key) and "seed" not in key:
            if isinstance(value, bool):
                kept[key] = value
            elif isinstance(value, int | float):
                kept[key] = count(value) if isinstance(value, int) and value >= SMALLEST_COUNT else _short(value)
    return kept


def _short(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.3g}")


def _gate(gate: Gate, words: frozenset[str]) -> Gate:
    waiver = gate.waiver
    return Gate(
        metric=gate.metric,
        demand=sentence(gate.demand, words) or f"The demand is {INTERNAL}",
        verdict=gate.verdict,
        origin=gate.origin,
        value=None if gate.value is None else figure(gate.value),
        interval=interval(gate.interval),
        reference=None if gate.reference is None else figure(gate.reference),
        bound=None if gate.bound is None else figure(gate.bound),
        fails_beyond=None if gate.fails_beyond is None else figure(gate.fails_beyond),
        power=None if gate.power is None else sentence(gate.power, words),
        waiver=None
        if waiver is None
        else Waiver(reason=sentence(waiver.reason, words) or WAIVED, author=HIDDEN, expires=waiver.expires),
        sentence=sentence(gate.sentence, words) or "",
    )


def _control(control: Control, words: frozenset[str]) -> Control:
    return Control(
        name=_name(control.name, HIDDEN),
        title=sentence(control.title, words) or "",
        question=control.question,
        expected=control.expected,
        got=control.got,
        right=control.right,
        gates=tuple(_gate(gate, words) for gate in control.gates if _is_metric(gate.metric)),
        sentence=sentence(control.sentence, words) or "",
    )


def _contract(checks: Iterable[Check], columns: frozenset[str], rows: int | None) -> tuple[Check, ...]:
    """Keep which expectations hold; a share of real rows that tells of fewer than ten of them is left out."""
    kept = []
    for check in checks:
        if EXPECTATION.fullmatch(check.expectation) and (check.column is None or check.column in columns):
            share = check.unexpected
            if share is not None:
                few = rows is not None and 0 < share * rows < SMALLEST_COUNT
                share = None if few else figure(share, 2)
            kept.append(
                Check(
                    expectation=check.expectation,
                    column=check.column,
                    success=check.success,
                    unexpected=share,
                    sentence="it holds" if check.success else f"it is broken; how is {INTERNAL}",
                )
            )
    return tuple(kept)


def _marginal(found: Marginal, inputs: Inputs) -> Marginal | None:
    """Keep the cells of a column, all of ten real rows or more; the outermost ranges lose their ends."""
    if not found.labels or not _large(found, inputs):
        return None
    labels = list(found.labels)
    if found.reads == "numbers":
        ranges = len(labels) - (labels[-1] == "missing")
        if ranges > 1:
            labels[0], labels[ranges - 1] = ENDS
        elif ranges == 1:
            labels[0] = "all values"
    else:
        labels = [label if len(label) <= LONGEST_LABEL else HIDDEN for label in labels]
    return found.model_copy(
        update={
            "labels": tuple(labels),
            "real": tuple(round(share, SHARE_DECIMALS) for share in found.real),
            "synthetic": tuple(round(share, SHARE_DECIMALS) for share in found.synthetic),
        }
    )


def _large(marginal: Marginal, inputs: Inputs) -> bool:
    """Whether every cell that holds real rows holds ten of them or more."""
    rows = (inputs.holdout if marginal.against == "holdout" else inputs.train).rows
    return all(share == 0 or round(share * rows) >= SMALLEST_COUNT for share in marginal.real)


def _said(sentences: Iterable[str], words: frozenset[str], names: Mapping[str, str]) -> tuple[str, ...]:
    found = tuple(sentences)
    kept = [told for each in found if (told := _told(each, words, names)) is not None]
    left = len(found) - len(kept)
    return (*kept, f"{left} more {'reason is' if left == 1 else 'reasons are'} {INTERNAL}") if left else tuple(kept)


def _told(text: str, words: frozenset[str], names: Mapping[str, str]) -> str | None:
    """Return a sentence in public words; a model that it begins with keeps the name that it has in public."""
    name, verb, rest = text.partition(" is ")
    if not verb or name not in names:
        return sentence(text, words)
    told = sentence(rest, words)
    return None if told is None else f"{names[name]} is {told}"


def _name(text: str, otherwise: str) -> str:
    return text if NAME.fullmatch(text) else otherwise


def _is_metric(name: str) -> bool:
    question, dot, metric = name.partition(".")
    return bool(dot and IDENTIFIER.fullmatch(question) and IDENTIFIER.fullmatch(metric))
