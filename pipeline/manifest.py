"""What a release swears to: who made which rows when, from what, by which code, and how they were judged."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from platform import machine, python_version
from typing import Literal, Self

import pyarrow.parquet as pq
from pydantic import AwareDatetime, BaseModel, ConfigDict

import pipeline
from audit.core import Estimate
from audit.report.answers import Gate
from pipeline.errors import Mistake
from pipeline.estimates import Measured
from pipeline.git import Repository
from pipeline.hashing import folder_sha256, rows_sha256
from pipeline.spec import Name
from pipeline.steps import ROOMS, code_sha256
from pipeline.verdicts import Verdict, Word
from pipeline.versions import installed
from pipeline.workspace import Workspace, read_json, sha256

LOCK_FILE = "requirements.lock"
PACKAGES = tuple("numpy pandas pyarrow scikit-learn scipy torch safetensors pydantic sdmetrics dvc".split())
PASSING: Mapping[str, bool | set[str]] = {
    **dict.fromkeys(("release", "version", "who", "when", "code", "packages"), True),
    "hashes": {"report", "audit", "public_report", "public_audit", "columns"},
    "gates": True,
    "controls": True,
}


class Part(BaseModel):
    """A frozen part of the manifest; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Facts(Part):
    """How the model that is to be released was judged.

    Attributes:
        verdict: Only `accepted` is ever released.
        reasons: The sentences behind it.
        estimates: Every estimate, by metric (`question.name`).
        policy: Name of the policy that set the gates.
        gates: The gates, with their waivers.
        controls: What the same gates said of rows whose faults are known, one sentence each.
    """

    verdict: Word
    reasons: tuple[str, ...] = ()
    estimates: Mapping[str, Estimate] = {}
    policy: str | None = None
    gates: tuple[Gate, ...] = ()
    controls: tuple[str, ...] = ()

    @classmethod
    def of(cls, workspace: Workspace, model: str) -> Self:
        """Read what `audit` and `decide` left of one model.

        Raises:
            Mistake: If one of them has not run yet.
        """
        try:
            tree = read_json(workspace.verdict)
            found = Measured.of(workspace, model).estimates
        except FileNotFoundError as error:
            raise Mistake(f"run {workspace.run!r}: {error.filename} is not there; run `audit` and `decide`") from error
        models = tree.get("models") if isinstance(tree, dict) else None
        if not isinstance(models, dict) or model not in models:
            raise Mistake(f"{workspace.verdict}: says nothing of model {model!r}; run `decide` again")
        verdict = Verdict.model_validate(models[model])
        return cls(
            verdict=verdict.verdict,
            reasons=verdict.reasons,
            estimates=found,
            policy=str(said) if isinstance(tree, dict) and (said := tree.get("policy")) else None,
            gates=verdict.gates,
            controls=tuple(control.sentence for control in verdict.controls),
        )


class Hashes(Part):
    """A sha256 in hexadecimal of everything that went in and came out.

    Attributes:
        source: The source's bytes, as found when it was read.
        train: Real rows that the model learned from (the run's `train.parquet`).
        holdout: Real rows that no model saw (the run's `holdout.parquet`).
        spec: The resolved specification (`spec.yaml` of the run and of the release).
        synthesizer: The files of the fitted synthesizer, by name.
        synthetic: The run's `synthetic.parquet`; the released file differs from it in metadata only.
        rows: The rows themselves (`rows_sha256`), whatever file they lie in.
        report: The page for people (`report.html`).
        audit: The audit for programs (`audit.json`).
        public_report: The page without anything that only few real rows hold (`report.public.html`).
        public_audit: The same for programs (`audit.public.json`).
        columns: The schema that the real rows were read with (`schema.json`).
    """

    source: str | None
    train: str
    holdout: str
    spec: str
    synthesizer: Mapping[str, str]
    synthetic: str
    rows: str
    report: str
    audit: str
    public_report: str | None = None
    public_audit: str | None = None
    columns: str | None = None


class Code(Part):
    """The program that made the release.

    Attributes:
        commit: Of its git repository; None where it does not lie in one.
        dirty: Whether its files differed from that commit.
        sha256: Over its Python files.
        lock: sha256 of the file that pins every package; None where there is none.
    """

    commit: str | None
    dirty: bool | None
    sha256: str
    lock: str | None


class Manifest(Part):
    """Everything that is said of a release; its own sha256 stands in the tag and in the metadata of the rows."""

    format: Literal[1] = 1
    release: str
    spec: Name
    version: int
    label: Literal["synthetic"] = "synthetic"
    run: str
    model: str
    who: str
    when: AwareDatetime
    rows: int
    seed: int
    verdict: Literal["accepted"]
    reasons: tuple[str, ...]
    policy: str | None = None
    gates: tuple[Gate, ...] = ()
    controls: tuple[str, ...] = ()
    estimates: Mapping[str, Estimate]
    hashes: Hashes
    code: Code
    packages: Mapping[str, str]

    @classmethod
    def read(cls, content: bytes, where: str) -> Self:
        """Read a manifest.

        Raises:
            Mistake: If it is none.
        """
        try:
            return cls.model_validate_json(content)
        except ValueError as error:
            first = " ".join(str(error).split())[:300]
            raise Mistake(f"{where}: is not a manifest of format 1: {first}") from error

    def dump(self) -> bytes:
        """Return its one text: what is hashed."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()

    def sha256(self) -> str:
        """Return the sha256 of that text."""
        return hashlib.sha256(self.dump()).hexdigest()

    def same_as(self, other: "Manifest") -> bool:
        """Return whether both speak of the same rows of the same run, judged the same way.

        Who, when and by which code does not count, nor do the bytes of report and audit, which tell their own time.
        """
        left, right = (each.model_dump(mode="json", exclude=PASSING) for each in (self, other))
        return left == right

    def named(self, number: int) -> "Manifest":
        """Return this manifest as the one of a version."""
        return self.model_copy(update={"release": f"{self.spec}-v{number}", "version": number})


def draft(workspace: Workspace, model: str, facts: Facts, seed: int, who: str) -> Manifest:
    """Return the manifest of one model of a run, as version 0.

    Raises:
        ValueError: If the model was not accepted.
        Mistake: If a file of the run is not there.
    """
    if facts.verdict != "accepted":
        raise ValueError(f"run {workspace.run!r}, model {model!r}: got verdict {facts.verdict!r}, wanted 'accepted'")
    try:
        hashes = _hashes(workspace, model)
    except FileNotFoundError as error:
        raise Mistake(f"run {workspace.run!r}: {error.filename} is not there; go through the earlier stages") from error
    return Manifest(
        release=f"{workspace.spec}-v0",
        spec=workspace.spec,
        version=0,
        run=workspace.run,
        model=model,
        who=who,
        when=datetime.now(UTC).replace(microsecond=0),
        rows=pq.ParquetFile(workspace.synthetic(model)).metadata.num_rows,
        seed=seed,
        verdict="accepted",
        reasons=facts.reasons,
        policy=facts.policy,
        gates=facts.gates,
        controls=facts.controls,
        estimates={name: _short(each) for name, each in sorted(facts.estimates.items())},
        hashes=hashes,
        code=code_facts(),
        packages=package_versions(),
    )


def _short(estimate: Estimate) -> Estimate:
    return estimate.model_copy(update={"detail": (), "curves": ()})


def source_sha256(workspace: Workspace) -> str | None:
    """Return the sha256 of the source that a run noted when it read it."""
    noted = read_json(workspace.source)
    found = noted.get("sha256") if isinstance(noted, dict) else None
    return found if isinstance(found, str) else None


def code_root() -> Path:
    """Return the folder that the program's rooms lie in."""
    return Path(pipeline.__path__[0]).resolve().parent


def code_facts() -> Code:
    """Return what can be said of the program that runs."""
    root = code_root()
    lock = root / LOCK_FILE
    commit, dirty = _commit(root)
    return Code(
        commit=commit,
        dirty=dirty,
        sha256=code_sha256(),
        lock=sha256(lock) if lock.exists() else None,
    )


def package_versions() -> dict[str, str]:
    """Return the versions of what makes and judges rows."""
    return {"python": python_version(), "machine": machine(), **installed(PACKAGES)}


def _hashes(workspace: Workspace, model: str) -> Hashes:
    return Hashes(
        source=source_sha256(workspace),
        train=sha256(workspace.train),
        holdout=sha256(workspace.holdout),
        spec=sha256(workspace.spec_file),
        synthesizer=folder_sha256(workspace.synthesizer(model)),
        synthetic=sha256(workspace.synthetic(model)),
        rows=rows_sha256(workspace.synthetic(model)),
        report=sha256(workspace.report),
        audit=sha256(workspace.audit),
        public_report=sha256(workspace.public_report),
        public_audit=sha256(workspace.public_audit),
        columns=sha256(workspace.schema),
    )


def _commit(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the program's repository and whether its files differ; nothing where git has none."""
    try:
        repository = Repository.at(root)
        commit = repository.head().commit
        held = repository.text("ls-files", "--", f"{pipeline.__name__}/__init__.py")
    except Mistake:
        return None, None
    if commit is None or not held:
        return None, None
    changed = repository.text("status", "--porcelain", "--untracked-files=all", "--", *ROOMS, LOCK_FILE)
    return commit, bool(changed)
