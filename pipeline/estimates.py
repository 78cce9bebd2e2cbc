"""What `audit` leaves of one question: the estimates of a model's rows and of the controls."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from audit.core import QUESTIONS, Estimate
from pipeline.errors import Mistake
from pipeline.workspace import Workspace


class Measured(BaseModel):
    """Estimates by metric (`question.name`), of a model's rows and, by control, of rows whose faults are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimates: dict[str, Estimate] = {}
    controls: dict[str, dict[str, Estimate]] = {}

    @classmethod
    def of(cls, workspace: Workspace, name: str) -> Self:
        """Read all estimates of one model.

        Raises:
            Mistake: If a question was not answered yet.
        """
        whole = cls()
        for question in QUESTIONS:
            path = workspace.estimates(name, question)
            if not path.exists():
                raise Mistake(
                    f"run {workspace.run!r}, model {name!r}: the audit's question {question!r} is not answered "
                    f"({path} is not there); run `audit` first"
                )
            whole = whole.joined(cls.model_validate_json(path.read_bytes()))
        return whole

    def joined(self, other: Self) -> Self:
        """Return these estimates and those of another part of the same audit."""
        names = dict.fromkeys([*self.controls, *other.controls])
        return type(self)(
            estimates=self.estimates | other.estimates,
            controls={name: self.controls.get(name, {}) | other.controls.get(name, {}) for name in names},
        )

    def to_json(self) -> str:
        """Return the estimates as JSON that people can read."""
        return self.model_dump_json(indent=1) + "\n"
