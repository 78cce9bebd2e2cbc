"""The stages that make rows: train a synthesizer, generate shards."""

import json
import math

import pyarrow.parquet as pq
from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.monitoring import FileMonitor
from pipeline.stages import Call
from pipeline.steps import fingerprint, generator, once
from pipeline.synthesizer import Synthesizer
from pipeline.workspace import Workspace, read_json, write_parquet
from tabular.schema import Schema
from tabular.table import Table


def train(this: Call) -> dict[str, JsonValue]:
    """Fit one model to the training rows; a killed fit goes on from its last checkpoint."""
    workspace, name = this.workspace, this.models[0]
    settings = this.spec.models[name]
    inputs: dict[str, JsonValue] = {"model": name, "settings": settings, "seed": this.spec.seed}
    mark = fingerprint(inputs, [workspace.schema, workspace.train])

    def fit() -> None:
        table = real_rows(workspace, "train")
        monitor = FileMonitor(workspace.checkpoint(name), mark, f"train {name}", this.show)
        synthesizer = Synthesizer(name, settings, table.schema)
        synthesizer.fit(table, generator(this.spec.seed, "train", name), monitor)
        synthesizer.save(workspace.synthesizer(name))
        workspace.checkpoint(name).unlink(missing_ok=True)

    once(workspace, f"train.{name}", mark, [workspace.synthesizer(name)], fit)
    this.show(f"train {name}", 1.0, "done")
    return {"model": name}


def generate(this: Call) -> dict[str, JsonValue]:
    """Draw one shard of synthetic rows, or all of them."""
    workspace, name = this.workspace, this.models[0]
    total = rows_wanted(this)
    count = shards(this)
    wanted = range(count) if this.shard is None else [this.shard]
    if this.shard is not None and not 0 <= this.shard < count:
        raise Mistake(f"shard {this.shard}: run {workspace.run} has {count} shards, counted from 0")
    if not workspace.synthesizer(name).is_dir():
        raise Mistake(f"model {name!r}: {workspace.synthesizer(name)} is not there; run `train` first")
    synthesizer: Synthesizer | None = None
    for done, index in enumerate(wanted):
        first = index * this.spec.shard_rows
        n = min(this.spec.shard_rows, total - first)
        inputs: dict[str, JsonValue] = {"model": name, "seed": this.spec.seed, "first": first, "rows": n}
        folder = workspace.synthesizer(name)
        mark = fingerprint(inputs, sorted(folder.iterdir()))

        def draw(index: int = index, first: int = first, n: int = n) -> None:
            nonlocal synthesizer
            synthesizer = synthesizer or Synthesizer.load(workspace.synthesizer(name))
            rng = generator(this.spec.seed, "generate", name, str(index))
            table = synthesizer.sample(n, rng, first)
            write_parquet(workspace.shard(name, index), table.to_arrow(), {"lookalike.label": "synthetic"})

        once(workspace, f"generate.{name}.{index}", mark, [workspace.shard(name, index)], draw)
        this.show(f"generate {name}", (done + 1) / len(wanted), f"shard {index + 1} of {count}")
    return {"model": name, "shards": len(wanted)}


def shards(this: Call) -> int:
    """Return how many shards the run's rows come in."""
    return math.ceil(rows_wanted(this) / this.spec.shard_rows)


def rows_wanted(this: Call) -> int:
    """Return how many synthetic rows the run makes of each model."""
    if this.spec.rows is not None:
        return this.spec.rows
    if not this.workspace.source.exists():
        raise Mistake(f"run {this.workspace.run}: {this.workspace.source} is not there; run `ingest` first")
    facts = read_json(this.workspace.source)
    rows = facts.get("train_rows") if isinstance(facts, dict) else None
    if not isinstance(rows, int):
        raise Mistake(f"{this.workspace.source}: says no number of training rows; run `ingest` first")
    return rows


def schema_of(workspace: Workspace) -> Schema:
    """Read the run's schema.

    Raises:
        Mistake: If `ingest` was not run.
    """
    if not workspace.schema.exists():
        raise Mistake(f"run {workspace.run}: {workspace.schema} is not there; run `ingest` first")
    return Schema.model_validate(json.loads(workspace.schema.read_text(encoding="utf-8")))


def real_rows(workspace: Workspace, part: str) -> Table:
    """Read the run's training or holdout rows."""
    schema = schema_of(workspace)
    path = workspace.train if part == "train" else workspace.holdout
    return Table.from_arrow(schema, pq.read_table(path))
