"""One environment per tool, made by venv and pip from pinned versions, and a tool asked in its own."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.record import Cell, Figure

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "benchmarks" / "peers"
PLACE = ROOT / "data" / "benchmarks" / "peers"
INSTALL_SECONDS = 1_200
# By tool, the name of its script and of its file of pinned versions; the first two run in this project's environment.
TOOLS = {
    "lookalike": "ask_lookalike",
    "sdmetrics": "ask_sdmetrics",
    "anonymeter": "ask_anonymeter",
    "syntheval": "ask_syntheval",
    "mostlyai-qa": "ask_mostlyai_qa",
}


def python_of(tool: str, pinned: Path | None = None, removed: tuple[str, ...] = ()) -> tuple[Path, str | None]:
    """Return the tool's interpreter, its environment made if need be, and why it could not be made.

    Args:
        tool: Name of the environment.
        pinned: File of pinned versions; the one of that name beside this file where None.
        removed: Packages to take out again after the installation.
    """
    pinned = pinned or HERE / f"{tool}.txt"
    if not pinned.exists():
        return Path(sys.executable), None
    home, made = PLACE / tool, PLACE / tool / ".made"
    stamp = hashlib.sha256(pinned.read_bytes() + " ".join(removed).encode()).hexdigest()
    if made.exists() and made.read_text(encoding="utf-8") == stamp:
        return home / "bin" / "python", None
    home.mkdir(parents=True, exist_ok=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    log = PLACE / f"{tool}.log"
    pip = [str(home / "bin" / "python"), "-m", "pip"]
    steps = [[sys.executable, "-m", "venv", "--clear", str(home)], [*pip, "install", "-r", str(pinned)]]
    if removed:
        steps.append([*pip, "uninstall", "-y", *removed])
    with log.open("w", encoding="utf-8") as lines:
        for step in steps:
            try:
                ended = subprocess.run(step, stdout=lines, stderr=lines, timeout=INSTALL_SECONDS).returncode
            except subprocess.TimeoutExpired:
                return home, f"not installed within {INSTALL_SECONDS // 60} minutes"
            if ended:
                errors = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("ERROR")]
                return home, f"not installed: {errors[0] if errors else f'see {log.relative_to(ROOT)}'}"
    made.write_text(stamp, encoding="utf-8")
    return home / "bin" / "python", None


def ask(cell: Cell, python: Path, folder: Path, seconds: float) -> Cell:
    """Run a tool's script on a release; what it wrote before its time was up counts.

    Args:
        cell: Says which tool, table and case.
        python: The tool's interpreter.
        folder: Where the release lies.
        seconds: When to end it.
    """
    tool, out = cell.tool, folder / f"{cell.tool}.jsonl"
    out.unlink(missing_ok=True)
    # -P: the folder of the scripts must not shadow the packages that they import.
    command = (
        [str(python), "-m", f"benchmarks.peers.{TOOLS[tool]}", cell.table, cell.case, str(out)]
        if tool == "lookalike"
        else [str(python), "-P", str(HERE / f"{TOOLS[tool]}.py"), str(folder), str(out)]
    )
    start, before = time.perf_counter(), _processor_seconds()
    with (folder / f"{tool}.err").open("w+", encoding="utf-8") as errors:
        try:
            ended = subprocess.run(
                command, cwd=ROOT, env=_settings(), stdout=errors, stderr=errors, timeout=seconds
            ).returncode
            how = "done" if ended == 0 else f"ended with {ended}"
        except subprocess.TimeoutExpired:
            how = "out of time"
        errors.seek(0)
        said = errors.read().strip().splitlines()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out.exists() else []
    return cell.model_copy(
        update={
            "ended": how if how in ("done", "out of time") or not said else f"{how}: {said[-1][:200]}",
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(_processor_seconds() - before, 1),
            "figures": [Figure.model_validate(line) for line in lines if "figure" in line],
            "versions": next((line["versions"] for line in lines if "versions" in line), {}),
        }
    )


def _processor_seconds() -> float:
    """Return what all ended processes of this one took, which other work on the machine stretches little."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _settings() -> Mapping[str, str]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"), "1")
    return {**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false"}
