"""Releases: one accepted model's table as a version of DVC and git that anyone can trace and verify."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.cards import CARDS, write_cards
from pipeline.dvc_remote import CONFIG, Remote, cache_of, configuration, configure, push, track, with_remote
from pipeline.errors import Mistake
from pipeline.git import PATIENCE, Head, Repository, one_writer
from pipeline.manifest import Facts, Manifest, draft
from pipeline.places import secrets_of
from pipeline.spec import Spec
from pipeline.workspace import Workspace, write_bytes, write_parquet, write_text

STEPS = ("start", "stage", "rows", "track", "push", "place", "commit", "publish", "index", "configure", "end")
ROWS, POINTER, MANIFEST = "synthetic.parquet", "synthetic.parquet.dvc", "manifest.json"
REPORT, AUDIT, SPEC, SCHEMA, IGNORE = "report.html", "audit.json", "spec.yaml", "schema.json", ".gitignore"
PUBLIC = ("report.public.html", "audit.public.json")
IN_GIT = (MANIFEST, REPORT, AUDIT, *PUBLIC, *CARDS, SPEC, SCHEMA, IGNORE, POINTER)
STAGING, WAIT = Path("data/releases/.staging"), 600.0


@dataclass(frozen=True)
class Release:
    """One published version.

    Attributes:
        name: `<spec>-v<version>`, which is also the tag.
        folder: Where its files lie in the work tree.
        commit: The commit that the tag names.
        manifest_sha256: Of the manifest, as the tag's message says.
        manifest: What it swears to.
    """

    name: str
    folder: Path
    commit: str
    manifest_sha256: str
    manifest: Manifest

    @property
    def rows(self) -> Path:
        """The synthetic rows."""
        return self.folder / ROWS


def publish(
    root: Path, spec: Spec, workspace: Workspace, model: str, at: Callable[[str], None] = lambda step: None
) -> Release:
    """Publish one accepted model's rows; a run that was published already gives the release that it became.

    Everything is staged and pushed to the DVC remote before the work tree is touched; then one transaction of git moves
    the branch and creates the tag. A crash at any line leaves the old state or the finished release, and publishing
    again completes it. The user's staged changes and files stay as they are.

    Args:
        root: The project: the top folder of a git repository.
        spec: The run's specification.
        workspace: The run.
        model: The model whose rows are published.
        at: Called with each of `STEPS` before it is taken.

    Raises:
        ValueError: If the model was not accepted.
        Mistake: If the project is no git repository, or the remote is out of reach; nothing is left then. Also if the
            specification, which is published, holds a secret.
    """
    facts = Facts.of(workspace, model)
    _refuse_secrets(spec)
    repository = Repository.at(root)
    remote = Remote.of(repository.root, spec.release)
    manifest = draft(workspace, model, facts, spec.seed, repository.who())
    if workspace.spec_file.read_text(encoding="utf-8") != spec.dump():
        raise Mistake(f"run {workspace.run!r}: was judged by another specification than this; run `decide` again")
    with one_writer(repository.shared / "lookalike-release.lock", WAIT) as lock:
        repository = replace(repository, lock=lock)
        at("start")
        shutil.rmtree(repository.root / STAGING, ignore_errors=True)  # a killed attempt's, for there is one writer
        before = _before(repository, manifest)
        if before is None:
            return _Publication(repository, workspace, model, remote, at).make(manifest)
        _settle(repository, before, workspace, remote, at)
        return before


def list_releases(root: Path) -> tuple[Release, ...]:
    """Return all releases whose tags the project has, by specification and version; none where there is no git."""
    try:
        repository = Repository.at(root)
    except Mistake:
        return ()
    return tagged(repository)


def tagged(repository: Repository) -> tuple[Release, ...]:
    """Return all releases whose tags a repository has, by specification and version."""
    tags = repository.tags("manifest [0-9a-f]{64}")
    places = [f"{tag.name}:data/releases/{'/v'.join(tag.name.rsplit('-v', 1))}/{MANIFEST}" for tag in tags]
    found = []
    for tag, content in zip(tags, repository.read_all(places), strict=True):
        if content is not None:
            manifest = Manifest.read(content, f"tag {tag.name}")
            folder = repository.root / folder_of(manifest)
            found.append(Release(tag.name, folder, tag.commit, tag.body.removeprefix("manifest "), manifest))
    return tuple(sorted(found, key=lambda release: (release.manifest.spec, release.manifest.version)))


def find_release(root: Path, name: str) -> Release:
    """Return the release of a name.

    Raises:
        Mistake: If there is none.
    """
    known = list_releases(root)
    found = next((release for release in known if release.name == name), None)
    if found is None:
        raise Mistake(
            f"release {name!r}: there is none; there are {', '.join(each.name for each in known) or 'none yet'}"
        )
    return found


def folder_of(manifest: Manifest) -> str:
    """Return the folder of a release, relative to the project."""
    return f"data/releases/{manifest.spec}/v{manifest.version}"


@dataclass(frozen=True)
class _Publication:
    """The making of one release, by the one writer."""

    repository: Repository
    workspace: Workspace
    model: str
    remote: Remote
    at: Callable[[str], None]

    def make(self, manifest: Manifest) -> Release:
        repository = self.repository
        manifest = manifest.named(_next_version(repository, manifest.spec))
        place = repository.root / folder_of(manifest)
        untouched = not (repository.root / ".dvc").exists()
        self.remote.ready()
        self.at("stage")
        with _staging(repository.root, self.workspace.run) as scratch:
            try:
                staged = scratch / manifest.release
                self._fill(staged, manifest, scratch)
                self.at("place")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.rmtree(place, ignore_errors=True)
                staged.rename(place)
                release = self._publish(place, manifest, scratch)
            except BaseException:
                if manifest.release not in repository.tag_names():
                    shutil.rmtree(place, ignore_errors=True)
                    if untouched:
                        shutil.rmtree(repository.root / ".dvc", ignore_errors=True)
                raise
        _settle(repository, release, self.workspace, self.remote, self.at)
        return release

    def _fill(self, staged: Path, manifest: Manifest, scratch: Path) -> None:
        """Make the whole release apart from everything, and push its rows."""
        lock = self.repository.lock
        assert lock is not None
        content = manifest.dump()
        staged.mkdir()
        write_bytes(staged / MANIFEST, content)
        copies = {REPORT: self.workspace.report, AUDIT: self.workspace.audit, SPEC: self.workspace.spec_file}
        copies[SCHEMA] = self.workspace.schema
        copies |= dict(zip(PUBLIC, (self.workspace.public_report, self.workspace.public_audit), strict=True))
        for name, source in copies.items():
            write_bytes(staged / name, source.read_bytes())
        write_cards(self.workspace.audit, manifest.release, staged)
        write_text(staged / IGNORE, f"/{ROWS}\n")
        self.at("rows")
        _write_rows(staged / ROWS, self.workspace.synthetic(self.model), manifest)
        self.at("track")
        track(staged / ROWS, scratch, cache_of(self.repository.root), self.remote, lock)
        self.at("push")
        push(staged / ROWS, scratch, self.remote, lock)

    def _publish(self, place: Path, manifest: Manifest, scratch: Path) -> Release:
        """Commit and tag; again where the user's branch moved meanwhile."""
        repository = self.repository
        told, digest = _told(manifest), manifest.sha256()
        files = {f"{folder_of(manifest)}/{name}": repository.store((place / name).read_bytes()) for name in IN_GIT}
        deadline = time.monotonic() + PATIENCE
        while True:
            self.at("commit")
            head = repository.head()
            both = files | configuration(repository, head.commit, self.remote)
            commit = repository.commit(head.commit, both, f"Release {told}\n", scratch / "index")
            tag = repository.tag(manifest.release, commit, f"{told}\n\nmanifest {digest}\n")
            self.at("publish")
            try:
                repository.move(head, commit, manifest.release, tag)
                return Release(manifest.release, place, commit, digest, manifest)
            except Mistake:
                if manifest.release in repository.tag_names() or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


@contextmanager
def _staging(root: Path, run: str) -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    home = root / STAGING
    write_text(home / ".gitignore", "*\n")
    scratch = Path(tempfile.mkdtemp(prefix=f"{run}-", dir=home))
    try:
        yield scratch
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write_rows(path: Path, source: Path, manifest: Manifest) -> None:
    """Write the released Parquet: the run's rows, and in the metadata what they are and who vouches for them."""
    metadata = {
        "lookalike.label": manifest.label,
        "lookalike.release": manifest.release,
        "lookalike.manifest": manifest.sha256(),
    }
    write_parquet(path, pq.read_table(source), metadata)


def _refuse_secrets(spec: Spec) -> None:
    """Refuse a specification with a secret in it, for it is committed to git with the release."""
    spelled = re.search(r"://[^/@:]*:(?P<secret>[^/@]+)@", spec.source.path)
    words = {"source.path": spelled["secret"] if spelled else "${}"}
    words |= {f"source.options ({place})": word for place, word in enumerate(secrets_of(spec.source.options))}
    for where, word in words.items():
        if "${" not in word:
            raise Mistake(f"{where}: holds a secret, and the specification is published: write ${{NAME}} in its place")


def _told(manifest: Manifest) -> str:
    return f"{manifest.release}: {manifest.rows} synthetic rows by {manifest.model}"


def _next_version(repository: Repository, spec: str) -> int:
    """Return one more than every version that a tag or the branch has; a folder of neither was never finished."""
    folder = f"data/releases/{spec}/"
    paths = repository.files(repository.head().commit, folder)
    names = [path.removeprefix(folder).split("/")[0].removeprefix("v") for path in paths]
    names += [name.removeprefix(f"{spec}-v") for name in repository.tag_names() if name.startswith(f"{spec}-v")]
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)


def _before(repository: Repository, manifest: Manifest) -> Release | None:
    """Return the release that the run became; a tag that went missing is made again where the branch has its files."""
    for release in tagged(repository):
        if release.manifest.same_as(manifest):
            return release
    known = repository.tag_names()
    folder = f"data/releases/{manifest.spec}"
    places = [path for path in repository.files(repository.head().commit, folder) if path.endswith(f"/{MANIFEST}")]
    for place, content in zip(places, repository.read_all([f"HEAD:{place}" for place in places]), strict=True):
        kept = Manifest.read(content or b"", place)
        if kept.release not in known and kept.same_as(manifest):
            commit = repository.text("log", "-1", "--format=%H", "HEAD", "--", place)
            tag = repository.tag(kept.release, commit, f"{_told(kept)}\n\nmanifest {kept.sha256()}\n")
            repository.move(Head(None, None), commit, kept.release, tag)
            return Release(kept.release, repository.root / folder_of(kept), commit, kept.sha256(), kept)
    return None


def _settle(
    repository: Repository, release: Release, workspace: Workspace, remote: Remote, at: Callable[[str], None]
) -> None:
    """Bring the user's index and work tree up to what the branch got, in the release's own paths only."""
    at("index")
    head = repository.head().commit
    ours = repository.files(head, folder_of(release.manifest))
    if ours:
        ours |= configuration(repository, head, remote)
        staged = repository.staged(list(ours))
        missing = {path: blob for path, blob in ours.items() if path not in staged}
        if CONFIG in staged:
            text = repository.run("cat-file", "blob", staged[CONFIG]).decode()
            missing[CONFIG] = repository.store(with_remote(text, remote).encode())
        repository.stage(missing)
    at("configure")
    configure(repository.root, remote)
    for name in IN_GIT:
        content = repository.read(release.commit, f"{folder_of(release.manifest)}/{name}")
        if content is not None and not (release.folder / name).exists():
            write_bytes(release.folder / name, content)
    if not release.rows.exists():
        _write_rows(release.rows, workspace.synthetic(release.manifest.model), release.manifest)
    at("end")
