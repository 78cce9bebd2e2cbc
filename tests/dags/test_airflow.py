"""Airflow for real: components up, a DAG triggered over REST, its release wakes another, pages opened in Chromium."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from dags.components import EVERY, Home
from dags.rest import Api
from tests.dags.conftest import ROOT, write_project

pytestmark = [pytest.mark.slow, pytest.mark.airflow]
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ROOMS = ("tabular", "models", "audit", "pipeline", "dags")


def _local(root, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
    environment |= {"LOOKALIKE_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dags.local", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=400)


def _told(message):
    """Return a console message; of a resource that was refused, the status and the address."""
    status = re.search(r"status of (\d+)", message.text)
    return f"{status[1]} {message.location['url']}" if status else message.text


def _wait(api, path, ready, seconds=400):
    limit = time.monotonic() + seconds
    while not ready(found := api.find(path)):
        assert time.monotonic() < limit, found
        time.sleep(1)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("airflow") / "project"
    for room in (*ROOMS, "policies"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    return write_project(root)


@pytest.fixture(scope="module")
def api(project):
    done = _local(project, "up")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"http://127\.0\.0\.1:\d+  user: admin  password: \S+", done.stdout)
        home = Home(project)
        found = Api(home, home.running())
        found.login()
        yield found
    finally:
        _local(project, "down")


@pytest.fixture(scope="module")
def released(api, project):
    """A run of the DAG, triggered over REST with parameters, that was released; the downstream DAG waits for it."""
    for dag in ("train_downstream_tiny", "synthesize_tiny"):
        _wait(api, f"/api/v2/dags/{dag}", lambda found: found is not None)
        api.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
    body = {"dag_run_id": "by-rest", "logical_date": None, "conf": {"rows": 400, "seed": 3}}
    api.call("POST", "/api/v2/dags/synthesize_tiny/dagRuns", body)
    ended = _wait(
        api, "/api/v2/dags/synthesize_tiny/dagRuns/by-rest", lambda found: found["state"] in ("success", "failed")
    )
    assert ended["state"] == "success"
    return json.loads((project / "data" / "runs" / "tiny" / "by-rest" / "release.json").read_text())


def test_every_component_is_healthy(api):
    health = _wait(
        api, "/api/v2/monitor/health", lambda found: all(part.get("status") == "healthy" for part in found.values())
    )
    assert set(health) == {"metadatabase", "scheduler", "triggerer", "dag_processor"}
    assert tuple(each.name for each in api.running.components) == EVERY


def test_a_run_triggered_over_rest_with_parameters_is_released(released, project):
    assert released["release"] == "tiny-v1"
    spec = (project / "data" / "runs" / "tiny" / "by-rest" / "spec.yaml").read_text()
    assert "seed: 3\n" in spec
    assert "rows: 400\n" in spec


def test_the_release_wakes_the_downstream_dag(api, released, project):
    place = "/api/v2/dags/train_downstream_tiny/dagRuns"
    runs = _wait(
        api, place, lambda found: [run for run in found["dag_runs"] if run["state"] in ("success", "failed")], 120
    )
    assert [(run["state"], run["run_type"]) for run in runs["dag_runs"]] == [("success", "asset_triggered")]
    record = json.loads((project / "data" / "runs" / "tiny" / "by-rest" / "downstream.json").read_text())
    assert record["release"] == released["release"]
    assert record["trained_on_release"]["rows"] == 400


@pytest.mark.parametrize("conf", [{"rows": "many"}, {"seed": -1}, {"models": ["no_such_family"]}])
def test_wrong_parameters_are_refused(api, conf):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        api.call("POST", "/api/v2/dags/synthesize_tiny/dagRuns", {"logical_date": None, "conf": conf})
    with refusal.value as answer:
        assert answer.code == 400


def test_nobody_enters_without_the_password(api, project):
    stranger = Api(Home(project), api.running)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        stranger.call("GET", "/api/v2/dags")
    with refusal.value as answer:
        assert answer.code == 401


def test_run_uses_the_airflow_that_is_up_and_a_refusal_is_no_failure(released, project):
    done = _local(project, "run", "specs/greedy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "using the Airflow that runs already" in done.stdout
    assert re.search(r"release +skipped", done.stdout)
    assert Home(project).running() is not None


def test_run_shows_the_log_of_what_failed(released, project):
    spec = project / "specs" / "lost.yaml"
    text = (project / "specs" / "tiny.yaml").read_text()
    spec.write_text(text.replace("name: tiny", "name: lost").replace("tiny.csv", "lost.csv"))
    done = _local(project, "run", "specs/lost.yaml")
    assert done.returncode == 1
    assert "last log lines of ingest" in done.stdout
    assert "lost.csv" in done.stdout
    spec.unlink()


def test_graph_and_report_open_in_a_browser_without_an_error_or_a_foreign_request(api, released, project):
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = browser.new_page()
        page.on("console", lambda message: said.append(_told(message)) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(api.url)
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", api.password())
        page.click("button[type=submit]")
        page.wait_for_url(re.compile(r"/$|/\?|/dags"))
        page.goto(f"{api.url}/dags/synthesize_tiny/runs/by-rest")
        page.click('[aria-label*="raph" i]')
        for node in ("ingest", "independent", "audit", "decide", "release"):
            page.wait_for_selector(f'.react-flow__node:has-text("{node}")')
        page.goto((project / "data" / "runs" / "tiny" / "by-rest" / "report.html").as_uri())
        page.wait_for_selector("h1")
        page.wait_for_timeout(1000)
        browser.close()
    # Before the login Airflow's page asks for its settings, and the browser notes that it was told to log in.
    assert [line for line in said if line != f"401 {api.url}/ui/config"] == []
    foreign = [url for url in asked if not url.startswith((f"{api.url}/", "file:", "data:", "blob:"))]
    assert foreign == []


def test_down_ends_every_component(api, released, project):
    running = Home(project).running()
    began = time.monotonic()
    done = _local(project, "down")
    assert done.returncode == 0
    assert "4 components were running" in done.stdout
    assert time.monotonic() - began < 40
    assert not any(each.alive for each in running.components)
    assert Home(project).running() is None
