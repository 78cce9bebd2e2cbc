"""Real rows from a file, a store or a database, with their sha256; every failure is one plain sentence."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
from pydantic import JsonValue

from pipeline.arrow_files import read_arrow, read_json_lines, read_parquet, to_frame
from pipeline.csv_files import read_csv
from pipeline.databases import digest_rows, is_database, read_query
from pipeline.encodings import as_utf8
from pipeline.errors import Mistake
from pipeline.places import digest, expand, local_file, masked, unpacked
from pipeline.spec import Source

Format = Literal["csv", "parquet", "arrow", "jsonl"]

PACKED = (".gz", ".gzip", ".zst", ".zstd")
ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".test": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
MAGIC: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow", b"{": "jsonl"}
FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"SQLite format 3\0": "a SQLite database, which wants sqlite:///FILE and a query",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x89HDF": "an HDF5 file",
}


@dataclass(frozen=True)
class Loaded:
    """The rows of a source.

    Attributes:
        frame: The rows, shape (rows, columns), names without outer blanks, plain pandas types.
        sha256: Of the source's bytes; for a database of the rows fetched.
        rows: Number of rows.
        notes: Sentences for people: what was found, left out or is odd.
    """

    frame: pd.DataFrame
    sha256: str
    rows: int
    notes: tuple[str, ...] = ()


def load(source: Source, root: Path) -> Loaded:
    """Read a source.

    Args:
        source: Where the rows are and how they are written.
        root: The project's folder, which relative paths start from.

    Raises:
        Mistake: If the rows cannot be had, or are not the ones that `source.sha256` names.
    """
    path = str(expand(source.path, "source.path"))
    options = {key: expand(value, f"source.options.{key}") for key, value in source.options.items()}
    if source.format == "sql" or is_database(path):
        rows, digested, notes = _query(path, source, root)
    elif source.query is not None:
        raise Mistake(f"source.query: is for databases, but {masked(path)} is a file; wanted a SQLAlchemy URL")
    else:
        rows, digested, notes = _file(path, options, source, root)
    rows, renamed = _named(rows, masked(path))
    frame, left_out = to_frame(rows)
    if frame.shape[1] == 0:
        raise Mistake(f"{masked(path)}: has no column that holds single values")
    return Loaded(frame, digested, len(frame), (*notes, *renamed, *left_out))


def _query(path: str, source: Source, root: Path) -> tuple[pa.Table, str, tuple[str, ...]]:
    if source.query is None or not source.query.strip():
        raise Mistake(f"source.query: is missing; {masked(path)} is a database and wants a SELECT")
    rows = read_query(path, source.query, root)
    digested = digest_rows(rows)
    _compare(source.sha256, digested, f"{masked(path)}: the rows fetched")
    return rows, digested, ()


def _file(
    path: str, options: dict[str, JsonValue], source: Source, root: Path
) -> tuple[pa.Table, str, tuple[str, ...]]:
    shown = masked(path)
    with (
        local_file(path, options, root) as local,
        tempfile.TemporaryDirectory(prefix="lookalike-") as scratch,
    ):
        folder = Path(scratch)
        if local.stat().st_size == 0:
            raise Mistake(f"{shown}: is empty")
        digested = digest(local, shown)
        _compare(source.sha256, digested, shown)
        try:
            rows, notes = _read(local, _format(path, local, source), source, shown, folder)
        except OSError as error:
            raise Mistake(f"{shown}: cannot be read: {error.strerror or error}") from error
    return rows, digested, notes


def _read(local: Path, form: Format, source: Source, shown: str, folder: Path) -> tuple[pa.Table, tuple[str, ...]]:
    if form == "parquet":
        return read_parquet(local, shown), ()
    if form == "arrow":
        return read_arrow(local, shown), ()
    if form == "jsonl":
        text, notes = as_utf8(unpacked(local, shown, folder), source.encoding, shown, folder)
        return read_json_lines(text, shown), notes
    return read_csv(local, source, shown, folder)


def _format(path: str, local: Path, source: Source) -> Format:
    """Return the format that the spec names, else that of the name's ending, else that of the first bytes."""
    if source.format is not None and source.format != "sql":
        return source.format
    with local.open("rb") as file:
        start = file.read(16)
    foreign = next((name for magic, name in FOREIGN.items() if start.startswith(magic)), None)
    if foreign is not None:
        raise Mistake(f"{masked(path)}: is {foreign}; wanted CSV, Parquet, Arrow IPC or JSON Lines, plain, gz or zst")
    found = next((form for magic, form in MAGIC.items() if start.startswith(magic)), None)
    endings = [ending.lower() for ending in Path(path.partition("?")[0]).suffixes if ending.lower() not in PACKED]
    return ENDINGS.get(endings[-1] if endings else "", found or "csv")


def _compare(wanted: str | None, got: str, what: str) -> None:
    if wanted is not None and wanted != got:
        raise Mistake(f"{what}: got sha256 {got}, but source.sha256 says {wanted}")


def _named(rows: pa.Table, shown: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Strip the columns' names, give a name to those without, and refuse tables without rows or distinct names."""
    if rows.num_columns == 0:
        raise Mistake(f"{shown}: has no columns")
    if rows.num_rows == 0:
        raise Mistake(f"{shown}: has column names but no rows")
    stripped = [str(name).strip() for name in rows.column_names]
    names = [name or f"column_{place}" for place, name in enumerate(stripped, start=1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Mistake(f"{shown}: more than one column is called {', '.join(map(repr, twice[:5]))}")
    unnamed = [name for name, old in zip(names, stripped, strict=True) if not old]
    notes = tuple(f"a column without a name is now called {name!r}" for name in unnamed)
    return rows.rename_columns(names), notes
