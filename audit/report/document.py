"""The whole audit of a run as one frozen tree, written as audit.json and shown as report.html."""

import json
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from audit.report.answers import (
    Answer,
    Check,
    Control,
    Gate,
    GateVerdict,
    ModelAudit,
    NotAsked,
    Part,
    Rows,
    Verdict,
    Waiver,
)
from tabular.schema import Column, Kind, Role

__all__ = [
    "LIMITS",
    "Answer",
    "Check",
    "ColumnRecord",
    "Control",
    "Document",
    "Environment",
    "Fate",
    "Gate",
    "GateVerdict",
    "Inputs",
    "Missing",
    "ModelAudit",
    "NotAsked",
    "Policy",
    "Rows",
    "Run",
    "Verdict",
    "Waiver",
]

Fate = Literal["modelled", "made_anew", "left_out"]
LIMITS: tuple[str, ...] = (
    "It is not shown that these rows are anonymous, or that publishing them is lawful. That depends on what others "
    "hold and know, and stays the decision of whoever publishes them.",
    "Privacy was tested against the attacks named in this report and no others. “Not found” means: not found by "
    "these attacks, with this many rows. A stronger attacker may find more.",
    "One set of rows was judged. Nothing is shown about the model that made them, about other rows drawn from it, "
    "or about several releases of the same data taken together.",
    "Distance from the training rows is a sign of copying where it is short; where it is long it is no proof of "
    "privacy.",
    "The five questions are answered one by one. No single score stands for all of them, and a good answer to one "
    "does not make up for a bad answer to another.",
    "The bias section says how the rows compare with the real ones, for the groups and measures that it names. Real "
    "rows may themselves be unfair, and rows that resemble them then are too. The rows are not shown to be fair.",
    "No guarantee of differential privacy is given: categories, ranges and settings were taken from the data.",
    "Standard errors and p-values computed on synthetic rows as if they were real come out too small.",
    "Intervals tell how much a figure could move with another draw of rows. They do not cover training the model "
    "again.",
    "This report is itself computed from real rows. Its charts pool cells of fewer than ten of them, but it is not "
    "shown that the report is safe to publish.",
)


class Run(Part):
    """Which run this is.

    Attributes:
        spec: Name of the specification.
        run: Name of the run.
        when: When the audit was written.
        seed: The seed that everything random came from; None where it is not told.
        commit: Git commit of the project; None outside git.
        version: Version of lookalike.
    """

    spec: str
    run: str
    when: AwareDatetime
    seed: int | None
    commit: str | None
    version: str


class ColumnRecord(Part):
    """One column of the schema and what happened to it.

    Attributes:
        name: Name in the table.
        kind: Statistical kind.
        role: Its role.
        sensitive: Whether the bias section looks at it.
        note: Why this kind was found.
        fate: Modelled, made anew (identifiers and the privacy unit), or left out (free text).
    """

    name: str
    kind: Kind
    role: Role = "feature"
    sensitive: bool = False
    note: str = ""
    fate: Fate

    @classmethod
    def of(cls, column: Column) -> Self:
        """Record a column with the fate that its kind and role give it."""
        fate: Fate = "modelled" if column.is_modelled else "left_out" if column.kind == "text" else "made_anew"
        return cls(
            name=column.name,
            kind=column.kind,
            role=column.role,
            sensitive=column.sensitive,
            note=column.note,
            fate=fate,
        )


class Inputs(Part):
    """What went in.

    Attributes:
        source: Where the real rows were read from.
        read: Rows and sha256 of the source as it was read.
        train: Rows that the models learned from.
        holdout: Rows that no model saw.
        split_by: Whether rows of one privacy unit were kept on one side.
        unit: The column that names the privacy unit.
        columns: The schema's columns and what happened to each.
        notes: Further facts about the reading, such as columns that the specification drops.
    """

    source: str
    read: Rows
    train: Rows
    holdout: Rows
    split_by: Literal["unit", "row"]
    unit: str | None = None
    columns: tuple[ColumnRecord, ...]
    notes: tuple[str, ...] = ()


class Environment(Part):
    """What it ran on.

    Attributes:
        lock_sha256: sha256 of the file that pins every package.
        packages: Versions by package.
        machine: The kind of machine, in words.
    """

    lock_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    packages: dict[str, str] = {}
    machine: str = ""


class Policy(Part):
    """Who set the gates.

    Attributes:
        name: Name of the policy.
        purpose: What rows that pass it are for.
        sha256: Of the gates that were applied, the specification's own and the waivers included.
        audits_so_far: How often these real rows were audited before, None where nobody counts; choosing the best of
            many audits is no audit.
    """

    name: str
    purpose: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    audits_so_far: int | None = None


class Missing(Part):
    """A metric that gave no value for a model, and why."""

    model: str
    metric: str
    title: str
    reason: str


class Document(Part):
    """The audit of one run.

    Attributes:
        schema_version: Version of this tree's shape.
        edition: `internal` may quote the real rows; `public` was scrubbed of what tells of few of them.
        run: Which run.
        policy: Who set the gates.
        inputs: What went in.
        contract: What the contract says of the real rows.
        models: One audit per model, in the specification's order.
        chosen: The model whose rows are released; None where none is.
        verdict: Of the run as a whole.
        reasons: Why, one sentence each.
        limits: What was not shown.
        environment: What it ran on.

    Raises:
        ValueError: If the chosen model is not among the accepted ones.
    """

    schema_version: Literal["2"] = "2"
    edition: Literal["internal", "public"] = "internal"
    run: Run
    policy: Policy = Policy(name="none")
    inputs: Inputs
    contract: tuple[Check, ...] = ()
    models: tuple[ModelAudit, ...]
    chosen: str | None = None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    limits: tuple[str, ...] = LIMITS
    environment: Environment = Environment()

    @model_validator(mode="after")
    def _chosen_was_accepted(self) -> Self:
        accepted = [model.name for model in self.models if model.verdict == "accepted"]
        if self.chosen is not None and self.chosen not in accepted:
            raise ValueError(f"chosen: got {self.chosen!r}, wanted one of the accepted models {accepted}")
        return self

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Every metric that was not computed, with its reason."""
        return tuple(
            Missing(
                model=model.name, metric=f"{question}.{name}", title=answer.title, reason=estimate.not_computed or ""
            )
            for model in self.models
            for question, answers in model.estimates.items()
            for name, answer in answers.items()
            if (estimate := answer.estimate).value is None
        )

    def to_json(self) -> str:
        """Return the document as JSON that people can read; the same document gives the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: If it is not such a document.
        """
        return cls.model_validate_json(text)
