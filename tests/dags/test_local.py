"""Airflow on this machine: its settings, its processes, and what it says of mistakes; no component is started here."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dags.components import Home, Running, settings, start, stop
from dags.processes import Process, end, launch
from tests.dags.conftest import ROOT

FAMILY = "import subprocess, time; subprocess.Popen(['sleep', '300'], process_group=0); time.sleep(300)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"
)


def _launch(tmp_path, code):
    return launch("child", [sys.executable, "-c", code], tmp_path, dict(os.environ), tmp_path / "child.log")


def _members(session):
    """Return the processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session and "State:\tZ" not in (folder / "status").read_text():
                found.append(int(folder.name))
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found


def _wait(ready):
    limit = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_process_ends_with_all_that_it_started(tmp_path):
    process = _launch(tmp_path, FAMILY)
    _wait(lambda: len(_members(process.pid)) == 2)
    end([process])
    assert not process.alive
    assert _members(process.pid) == []


def test_a_process_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("dags.processes.PATIENCE", 0.5)
    process = _launch(tmp_path, STUBBORN)
    _wait(lambda: "ready" in (tmp_path / "child.log").read_text())
    end([process])
    assert not process.alive


def test_another_process_with_the_same_number_is_left_alone(tmp_path):
    process = _launch(tmp_path, FAMILY)
    try:
        stranger = Process("child", process.pid, process.born - 1)
        assert not stranger.alive
        end([stranger])
        assert process.alive
    finally:
        end([process])


def test_down_forgets_components_that_died_and_their_files(tmp_path):
    home = Home(tmp_path)
    home.path.mkdir()
    home.record.write_text(
        json.dumps({"owner": "up", "port": 1, "components": [{"name": "scheduler", "pid": 2**22 - 1, "born": 1}]})
    )
    (home.path / "airflow-scheduler.pid").write_text("7")
    assert home.running() is None
    assert stop(home) == 0
    assert not home.record.exists()
    assert list(home.path.glob("*.pid")) == []


def test_settings_stay_on_this_machine_and_keys_are_made_once(tmp_path):
    home = Home(tmp_path)
    first = settings(home, 8123)
    assert settings(home, 8123) == first
    assert first["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert first["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"
    assert first["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{tmp_path}/.airflow/airflow.db"
    assert stat.S_IMODE((home.path / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    keys = [first[f"AIRFLOW__{each}"] for each in ("API__SECRET_KEY", "API_AUTH__JWT_SECRET", "CORE__FERNET_KEY")]
    assert len(set(keys)) == 3
    assert min(map(len, keys)) >= 43


def test_a_port_that_is_taken_is_left_to_its_owner(tmp_path):
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 8080))
        except OSError:
            pytest.skip("port 8080 of this machine is in use by somebody else")
        taken.listen()
        running = start(Home(tmp_path), "run", ())
    assert isinstance(running, Running)
    assert running.port != 8080


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("specs/none.yaml", "specs/none.yaml: there is no such file"),
        ("elsewhere.yaml", "only; put it there"),
        ("specs/nameless.yaml", "specs/nameless.yaml: names no data set"),
        ("specs/torn.yaml", "specs/torn.yaml: is not YAML"),
    ],
)
def test_a_mistake_ends_with_two_and_one_sentence(tmp_path, spec, sentence):
    (tmp_path / "specs").mkdir()
    (tmp_path / "elsewhere.yaml").write_text("name: elsewhere\n")
    (tmp_path / "specs" / "nameless.yaml").write_text("seed: 1\n")
    (tmp_path / "specs" / "torn.yaml").write_text("name: [\n")
    done = _local(tmp_path, "run", spec)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".airflow").exists()


def test_down_where_nothing_runs_says_so(tmp_path):
    done = _local(tmp_path, "down")
    assert done.returncode == 0
    assert "Airflow was not running" in done.stdout


def test_it_never_imports_airflow():
    code = "import sys, dags.local; print(sorted(each for each in sys.modules if each.split('.')[0] == 'airflow'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _local(folder, *arguments):
    environment = {**os.environ, "LOOKALIKE_ROOT": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dags.local", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
