"""The stage that releases: an accepted table becomes a version; anything else becomes none."""

from pydantic import JsonValue

from pipeline.errors import Mistake
from pipeline.stages import Call
from pipeline.workspace import read_json, write_json


def release(this: Call) -> dict[str, JsonValue]:
    """Publish the chosen model's rows, if there is one; say why where there is none."""
    workspace, spec = this.workspace, this.spec
    if not workspace.verdict.exists():
        raise Mistake(f"run {workspace.run}: no verdict yet; run `decide` first")
    verdict = read_json(workspace.verdict)
    chosen = verdict.get("model") if isinstance(verdict, dict) else None
    word = verdict.get("verdict") if isinstance(verdict, dict) else None
    if not isinstance(chosen, str) or word != "accepted":
        write_json(workspace.release, {"release": None, "reason": f"the verdict is {word}"})
        return {"release": None}
    if not spec.release.enabled:
        write_json(workspace.release, {"release": None, "reason": "release.enabled is false in the specification"})
        return {"release": None}
    from pipeline.git import Repository
    from pipeline.releases import publish

    try:
        Repository.at(workspace.root)
    except Mistake as mistake:
        write_json(workspace.release, {"release": None, "reason": str(mistake)})
        return {"release": None}
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
