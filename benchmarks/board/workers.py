"""Runs one generator in a process of its own, ends it when a stage of its work is out of budget, reads what it said."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.board.cells import DONE, ROOT, Cell

# Loading libraries and reading rows is no training.
START_SECONDS = 600.0
STAGES = {"fit": "training", "sample": "drawing rows", "score": "scoring the holdout", "start": "loading"}
PACE = 0.1
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


def run(cell: Cell, command: list[str], out: Path, minutes: float, threads: int) -> Cell:
    """Run a worker and return the cell with what it said and how it ended.

    Args:
        cell: Says which generator and table.
        command: Starts the worker, which writes `told.jsonl` and `rows.csv`.
        out: Folder that it writes to.
        minutes: Budget of training, and again of drawing and of scoring, in minutes of wall-clock time.
        threads: Threads that it may use.
    """
    before = _processor_seconds()
    with (out / "said.txt").open("w+", encoding="utf-8") as said:
        # A session of its own, so that processes that it started end with it.
        worker = subprocess.Popen(
            command, cwd=ROOT, env=environment(threads), stdout=said, stderr=said, start_new_session=True
        )
        try:
            late = _watch(worker, out / "told.jsonl", 60 * minutes)
        finally:
            _end(worker)
        cpu = _processor_seconds() - before
        said.seek(0)
        words = [line for line in said.read().replace("\r", "\n").splitlines() if line.strip()]
    facts = _facts(out / "told.jsonl")
    known = {name: facts[name] for name in Cell.model_fields if name in facts}
    # A stage shorter than the pace of watching has a budget too.
    late = next((each for each in ("fit", "sample") if facts.get(f"{each}_seconds", 0) > 60 * minutes), late)
    ended = DONE
    if late is not None and late != "score":
        ended = f"did not finish in {minutes:g} min ({STAGES[late]}; {cpu:.0f} CPU s)"
    elif late is None and worker.returncode:
        ended = f"failed ({worker.returncode}): {words[-1][:200] if words else 'it said nothing'}"
    if late == "score":
        known["notes"] = {**facts.get("notes", {}), "density": f"not scored in {minutes:g} min"}
    return Cell.model_validate({**cell.model_dump(), **known, "ended": ended, "out_of_budget": ended[:3] == "did"})


def environment(threads: int) -> Mapping[str, str]:
    """Return this process's variables with so many threads for every library that asks one of them."""
    return {**os.environ, **dict.fromkeys(VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false"}


def ours(name: str, folder: Path, out: Path, wish: Mapping[str, object]) -> list[str]:
    """Return the command that trains one of this project's families."""
    return [sys.executable, "-m", "benchmarks.board.ours", name, str(folder), str(out), json.dumps(wish)]


def peer(python: Path, name: str, folder: Path, out: Path, wish: Mapping[str, object]) -> list[str]:
    """Return the command that trains a peer by its own interpreter."""
    # -P: the folder of the script must not shadow the packages that it imports.
    script = ROOT / "benchmarks" / "board" / "peer.py"
    return [str(python), "-P", str(script), name, str(folder), str(out), json.dumps(wish)]


def _watch(worker: subprocess.Popen[bytes], told: Path, seconds: float) -> str | None:
    """Wait for a worker; return the stage that was out of its budget, None where it ended by itself."""
    began = time.time()
    while True:
        try:
            worker.wait(PACE)
            return None
        except subprocess.TimeoutExpired:
            stages = [line for line in _lines(told) if "stage" in line]
        stage, since = (stages[-1]["stage"], stages[-1]["at"]) if stages else ("start", began)
        limit = seconds if stage in ("fit", "sample", "score") else START_SECONDS
        if time.time() - since > limit and stage in STAGES:
            return str(stage)


def _end(worker: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


def _lines(told: Path) -> list[dict[str, Any]]:
    """Return the whole lines that a worker wrote so far."""
    if not told.is_file():
        return []
    whole = told.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _facts(told: Path) -> dict[str, Any]:
    return {name: value for line in _lines(told) for name, value in line.items() if name not in ("stage", "at")}


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
