"""The audit of anybody's synthetic table, outside any run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import JsonValue

from audit.core import Evidence
from audit.report.document import Check, ColumnRecord, Document, Inputs, ModelAudit, Rows, Run
from audit.report.marginals import marginals
from pipeline.checking import published
from pipeline.contract import build_suite, run_suite
from pipeline.dossier import answers, commit, environment, write_report
from pipeline.errors import Mistake
from pipeline.estimates import Measured
from pipeline.evidence import declared
from pipeline.judging import found
from pipeline.measuring import bench
from pipeline.monitoring import Show
from pipeline.policies import asked, policy, record
from pipeline.registry import metric, metrics
from pipeline.sources import Loaded, load
from pipeline.spec import Source, Spec
from pipeline.split import split
from pipeline.steps import generator
from pipeline.verdicts import Verdict, judge
from pipeline.view import apply
from tabular.infer import Override, infer_schema
from tabular.schema import Schema
from tabular.table import Table

HELD_BACK = 0.3
DEFAULT_POLICY = "analytics"
NO_HOLDOUT = "no holdout was given: rows that the generator never saw are needed to tell copying from resemblance"


@dataclass(frozen=True)
class Given:
    """What the user gave: the real rows, the holdout if any, the synthetic rows, and the specification if any."""

    real: Loaded
    holdout: Loaded | None
    synthetic: Loaded
    spec: Spec | None


def appraise(
    root: Path,
    tables: tuple[str, str, str | None],
    spec_path: Path | None,
    policy_name: str | None,
    folder: Path,
    show: Show,
) -> dict[str, JsonValue]:
    """Judge synthetic rows against real ones and write the audit, for programs and for people.

    Args:
        root: The project's folder; paths are relative to it.
        tables: Real rows that the generator learned from; rows to judge, from any tool; and real rows that the
            generator never saw, without which privacy is not judged.
        spec_path: Specification with columns, target, unit, rules and demands.
        policy_name: Policy in place of the specification's.
        folder: Where to write.
        show: Where progress goes.

    Returns:
        The verdict and the paths of report and audit.

    Raises:
        Mistake: If a source cannot be used.
    """
    spec = None if spec_path is None else Spec.load(spec_path)
    real, synthetic, holdout = tables
    show("audit", 0.02, "reading")
    given = Given(
        load(_source(spec, root, real), root),
        None if holdout is None else load(_source(spec, root, holdout), root),
        load(_source(spec, root, synthetic), root),
        spec,
    )
    evidence, schema = _evidence(given)
    policy_ = policy(policy_name or (DEFAULT_POLICY if spec is None else spec.policy), root)
    gates, moot = asked(policy_, spec, schema, evidence.declared)
    reach = {} if given.holdout is not None else {"privacy": NO_HOLDOUT}
    with bench(evidence.seed) as place:
        gated = {each.metric for each in gates}
        measured = place.measure(
            evidence, None, gated, lambda share, name: show("audit", 0.05 + 0.9 * share, name), reach
        )
    contract = _contract(schema, evidence)
    broken = tuple(each.sentence for each in contract if not each.success)
    better = {each: metric(each).better for each in metrics()}
    verdict = judge(gates, found(measured, broken), better, datetime.now(UTC).date(), moot)
    judged = _judged(given, evidence, verdict, measured, Path(synthetic).stem or "synthetic")
    document = _document(root, given, schema, evidence, judged.model_copy(update={"contract": contract}))
    document = document.model_copy(update={"policy": record(policy_, spec, 0)})
    written = write_report(folder, document)
    show("audit", 1.0, document.verdict)
    return {"verdict": document.verdict, "reasons": list(document.reasons), **written}


def _source(spec: Spec | None, root: Path, path: str) -> Source:
    """Return a file's source; how to read it (delimiter, encoding, ...) is the specification's, if there is one."""
    if "://" not in path and not (root / path).exists():
        path = str(Path(path).expanduser().resolve())
    if spec is None:
        return Source(path=path)
    return spec.source.model_copy(update={"path": path, "sha256": None, "format": None, "query": None})


def _evidence(given: Given) -> tuple[Evidence, Schema]:
    """Bring the tables to one schema, which the real rows alone decide."""
    parts = [given.real.frame] + ([] if given.holdout is None else [given.holdout.frame])
    frame = pd.concat(parts, ignore_index=True)
    rows = given.synthetic.frame
    overrides: Mapping[str, Override] = {}
    if given.spec is not None:
        frame, overrides = apply(given.spec, frame)
    try:
        schema = published(infer_schema(frame, overrides))
        real = Table.conform(schema, frame)
    except ValueError as error:
        raise Mistake(f"the real rows: {error}") from error
    if given.spec is not None and not set(schema.names) <= set(rows.columns):
        rows, _ = apply(given.spec, rows)
    missing = [name for name in schema.names if name not in rows.columns and schema[name].is_modelled]
    if len(missing) == len(schema.modelled):
        raise Mistake(f"the synthetic table shares no column with the real one; wanted {', '.join(missing[:10])}")
    synthetic, broken = Table.coerce(schema, rows)
    modelled = [column.name for column in schema.modelled]
    train, holdout = _sides(given, real)
    mask = np.asarray(broken[modelled].to_numpy().any(axis=1))
    seed = 0 if given.spec is None else given.spec.seed
    return Evidence(train, holdout, synthetic, mask, declared=declared(given.spec, schema), seed=seed), schema


def _sides(given: Given, real: Table) -> tuple[Table, Table]:
    if given.holdout is not None:
        n = len(given.real.frame)
        return real.take(np.arange(n)), real.take(np.arange(n, len(real)))
    unit = None if given.spec is None else given.spec.unit
    train, holdout = split(real.frame, unit, HELD_BACK, generator(0, "audit", "split"))
    return real.take(train), real.take(holdout)


def _contract(schema: Schema, evidence: Evidence) -> tuple[Check, ...]:
    results = run_suite(build_suite(schema), evidence.synthetic)
    return tuple(Check.model_validate(result.model_dump(mode="json")) for result in results)


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


def _document(root: Path, given: Given, schema: Schema, evidence: Evidence, judged: ModelAudit) -> Document:
    return Document(
        run=Run(
            spec=judged.name if given.spec is None else given.spec.name,
            run="audit",
            when=datetime.now(UTC).replace(microsecond=0),
            seed=evidence.seed,
            commit=commit(root),
            version=version("lookalike"),
        ),
        inputs=_inputs(given, schema, evidence),
        models=(judged,),
        chosen=judged.name if judged.verdict == "accepted" else None,
        verdict=judged.verdict,
        reasons=judged.reasons,
        environment=environment(root),
    )


def _inputs(given: Given, schema: Schema, evidence: Evidence) -> Inputs:
    return Inputs(
        source="real rows given to the audit",
        read=Rows(rows=given.real.rows, sha256=given.real.sha256),
        train=Rows(rows=len(evidence.train)),
        holdout=Rows(rows=len(evidence.holdout), sha256=None if given.holdout is None else given.holdout.sha256),
        split_by="row" if schema.unit is None else "unit",
        unit=None if schema.unit is None else schema.unit.name,
        columns=tuple(ColumnRecord.of(column) for column in schema.columns),
        notes=given.real.notes + (() if given.holdout is not None else (NO_HOLDOUT,)),
    )
