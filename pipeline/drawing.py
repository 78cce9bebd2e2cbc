"""More rows from a synthesizer that a run made, also with some columns given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, feather

from pipeline.errors import Mistake
from pipeline.hashing import folder_sha256
from pipeline.runs import find
from pipeline.steps import generator
from pipeline.synthesizer import Synthesizer
from pipeline.workspace import Workspace, read_json, replacing, write_parquet
from tabular.schema import Category, Column, Schema

LABEL = {"lookalike.label": "synthetic"}
SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".arrow")


@dataclass(frozen=True)
class Drawn:
    """What was drawn: from which model, how many rows, and what the model says of the draw."""

    model: str
    rows: int
    notes: tuple[str, ...]


def draw(
    root: Path, source: str, rows: int, path: Path, given: Mapping[str, str], model: str | None, seed: int
) -> Drawn:
    """Draw rows and write them.

    Args:
        root: The project's folder.
        source: A run, a spec's name for its latest run, or a release.
        rows: How many.
        path: File to write; its suffix says the format.
        given: Value that every row must hold, by column, as text.
        model: Model of the run; the chosen one where None.
        seed: Seed of the draw.

    Raises:
        Mistake: If there is no such run, model, column or value, or the suffix is unknown.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise Mistake(f"{path}: wanted a name that ends in {', '.join(SUFFIXES)}")
    workspace, model = _where(root, source, model)
    synthesizer = Synthesizer.load(workspace.synthesizer(model))
    rng = generator(seed, "sample", model)
    if given:
        known = {name: _value(synthesizer.schema, name, text) for name, text in given.items()}
        table = synthesizer.sample_given(known, rows, rng)
    else:
        table = synthesizer.sample(rows, rng)
    _write(path, suffix, table.to_arrow())
    said = synthesizer.fitted.notes.get("effective_sample_size") if given else None
    notes = () if said is None else (f"effective sample size {float(said):,.0f} of {rows:,}",)
    return Drawn(model, len(table), notes)


def _where(root: Path, source: str, model: str | None) -> tuple[Workspace, str]:
    """Return the run and the model that a name means; a release names both."""
    from pipeline.releases import list_releases

    release = next((each for each in list_releases(root) if each.name == source), None)
    if release is not None:
        workspace, model = Workspace(root, release.manifest.spec, release.manifest.run), release.manifest.model
        if not workspace.synthesizer(model).exists():
            raise Mistake(f"release {source}: its synthesizer is not published, and run {workspace.run} is not here")
        if folder_sha256(workspace.synthesizer(model)) != dict(release.manifest.hashes.synthesizer):
            raise Mistake(f"release {source}: run {workspace.run} holds another synthesizer by now")
        return workspace, model
    workspace = find(root, source)
    if model is None:
        verdict = read_json(workspace.verdict) if workspace.verdict.exists() else None
        chosen = verdict.get("model") if isinstance(verdict, dict) else None
        if not isinstance(chosen, str):
            raise Mistake(f"run {source}: no model was accepted; name one with --model")
        model = chosen
    if not workspace.synthesizer(model).exists():
        there = ", ".join(sorted(path.name for path in (workspace.home / "models").glob("*"))) or "none"
        raise Mistake(f"run {source}: has no model {model!r}; it has {there}")
    return workspace, model


def _value(schema: Schema, name: str, text: str) -> Category:
    """Read a value that was given as text as the column's own type."""
    if name not in schema.names:
        raise Mistake(f"--given {name}: there is no such column; there are {', '.join(schema.names)}")
    column: Column = schema[name]
    if column.is_code:
        named = {
            str(category).lower() if isinstance(category, bool) else str(category): category
            for category in column.categories
        }
        found = named.get(text.lower() if column.kind == "boolean" else text)
        if found is None:
            some = ", ".join(list(named)[:20])
            raise Mistake(f"--given {name}={text}: no such value; there are {some}")
        return found
    if column.kind in ("datetime", "date", "duration"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise Mistake(f"--given {name}={text}: wanted a number, for {name} is {column.kind}") from error


def _write(path: Path, suffix: str, rows: pa.Table) -> None:
    if suffix == ".parquet":
        write_parquet(path, rows, LABEL)
        return
    with replacing(path) as partial:
        if suffix == ".arrow":
            feather.write_feather(rows.replace_schema_metadata(LABEL), str(partial), compression="zstd")
        elif suffix == ".jsonl":
            rows.to_pandas().to_json(partial, orient="records", lines=True, date_format="iso", force_ascii=False)
        elif suffix == ".csv":
            csv.write_csv(rows, str(partial))
        else:
            with pa.CompressedOutputStream(str(partial), "gzip") as stream:
                csv.write_csv(rows, stream)
