"""Airflow on this machine: `run` takes one spec all the way, `up` leaves Airflow running, `down` ends it."""

import argparse
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import yaml

from dags.components import EVERY, NEEDED, ComponentError, Home, Running, check_alive, prepare, start, stop
from dags.rest import Api, Json

TERMINAL = ("success", "failed", "skipped", "upstream_failed", "removed")
BEGAN = time.monotonic()


class Stopped(Exception):
    """A request to end: Ctrl-C or a signal."""


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dags.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run the DAG of one spec to its end").add_argument("spec", type=Path)
    commands.add_parser("up", help="start Airflow with its web page")
    commands.add_parser("down", help="end what `up` started")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    home = Home(Path(os.environ.get("LOOKALIKE_ROOT") or Path.cwd()).resolve())
    try:
        if given.command == "down":
            return down(home)
        if given.command == "run":
            _name(home, given.spec)  # a wrong name is said before anything is made
        with _only_one(home):
            return run(home, given.spec) if given.command == "run" else up(home)
    except ValueError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    except (ComponentError, OSError, http.client.HTTPException) as error:
        print(f"Airflow on this machine failed: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Stopped):
        print("interrupted", file=sys.stderr)
        return 130


@contextmanager
def _only_one(home: Home) -> Iterator[None]:
    """Keep a second `run` or `up` out while one starts or runs; the components themselves do not hold the lock."""
    home.path.mkdir(mode=0o700, exist_ok=True)
    with (home.path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError("another run on this machine goes on in this folder: wait for it to end") from error
        yield


def run(home: Home, spec: Path) -> int:
    """Run one spec's DAG and show what came out; return 0 if the DAG succeeded.

    Raises:
        ValueError: If the spec file or the DAG made from it is no good.
    """
    name = _name(home, spec)
    running = home.running()
    if running is not None and running.owner == "run":
        raise ValueError("another run on this machine goes on in this folder: wait for it, or `make down` ends it")
    ours = running is None
    since = datetime.now(UTC)
    try:
        if running is None:
            running = _start(home, "run", NEEDED)
        else:
            say(f"using the Airflow that runs already: http://127.0.0.1:{running.port}")
        api = _ready(home, running)
        run_id = datetime.now(UTC).strftime("run-%Y%m%dT%H%M%S")
        _trigger(api, f"synthesize_{name}", run_id, spec.name, since)
        succeeded = _follow(api, f"/api/v2/dags/synthesize_{name}/dagRuns/{run_id}")
    finally:
        if ours:
            say("stopping Airflow")
            _stop(home)
    say("done" if succeeded else "the DAG failed")
    if not succeeded:
        return 1
    command = [str(Path(sys.executable).parent / "lookalike"), "show", f"{name}/{run_id}", "--root", str(home.root)]
    sys.stdout.flush()
    return subprocess.run(command, cwd=home.root, check=False).returncode


def up(home: Home) -> int:
    """Start Airflow and leave it running."""
    running = home.running()
    if running is None:
        try:
            running = _start(home, "up", EVERY)
            api = _ready(home, running)
        except BaseException:
            _stop(home)
            raise
    else:
        api = Api(home, running)
    say(f"Airflow: {api.url}  user: admin  password: {api.password()}  logs: {home.logs}  end it with `make down`")
    return 0


def down(home: Home) -> int:
    """End Airflow."""
    alive = _stop(home)
    say(f"Airflow has ended ({alive} components were running)" if alive else "Airflow was not running")
    return 0


def say(what: str) -> None:
    """Print a line with the time since the start, in minutes and seconds."""
    seconds = int(time.monotonic() - BEGAN)
    print(f"{seconds // 60:2d}:{seconds % 60:02d}  {what}", flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


def _stop(home: Home) -> int:
    """Stop everything; a second Ctrl-C does not leave half of it running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return stop(home)
    finally:
        signal.signal(signal.SIGINT, before)


def _name(home: Home, spec: Path) -> str:
    if not spec.is_file():
        raise ValueError(f"{spec}: there is no such file")
    if spec.resolve().parent != home.root / "specs":
        raise ValueError(f"{spec}: Airflow makes DAGs of the files in {home.root / 'specs'} only; put it there")
    try:
        tree = yaml.safe_load(spec.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{spec}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("name"), str):
        raise ValueError(f"{spec}: names no data set; wanted `name: ...`")
    return str(tree["name"])


def _start(home: Home, owner: str, names: tuple[str, ...]) -> Running:
    if stop(home):
        say("ended what was left of an Airflow that had lost a component")
    say("preparing Airflow's database in .airflow/")
    prepare(home)
    say(f"starting Airflow: {', '.join(names)}")
    return start(home, owner, names)


def _ready(home: Home, running: Running) -> Api:
    """Wait for the API and make the pools that are not there."""
    api = Api(home, running)

    def healthy() -> bool:
        try:
            found = api.find("/api/v2/monitor/health")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return found is not None and home.passwords.exists()

    api.wait("Airflow's API", healthy)
    api.login()
    say(f"Airflow's API answers on {api.url}")
    pools = json.loads((home.root / "dags" / "pools.json").read_text(encoding="utf-8"))
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    for name, pool in pools.items():
        if api.find(f"/api/v2/pools/{name}") is None:
            # Without a GPU the pool holds as many trainings as there are tasks at a time.
            slots = (gpus or 3) if name == "gpu" else pool["slots"]
            api.call("POST", "/api/v2/pools", {**pool, "name": name, "slots": slots})
    return api


def _trigger(api: Api, dag: str, run_id: str, spec: str, since: datetime) -> None:
    """Start a DAG run, once the DAG stands for its spec as it is now.

    Raises:
        ValueError: If Airflow cannot make a DAG of the spec.
    """

    def parsed() -> bool:
        for error in api.call("GET", "/api/v2/importErrors")["import_errors"]:
            mine = [line for line in error["stack_trace"].splitlines() if spec in line]
            if mine and datetime.fromisoformat(error["timestamp"]) > since:
                raise ValueError("\n".join(mine))
        found = api.find(f"/api/v2/dags/{dag}")
        return found is not None and datetime.fromisoformat(found["last_parsed_time"]) > since

    api.wait(f"the DAG {dag}", parsed)
    api.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
    api.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": {}})
    say(f"triggered {dag}, run {run_id}")


def _follow(api: Api, place: str) -> bool:
    """Print what the tasks of a run do, and return whether it succeeded."""
    seen: dict[str, str] = {}
    while True:
        check_alive(api.home, api.running)
        state = str(api.call("GET", place)["state"])
        tasks = api.call("GET", f"{place}/taskInstances?limit=1000&order_by=start_date")["task_instances"]
        _show_changes(tasks, seen)
        if state in ("success", "failed"):
            break
        time.sleep(1)
    for each in tasks:
        if each["state"] == "failed":
            _show_log(api, place, each)
    return state == "success"


def _show_changes(tasks: list[Json], seen: dict[str, str]) -> None:
    for each in tasks:
        label = str(each["task_id"]) + (f"[{each['map_index']}]" if each["map_index"] != -1 else "")
        state = each["state"]
        if seen.get(label) == state or state not in ("running", "up_for_retry", *TERMINAL):
            continue
        seen[label] = str(state)
        took = f"  {each['duration']:.1f} s" if state in ("success", "failed") and each["duration"] else ""
        say(f"{label:32s} {state}{took}")


def _show_log(api: Api, place: str, failed: Json) -> None:
    path = f"{place}/taskInstances/{failed['task_id']}/logs/{failed['try_number']}"
    lines = api.call("GET", f"{path}?map_index={failed['map_index']}&full_content=true")["content"]
    print(f"last log lines of {failed['task_id']}:")
    for line in lines[-20:]:
        print(f"    {line['event'] if isinstance(line, dict) else line}")
        for error in line.get("error_detail") or () if isinstance(line, dict) else ():
            print(f"    {error.get('exc_type')}: {error.get('exc_value')}")


if __name__ == "__main__":
    sys.exit(main())
