"""Everything known of a run, gathered into the audit's document."""

import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from audit.core import QUESTIONS, Estimate, Evidence, Question
from audit.report.document import (
    Answer,
    Check,
    ColumnRecord,
    Document,
    Environment,
    Inputs,
    ModelAudit,
    Rows,
    Run,
)
from audit.report.marginals import marginals
from pipeline.evidence import gather
from pipeline.policies import policy, record
from pipeline.registry import family, metric
from pipeline.spec import Spec
from pipeline.steps import seconds
from pipeline.synthesizer import Synthesizer
from pipeline.verdicts import Verdict, overall
from pipeline.versions import installed
from pipeline.workspace import Workspace, read_json, sha256, write_text
from tabular.schema import Schema

PACKAGES = (
    "apache-airflow",
    "dvc",
    "great_expectations",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "sdmetrics",
    "torch",
)


def assemble(
    spec: Spec,
    workspace: Workspace,
    estimates: Mapping[str, Mapping[str, Estimate]],
    judged: Mapping[str, Verdict],
    chosen: str | None,
) -> Document:
    """Gather one run's document."""
    return Document(
        run=Run(
            spec=spec.name,
            run=workspace.run,
            when=datetime.now(UTC).replace(microsecond=0),
            seed=spec.seed,
            commit=commit(workspace.root),
            version=version("lookalike"),
        ),
        policy=record(policy(spec.policy, workspace.root), spec, _audits_so_far(workspace)),
        inputs=_inputs(workspace),
        contract=_checks(read_json(workspace.real_contract)),
        models=tuple(_model(spec, workspace, name, estimates[name], judged[name]) for name in spec.models),
        chosen=chosen,
        verdict=overall(judged),
        reasons=_reasons(judged, chosen, spec),
        environment=environment(workspace.root),
    )


def answers(estimates: Mapping[str, Estimate]) -> dict[Question, dict[str, Answer]]:
    """Put each metric's words beside its estimate, by question and short name."""
    return {
        question: {
            name.split(".", 1)[1]: Answer.of(metric(name), estimate)
            for name, estimate in estimates.items()
            if name.startswith(f"{question}.")
        }
        for question in QUESTIONS
    }


def write_report(folder: Path, document: Document) -> dict[str, JsonValue]:
    """Write an audit for programs and for people, whole and without anything that only few real rows hold.

    Returns:
        The paths of what was written.
    """
    from audit.report.page import render
    from audit.report.public import scrub

    public = scrub(document)
    write_text(folder / "audit.json", document.to_json())
    write_text(folder / "report.html", render(document))
    write_text(folder / "audit.public.json", public.to_json())
    write_text(folder / "report.public.html", render(public))
    return {
        "report": str(folder / "report.html"),
        "audit": str(folder / "audit.json"),
        "public_report": str(folder / "report.public.html"),
        "public_audit": str(folder / "audit.public.json"),
    }


@cache
def commit(root: Path) -> str | None:
    """Return the project's git commit; None outside git."""
    if shutil.which("git") is None:
        return None
    found = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def environment(root: Path) -> Environment:
    """Return what it runs on."""
    lock = root / "requirements.lock"
    return Environment(
        lock_sha256=sha256(lock) if lock.exists() else None,
        packages=installed(PACKAGES),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )


def _audits_so_far(workspace: Workspace) -> int:
    """Count the other runs of this specification that were audited."""
    return sum(path.parent != workspace.home for path in workspace.home.parent.glob("*/audit.json"))


def _inputs(workspace: Workspace) -> Inputs:
    facts = read_json(workspace.source)
    if not isinstance(facts, dict):
        raise ValueError(f"{workspace.source}: got {type(facts).__name__}, wanted a mapping")
    schema = Schema.model_validate_json(workspace.schema.read_bytes())
    return Inputs(
        source=str(facts["path"]),
        read=Rows.model_validate({"rows": facts["rows"], "sha256": facts["sha256"]}),
        train=Rows.model_validate({"rows": facts["train_rows"], "sha256": facts["train_sha256"]}),
        holdout=Rows.model_validate({"rows": facts["holdout_rows"], "sha256": facts["holdout_sha256"]}),
        split_by="row" if schema.unit is None else "unit",
        unit=None if schema.unit is None else schema.unit.name,
        columns=tuple(ColumnRecord.of(column) for column in schema.columns),
        notes=tuple(str(note) for note in notes) if isinstance(notes := facts.get("notes"), list) else (),
    )


def _model(
    spec: Spec, workspace: Workspace, name: str, estimates: Mapping[str, Estimate], verdict: Verdict
) -> ModelAudit:
    evidence: Evidence = gather(workspace, name, spec)
    settings: dict[str, JsonValue] = family(name).Config.model_validate(spec.models[name]).model_dump(mode="json")
    stages = {stage: seconds(workspace, f"{stage}.{name}") for stage in ("train", "generate.0", "check")}
    return ModelAudit(
        name=name,
        settings=settings,
        notes=Synthesizer.load(workspace.synthesizer(name)).fitted.notes,
        seconds={stage.removesuffix(".0"): taken for stage, taken in stages.items() if taken is not None},
        synthetic=Rows(rows=len(evidence.synthetic), sha256=sha256(workspace.synthetic(name))),
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        gates=verdict.gates,
        not_asked=verdict.not_asked,
        controls=verdict.controls,
        estimates=answers(estimates),
        marginals=marginals(evidence),
        contract=_checks(read_json(workspace.contract(name))),
    )


def _checks(records: JsonValue) -> tuple[Check, ...]:
    fields = set(Check.model_fields)
    found = records if isinstance(records, list) else []
    return tuple(
        Check.model_validate({key: value for key, value in record.items() if key in fields})
        for record in found
        if isinstance(record, dict)
    )


def _reasons(judged: Mapping[str, Verdict], chosen: str | None, spec: Spec) -> tuple[str, ...]:
    if chosen is not None:
        accepted = [name for name, verdict in judged.items() if verdict.verdict == "accepted"]
        why = f"best of {len(accepted)} accepted by {spec.choose.metric}" if len(accepted) > 1 else "the one accepted"
        return (f"{chosen} is released: {why}",)
    word = overall(judged)
    nearest = sorted(judged.items(), key=lambda item: item[1].verdict != word)
    return tuple(f"{name} is {verdict.verdict}: {reason}" for name, verdict in nearest for reason in verdict.reasons)
