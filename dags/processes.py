"""Processes that lead sessions of their own: known again by number and birth, ended with all that they started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 12.0
# Handles of our own children: one that is dropped while its process lives warns, and its end is never collected.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Process:
    """One process that was started.

    Attributes:
        name: What it is called.
        pid: Its number; it leads a session of its own.
        born: Start time in the kernel's clock ticks: another process with the same number was born at another.
    """

    name: str
    pid: int
    born: int

    @property
    def alive(self) -> bool:
        """Whether this very process runs."""
        stat = _stat(self.pid)
        return stat is not None and stat.state != "Z" and stat.born == self.born


def launch(name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> Process:
    """Start a process in a session of its own; what it says goes to a log, written anew."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        started = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=folder,
            start_new_session=True,
        )
    _children.append(started)
    stat = _stat(started.pid)
    return Process(name, started.pid, -1 if stat is None else stat.born)


def end(processs: Sequence[Process]) -> None:
    """Ask each process to end, wait, and kill what is left of its session."""
    # A session outlives its leader, and its number is not given anew before its last process ends.
    asked = [each for each in processs if each.alive or _session(each)]
    for each in asked:
        if each.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGTERM)
    _until(lambda: not any(each.alive for each in asked), PATIENCE)
    for each in asked:
        for pid in _session(each):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    _until(lambda: not any(_session(each) for each in asked), PATIENCE)
    _children[:] = [child for child in _children if child.poll() is None]


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    born: int


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Stat(fields[0], int(fields[3]), int(fields[19]))


def _session(process: Process) -> list[int]:
    """Return the living processes of the process's session, its leader among them."""
    leader = _stat(process.pid)
    if leader is not None and leader.born != process.born:
        return []
    return [pid for pid, stat in _processes() if stat.session == process.pid and stat.state != "Z"]


def _processes() -> Iterator[tuple[int, _Stat]]:
    for folder in Path("/proc").iterdir():
        stat = _stat(int(folder.name)) if folder.name.isdigit() else None
        if stat is not None:
            yield int(folder.name), stat


def _until(done: Callable[[], bool], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not done() and time.monotonic() < limit:
        time.sleep(0.1)
