"""The audit of anybody's synthetic table, outside any run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import JsonValue

from audit.core import Evidence
from audit.report.document import ColumnRecord, Document, Inputs, ModelAudit, Rows, Run
from audit.report.marginals import marginals
from pipeline.contract import hold, run_rules, wrong_rules
from pipeline.dossier import answers, commit, environment, write_report
from pipeline.errors import Mistake
from pipeline.estimates import Measured
from pipeline.given import Given
from pipeline.judging import found
from pipeline.measuring import bench
from pipeline.monitoring import Show
from pipeline.policies import asked, load_checked, policy, record
from pipeline.registry import metric, metrics
from pipeline.spec import Spec
from pipeline.terminal import say
from pipeline.verdicts import SPOKEN, Verdict, judge
from tabular.schema import Schema

DEFAULT_POLICY = "analytics"
NO_HOLDOUT = "no holdout was given: rows that the generator never saw are needed to tell copying from resemblance"


@dataclass(frozen=True)
class Wanted:
    """How a table is to be judged.

    Attributes:
        spec: Specification with columns, target, unit, rules and demands; names tell the target where there is none.
        policy: Policy in place of the specification's.
        deep: Whether the deep tier trains a family of the specification again.
        model: Which one; None for the only one.
    """

    spec: Path | None = None
    policy: str | None = None
    deep: bool = False
    model: str | None = None


def appraise(
    root: Path, tables: tuple[str, str, str | None], wanted: Wanted, folder: Path, show: Show
) -> dict[str, JsonValue]:
    """Judge synthetic rows against real ones and write the audit, for programs and for people.

    Args:
        root: The project's folder; paths are relative to it.
        tables: Real rows that the generator learned from; rows to judge, from any tool; and real rows that the
            generator never saw, without which privacy is not judged.
        wanted: How they are to be judged.
        folder: Where to write.
        show: Where progress goes.

    Returns:
        The verdict, its word (PASS, FAIL, INCONCLUSIVE, INVALID), the reasons, and the paths of report and audit and
        of their public editions.

    Raises:
        Mistake: If a source cannot be used.
    """
    if wanted.model is not None and not wanted.deep:
        raise Mistake("--model: only the deep tier trains a model again; add --deep")
    _prepare_folder(folder)
    spec = None if wanted.spec is None else load_checked(wanted.spec, root)
    policy_ = policy(wanted.policy or (DEFAULT_POLICY if spec is None else spec.policy), root)
    show("audit", 0.02, "reading")
    real, synthetic, holdout = tables
    given = Given.read(root, real, synthetic, holdout, spec)
    evidence, schema, notes = given.evidence()
    gates, moot = asked(policy_, spec, schema, evidence.declared, deep=wanted.deep)
    if wanted.deep:
        _prepare(evidence, spec, wanted.model)
    reach = {} if given.holdout is not None else {"privacy": NO_HOLDOUT}
    with bench(evidence.seed) as place:
        gated = {each.metric for each in gates}
        measured = place.measure(
            evidence, None, gated, lambda share, name: show("audit", 0.05 + 0.9 * share, name), reach
        )
    contract = tuple(hold(schema, given.made(schema)))
    broken = tuple(each.sentence for each in contract if not each.success)
    better = {each: metric(each).better for each in metrics()}
    wrong = wrong_rules(run_rules(evidence.declared.rules, evidence.train))
    verdict = judge(gates, found(measured, broken, wrong), better, datetime.now(UTC).date(), moot)
    judged = _judged(given, evidence, verdict, measured, Path(synthetic).stem or "synthetic")
    judged = judged.model_copy(update={"contract": contract})
    document = _document(root, given, _inputs(given, schema, evidence, notes), evidence.seed, judged)
    document = document.model_copy(update={"policy": record(policy_, spec, None)})
    written = write_report(folder, document)
    show("audit", 1.0, document.verdict)
    return {"verdict": document.verdict, "word": SPOKEN[document.verdict], "reasons": list(document.reasons), **written}


def _prepare(evidence: Evidence, spec: Spec | None, model: str | None) -> None:
    """Put the generator at hand for the deep tier, and say what it costs before it starts.

    Raises:
        Mistake: If there is no specification to train it by.
    """
    if spec is None:
        raise Mistake("--deep: the model's settings are needed; name the specification with --spec")
    if model is None and len(spec.models) > 1:
        raise Mistake(f"--deep: name one of the specification's models with --model: {', '.join(spec.models)}")
    from pipeline.refitting import cost, refit

    name = model or next(iter(spec.models))
    evidence.refit = refit(spec, name, evidence.train)
    say(cost(name, evidence.refit, len(evidence.train)))


def _prepare_folder(folder: Path) -> None:
    """Make the folder to write to before the work begins.

    Raises:
        Mistake: If it cannot be one.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Mistake(f"--out {folder}: is no folder that can be written to: {error.strerror}") from error


def _judged(given: Given, evidence: Evidence, verdict: Verdict, measured: Measured, name: str) -> ModelAudit:
    return ModelAudit(
        name=name,
        synthetic=Rows(rows=len(evidence.synthetic), sha256=given.synthetic.sha256),
        verdict=verdict.verdict,
        reasons=verdict.reasons,
        gates=verdict.gates,
        not_asked=verdict.not_asked,
        controls=verdict.controls,
        estimates=answers(measured.estimates),
        marginals=marginals(evidence),
    )


def _document(root: Path, given: Given, inputs: Inputs, seed: int, judged: ModelAudit) -> Document:
    return Document(
        run=Run(
            spec=judged.name if given.spec is None else given.spec.name,
            run="audit",
            when=datetime.now(UTC).replace(microsecond=0),
            seed=seed,
            commit=commit(root),
            version=version("lookalike"),
        ),
        inputs=inputs,
        models=(judged,),
        chosen=judged.name if judged.verdict == "accepted" else None,
        verdict=judged.verdict,
        reasons=judged.reasons,
        environment=environment(root),
    )


def _inputs(given: Given, schema: Schema, evidence: Evidence, notes: tuple[str, ...]) -> Inputs:
    return Inputs(
        source="real rows given to the audit",
        read=Rows(rows=given.real.rows, sha256=given.real.sha256),
        train=Rows(rows=len(evidence.train)),
        holdout=Rows(rows=len(evidence.holdout), sha256=None if given.holdout is None else given.holdout.sha256),
        split_by="row" if schema.unit is None else "unit",
        unit=None if schema.unit is None else schema.unit.name,
        columns=tuple(ColumnRecord.of(column) for column in schema.columns),
        notes=given.real.notes + notes + (() if given.holdout is not None else (NO_HOLDOUT,)),
    )
