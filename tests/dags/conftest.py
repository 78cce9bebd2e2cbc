"""Airflow's settings for the tests, made before anything imports it, and one database for all of them."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.lenient import WAIVED, write_lenient

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
HOME = Path(tempfile.mkdtemp(prefix="lookalike-airflow-"))
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME / 'airflow.db'}",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }
)
TINY = """\
name: {name}
seed: 5
source: {{path: tiny.csv}}
target: bought
holdout: 0.4
models: {models}
shard_rows: 150
policy: lenient
waivers: {waivers}
demands: {demands}
release: {{remote: remote}}
"""


@pytest.fixture(scope="session", autouse=True)
def _no_home_left():
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_db():
    """Airflow's metadata database."""
    from airflow.utils.db import initdb

    initdb()


def write_project(root: Path) -> Path:
    """Make a project of two specs over one small table: `tiny` asks for what is given, `greedy` for too much."""
    rng = np.random.default_rng(1)
    n = 4_000
    age = rng.integers(18, 80, n)
    city = rng.choice(["Bergen", "Oslo", "Troms\u00f8"], n, p=[0.3, 0.5, 0.2])
    bought = np.where(rng.random(n) < age / 100, "yes", "no")
    spent = np.round(rng.gamma(2.0, age / 2.0, n), 2)
    root.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"age": age, "city": city, "spent": spent, "bought": bought}).to_csv(root / "tiny.csv", index=False)
    write_lenient(root)
    specs = root / "specs"
    specs.mkdir(exist_ok=True)
    for name, models, demands in (
        ("tiny", "{independent: {}}", "{validity.schema_violations: {at_most: 0.05}}"),
        ("greedy", "{independent: {}, gmm: {}}", "{fidelity.pair_trends: {at_most: 0}}"),
    ):
        text = TINY.format(name=name, models=models, demands=demands, waivers=json.dumps(WAIVED))
        (specs / f"{name}.yaml").write_text(text, encoding="utf-8")
    (root / ".gitignore").write_text("/data/runs/\n/data/quarantine/\n/remote/\n", encoding="utf-8")
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["config", "user.name", "A Tester"],
        ["config", "user.email", "tester@example.org"],
        ["add", "."],
        ["commit", "--quiet", "--message", "A small project"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture
def dagbag_of(monkeypatch):
    """Parse the DAG files for a project's specs."""
    from airflow.dag_processing.dagbag import DagBag

    def parse(root: Path = ROOT):
        monkeypatch.setenv("LOOKALIKE_ROOT", str(root))
        return DagBag(dag_folder=str(DAGS), collect_dags=True)

    return parse
