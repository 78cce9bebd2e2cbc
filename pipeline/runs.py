"""A whole run in one process, and finding runs that were made before."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.monitoring import Show
from pipeline.stages import PER_MODEL, STAGES, call, safe_run
from pipeline.verdicts import SPOKEN
from pipeline.workspace import Workspace, read_json


def go_through(
    spec_path: Path, root: Path, run: str | None, changes: Mapping[str, JsonValue], show: Show
) -> tuple[dict[str, JsonValue], Mistake | None]:
    """Go through all stages.

    Returns:
        What `result_of` gives, and the mistake that kept an accepted table from being released, if any.
    """
    name = safe_run(run or datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ"))
    start = call("ingest", spec_path, root, name, changes=changes, show=show)
    spec = Path(str(start["spec"]))
    models = [str(model) for model in start["models"]] if isinstance(start["models"], list) else []
    call("contract", spec, root, name, show=show)
    for model in models:
        for stage in PER_MODEL:
            call(stage, spec, root, name, model=model, show=show)
    call("audit", spec, root, name, show=show)
    call("decide", spec, root, name, show=show)
    trouble: Mistake | None = None
    try:
        call(STAGES[-1], spec, root, name, show=show)
    except Mistake as mistake:
        trouble = mistake
    return result(Workspace(root, spec.parent.parent.name, name)), trouble


def result(workspace: Workspace) -> dict[str, JsonValue]:
    """Return what a script needs to go on from a run: names and paths."""
    read = read_json(workspace.verdict) if workspace.verdict.exists() else None
    verdict = read if isinstance(read, dict) else {}
    release = read_json(workspace.release) if workspace.release.exists() else None
    judged = verdict.get("models")
    names = list(judged) if isinstance(judged, dict) else []
    synthetic: dict[str, JsonValue] = {
        name: str(workspace.synthetic(name)) for name in names if workspace.synthetic(name).exists()
    }
    return {
        "run": f"{workspace.spec}/{workspace.run}",
        "verdict": verdict.get("verdict"),
        "word": next((spoken for word, spoken in SPOKEN.items() if word == verdict.get("verdict")), None),
        "model": verdict.get("model"),
        "report": str(workspace.report) if workspace.report.exists() else None,
        "audit": str(workspace.audit) if workspace.audit.exists() else None,
        "synthetic": synthetic,
        "release": release.get("release") if isinstance(release, dict) else None,
    }


def result_of(root: Path, run: str) -> dict[str, JsonValue]:
    """Return `result` of a run that was made before."""
    return result(find(root, run))


def find(root: Path, run: str) -> Workspace:
    """Find a run by `spec/run`, by its own name, or by its spec's name (its latest run).

    Raises:
        Mistake: If there is none, or more than one of that name.
    """
    home = root / "data" / "runs"
    all_runs = [path for path in home.glob("*/*") if path.is_dir() and (path / "spec.yaml").exists()]
    spec, _, name = run.rpartition("/")
    matches = [path for path in all_runs if path.name == name and spec in ("", path.parent.name)]
    if not matches and not spec:
        latest = [path for path in all_runs if path.parent.name == run]
        matches = sorted(latest, key=lambda path: (path / "spec.yaml").stat().st_mtime)[-1:]
    if len(matches) != 1:
        known = ", ".join(sorted(f"{path.parent.name}/{path.name}" for path in all_runs)[-10:]) or "none"
        raise Mistake(f"run {run!r}: {len(matches)} runs of that name in {home}; there are {known}")
    return Workspace(root, matches[0].parent.name, matches[0].name)
