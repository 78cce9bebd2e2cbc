"""Airflow's components on this machine: their settings, their start and their end; never imports Airflow."""

import base64
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from dags.processes import Process, end, launch

EVERY = ("api-server", "scheduler", "dag-processor", "triggerer")
# Nothing that Lookalike schedules is deferred, so one run can do without the triggerer.
NEEDED = EVERY[:3]


class ComponentError(RuntimeError):
    """A component that ended by itself, or could not be started; its text ends with its last log lines."""


@dataclass(frozen=True)
class Running:
    """The components that run.

    Attributes:
        owner: `up` if they stay until `down`, `run` if they end with one run.
        port: Of the web page and the API, on 127.0.0.1.
        components: The processes.
    """

    owner: str
    port: int
    components: tuple[Process, ...]


@dataclass(frozen=True)
class Home:
    """Airflow's home in a project: `.airflow/`.

    Attributes:
        root: The project's folder.
    """

    root: Path

    @property
    def path(self) -> Path:
        """The home itself."""
        return self.root / ".airflow"

    @property
    def logs(self) -> Path:
        """Logs of components and tasks."""
        return self.path / "logs"

    @property
    def passwords(self) -> Path:
        """Passwords by user, which the API server makes when it starts first."""
        return self.path / "simple_auth_manager_passwords.json.generated"

    @property
    def record(self) -> Path:
        """Which components run."""
        return self.path / "components.json"

    def log_of(self, name: str) -> Path:
        """Log of one component."""
        return self.logs / f"{name}.log"

    def running(self) -> Running | None:
        """Return what runs; None if nothing does, or not all that was started."""
        recorded = self.recorded()
        return recorded if recorded is not None and all(each.alive for each in recorded.components) else None

    def recorded(self) -> Running | None:
        """Return what was started last, alive or not."""
        if not self.record.exists():
            return None
        content = json.loads(self.record.read_text(encoding="utf-8"))
        components = tuple(Process(**each) for each in content["components"])
        return Running(content["owner"], content["port"], components)


def settings(home: Home, port: int) -> dict[str, str]:
    """Return the environment of every component: SQLite and LocalExecutor, reachable from this machine only."""
    kept = _secrets(home)
    airflow = {
        "CORE__DAGS_FOLDER": str(home.root / "dags"),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "3",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__FERNET_KEY": kept["fernet"],
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home.passwords),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": "1",
        "API__SECRET_KEY": kept["api"],
        "API_AUTH__JWT_SECRET": kept["jwt"],
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.path / 'airflow.db'}",
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "LOGGING__BASE_LOG_FOLDER": str(home.logs),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    }
    ours = {
        "AIRFLOW_HOME": str(home.path),
        "LOOKALIKE_ROOT": str(home.root),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        # Tasks find git's and DVC's commands where this Python's own are.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    return {**os.environ, **ours, **{f"AIRFLOW__{key}": value for key, value in airflow.items()}}


def prepare(home: Home) -> bool:
    """Make or upgrade Airflow's database; return whether there was anything to do.

    Raises:
        ComponentError: If Airflow cannot make it.
    """
    stamp = home.path / "database"
    wanted = version("apache-airflow")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and (home.path / "airflow.db").exists():
        return False
    environment = settings(home, 8080)
    home.logs.mkdir(parents=True, exist_ok=True)
    with home.log_of("migrate").open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(command, env=environment, stdout=log, stderr=log, cwd=home.root, check=False)
    if done.returncode:
        raise ComponentError(f"Airflow's database could not be made\n{last_lines(home.log_of('migrate'))}")
    stamp.write_text(wanted, encoding="utf-8")
    return True


def start(home: Home, owner: str, names: Sequence[str]) -> Running:
    """Start components, each in a session of its own, and record them."""
    port = _free_port(8080)
    environment = settings(home, port)
    running = Running(owner, port, ())
    try:
        for name in names:
            process = launch(name, _command(name), home.root, environment, home.log_of(name))
            running = Running(owner, port, (*running.components, process))
            home.record.write_text(json.dumps(asdict(running), indent=1), encoding="utf-8")
    except BaseException:
        stop(home)
        raise
    return running


def stop(home: Home) -> int:
    """End everything that was started, and forget it; return how many components were still alive."""
    recorded = home.recorded()
    components = () if recorded is None else recorded.components
    alive = sum(each.alive for each in components)
    end(components)
    for stale in (home.record, *home.path.glob("*.pid")):
        stale.unlink(missing_ok=True)
    return alive


def check_alive(home: Home, running: Running) -> None:
    """Raise if a component ended by itself.

    Raises:
        ComponentError: With the last lines of its log.
    """
    for each in running.components:
        if not each.alive:
            raise ComponentError(f"Airflow's {each.name} ended by itself\n{last_lines(home.log_of(each.name))}")


def last_lines(path: Path, count: int = 20) -> str:
    """Return the end of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-count:])


def _command(name: str) -> list[str]:
    # Logs are read from disk here; serving them would open a port to other machines.
    more = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
    return [sys.executable, "-m", "airflow", name, *more]


def _secrets(home: Home) -> dict[str, str]:
    """Return the keys that all components share, made once and readable by their owner only."""
    path = home.path / "secrets.json"
    if not path.exists():
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        made = {"fernet": fernet, "api": secrets.token_urlsafe(48), "jwt": secrets.token_urlsafe(48)}
        path.touch(mode=0o600)
        path.write_text(json.dumps(made), encoding="utf-8")
    content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ComponentError("no port is free on 127.0.0.1")
