"""Rows from a synthesizer that a run made: new ones, also on conditions, missing cells filled in, given rows scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, feather

from pipeline.completion import Completed, draw_given, fill
from pipeline.conditions import conditions
from pipeline.errors import Mistake
from pipeline.given import source_of
from pipeline.hashing import folder_sha256
from pipeline.making import real_rows
from pipeline.runs import find
from pipeline.sources import load
from pipeline.steps import generator
from pipeline.synthesizer import Synthesizer
from pipeline.workspace import Workspace, read_json, replacing, write_parquet
from tabular.coercion import expects
from tabular.schema import Schema
from tabular.table import Table

LABEL = {"lookalike.label": "synthetic"}
SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".arrow")


@dataclass(frozen=True)
class Drawn:
    """What was done: with which model, to how many rows, and what the model says of it."""

    model: str
    rows: int
    notes: tuple[str, ...]


def draw(root: Path, source: str, rows: int, path: Path, given: Sequence[str], model: str | None, seed: int) -> Drawn:
    """Draw rows and write them.

    Args:
        root: The project's folder.
        source: A run, a spec's name for its latest run, or a release.
        rows: How many.
        path: File to write; its suffix says the format.
        given: What every row must hold, as text: `sex=Female`, `age >= 60`.
        model: Model of the run; the chosen one where None.
        seed: Seed of the draw.

    Raises:
        Mistake: If there is no such run, model, column or value, or the suffix is unknown.
    """
    suffix = _suffix(path)
    workspace, model = where(root, source, model)
    synthesizer = Synthesizer.load(workspace.synthesizer(model))
    rng = generator(seed, "sample", model)
    wanted = conditions(given, synthesizer.encoder.output_schema)
    if given:
        drawn = draw_given(synthesizer, wanted, rows, rng)
    else:
        drawn = Completed(synthesizer.sample(rows, rng), ())
    _write(path, suffix, drawn.table.to_arrow())
    return Drawn(model, len(drawn.table), drawn.notes)


def fill_file(root: Path, source: str, file: Path, path: Path, model: str | None, seed: int) -> Drawn:
    """Fill in the missing cells of the rows of a file and write them.

    Args:
        root: The project's folder.
        source: A run, a spec's name for its latest run, or a release.
        file: Rows with the columns that the run's model was trained on.
        path: File to write; its suffix says the format.
        model: Model of the run; the chosen one where None.
        seed: Seed of the draw.

    Raises:
        Mistake: If there is no such run or model, a file cannot be read, or its columns or values do not fit.
    """
    suffix = _suffix(path)
    workspace, model = where(root, source, model)
    synthesizer = Synthesizer.load(workspace.synthesizer(model))
    rows = _rows(root, file, synthesizer.encoder.schema)
    filled = fill(synthesizer, rows, generator(seed, "fill", model))
    _write(path, suffix, filled.table.to_arrow())
    return Drawn(model, len(filled.table), filled.notes)


def score_file(root: Path, source: str, file: Path | None, path: Path | None, model: str | None, seed: int) -> Drawn:
    """Tell how probable rows are under a model: their mean in bits, and each row's own.

    Args:
        root: The project's folder.
        source: A run, a spec's name for its latest run, or a release.
        file: The rows; the run's holdout where None.
        path: File to write the rows' bits to, in the rows' order, column `bits`; none where None.
        model: Model of the run; the chosen one where None.
        seed: Seed of the draws inside rounded numbers.

    Raises:
        Mistake: As `fill_file`, and if the model has no density or a row lacks a value that none may lack.
    """
    suffix = None if path is None else _suffix(path)
    workspace, model = where(root, source, model)
    synthesizer = Synthesizer.load(workspace.synthesizer(model))
    schema = synthesizer.encoder.schema
    rows = real_rows(workspace, "holdout") if file is None else _rows(root, file, schema)
    try:
        bits = -synthesizer.log_prob(rows, generator(seed, "score", model)) / np.log(2)
    except ValueError as error:
        raise Mistake(f"{file or workspace.holdout}: {error}") from error
    if path is not None and suffix is not None:
        _write(path, suffix, pa.table({"bits": bits}))
    error_ = float(bits.std() / np.sqrt(max(len(bits), 1)))
    told = (
        f"{bits.mean():.3f} bits a row (standard error {error_:.3f}); the improbable end: {np.quantile(bits, 0.99):.1f}"
    )
    return Drawn(model, len(rows), (f"{told} bits or more in 1 row of 100",))


def _rows(root: Path, file: Path, schema: Schema) -> Table:
    """Read a file's rows as a schema's: every modelled column must be there, any of its cells may be missing."""
    frame = load(source_of(None, root, str(file)), root).frame
    lacking = [column.name for column in schema.modelled if column.name not in frame]
    if lacking:
        raise Mistake(f"{file}: lacks the columns {', '.join(map(repr, lacking))}")
    rows, broken = Table.coerce(schema, frame)
    for column in schema.modelled:
        wrong = broken[column.name].to_numpy() & frame[column.name].notna().to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            value = frame[column.name].to_numpy()[row]
            raise Mistake(f"{file}: row {row + 1}, column {column.name!r}: got {value!r}, wanted {expects(column)}")
    return rows


def _suffix(path: Path) -> str:
    suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
    if suffix is None:
        raise Mistake(f"{path}: wanted a name that ends in {', '.join(SUFFIXES)}")
    return suffix


def where(root: Path, source: str, model: str | None) -> tuple[Workspace, str]:
    """Return the run and the model that a name means; a release names both.

    Raises:
        Mistake: If there is no such run or model, or the release's own synthesizer is not here.
    """
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
