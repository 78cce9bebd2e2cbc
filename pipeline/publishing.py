"""The stage that releases: an accepted table becomes a version; anything else becomes none."""

from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.stages import Call
from pipeline.workspace import read_json, write_json


def release(this: Call) -> dict[str, JsonValue]:
    """Publish the chosen model's rows, if there is one; say why where there is none."""
    workspace, spec = this.workspace, this.spec
    workspace.release.unlink(missing_ok=True)
    if not workspace.verdict.exists():
        raise Mistake(f"run {workspace.run}: no verdict yet; run `decide` first")
    verdict = read_json(workspace.verdict)
    chosen = verdict.get("model") if isinstance(verdict, dict) else None
    word = verdict.get("verdict") if isinstance(verdict, dict) else None
    if not isinstance(chosen, str) or word != "accepted":
        return _none(this, f"the verdict is {word}")
    if not spec.release.enabled:
        return _none(this, "release.enabled is false in the specification")
    from pipeline.git import Repository
    from pipeline.releases import publish

    try:
        Repository.at(workspace.root)
    except Mistake as mistake:
        return _none(this, str(mistake))
    this.show("release", 0.1, f"publishing {chosen}")
    published = publish(workspace.root, spec, workspace, chosen)
    content: dict[str, JsonValue] = {
        "release": published.name,
        "model": chosen,
        "path": str(published.rows),
        "manifest_sha256": published.manifest_sha256,
    }
    write_json(workspace.release, content)
    this.show("release", 1.0, published.name)
    return content


def _none(this: Call, reason: str) -> dict[str, JsonValue]:
    content: dict[str, JsonValue] = {"release": None, "reason": reason}
    write_json(this.workspace.release, content)
    return content
