"""The stages that judge: the audit's five questions, and the decision on what they found."""

import shutil
from collections.abc import Callable
from functools import partial

from pydantic import JsonValue, TypeAdapter

from audit.core import QUESTIONS, Estimate, Evidence, Question
from pipeline import gates
from pipeline.checking import broken_sentences
from pipeline.dossier import assemble
from pipeline.errors import Mistake
from pipeline.evidence import gather
from pipeline.monitoring import Show
from pipeline.registry import metric, metrics
from pipeline.stages import Call
from pipeline.steps import fingerprint, generator, once
from pipeline.workspace import Workspace, read_json, replacing, write_json, write_text

Estimates = dict[str, Estimate]
ESTIMATES = TypeAdapter(Estimates)


def audit(this: Call) -> dict[str, JsonValue]:
    """Answer one question, or all five, for one model, or all; estimates only, no verdict."""
    workspace, spec = this.workspace, this.spec
    todo = [(name, question) for name in this.models for question in this.questions]
    for done, (name, question) in enumerate(todo):
        if not workspace.synthetic(name).exists():
            raise Mistake(f"model {name!r}: its synthetic rows are not there; run `generate` and `check` first")
        path = workspace.estimates(name, question)
        inputs: dict[str, JsonValue] = {"seed": spec.seed, "metrics": list(metrics(question))}
        files = [workspace.schema, workspace.train, workspace.holdout, workspace.synthetic(name)]
        show = _scaled(this.show, f"audit {question}", done, len(todo))
        action = partial(_answer, workspace, name, question, spec.seed, show)
        once(workspace, f"audit.{name}.{question}", fingerprint(inputs, files), [path], action)
        show(1.0, name)
    return {"questions": list(this.questions)}


def decide(this: Call) -> dict[str, JsonValue]:
    """Judge every model, choose the one to release, put the others in quarantine, and write the report."""
    workspace, spec = this.workspace, this.spec
    workspace.release.unlink(missing_ok=True)  # a new decision: what was released before is not its release
    estimates = {name: read_estimates(workspace, name) for name in spec.models}
    better = {name: metric(name).better for name in metrics()}
    verdicts = {
        name: gates.judge(spec.demands, estimates[name], better, broken_sentences(read_json(workspace.contract(name))))
        for name in spec.models
    }
    chosen = gates.choose(verdicts, estimates, spec.choose.metric, better[spec.choose.metric])
    word = gates.overall(verdicts)
    for name, verdict in verdicts.items():
        _quarantine(workspace, name, verdict)
    this.show("decide", 0.3, f"{word}; writing the report")
    document = assemble(spec, workspace, estimates, verdicts, chosen)
    write_text(workspace.audit, document.to_json())
    from audit.report.page import render

    write_text(workspace.report, render(document))
    # `dvc repro` does not ingest anew where only a model's settings change: this is the specification that was judged.
    write_text(workspace.spec_file, spec.dump())
    content: dict[str, JsonValue] = {
        "verdict": word,
        "model": chosen,
        "reasons": list(document.reasons),
        "models": {name: verdict.model_dump(mode="json") for name, verdict in verdicts.items()},
    }
    write_json(workspace.verdict, content)
    this.show("decide", 1.0, word)
    return {"verdict": word, "model": chosen, "report": str(workspace.report)}


def measure(name: str, evidence: Evidence, seed: int) -> Estimate:
    """Compute one metric; its random numbers depend on the seed and its name only, so that models compare."""
    kind = metric(name)
    return kind(kind.Config())(evidence, generator(seed, "audit", name))


def _answer(workspace: Workspace, name: str, question: Question, seed: int, show: Callable[[float, str], None]) -> None:
    evidence = gather(workspace, name)
    found: Estimates = {}
    names = metrics(question)
    for place, each in enumerate(names):
        show(place / len(names), f"{name}: {each}")
        found[each] = measure(each, evidence, seed)
    write_text(workspace.estimates(name, question), ESTIMATES.dump_json(found, indent=1).decode() + "\n")


def _scaled(show: Show, stage: str, done: int, total: int) -> Callable[[float, str], None]:
    """Return progress of one of several equal parts."""
    return lambda share, message: show(stage, (done + share) / total, message)


def read_estimates(workspace: Workspace, name: str) -> Estimates:
    """Read all estimates of one model, by metric.

    Raises:
        Mistake: If a question was not answered yet.
    """
    found: Estimates = {}
    for question in QUESTIONS:
        path = workspace.estimates(name, question)
        if not path.exists():
            raise Mistake(f"model {name!r}: the audit's question {question!r} is not answered; run `audit` first")
        found |= ESTIMATES.validate_json(path.read_bytes())
    return found


def _quarantine(workspace: Workspace, name: str, verdict: gates.Verdict) -> None:
    """Keep a copy of rows that were not accepted, apart from everything that is published."""
    path = workspace.quarantine(name)
    if verdict.verdict == "accepted":
        path.unlink(missing_ok=True)
        return
    with replacing(path) as copy:
        shutil.copyfile(workspace.synthetic(name), copy)
