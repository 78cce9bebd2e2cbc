"""One DAG per spec with a target, woken by each release: train on the released rows, test on the real holdout.

An example of a user's own next step: the Asset `lookalike://<name>` wakes it, and the Asset's event says which release.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import yaml
from airflow.sdk import DAG, Asset, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

ROOT = Path(os.getenv("LOOKALIKE_ROOT") or Path(__file__).resolve().parents[1])
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@task
def train(name: str) -> list[str]:
    """Train on each release that woke this run; return where the records lie."""
    from pipeline.downstream import train_downstream
    from pipeline.errors import Mistake
    from pipeline.stages import safe_run
    from pipeline.workspace import Workspace

    events = get_current_context()["triggering_asset_events"][Asset(f"lookalike://{name}")]
    if not events:
        raise AirflowFailException(f"no release woke this run; run synthesize_{name}, or create an event of its Asset")
    records = []
    for event in events:
        place = Workspace(ROOT, name, safe_run(event.extra["run"]))
        try:
            records.append(str(train_downstream(place, event.extra["release"], Path(event.extra["path"]))))
        except Mistake as mistake:
            raise AirflowFailException(str(mistake)) from mistake
    return records


def build(spec: Mapping[str, object]) -> DAG:
    """Return the DAG of one spec."""
    name = spec["name"]
    dag = DAG(
        f"train_downstream_{name}",
        schedule=[Asset(f"lookalike://{name}")],
        catchup=False,
        max_active_runs=1,
        default_args={
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(hours=1),
        },
        tags=["lookalike", "downstream"],
        doc_md=f"Predicts `{spec['target']}`: trained on each release of `{name}`, tried on real rows kept from it.",
        auto_register=False,
    )
    with dag:
        train(name)
    return dag


def _with_target() -> list[Mapping[str, object]]:
    """Return the specs that name a target; synthesize.py reports those that cannot be read."""
    found = []
    for path in sorted((ROOT / "specs").glob("*.yaml")):
        try:
            tree = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(tree, dict) and NAME.fullmatch(str(tree.get("name"))) and isinstance(tree.get("target"), str):
            found.append(tree)
    return found


for _dag in map(build, _with_target()):
    globals()[_dag.dag_id] = _dag
