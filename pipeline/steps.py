"""A step is done once: the same inputs again are a no-op, other inputs do it anew."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.workspace import Workspace, read_json, sha256, write_json

CODE = Path(__file__).resolve().parents[1]
ROOMS = ("tabular", "models", "audit", "pipeline")
logger = logging.getLogger(__name__)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the random generator of one purpose: the seed and the purpose's name give it, nothing else."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()])


def fingerprint(settings: Mapping[str, JsonValue], inputs: Sequence[Path]) -> str:
    """Return the sha256 over the program, settings and the bytes of the input files.

    Raises:
        Mistake: If an input file is not there.
    """
    gone = next((path for path in inputs if not path.exists()), None)
    if gone is not None:
        raise Mistake(f"{gone}: is not there; go through the earlier stages of this run first")
    content = {
        "code": code_sha256(),
        "settings": dict(settings),
        "inputs": {path.name: sha256(path) for path in inputs},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def code_sha256() -> str:
    """Return the sha256 over the Python files of the program's rooms."""
    files = sorted(path for room in ROOMS for path in (CODE / room).rglob("*.py"))
    told = {path.relative_to(CODE).as_posix(): sha256(path) for path in files}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def once(
    workspace: Workspace, name: str, print_of_inputs: str, outputs: Sequence[Path], action: Callable[[], None]
) -> bool:
    """Do a step unless the same was done before.

    Args:
        workspace: The run.
        name: Name of the step, unique in the run.
        print_of_inputs: Fingerprint of everything that goes in.
        outputs: Files that the step leaves; each is written whole or not at all.
        action: The step.

    Returns:
        Whether anything was done.
    """
    mark = workspace.done(name)
    if mark.exists():
        before = read_json(mark)
        if isinstance(before, dict) and before.get("fingerprint") == print_of_inputs:
            kept = before.get("outputs")
            if kept == _hashes(workspace, outputs):
                logger.info("%s: nothing changed, nothing to do", name)
                return False
        mark.unlink()
    wall, cpu = time.monotonic(), time.process_time()
    action()
    write_json(
        mark,
        {
            "fingerprint": print_of_inputs,
            "outputs": _hashes(workspace, outputs),
            "seconds": round(time.monotonic() - wall, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
        },
    )
    return True


def seconds(workspace: Workspace, name: str) -> float | None:
    """Return how long a step took, in seconds of wall time; None if it was not done here."""
    mark = workspace.done(name)
    content = read_json(mark) if mark.exists() else None
    taken = content.get("seconds") if isinstance(content, dict) else None
    return float(taken) if isinstance(taken, int | float) else None


def _hashes(workspace: Workspace, outputs: Sequence[Path]) -> JsonValue:
    found: dict[str, JsonValue] = {}
    for output in outputs:
        files = sorted(path for path in output.rglob("*") if path.is_file()) if output.is_dir() else [output]
        for path in files:
            found[str(path.relative_to(workspace.home))] = sha256(path) if path.exists() else None
    return found
