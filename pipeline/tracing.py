"""Trace a release back: recompute every hash that it swears to, and say what changed between two of them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pydantic import BaseModel, ConfigDict, JsonValue

from pipeline.cards import CARDS
from pipeline.drifting import Drifted, between
from pipeline.dvc_remote import tracked
from pipeline.errors import Mistake
from pipeline.git import Repository
from pipeline.hashing import folder_sha256, rows_sha256
from pipeline.manifest import LOCK_FILE, Manifest, code_facts, code_root, source_sha256
from pipeline.places import digest, expand, local_file
from pipeline.releases import AUDIT, MANIFEST, POINTER, PUBLIC, REPORT, SCHEMA, SPEC, Release, find_release, folder_of
from pipeline.spec import Source
from pipeline.workspace import Workspace, sha256


class Part(BaseModel):
    """A frozen record; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(Part):
    """One thing that a release swears to.

    Attributes:
        what: What it is.
        expected: What the release says.
        found: What it is here; None where it is not here.
        ok: Whether both agree; None where it cannot be told here, which is neither good nor bad.
    """

    what: str
    expected: str
    found: str | None
    ok: bool | None


class Change(Part):
    """One thing that two releases may differ in: what it is, and its value before and after."""

    what: str
    before: JsonValue
    after: JsonValue


class Difference(Part):
    """What changed from one release to another.

    Attributes:
        settings: Settings of the specification that differ, by dotted path.
        content: Source, rows, model and the like that differ.
        code: Commit, lock file and packages that differ.
        audit: What the audits of both found, gate by gate and metric by metric.
    """

    settings: tuple[Change, ...]
    content: tuple[Change, ...]
    code: tuple[Change, ...]
    audit: Drifted


def verify(root: Path, name: str) -> tuple[Check, ...]:
    """Recompute every hash of a release that can be recomputed here.

    Its files are checked wherever they are; the real rows and the synthesizer only where the run's folder still is, for
    they are never published.

    Raises:
        Mistake: If there is no such release.
    """
    release = find_release(root, name)
    repository = Repository.at(root)
    workspace = Workspace(repository.root, release.manifest.spec, release.manifest.run)
    parts = (_files(repository, release), _rows(repository, release), _code(release.manifest), _run(workspace, release))
    return tuple(chain.from_iterable(parts))


def verified(checks: tuple[Check, ...]) -> bool:
    """Return whether nothing that was checked is wrong, and the rows themselves were among it."""
    seen = any(check.what == "rows" and check.ok for check in checks)
    return seen and all(check.ok is not False for check in checks)


def diff(root: Path, a: str, b: str) -> Difference:
    """Say what changed from release `a` to release `b`.

    Raises:
        Mistake: If one of them does not exist.
    """
    repository = Repository.at(root)
    before, after = find_release(root, a), find_release(root, b)
    settings = [_leaves(yaml.safe_load(_published(repository, each, SPEC))) for each in (before, after)]
    content = [_content(each.manifest) for each in (before, after)]
    code = [
        _leaves({**each.manifest.code.model_dump(mode="json"), "packages": dict(each.manifest.packages)})
        for each in (before, after)
    ]
    return Difference(
        settings=_changes(*settings),
        content=_changes(*content),
        code=_changes(*code),
        audit=between(before.manifest, after.manifest),
    )


def _files(repository: Repository, release: Release) -> Iterator[Check]:
    """Check the manifest against the tag, and the small files against the manifest."""
    hashes = release.manifest.hashes
    kept = hashlib.sha256(_published(repository, release, MANIFEST)).hexdigest()
    yield _check("manifest in git", release.manifest_sha256, kept)
    pointer = hashlib.sha256(_published(repository, release, POINTER)).hexdigest()
    wanted = {MANIFEST: release.manifest_sha256, REPORT: hashes.report, AUDIT: hashes.audit, SPEC: hashes.spec}
    wanted |= {} if hashes.columns is None else {SCHEMA: hashes.columns}
    for name in (*PUBLIC, *CARDS):
        content = repository.read(release.commit, f"{folder_of(release.manifest)}/{name}")
        wanted |= {} if content is None else {name: hashlib.sha256(content).hexdigest()}
    for name, expected in (wanted | {POINTER: pointer}).items():
        path = release.folder / name
        if path.exists() or not release.folder.exists():
            yield _check(name, expected, sha256(path) if path.exists() else None)
        else:
            yield Check(what=name, expected=expected, found="no such file", ok=False)


def _rows(repository: Repository, release: Release) -> Iterator[Check]:
    """Check the published rows: what they are, who vouches for them, and that DVC holds the same bytes."""
    path, manifest = release.rows, release.manifest
    md5, size = tracked(_published(repository, release, POINTER).decode())
    sworn = {
        "rows": manifest.hashes.rows,
        "number of rows": str(manifest.rows),
        "label in the rows": manifest.label,
        "release in the rows": manifest.release,
        "manifest in the rows": release.manifest_sha256,
        "size in DVC": str(size),
        "md5 in DVC": md5,
    }
    if not path.exists():
        yield from (_check(what, expected, None) for what, expected in sworn.items())
        return
    found = {"size in DVC": str(path.stat().st_size), "md5 in DVC": _md5(path)}
    try:
        metadata = pq.read_metadata(path)
        told = {key.decode(): value.decode() for key, value in (metadata.metadata or {}).items()}
        found |= {
            f"{key} in the rows": told.get(f"lookalike.{key}", "none") for key in ("label", "release", "manifest")
        }
        found |= {"number of rows": str(metadata.num_rows), "rows": rows_sha256(path)}
    except (pa.ArrowException, OSError, ValueError) as error:
        found |= dict.fromkeys(sworn.keys() - found.keys(), f"cannot be read: {' '.join(str(error).split())[:100]}")
    yield from (_check(what, expected, found[what]) for what, expected in sworn.items())


def _code(manifest: Manifest) -> Iterator[Check]:
    """Check the program, where this is still the one that made the release, and the lock file at its commit."""
    here, then = code_facts(), manifest.code
    yield Check(what="code", expected=then.sha256, found=here.sha256, ok=True if here.sha256 == then.sha256 else None)
    if then.lock is None:
        return
    found = here.lock
    if found != then.lock and then.commit is not None and here.commit is not None:
        content = Repository.at(code_root()).read(then.commit, LOCK_FILE)
        found = None if content is None else hashlib.sha256(content).hexdigest()
    sure = found == then.lock or (found is not None and then.dirty is False)
    yield Check(what=LOCK_FILE, expected=then.lock, found=found, ok=(found == then.lock) if sure else None)


def _run(workspace: Workspace, release: Release) -> Iterator[Check]:
    """Check what only the run's folder holds; a folder that holds another run by now tells nothing."""
    manifest, hashes = release.manifest, release.manifest.hashes
    here = _same_run(workspace, manifest)
    files: dict[str, tuple[str, Callable[[], str]]] = {
        "train.parquet": (hashes.train, lambda: sha256(workspace.train)),
        "holdout.parquet": (hashes.holdout, lambda: sha256(workspace.holdout)),
        "synthetic.parquet of the run": (hashes.synthetic, lambda: sha256(workspace.synthetic(manifest.model))),
        "synthesizer": (
            _joined(hashes.synthesizer),
            lambda: _joined(folder_sha256(workspace.synthesizer(manifest.model))),
        ),
    }
    for what, (expected, find) in files.items():
        try:
            yield _check(what, expected, find() if here else None)
        except FileNotFoundError:
            yield _check(what, expected, None)
    if hashes.source is not None:
        found = _source(workspace) if here else None
        yield Check(what="source", expected=hashes.source, found=found, ok=True if found == hashes.source else None)


def _same_run(workspace: Workspace, manifest: Manifest) -> bool:
    """Return whether the run's folder still holds what was released, by its specification and its source."""
    if not (workspace.spec_file.exists() and workspace.source.exists()):
        return False
    return sha256(workspace.spec_file) == manifest.hashes.spec and source_sha256(workspace) == manifest.hashes.source


def _source(workspace: Workspace) -> str | None:
    """Return the sha256 of the source as it is now, where it is a file at hand; it may rightly have changed since."""
    source = Source.model_validate(yaml.safe_load(workspace.spec_file.read_text(encoding="utf-8"))["source"])
    if source.query is not None or ("://" in source.path and not source.path.startswith("package://")):
        return None
    try:
        with local_file(str(expand(source.path, "source.path")), {}, workspace.root) as path:
            return digest(path, source.path)
    except Mistake:
        return None


def _check(what: str, expected: str, found: str | None) -> Check:
    return Check(what=what, expected=expected, found=found, ok=None if found is None else found == expected)


def _joined(hashes: Mapping[str, str]) -> str:
    """Return one sha256 of many."""
    return hashlib.sha256("".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()).hexdigest()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _published(repository: Repository, release: Release, name: str) -> bytes:
    """Return a file of a release as git holds it."""
    content = repository.read(release.commit, f"{folder_of(release.manifest)}/{name}")
    if content is None:
        raise Mistake(f"release {release.name}: its commit {release.commit} has no {name}")
    return content


def _content(manifest: Manifest) -> dict[str, JsonValue]:
    names = ("source", "train", "holdout", "rows", "spec")
    hashes: dict[str, JsonValue] = {f"{name} sha256": getattr(manifest.hashes, name) for name in names}
    return hashes | {
        "model": manifest.model,
        "synthesizer sha256": _joined(manifest.hashes.synthesizer),
        "number of rows": manifest.rows,
        "run": manifest.run,
        "seed": manifest.seed,
        "who": manifest.who,
        "when": manifest.when.isoformat(),
    }


def _leaves(tree: JsonValue, path: str = "") -> dict[str, JsonValue]:
    """Return every plain value of a tree by its dotted path; a list counts as one value."""
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    found: dict[str, JsonValue] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{path}.{key}" if path else str(key))
    return found


def _changes(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[Change, ...]:
    names = dict.fromkeys([*before, *after])
    return tuple(
        Change(what=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )
