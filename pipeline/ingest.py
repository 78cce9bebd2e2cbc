"""The stage that reads: source to schema, training rows and holdout rows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from pipeline.contract import run_rules, wrong_rules
from pipeline.declarations import declared_mistakes, fitting
from pipeline.errors import Mistake
from pipeline.making import schema_of, shards
from pipeline.places import masked
from pipeline.sources import Loaded, load
from pipeline.spec import Spec
from pipeline.split import split
from pipeline.stages import Call
from pipeline.steps import fingerprint, generator, once
from pipeline.terminal import say
from pipeline.view import apply, naming_mistakes
from pipeline.workspace import sha256, write_json, write_parquet, write_text
from tabular.infer import Override, infer_schema
from tabular.table import Table


def ingest(this: Call) -> dict[str, JsonValue]:
    """Read the source, find its schema, split it by privacy unit, and leave the resolved specification.

    The source is read anew each time, for it may have changed; what it holds decides whether anything is written.
    """
    workspace, spec = this.workspace, this.spec
    this.show("ingest", 0.05, f"run {workspace.run}: reading {masked(spec.source.path)}")
    loaded = load(spec.source, workspace.root)
    this.show("ingest", 0.6, f"{loaded.rows:,} rows read")
    _refuse(naming_mistakes(spec, [str(name) for name in loaded.frame.columns]))
    # What is done with the rows afterwards (models, demands, schedule) changes nothing here.
    inputs = spec.model_dump(
        mode="json", include={"columns", "other_columns", "target", "task", "unit", "holdout", "seed"}
    )
    reading = spec.source.model_dump(mode="json", exclude={"sha256", "options"})
    mark = fingerprint({**inputs, "reading": reading, "source": loaded.sha256}, [])
    outputs = [workspace.schema, workspace.train, workspace.holdout, workspace.source]
    once(workspace, "ingest", mark, outputs, lambda: _write(this, loaded))
    # Rows that were read before are not written again, but what is declared of them may be new.
    _refuse(declared_mistakes(spec, schema_of(workspace)))
    write_text(workspace.spec_file, spec.dump())
    this.show("ingest", 1.0, f"{loaded.rows:,} rows")
    return {"spec": str(workspace.spec_file), "models": list(spec.models), "shards": shards(this)}


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise Mistake("\n".join(mistakes))


def _write(this: Call, loaded: Loaded) -> None:
    workspace, spec = this.workspace, this.spec
    frame, overrides = apply(spec, loaded.frame)
    try:
        schema = infer_schema(frame, _with_task(spec, overrides))
        table = Table.conform(schema, frame)
    except ValueError as error:
        raise Mistake(f"{masked(spec.source.path)}: {error}") from error
    if not schema.modelled:
        kinds = ", ".join(f"{column.name!r} is {column.kind}" for column in schema.columns)
        raise Mistake(f"{masked(spec.source.path)}: no column is left for a model to learn ({kinds})")
    _refuse([*_target_mistakes(spec, table), *declared_mistakes(spec, schema)])
    for sentence in wrong_rules(run_rules(fitting(spec.rules, schema), table)):
        say(f"warning: {sentence}")
    rng = generator(spec.seed, "ingest", "split")
    train, holdout = split(table.frame, spec.unit, spec.holdout, rng)
    write_parquet(workspace.train, table.take(train).to_arrow())
    write_parquet(workspace.holdout, table.take(holdout).to_arrow())
    write_text(workspace.schema, schema.model_dump_json(indent=1) + "\n")
    write_json(
        workspace.source,
        {
            "path": masked(spec.source.path),
            "sha256": loaded.sha256,
            "rows": loaded.rows,
            "notes": list(loaded.notes),
            "train_rows": len(train),
            "holdout_rows": len(holdout),
            "train_sha256": sha256(workspace.train),
            "holdout_sha256": sha256(workspace.holdout),
            "split_by": "row" if spec.unit is None else spec.unit,
            "units": _units(table, train, holdout),
        },
    )


def _with_task(spec: Spec, overrides: Mapping[str, Override]) -> dict[str, Override]:
    """Let the task decide what the target is, where the spec names no kind."""
    changed = dict(overrides)
    if spec.target is not None and spec.task == "classification":
        given = changed.get(spec.target, Override())
        if given.kind is None:
            changed[spec.target] = given.model_copy(update={"kind": "categorical"})
    return changed


def _target_mistakes(spec: Spec, table: Table) -> list[str]:
    target = table.schema.target
    if target is None:
        return []
    if not target.is_modelled:
        return [f"target {target.name!r}: it is {target.kind}, which no model learns; name its kind in columns"]
    if spec.task == "regression" and not target.is_number:
        return [f"target {target.name!r}: it is {target.kind}, and a regression needs numbers"]
    if table.frame[target.name].dropna().nunique() < 2:
        return [f"target {target.name!r}: got one class only, wanted at least two"]
    return []


def _units(table: Table, train: NDArray[np.int64], holdout: NDArray[np.int64]) -> dict[str, JsonValue]:
    unit = table.schema.unit
    if unit is None:
        return {"train": len(train), "holdout": len(holdout)}
    series = table.frame[unit.name]
    return {"train": int(series.iloc[train].nunique()), "holdout": int(series.iloc[holdout].nunique())}
