"""What was measured: an answer per table, case and tool, as it stands in the results file."""

from pydantic import BaseModel


class Figure(BaseModel):
    """One number of a tool.

    Attributes:
        figure: Its name; of this project's own audit, the question.
        value: The number; None where it could not be computed.
        low: Lower end of the tool's own 95 % interval, where it gives one.
        high: Upper end.
        verdict: The tool's own word, where it gives one.
        by: The gate that decided.
        gates: Verdict and value of every gate.
        failed: Why there is no number.
        seconds: Wall time.
    """

    figure: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    by: str | None = None
    gates: dict[str, tuple[str, float | None]] | None = None
    failed: str | None = None
    seconds: float = 0.0


class Cell(BaseModel):
    """One tool's answer to one release.

    Attributes:
        table: Name of the table.
        case: Name of the release.
        tool: Name of the tool.
        rows: Rows of the tables that it was given.
        data: Hash of those tables; answers on other ones are not kept.
        ended: `done`, or why it did not end well.
        seconds: Wall time of its process.
        cpu_seconds: Processor time of it.
        figures: What it said.
        versions: Of its packages.
    """

    table: str
    case: str
    tool: str
    rows: dict[str, int] = {}
    data: str = ""
    ended: str = "done"
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    figures: list[Figure] = []
    versions: dict[str, str] = {}

    @property
    def place(self) -> tuple[str, str, str]:
        """Table, case and tool."""
        return self.table, self.case, self.tool


class Record(BaseModel):
    """All answers.

    Attributes:
        command: What makes them again.
        machine: What they were made on, in words.
        minutes: The budget of one tool for one release.
        cells: The answers.
    """

    command: str
    machine: str
    minutes: float
    cells: list[Cell] = []
