"""One Airflow DAG per specs/*.yaml: from a real table to an audited, released synthetic one.

Every task goes through one door of `pipeline.stages`; names and paths alone travel between tasks. Airflow cannot map a
task inside a mapped task group, so the models of a spec, which are known when its file is read, each get a chain of
their own, and `generate` is mapped over shards inside it: no chain waits for another. The trigger form takes any of
the spec's models; the chains of the others are skipped.

Environment: LOOKALIKE_ROOT (the project; the folder above this one by default), LOOKALIKE_GPU_EXECUTOR (executor of
the training tasks; Airflow's first by default), LOOKALIKE_GPU_POOL and LOOKALIKE_RELEASE_POOL (names of the two pools
of pools.json; `default_pool` where an Airflow has neither, for a task in a pool that does not exist waits until its
run times out).
"""

import logging
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import yaml
from airflow.sdk import DAG, Asset, Param, TaskGroup, TriggerRule, XComArg, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

ROOT = Path(os.getenv("LOOKALIKE_ROOT") or Path(__file__).resolve().parents[1])
QUESTIONS = ("fidelity", "utility", "bias", "validity", "privacy")
GPU = {
    "pool": os.getenv("LOOKALIKE_GPU_POOL") or "gpu",
    "queue": "gpu",
    "executor": os.getenv("LOOKALIKE_GPU_EXECUTOR") or None,
    "execution_timeout": timedelta(hours=12),
}
RELEASE_POOL = os.getenv("LOOKALIKE_RELEASE_POOL") or "release"
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
DOC = """\
Made from `{file}`. A refusal is no failure: the run succeeds, `release` is skipped and `refused` says why.

Pools that have to exist: `gpu` (as many slots as trainings may run at a time) and `release` (one slot);
`airflow pools import dags/pools.json` makes them.
"""
logger = logging.getLogger(__name__)


@task
def ingest(path: str) -> list[int]:
    """Read the source with the trigger form's values; return the numbers of the shards that each model will draw."""
    context = get_current_context()
    params = context["params"]
    models = _load(Path(path))["models"]
    changes = {key: params[key] for key in ("seed", "rows") if params[key] is not None}
    if set(params["models"]) != set(models):
        changes["models"] = {name: models[name] for name in models if name in params["models"]}
    made = _enter("ingest", path, changes=changes)
    for key in ("spec", "models"):
        context["ti"].xcom_push(key, made[key])
    return list(range(made["shards"]))


@task
def contract(spec: str) -> None:
    """Check the real rows against the suite made from their schema."""
    _enter("contract", spec)


@task
def train(spec: str, model: str, models: list[str]) -> None:
    """Fit one model; skip its chain where the trigger form left it out."""
    if model not in models:
        raise AirflowSkipException(f"{model} was not asked for")
    _enter("train", spec, model=model)


@task(execution_timeout=timedelta(hours=2))
def generate(spec: str, model: str, shard: int) -> None:
    """Draw one shard of rows."""
    _enter("generate", spec, model=model, shard=shard)


@task
def check(spec: str, model: str) -> None:
    """Join the shards and check them against the suite."""
    _enter("check", spec, model=model)


@task(execution_timeout=timedelta(hours=4), trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
def audit(spec: str, question: str) -> None:
    """Answer one question about every model's rows."""
    _enter("audit", spec, question=question)


@task.branch
def decide(spec: str) -> str:
    """Hold the estimates against the demands; go on to `release` or to `refused`."""
    decided = _enter("decide", spec)
    for key in ("verdict", "model", "report"):
        get_current_context()["ti"].xcom_push(key, decided[key])
    return "release" if decided["verdict"] == "accepted" else "refused"


@task
def refused(name: str) -> None:
    """Say why nothing is published; the rows lie in quarantine."""
    from pipeline.stages import safe_run
    from pipeline.workspace import Workspace, read_json

    place = Workspace(ROOT, name, safe_run(_run()))
    verdict = read_json(place.verdict)
    logger.warning("%s: nothing is published", verdict["verdict"])
    for reason in verdict["reasons"]:
        logger.warning("%s", reason)
    logger.warning("report: %s; rows: %s", place.report, place.quarantine("*"))


@task
def release(spec: str, name: str) -> str:
    """Publish the chosen rows and tell the DAGs that wait for them."""
    made = _enter("release", spec)
    if made["release"] is None:
        raise AirflowSkipException(str(made["reason"]))
    extra = {key: made[key] for key in ("release", "model", "path", "manifest_sha256")}
    get_current_context()["outlet_events"][Asset(f"lookalike://{name}")].extra = {**extra, "run": _run()}
    return str(made["release"])


def build(path: Path, spec: Mapping[str, object]) -> DAG:
    """Return the DAG of one spec file."""
    name = spec["name"]
    dag = DAG(
        f"synthesize_{name}",
        schedule=spec.get("schedule"),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(days=2),
        params=_form(spec),
        default_args={
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(hours=1),
        },
        on_failure_callback=_say_failure,
        tags=["lookalike", "synthesize"],
        doc_md=DOC.format(file=path.relative_to(ROOT)),
        auto_register=False,
    )
    with dag:
        ingested = ingest(str(path))
        contracted = contract(ingested["spec"])
        decided = decide(ingested["spec"])
        with TaskGroup("audit"):
            answers = [audit.override(task_id=question)(ingested["spec"], question) for question in QUESTIONS]
        for model in spec["models"]:
            _chain(model, ingested, after=contracted, before=answers)
        published = release.override(pool=RELEASE_POOL, outlets=[Asset(f"lookalike://{name}")])
        answers >> decided >> [published(ingested["spec"], name), refused(name)]
    return dag


class UnreadableSpecs(DAG):
    """Stands for the spec files that cannot be read: an import error of its own that leaves the other DAGs alone."""

    def validate(self) -> None:
        """Refuse, as Airflow asks for each DAG of a file by itself.

        Raises:
            ValueError: Always, with one line per spec file.
        """
        raise ValueError(self.description)


def _chain(model: str, ingested: XComArg, after: XComArg, before: list[XComArg]) -> None:
    with TaskGroup(model):
        trained = train.override(**GPU)(ingested["spec"], model, ingested["models"])
        generated = generate.partial(spec=ingested["spec"], model=model).expand(shard=ingested)
        after >> trained >> generated >> check(ingested["spec"], model) >> before


def _form(spec: Mapping[str, object]) -> dict[str, Param]:
    models = list(spec["models"])
    return {
        "seed": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            title="Seed",
            description=f"The spec's {spec.get('seed', 0)} if empty",
        ),
        "rows": Param(
            None, type=["null", "integer"], minimum=1, title="Rows", description="Rows to generate; the spec's if empty"
        ),
        "models": Param(
            models,
            type="array",
            items={"type": "string", "enum": models},
            minItems=1,
            uniqueItems=True,
            examples=models,
            title="Models",
            description="Families to train, of those in the spec",
        ),
    }


def _enter(stage: str, spec: str, **rest: object) -> Mapping[str, object]:
    """Go through one door; the user's mistake fails at once, for trying again cannot help."""
    from pipeline import stages
    from pipeline.errors import Mistake

    try:
        return stages.call(stage, Path(spec), ROOT, _run(), show=_progress(), **rest)
    except Mistake as mistake:
        raise AirflowFailException(str(mistake)) from mistake


def _run() -> str:
    return str(get_current_context()["run_id"])


def _progress() -> Callable[[str, float, str], None]:
    """Return what writes progress to the task's log, one line in five seconds at most."""
    last = -math.inf

    def show(stage: str, done: float, message: str) -> None:
        nonlocal last
        if done >= 1 or time.monotonic() - last >= 5:
            last = time.monotonic()
            logger.info("%s: %3.0f %%, %s", stage, 100 * done, message)

    return show


def _say_failure(context: Mapping[str, object]) -> None:
    logger.error("%s, run %s failed: %s", context["dag"].dag_id, context["run_id"], context.get("reason"))


def _load(path: Path) -> dict[str, object]:
    """Read the little that a DAG's shape hangs on; `pipeline.spec` judges the rest in `ingest`."""
    where = path.name
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{where}: got {type(tree).__name__}, wanted a mapping of settings")
    if not isinstance(tree.get("name"), str) or not NAME.fullmatch(tree["name"]):
        raise ValueError(f"{where}: name: got {tree.get('name')!r}, wanted lower-case letters, digits and underscores")
    if not isinstance(tree.get("models"), dict) or not tree["models"]:
        raise ValueError(f"{where}: models: got {tree.get('models')!r}, wanted at least one family")
    return tree


def _build_all() -> tuple[dict[str, DAG], list[str]]:
    dags: dict[str, DAG] = {}
    mistakes: list[str] = []
    for path in sorted((ROOT / "specs").glob("*.yaml")):
        try:
            dag = build(path, _load(path))
            dag.validate()
            if dag.dag_id in dags:
                raise ValueError(f"name: another spec makes the DAG {dag.dag_id} already")
        except (ValueError, TypeError, AirflowException) as error:
            mistakes.append(str(error) if str(error).startswith(path.name) else f"{path.name}: {error}")
        else:
            dags[dag.dag_id] = dag
    return dags, mistakes


_DAGS, _MISTAKES = _build_all()
globals().update(_DAGS)
if _MISTAKES:
    unreadable_specs = UnreadableSpecs("unreadable_specs", description="\n".join(_MISTAKES), auto_register=False)
