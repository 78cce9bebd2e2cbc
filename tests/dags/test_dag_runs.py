"""Whole DAG runs in this process: to a release, to a refusal, and to a mistake that is not tried again."""

import json
import logging
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dags.conftest import DAGS, write_project

pytestmark = pytest.mark.airflow


class Finished(NamedTuple):
    """A DAG run that has ended."""

    root: Path
    home: Path
    run: object
    said: list[str]

    @property
    def states(self) -> dict[str, str]:
        return {task.task_id: task.state for task in self.run.get_task_instances()}

    def read(self, name: str):
        return json.loads((self.home / name).read_text(encoding="utf-8"))


class _Listener(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


def _run(root: Path, dag_id: str, **conf) -> Finished:
    from airflow.dag_processing.dagbag import DagBag

    from pipeline.stages import safe_run

    listener = _Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_ROOT", str(root))
        dag = DagBag(dag_folder=str(DAGS)).dags[dag_id]
        logging.getLogger().addHandler(listener)
        try:
            run = dag.test(run_conf=conf)
        finally:
            logging.getLogger().removeHandler(listener)
    return Finished(root, root / "data" / "runs" / dag_id.partition("_")[2] / safe_run(run.run_id), run, listener.said)


@pytest.fixture(scope="module")
def project(tmp_path_factory, airflow_db):
    return write_project(tmp_path_factory.mktemp("project") / "tiny")


@pytest.fixture(scope="module")
def accepted(project):
    return _run(project, "synthesize_tiny", rows=400)


@pytest.fixture(scope="module")
def refused(project):
    return _run(project, "synthesize_greedy", models=["independent"], seed=11)


def test_an_accepted_run_goes_through_every_task_but_the_refusal(accepted):
    assert accepted.run.state == "success"
    assert accepted.states.pop("refused") == "skipped"
    assert {state for task, state in accepted.states.items() if task != "refused"} == {"success"}


def test_rows_are_drawn_in_mapped_shards(accepted):
    drawn = [task for task in accepted.run.get_task_instances() if task.task_id == "independent.generate"]
    assert sorted(task.map_index for task in drawn) == [0, 1, 2]
    assert len(list((accepted.home / "models" / "independent" / "shards").glob("*.parquet"))) == 3


def test_a_release_is_tagged_and_emits_one_event_of_its_asset(accepted):
    released = accepted.read("release.json")
    tags = subprocess.run(["git", "tag"], cwd=accepted.root, check=True, capture_output=True, text=True).stdout.split()
    assert tags == [released["release"]] == ["tiny-v1"]
    told = {key: released[key] for key in ("release", "model", "path", "manifest_sha256")}
    assert _events("lookalike://tiny/") == [told | {"run": accepted.run.run_id}]


def test_only_names_and_paths_travel_between_tasks(accepted):
    sent = _sent(accepted.run.run_id)
    assert sent["ingest", "return_value"] == [0, 1, 2]
    assert sent["ingest", "spec"] == str(accepted.home / "spec.yaml")
    assert sent["ingest", "models"] == ["independent"]
    assert sent["decide", "verdict"] == "accepted"
    assert all(len(json.dumps(value)) < 500 for value in sent.values())


def test_a_release_is_tried_on_the_real_holdout(accepted):
    from pipeline.downstream import train_downstream
    from pipeline.workspace import Workspace

    released = accepted.read("release.json")
    place = Workspace(accepted.root, "tiny", accepted.home.name)
    path = train_downstream(place, released["release"], Path(released["path"]))
    record = json.loads(path.read_text(encoding="utf-8"))
    assert path.parent == accepted.home
    assert record["task"] == "classification"
    assert record["holdout_rows"] == 1_600
    assert record["trained_on_release"]["rows"] == 400
    # Synthetic columns that know nothing of one another teach nothing; real ones do.
    assert abs(record["trained_on_release"]["roc_auc"] - 0.5) < 0.2
    assert record["trained_on_real"]["roc_auc"] > 0.55


def test_a_refusal_is_a_success_that_publishes_nothing(refused):
    assert refused.run.state == "success"
    assert refused.states["refused"] == "success"
    assert refused.states["release"] == "skipped"
    assert not (refused.root / "data" / "releases" / "greedy").exists()
    assert _events("lookalike://greedy/") == []
    assert (refused.root / "data" / "quarantine" / "greedy" / refused.home.name / "independent.parquet").exists()


def test_a_refusal_says_why(refused):
    verdict = refused.read("verdict.json")
    assert verdict["reasons"]
    place = refused.said.index(f"{verdict['verdict']}: nothing is published")
    *reasons, last = refused.said[place + 1 : place + 2 + len(verdict["reasons"])]
    assert reasons == verdict["reasons"]
    assert str(refused.home / "report.html") in last


def test_models_that_the_form_leaves_out_are_skipped(refused):
    assert {refused.states[f"gmm.{each}"] for each in ("train", "generate", "check")} == {"skipped"}
    assert {refused.states[f"independent.{each}"] for each in ("train", "generate", "check")} == {"success"}
    assert [path.name for path in (refused.home / "models").iterdir()] == ["independent"]
    assert "seed: 11" in (refused.home / "spec.yaml").read_text(encoding="utf-8")


def test_a_mistake_fails_at_once_in_one_sentence_and_is_not_tried_again(tmp_path, airflow_db):
    root = write_project(tmp_path / "project")
    (root / "tiny.csv").unlink()
    finished = _run(root, "synthesize_tiny")
    assert finished.run.state == "failed"
    assert finished.states["release"] == "upstream_failed"
    (ingest,) = [task for task in finished.run.get_task_instances() if task.task_id == "ingest"]
    assert (ingest.state, ingest.try_number, ingest.max_tries) == ("failed", 1, 2)
    assert any(line.startswith("synthesize_tiny, run ") and "failed" in line for line in finished.said)


def test_the_downstream_dag_fails_where_no_release_woke_it(project):
    finished = _run(project, "train_downstream_tiny")
    assert (finished.run.state, finished.states) == ("failed", {"train": "failed"})


def _events(uri: str) -> list[object]:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.settings import Session
    from sqlalchemy import select

    with Session() as session:
        wanted = select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id).where(AssetModel.uri == uri)
        return [event.extra for event in session.scalars(wanted)]


def _sent(run_id: str) -> dict[tuple[str, str], object]:
    from airflow.models.xcom import XComModel
    from airflow.settings import Session
    from sqlalchemy import select

    with Session() as session:
        rows = session.scalars(select(XComModel).where(XComModel.run_id == run_id)).all()
        return {(row.task_id, row.key): XComModel.deserialize_value(row) for row in rows}
