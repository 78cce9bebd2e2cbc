"""The DAG files: what they make of good specs and of bad ones."""

import pytest
import yaml

from tests.dags.conftest import ROOT, write_project

pytestmark = pytest.mark.airflow
SPECS = sorted((ROOT / "specs").glob("*.yaml"))


def _spec(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _stage_of(dag, task_id):
    """Name the stage of a task: `gmm.train` is `train`, `audit.bias` is `audit`."""
    group, _, name = task_id.rpartition(".")
    return group if group == "audit" else name


def _steps(dag):
    """Return the stages of a DAG, each where the last of its tasks stands on the longest way from the start."""
    depth = {}
    for task in dag.topological_sort():
        depth[task.task_id] = 1 + max((depth[each] for each in task.upstream_task_ids), default=0)
    stages = {_stage_of(dag, task_id): place for task_id, place in depth.items() if task_id != "refused"}
    return tuple(sorted(stages, key=stages.__getitem__))


def test_every_spec_has_its_dag_and_no_file_has_an_error(dagbag_of):
    bag = dagbag_of()
    assert bag.import_errors == {}
    named = {f"synthesize_{_spec(path)['name']}" for path in SPECS}
    woken = {f"train_downstream_{_spec(path)['name']}" for path in SPECS if _spec(path).get("target")}
    assert set(bag.dags) == named | woken


def test_dags_and_stages_name_the_same_steps_in_the_same_order(dagbag_of):
    from audit.core import QUESTIONS
    from pipeline.stages import STAGES

    for path in SPECS:
        spec = _spec(path)
        dag = dagbag_of().dags[f"synthesize_{spec['name']}"]
        assert _steps(dag) == STAGES
        for model in spec["models"]:
            assert {f"{model}.train", f"{model}.generate", f"{model}.check"} <= set(dag.task_ids)
        assert [task for task in dag.task_ids if task.startswith("audit.")] == [f"audit.{each}" for each in QUESTIONS]


def test_a_chain_waits_for_no_other_and_its_shards_are_mapped(dagbag_of):
    dag = dagbag_of().dags["synthesize_rand_health"]
    for model in _spec(ROOT / "specs" / "rand_health.yaml")["models"]:
        train, generate, check = (dag.get_task(f"{model}.{each}") for each in ("train", "generate", "check"))
        assert train.upstream_task_ids == {"ingest", "contract"}
        assert generate.is_mapped
        assert generate.upstream_task_ids == {"ingest", f"{model}.train"}
        assert check.upstream_task_ids == {"ingest", f"{model}.generate"}
        assert (train.pool, train.queue, train.executor) == ("gpu", "gpu", None)


def test_releases_go_one_at_a_time_and_alone_emit_the_asset(dagbag_of):
    dag = dagbag_of().dags["synthesize_rand_health"]
    assert dag.get_task("release").pool == "release"
    emitting = {task.task_id: [asset.uri for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert emitting == {"release": ["lookalike://rand_health/"]}
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert all(task.retries == 2 and task.execution_timeout for task in dag.tasks)


def test_pools_of_the_file_are_those_that_tasks_ask_for(dagbag_of):
    import json

    made = set(json.loads((ROOT / "dags" / "pools.json").read_text(encoding="utf-8")))
    asked = {task.pool for dag in dagbag_of().dags.values() for task in dag.tasks}
    assert asked == made | {"default_pool"}


def test_environment_names_pools_and_executor(dagbag_of, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_GPU_POOL", "default_pool")
    monkeypatch.setenv("LOOKALIKE_RELEASE_POOL", "default_pool")
    monkeypatch.setenv("LOOKALIKE_GPU_EXECUTOR", "LocalExecutor")
    dag = dagbag_of().dags["synthesize_rand_health"]
    assert {task.pool for task in dag.tasks} == {"default_pool"}
    assert dag.get_task("independent.train").executor == "LocalExecutor"


def test_dags_survive_serialisation(dagbag_of):
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dagbag_of().dags.values():
        text = DagSerialization.to_json(dag)
        again = DagSerialization.from_json(text)
        assert again.dag_id == dag.dag_id
        assert set(again.task_ids) == set(dag.task_ids)
        assert {each: again.get_task(each).downstream_task_ids for each in again.task_ids} == {
            each: dag.get_task(each).downstream_task_ids for each in dag.task_ids
        }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "three"),
        ("seed", -1),
        ("rows", 0),
        ("rows", 2.5),
        ("models", []),
        ("models", ["no_such_family"]),
        ("models", "independent"),
    ],
)
def test_the_form_refuses_a_wrong_value(dagbag_of, name, value):
    from airflow.sdk.exceptions import ParamValidationError

    form = dagbag_of().dags["synthesize_rand_health"].params
    with pytest.raises(ParamValidationError):
        form.get_param(name).resolve(value)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", None), ("seed", 3), ("rows", 10), ("models", ["independent", "autoregressive"])]
)
def test_the_form_takes_a_right_value(dagbag_of, name, value):
    form = dagbag_of().dags["synthesize_rand_health"].params
    assert form.get_param(name).resolve(value) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", "broken.yaml: is not YAML"),
        ("- 1\n", "broken.yaml: got list, wanted a mapping of settings"),
        ("name: Broken\nmodels: {gmm: {}}\n", "broken.yaml: name: got 'Broken'"),
        ("name: broken\n", "broken.yaml: models: got None, wanted at least one family"),
        ("name: broken\nmodels: {gmm: {}}\nschedule: every day\n", "broken.yaml: "),
        ("name: tiny\nmodels: {gmm: {}}\n", "another spec makes the DAG synthesize_tiny already"),
    ],
)
def test_a_broken_spec_is_one_plain_error_and_hides_no_other_dag(dagbag_of, tmp_path, text, sentence):
    root = write_project(tmp_path / "project")
    (root / "specs" / "broken.yaml").write_text(text, encoding="utf-8")
    bag = dagbag_of(root)
    (error,) = bag.import_errors.values()
    assert sentence in error
    assert "Traceback" not in error
    assert {"synthesize_tiny", "synthesize_greedy"} <= set(bag.dags)


def test_two_broken_specs_are_both_named(dagbag_of, tmp_path):
    root = write_project(tmp_path / "project")
    (root / "specs" / "one.yaml").write_text("name: one\n", encoding="utf-8")
    (root / "specs" / "two.yaml").write_text("name: two\n", encoding="utf-8")
    (error,) = dagbag_of(root).import_errors.values()
    assert "one.yaml: models" in error
    assert "two.yaml: models" in error
