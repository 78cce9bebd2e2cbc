"""Every path of a run, named once; files appear whole or not at all."""

import glob
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from audit.core import Question


@dataclass(frozen=True)
class Workspace:
    """The folders of one run.

    Attributes:
        root: The project: the folder that holds `specs/` and `data/`, and git's and DVC's.
        spec: Name of the specification.
        run: Name of the run.
    """

    root: Path
    spec: str
    run: str

    @property
    def home(self) -> Path:
        """Folder of everything that this run makes."""
        return self.root / "data" / "runs" / self.spec / self.run

    @property
    def spec_file(self) -> Path:
        """The resolved specification of the run."""
        return self.home / "spec.yaml"

    @property
    def source(self) -> Path:
        """Facts of what was read: rows, sha256, what was dropped."""
        return self.home / "source.json"

    @property
    def schema(self) -> Path:
        """The schema."""
        return self.home / "schema.json"

    @property
    def train(self) -> Path:
        """Real rows that models learn from."""
        return self.home / "train.parquet"

    @property
    def holdout(self) -> Path:
        """Real rows that no model ever sees."""
        return self.home / "holdout.parquet"

    @property
    def suite(self) -> Path:
        """The Great Expectations suite."""
        return self.home / "contract" / "suite.json"

    @property
    def real_contract(self) -> Path:
        """What the suite says of the real rows."""
        return self.home / "contract" / "real.json"

    def model(self, name: str) -> Path:
        """Folder of one model's part of the run."""
        return self.home / "models" / name

    def synthesizer(self, name: str) -> Path:
        """Folder of the fitted synthesizer."""
        return self.model(name) / "synthesizer"

    def checkpoint(self, name: str) -> Path:
        """Last checkpoint of a fit that goes on."""
        return self.model(name) / "checkpoint.safetensors"

    def shard(self, name: str, index: int) -> Path:
        """One shard of synthetic rows."""
        return self.model(name) / "shards" / f"{index:05d}.parquet"

    def synthetic(self, name: str) -> Path:
        """All synthetic rows of one model."""
        return self.model(name) / "synthetic.parquet"

    def contract(self, name: str) -> Path:
        """What the suite says of the synthetic rows."""
        return self.model(name) / "contract.json"

    def estimates(self, name: str, question: Question) -> Path:
        """One question's estimates of one model."""
        return self.model(name) / "audit" / f"{question}.json"

    @property
    def audit(self) -> Path:
        """The whole audit, for programs."""
        return self.home / "audit.json"

    @property
    def report(self) -> Path:
        """The whole audit, for people."""
        return self.home / "report.html"

    @property
    def public_audit(self) -> Path:
        """The audit without anything that only few real rows hold, for programs."""
        return self.home / "audit.public.json"

    @property
    def public_report(self) -> Path:
        """The audit without anything that only few real rows hold, for people."""
        return self.home / "report.public.html"

    @property
    def verdict(self) -> Path:
        """Verdicts, reasons and the chosen model."""
        return self.home / "verdict.json"

    @property
    def release(self) -> Path:
        """Name of the release that this run became, or why it became none."""
        return self.home / "release.json"

    @property
    def downstream(self) -> Path:
        """How a model trained on the release does on real rows."""
        return self.home / "downstream.json"

    def done(self, step: str) -> Path:
        """The mark that a step is done, with the fingerprint of what went in."""
        return self.home / "done" / f"{step}.json"

    def quarantine(self, name: str) -> Path:
        """Rows of a model that was not accepted: kept, never published."""
        return self.root / "data" / "quarantine" / self.spec / self.run / f"{name}.parquet"

    @property
    def releases(self) -> Path:
        """Folder of all releases of this specification."""
        return self.root / "data" / "releases" / self.spec


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, all or nothing."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a text file in UTF-8, all or nothing."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: JsonValue) -> None:
    """Write JSON that people can read, all or nothing."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> JsonValue:
    """Read a JSON file."""
    content: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_parquet(path: Path, rows: pa.Table, metadata: dict[str, str] | None = None) -> None:
    """Write Parquet, all or nothing; the same rows give the same bytes."""
    marked = rows.replace_schema_metadata(metadata or {})
    with replacing(path) as partial:
        pq.write_table(marked, partial, compression="zstd")


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; put it in its place when the block ends, remove it when it fails."""
    partial = _beside(path)
    try:
        partial.touch()
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` to fill; put it in its place when the block ends, remove it when it fails."""
    partial = _beside(path)
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _beside(path: Path) -> Path:
    """Return this process's own name for an unfinished `path`; remove what processes that are gone left of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name}.{socket.gethostname()}-"
    for left in path.parent.glob(f"{glob.escape(start)}*.partial"):
        owner = left.name.removeprefix(start).removesuffix(".partial")
        if owner.isdigit() and (int(owner) == os.getpid() or not _alive(int(owner))):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f"{start}{os.getpid()}.partial")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
