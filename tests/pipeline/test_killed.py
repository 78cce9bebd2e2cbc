"""Kill -9 during each stage, run again: it completes, and what it leaves equals an undisturbed run's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.workspace import sha256
from tests.lenient import WAIVED, write_lenient

ROOT = Path(__file__).resolve().parents[2]
STAGES = (
    ("ingest",),
    ("contract",),
    ("train", "--model", "gmm"),
    ("generate", "--model", "gmm"),
    ("check", "--model", "gmm"),
    ("audit",),
    ("decide",),
    ("release",),
)
AUDITS = ("audit.json", "audit.public.json")
CLOCKED = {*AUDITS, "report.html", "report.public.html", "release.json"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A git project whose specification reads a small table."""
    project = tmp_path_factory.mktemp("project")
    (project / "specs").mkdir()
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.integers(18, 80, 4_000), "town": rng.choice(["Bern", "Basel"], 4_000)})
    table.assign(pay=table["age"] * 10 + rng.normal(0, 30, 4_000)).to_csv(project / "rows.csv", index=False)
    settings = {
        "name": "toy",
        "source": {"path": "rows.csv"},
        "models": {"gmm": {}},
        "policy": "lenient",
        "waivers": WAIVED,
        "demands": {"privacy.exact_copies": {"at_most": 0.5}},
        "shard_rows": 500,
    }
    write_lenient(project)
    (project / "specs" / "toy.yaml").write_text(yaml.safe_dump(settings))
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", project, *command], check=True)
    return project


def command(stage, run):
    return [sys.executable, "-m", "pipeline", "stage", stage[0], "specs/toy.yaml", "--run", run, *stage[1:]]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def go(project, stage, run):
    return subprocess.run(command(stage, run), cwd=project, env=environment(), check=True, capture_output=True)


def left(project, run):
    """What a run left, by file: the sha256 of its bytes, without those that hold the time of day."""
    home = project / "data" / "runs" / "toy" / run
    files = [path for path in sorted(home.rglob("*")) if path.is_file() and path.parent.name != "done"]
    return {str(path.relative_to(home)): sha256(path) for path in files if path.name not in CLOCKED}


def judged(project, run, name):
    """An audit that a run left, without the run's name, the time of day, and the count of audits before."""
    audit = json.loads((project / "data" / "runs" / "toy" / run / name).read_text())
    assert audit["policy"].pop("audits_so_far") == ("whole", "killed").index(run)
    del audit["run"]["run"], audit["run"]["when"]
    for model in audit["models"]:
        del model["seconds"]
    return audit


@pytest.mark.slow
def test_kill_during_each_stage(project):
    for stage in STAGES:
        begun = time.monotonic()
        go(project, stage, "whole")
        taken = time.monotonic() - begun
        for share in (0.55, 0.8, 0.95):
            process = subprocess.Popen(
                command(stage, "killed"),
                cwd=project,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(share * taken)
            process.send_signal(signal.SIGKILL)
            process.wait()
        go(project, stage, "killed")
    assert left(project, "killed") == left(project, "whole")
    for name in AUDITS:
        whole = judged(project, "whole", name)
        assert judged(project, "killed", name) == whole
        assert whole["verdict"] == "accepted"
    tags = subprocess.run(["git", "-C", project, "tag"], capture_output=True, text=True, check=True).stdout.split()
    assert tags == ["toy-v1", "toy-v2"]
