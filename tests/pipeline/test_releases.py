"""A release is whole or not there, whatever fails, and every hash in it can be recomputed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from configobj import ConfigObj

from audit.core import QUESTIONS, Estimate
from audit.report.document import Document, Gate, Inputs, ModelAudit, Rows, Run, Waiver
from pipeline.dvc_remote import Remote, with_remote
from pipeline.errors import Mistake
from pipeline.estimates import Measured
from pipeline.git import one_writer
from pipeline.manifest import Manifest
from pipeline.releases import STEPS, list_releases, publish
from pipeline.spec import ReleaseSpec, Spec
from pipeline.tracing import diff, verified, verify
from pipeline.verdicts import Verdict
from pipeline.workspace import Workspace, sha256, write_json, write_parquet, write_text
from tabular.schema import Schema

GATE = Gate(
    metric="bias.one",
    demand="wanted at most 1",
    verdict="failed",
    value=0.1,
    waiver=Waiver(reason="known", author="A. Founder", expires=date(2031, 1, 1)),
)
PROJECT = Path(__file__).resolve().parents[2]
SLOW_STEPS = set(STEPS) - {"place", "publish"}
CHILD = """
import os, signal, sys
from pathlib import Path
from pipeline.releases import publish
from pipeline.spec import Spec
from pipeline.workspace import Workspace

root, run, fatal = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
workspace = Workspace(root, "tiny", run)

def at(step):
    if step == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

print(publish(root, Spec.load(workspace.spec_file), workspace, "independent", at).name)
"""


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def new_project(root: Path) -> Path:
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / ".gitignore").write_text("/data/runs/\n")
    (root / "notes.txt").write_text("one\n")
    git(root, "add", ".gitignore", "notes.txt")
    git(root, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first")
    return root


def make_run(root: Path, run: str, seed: int = 0, release: dict | None = None, value: float = 0.1) -> Workspace:
    """Leave what the earlier stages leave, with an accepted model."""
    spec = Spec(
        name="tiny",
        source={"path": "source.csv"},
        models={"independent": {}},
        seed=seed,
        release=ReleaseSpec.model_validate(release or {}),
    )
    workspace = Workspace(root, "tiny", run)
    rng = np.random.default_rng(seed)
    for path in (workspace.train, workspace.holdout, workspace.synthetic("independent")):
        rows = {
            "x": pa.array(rng.normal(size=200), mask=rng.random(200) < 0.1),
            "n": pa.array(rng.integers(0, 9, size=200)),
            "word": pa.array(rng.choice(["a", "bb", None], size=200).tolist(), pa.string()),
            "yes": pa.array((rng.random(200) < 0.5).tolist()),
            "day": pa.array(rng.integers(0, 10_000, size=200).astype("datetime64[D]")),
        }
        write_parquet(path, pa.table(rows), {"lookalike.label": "synthetic"})
    write_text(root / "source.csv", "x\n1\n")
    write_text(workspace.spec_file, spec.dump())
    write_text(workspace.schema, Schema(columns=()).model_dump_json())
    write_json(workspace.source, {"path": "source.csv", "sha256": sha256(root / "source.csv")})
    write_text(workspace.synthesizer("independent") / "synthesizer.json", json.dumps({"seed": seed}))
    write_text(workspace.report, "<html>report</html>\n")
    write_text(workspace.public_report, "<html>public</html>\n")
    document = judged(run, seed)
    write_text(workspace.audit, document.to_json())
    write_text(workspace.public_audit, document.to_json())
    for question in QUESTIONS:
        found = Measured(estimates={f"{question}.one": Estimate(value=value, detail=({"column": "x"},))})
        write_text(workspace.estimates("independent", question), found.to_json())
    verdict = Verdict(verdict="accepted", reasons=("all 5 demands are met",), gates=(GATE,))
    tree = {"verdict": "accepted", "model": "independent", "models": {"independent": verdict.model_dump(mode="json")}}
    write_json(workspace.verdict, tree | {"policy": "lenient"})
    return workspace


def judged(run: str, seed: int) -> Document:
    """Return the least that an audit says."""
    rows = Rows(rows=200)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Document(
        run=Run(spec="tiny", run=run, when=when, seed=seed, commit=None, version="0"),
        inputs=Inputs(source="source.csv", read=rows, train=rows, holdout=rows, split_by="row", columns=()),
        models=(ModelAudit(name="independent", synthetic=rows, verdict="accepted"),),
        chosen="independent",
        verdict="accepted",
    )


def released(workspace: Workspace):
    return publish(workspace.root, Spec.load(workspace.spec_file), workspace, "independent")


def child(workspace: Workspace, fatal: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, str(workspace.root), workspace.run, fatal]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def failures(root: Path, name: str) -> list[str]:
    return [check.what for check in verify(root, name) if check.ok is False]


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def state(root: Path) -> tuple[str, str, str, list[str]]:
    """Return all that a failure must leave as it was: refs, index, work tree, files of releases."""
    files = sorted(str(path.relative_to(root)) for path in (root / "data" / "releases").rglob("*") if path.is_file())
    return git(root, "for-each-ref"), git(root, "ls-files", "-s"), git(root, "status", "--porcelain"), files


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one release, tiny-v1, of run `one`; tests add releases, and change nothing that is there."""
    root = new_project(tmp_path_factory.mktemp("project") / "root")
    (root / "notes.txt").write_text("two\n")
    git(root, "add", "notes.txt")
    (root / "notes.txt").write_text("three\n")
    released(make_run(root, "one"))
    return root


def test_a_release_is_tagged_committed_and_verified(project: Path) -> None:
    release = next(each for each in list_releases(project) if each.name == "tiny-v1")
    checks = {check.what: check for check in verify(project, "tiny-v1")}
    assert verified(tuple(checks.values()))
    unsure = {what for what, check in checks.items() if check.ok is None}
    assert unsure <= {"code", "requirements.lock"}
    assert checks["synthesizer"].ok and checks["source"].ok and checks["train.parquet"].ok
    metadata = pq.read_metadata(release.rows).metadata
    assert metadata[b"lookalike.label"] == b"synthetic"
    assert metadata[b"lookalike.manifest"].decode() == sha256(release.folder / "manifest.json")
    assert metadata[b"lookalike.release"] == b"tiny-v1"
    assert git(project, "cat-file", "-t", "tiny-v1") == "tag"
    committed = git(project, "diff-tree", "-r", "--name-only", "--no-commit-id", "tiny-v1^{commit}").split()
    ours = [f"data/releases/tiny/v1/{name}" for name in listing(release.folder) if name != "synthetic.parquet"]
    assert sorted(committed) == sorted([".dvc/.gitignore", ".dvc/config", ".dvcignore", *ours])


def test_staged_and_unstaged_changes_stay(project: Path) -> None:
    assert git(project, "show", "HEAD:notes.txt") == "one"
    assert git(project, "show", ":notes.txt") == "two"
    assert (project / "notes.txt").read_text() == "three\n"
    changed = [line for line in git(project, "status", "--porcelain").splitlines() if "source.csv" not in line]
    assert changed == ["MM notes.txt"]


def test_a_second_clone_pulls_the_same_bytes(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project), str(clone)], check=True)
    before = {check.what: check.ok for check in verify(clone, "tiny-v1")}
    assert before["rows"] is None and before["report.html"] is True and before["train.parquet"] is None
    subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=clone, check=True)
    rows = "data/releases/tiny/v1/synthetic.parquet"
    assert (clone / rows).read_bytes() == (project / rows).read_bytes()
    assert {check.what: check.ok for check in verify(clone, "tiny-v1")}["rows"] is True
    assert git(clone, "status", "--porcelain") == ""


def test_publishing_again_is_the_same_release(project: Path) -> None:
    before = state(project)
    workspace = Workspace(project, "tiny", "one")
    write_text(workspace.report, "<html>written again</html>\n")
    assert released(workspace).name == "tiny-v1"
    assert state(project) == before


def test_a_missing_tag_and_missing_files_come_back(project: Path) -> None:
    before = state(project)
    content = (project / "data/releases/tiny/v1/synthetic.parquet").read_bytes()
    git(project, "tag", "-d", "tiny-v1")
    shutil.rmtree(project / "data/releases/tiny/v1")
    git(project, "rm", "-q", "--cached", "-r", "data/releases/tiny/v1")
    assert released(Workspace(project, "tiny", "one")).name == "tiny-v1"
    after = state(project)
    assert after[1:] == before[1:]
    assert (project / "data/releases/tiny/v1/synthetic.parquet").read_bytes() == content
    assert verified(verify(project, "tiny-v1"))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("synthetic.parquet", "md5 in DVC"),
        ("report.html", "report.html"),
        ("audit.json", "audit.json"),
        ("report.public.html", "report.public.html"),
        ("README.md", "README.md"),
        ("spec.yaml", "spec.yaml"),
        ("manifest.json", "manifest.json"),
        ("synthetic.parquet.dvc", "synthetic.parquet.dvc"),
    ],
)
def test_a_flipped_byte_is_found(project: Path, name: str, what: str) -> None:
    path = project / "data/releases/tiny/v1" / name
    content = path.read_bytes()
    try:
        for place in (4, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert what in failures(project, "tiny-v1")
    finally:
        path.write_bytes(content)
    assert failures(project, "tiny-v1") == []


def test_changed_rows_with_the_right_metadata_are_found(project: Path) -> None:
    path = project / "data/releases/tiny/v1/synthetic.parquet"
    content = path.read_bytes()
    rows = pq.read_table(path)
    metadata = {key.decode(): value.decode() for key, value in rows.schema.metadata.items()}
    try:
        write_parquet(path, rows.take(list(range(199, -1, -1))), metadata)
        assert "rows" in failures(project, "tiny-v1")
        path.unlink()
        assert {check.what: check.ok for check in verify(project, "tiny-v1")}["rows"] is None
    finally:
        path.write_bytes(content)


def test_the_manifest_reads_back_and_leaves_no_detail(project: Path) -> None:
    content = (project / "data/releases/tiny/v1/manifest.json").read_bytes()
    manifest = Manifest.read(content, "here")
    assert manifest.dump() == content
    assert manifest.estimates["bias.one"].value == 0.1 and manifest.estimates["bias.one"].detail == ()
    assert (manifest.policy, manifest.gates) == ("lenient", (GATE,))
    assert manifest.when.utcoffset().total_seconds() == 0
    with pytest.raises(Mistake, match="here: is not a manifest"):
        Manifest.read(content.replace(b'"format": 1', b'"format": 2'), "here")


def test_only_an_accepted_model_is_published(project: Path) -> None:
    workspace = make_run(project, "refused", seed=9)
    tree = json.loads(workspace.verdict.read_text())
    tree["models"]["independent"]["verdict"] = "refused"
    write_json(workspace.verdict, tree)
    before = state(project)
    with pytest.raises(ValueError, match="got verdict 'refused', wanted 'accepted'"):
        released(workspace)
    assert state(project) == before


def test_a_secret_in_the_spec_is_not_published(project: Path) -> None:
    workspace = make_run(project, "secret", seed=8)
    before = state(project)
    tree = Spec.load(workspace.spec_file).model_dump(mode="json")
    for source in (
        {"path": "postgresql://me:word@host/db", "query": "select 1"},
        {"path": "s3://b/k.csv", "options": {"client_kwargs": {"aws_secret_access_key": "word"}}},
    ):
        with pytest.raises(Mistake, match="holds a secret"):
            publish(project, Spec.of(tree | {"source": source}, "here"), workspace, "independent")
    open_source = {"path": "postgresql://me:${WORD}@host/db", "query": "select 1"}
    with pytest.raises(Mistake, match="judged by another specification"):
        publish(project, Spec.of(tree | {"source": open_source}, "here"), workspace, "independent")
    assert state(project) == before


def test_a_lock_that_is_held_is_waited_for(tmp_path: Path) -> None:
    with one_writer(tmp_path / "lock", 0):
        with pytest.raises(Mistake, match="another release has held the lock"), one_writer(tmp_path / "lock", 0.2):
            pass
    with one_writer(tmp_path / "lock", 0) as lock:
        holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(Mistake), one_writer(tmp_path / "lock", 0):
        pass
    holder.communicate(b"\n", timeout=30)
    with one_writer(tmp_path / "lock", 0):
        pass


def test_a_remote_joins_the_configuration_once() -> None:
    here, there = Remote("/here"), Remote("s3://b/x, y", {"endpointurl": "http://h"})
    theirs = "# mine\n[core]\n    remote = mine\n['remote \"mine\"']\n    url = /mine # where\n"
    one = with_remote(theirs, here)
    both = with_remote(one, there)
    assert with_remote(both, here) == both and with_remote(both, there) == both
    assert "# mine" in both and "# where" in both and "remote = mine" in both
    assert f"remote = {here.name}" in with_remote(None, here)
    tree = ConfigObj(both.splitlines())
    assert tree[f'remote "{there.name}"'] == {"url": "s3://b/x, y", "endpointurl": "http://h"}
    with pytest.raises(Mistake, match=".dvc/config: cannot be read"):
        with_remote("[core\n", here)


def test_two_at_once_become_two_versions(tmp_path: Path) -> None:
    root = new_project(tmp_path / "root")
    pair = [child(make_run(root, run, seed)) for seed, run in enumerate(["a", "b"], start=1)]
    names = []
    for process in pair:
        told, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        names.append(told.strip())
    assert sorted(names) == ["tiny-v1", "tiny-v2"]
    assert git(root, "rev-list", "--count", "HEAD") == "3"
    for name in names:
        assert verified(verify(root, name))
    changes = diff(root, "tiny-v1", "tiny-v2")
    assert [each.what for each in changes.settings] == ["seed"]
    assert {"rows sha256", "run", "seed"} <= {each.what for each in changes.content}
    assert "source sha256" not in {each.what for each in changes.content}
    assert [(each.metric, each.before, each.after) for each in changes.audit.gates] == [
        ("bias.one", "failed", "failed")
    ]
    assert ("bias.one", 0.1, 0.1) in [(each.metric, each.before, each.after) for each in changes.audit.metrics]


def test_commits_of_others_meanwhile_are_kept(project: Path) -> None:
    workspace = make_run(project, "raced", seed=11)
    seen: list[str] = []

    def at(step: str) -> None:
        if step == "publish" and not seen:
            tree = git(project, "rev-parse", "HEAD^{tree}")
            commit = ("-c", "user.name=B", "-c", "user.email=b@b.c", "commit-tree", tree, "-p", "HEAD", "-m", "theirs")
            seen.append(git(project, *commit))
            git(project, "update-ref", "HEAD", seen[0])

    release = publish(project, Spec.load(workspace.spec_file), workspace, "independent", at)
    assert (
        git(project, "rev-parse", f"{release.name}^{{commit}}^") == seen[0]
        and git(project, "rev-parse", "HEAD") == release.commit
    )


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.slow if step in SLOW_STEPS else ()) for step in STEPS]
)
def test_killed_anywhere_and_run_again_there_is_one_release(tmp_path: Path, step: str) -> None:
    root = new_project(tmp_path / "root")
    workspace = make_run(root, "killed")
    killed = child(workspace, step)
    told, _ = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL and told == ""
    done = STEPS.index(step) > STEPS.index("publish")
    assert [each.name for each in list_releases(root)] == (["tiny-v1"] if done else [])
    assert git(root, "rev-list", "--count", "HEAD") == ("2" if done else "1")
    assert released(workspace).name == "tiny-v1"
    whole(root)


def test_killed_while_clearing_up_a_published_release(tmp_path: Path) -> None:
    root = new_project(tmp_path / "root")
    workspace = make_run(root, "killed")
    assert released(workspace).name == "tiny-v1"
    left = root / "data" / "releases" / ".staging" / "killed-x" / "index"
    left.parent.mkdir(parents=True)
    left.touch()
    assert released(workspace).name == "tiny-v1"
    whole(root)


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for attempt in range(12):
        root = new_project(tmp_path / f"root{attempt}")
        workspace = make_run(root, "killed")
        process = child(workspace)
        time.sleep(float(rng.uniform(0.5, 4.0)))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        assert released(workspace).name == "tiny-v1"
        whole(root)


def whole(root: Path) -> None:
    """Check that there is one release, complete, and nothing else."""
    assert [each.name for each in list_releases(root)] == ["tiny-v1"]
    assert verified(verify(root, "tiny-v1"))
    assert git(root, "rev-list", "--count", "HEAD") == "2"
    assert git(root, "status", "--porcelain") == "?? source.csv"
    assert listing(root / "data" / "releases") == ["tiny"]
    assert listing(root / "data" / "releases" / "tiny") == ["v1"]


def test_a_detached_head_gets_the_tag_only(tmp_path: Path) -> None:
    root = new_project(tmp_path / "root")
    git(root, "checkout", "-q", "--detach")
    released(make_run(root, "one"))
    assert git(root, "rev-list", "--count", "HEAD") == "1"
    assert git(root, "rev-parse", "tiny-v1^{commit}^") == git(root, "rev-parse", "HEAD")
    assert verified(verify(root, "tiny-v1"))


def test_a_repository_without_a_commit_and_without_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    released(make_run(root, "one"))
    assert git(root, "log", "--format=%cn <%ce>") == "lookalike <lookalike@localhost>"
    assert verified(verify(root, "tiny-v1"))


def test_no_git_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    workspace = make_run(tmp_path / "plain", "one")
    with pytest.raises(Mistake, match="is not a git repository: run `git init` there"):
        released(workspace)
    assert list_releases(tmp_path / "plain") == ()
    root = new_project(tmp_path / "root")
    (root / "below").mkdir()
    with pytest.raises(Mistake, match="lies inside the git repository"):
        released(make_run(root / "below", "one"))


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("kind", ["below a file", "closed port", "unknown to DVC", "a secret in the spec"])
def test_a_remote_out_of_reach_leaves_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings, words = {
        "below a file": ({"remote": "notes.txt/remote"}, "cannot be written to"),
        "closed port": (
            {"remote": "s3://bucket/x", "options": {"endpointurl": f"http://127.0.0.1:{closed_port()}"}},
            "s3://bucket/x: dvc push",
        ),
        "unknown to DVC": ({"remote": "gopher://host/x"}, "gopher"),
        "a secret in the spec": ({"remote": "s3://b/x", "options": {"secret_access_key": "s"}}, "secrets come from"),
    }[kind]
    root = new_project(tmp_path / "root")
    workspace = make_run(root, "one", release=settings)
    before = state(root)
    with pytest.raises(Mistake, match=words):
        released(workspace)
    assert state(root) == before
    assert not (root / ".dvc").exists()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 service on a port of this machine, with a bucket named `bucket`."""
    import boto3

    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.1)
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="bucket")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_s3_holds_the_bytes(tmp_path: Path, s3: str) -> None:
    root = new_project(tmp_path / "root")
    release = released(make_run(root, "one", release={"remote": "s3://bucket/x", "options": {"endpointurl": s3}}))
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(root), str(clone)], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "pull", "-q"], cwd=clone, check=True)
    assert (clone / release.rows.relative_to(root)).read_bytes() == release.rows.read_bytes()
    assert verified(verify(clone, release.name))
    missing = make_run(root, "two", seed=2, release={"remote": "s3://absent/x", "options": {"endpointurl": s3}})
    before = state(root)
    with pytest.raises(Mistake, match="s3://absent/x: dvc push"):
        released(missing)
    assert state(root) == before
    # From here on the service knows nobody: the keys that were good are wrong.
    plain = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{s3}/moto-api/reset-auth", b"0", plain), timeout=10).close()
    refused = make_run(root, "three", seed=3, release={"remote": "s3://bucket/y", "options": {"endpointurl": s3}})
    with pytest.raises(Mistake, match="s3://bucket/y: dvc push"):
        released(refused)
    assert state(root) == before
