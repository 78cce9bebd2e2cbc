"""The contract's two stages: real rows coming in, synthetic rows going out."""

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.making import real_rows, schema_of, shards
from pipeline.places import masked
from pipeline.stages import Call
from pipeline.steps import fingerprint, once
from pipeline.workspace import read_json, write_json, write_parquet
from tabular.schema import Schema
from tabular.table import Table


def contract(this: Call) -> dict[str, JsonValue]:
    """Make the suite of the schema and hold the real rows against it.

    Raises:
        Mistake: If real rows break it.
    """
    workspace = this.workspace
    mark = fingerprint({}, [workspace.schema, workspace.train, workspace.holdout])

    def check_real() -> None:
        from pipeline.contract import build_suite, run_suite

        write_json(workspace.suite, build_suite(schema_of(workspace)))
        results: list[JsonValue] = []
        for part in ("train", "holdout"):
            found = run_suite(read_json(workspace.suite), real_rows(workspace, part))
            results += [{"rows": part, **result.model_dump(mode="json")} for result in found]
        write_json(workspace.real_contract, results)

    once(workspace, "contract", mark, [workspace.suite, workspace.real_contract], check_real)
    broken = broken_sentences(read_json(workspace.real_contract))
    if broken:
        raise Mistake(f"{masked(this.spec.source.path)}: real rows break the contract: {'; '.join(broken)}")
    this.show("contract", 1.0, "real rows keep it")
    return {"suite": str(workspace.suite)}


def check(this: Call) -> dict[str, JsonValue]:
    """Join one model's shards and hold the synthetic rows against the suite."""
    workspace, name = this.workspace, this.models[0]
    parts = [workspace.shard(name, index) for index in range(shards(this))]
    missing = [path.name for path in parts if not path.exists()]
    if missing:
        raise Mistake(f"model {name!r}: shards {', '.join(missing)} are not there; run `generate` first")
    mark = fingerprint({"model": name}, [workspace.suite, *parts])

    def join_and_check() -> None:
        from pipeline.contract import build_suite, run_suite

        rows = pa.concat_tables(pq.read_table(path) for path in parts)
        schema = published(schema_of(workspace))
        table, _ = Table.coerce(schema, rows.to_pandas(date_as_object=False))
        write_parquet(workspace.synthetic(name), rows, {"lookalike.label": "synthetic"})
        found = run_suite(build_suite(schema), table)
        write_json(workspace.contract(name), [result.model_dump(mode="json") for result in found])

    once(workspace, f"check.{name}", mark, [workspace.synthetic(name), workspace.contract(name)], join_and_check)
    this.show(f"check {name}", 1.0, "done")
    return {"model": name, "synthetic": str(workspace.synthetic(name))}


def published(schema: Schema) -> Schema:
    """Return the schema of synthetic tables: the real one without its free text."""
    return Schema(columns=tuple(column for column in schema.columns if column.kind != "text"))


def broken_sentences(results: JsonValue) -> tuple[str, ...]:
    """Return the sentences of the expectations that were not met."""
    records = results if isinstance(results, list) else []
    return tuple(str(each["sentence"]) for each in records if isinstance(each, dict) and not each.get("success"))
