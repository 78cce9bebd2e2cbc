"""The doors, in order; Airflow, `dvc repro` and the command line all go through them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from pydantic import JsonValue

from audit.core import QUESTIONS, Question
from pipeline.errors import Mistake
from pipeline.monitoring import Show, quiet
from pipeline.spec import ALL, Spec
from pipeline.workspace import Workspace

STAGES = ("ingest", "contract", "train", "generate", "check", "audit", "decide", "release")
PER_MODEL = ("train", "generate", "check")


class Only(TypedDict, total=False):
    """Which part of a stage: one family, one shard of its rows (from 0), one question of the audit; all where unset."""

    model: str | None
    shard: int | None
    question: str | None


@dataclass(frozen=True)
class Call:
    """One call of a door.

    Attributes:
        spec: The specification.
        workspace: The run's paths.
        model: Family, for the stages of one model; for `audit` None means all.
        shard: Shard to generate, counted from 0; None means all.
        question: Question to audit; None means all five.
        show: Where progress goes.
    """

    spec: Spec
    workspace: Workspace
    model: str | None = None
    shard: int | None = None
    question: Question | None = None
    show: Show = quiet

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the call is about."""
        return tuple(self.spec.models) if self.model is None else (self.model,)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions that the call is about."""
        return QUESTIONS if self.question is None else (self.question,)


def call(
    stage: str,
    spec_path: Path,
    root: Path,
    run: str,
    *,
    changes: Mapping[str, JsonValue] | None = None,
    show: Show = quiet,
    **only: Unpack[Only],
) -> dict[str, JsonValue]:
    """Go through one door.

    Args:
        stage: One of `STAGES`.
        spec_path: The specification: the user's, or the resolved one that `ingest` left in the run's folder.
        root: The project's folder.
        run: Name of the run.
        changes: Values in place of the specification's, by dotted path.
        show: Where progress goes.
        only: The part that the call is about.

    Returns:
        Names and paths only, as plain values.

    Raises:
        Mistake: If a name is unknown, or the input cannot be used.
    """
    if stage not in STAGES:
        raise Mistake(f"stage {stage!r}: there is no such stage; there are {', '.join(STAGES)}")
    model, question = only.get("model"), only.get("question")
    spec = _spec(stage, spec_path, root, changes, model)
    if model is not None and model not in spec.models:
        raise Mistake(f"model {model!r}: {spec_path} names {', '.join(spec.models)}")
    if model is None and stage in PER_MODEL:
        raise Mistake(f"stage {stage!r} is about one model: name it with --model ({', '.join(spec.models)})")
    asked = next((each for each in QUESTIONS if each == question), None)
    if question is not None and asked is None:
        raise Mistake(f"question {question!r}: there is no such question; there are {', '.join(QUESTIONS)}")
    workspace = Workspace(root.resolve(), spec.name, safe_run(run))
    return go(stage, Call(spec, workspace, model, only.get("shard"), asked, show))


def go(stage: str, this: Call) -> dict[str, JsonValue]:
    """Go through one door with everything at hand; each door imports what it needs and no more."""
    if stage == "ingest":
        from pipeline.ingest import ingest

        return ingest(this)
    if stage in ("contract", "check"):
        from pipeline import checking

        return checking.contract(this) if stage == "contract" else checking.check(this)
    if stage in ("train", "generate"):
        from pipeline import making

        return making.train(this) if stage == "train" else making.generate(this)
    if stage in ("audit", "decide"):
        from pipeline import judging

        return judging.audit(this) if stage == "audit" else judging.decide(this)
    from pipeline.publishing import release

    return release(this)


def safe_run(run: str) -> str:
    """Return a run's name as a folder name: letters, digits, dot, dash and underscore stay.

    Raises:
        Mistake: If nothing is left, or it would hide or climb.
    """
    safe = "".join(character if character.isalnum() or character in "._-" else "_" for character in run)
    if not safe or safe.startswith(".") or len(safe) > 200:
        raise Mistake(f"run {run!r}: wanted 1 to 200 letters, digits, dots, dashes or underscores")
    return safe


def _spec(stage: str, path: Path, root: Path, changes: Mapping[str, JsonValue] | None, model: str | None) -> Spec:
    """Read the specification: what can be wrong with it is looked for where it comes in, all at once."""
    if stage not in ("ingest", "contract"):
        return Spec.load(path, changes, (model or "", "demands" * (stage == "decide")))
    from pipeline.policies import load_checked

    return load_checked(path, root, changes, ALL if stage == "ingest" else ())
