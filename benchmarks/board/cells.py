"""What is known of each generator on each table, one file each, and the hashes that say whether it still holds."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from benchmarks.board.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tabular", "models", "audit", "pipeline", "benchmarks")
DONE = "done"
# Peers that are told the budget, as all of ours are.
TOLD = ("tabular_argn",)
# Shares of a budget: who took less than the first was not stopped by it, nor would be by the second.
EASE, QUARTER = 0.8, 0.25


class Cell(BaseModel):
    """One generator on one table.

    Attributes:
        table: Name of the table.
        model: Name of the generator.
        side: `anchor`, `ours` or `peer`.
        key: Hash of the code, the settings and the rows that it was trained by.
        measured: Hash of the code that measured it; empty where nothing was measured.
        minutes: Budget of its training, and of its drawing; 0 where it needs none.
        ended: `done`, or why it did not end well.
        out_of_budget: Whether that was the budget.
        fit_seconds: Wall seconds of training.
        fit_cpu: Processor seconds of training.
        sample_seconds: Wall seconds of drawing.
        sample_cpu: Processor seconds of drawing.
        drawn: Rows drawn.
        broken: Cells of them that held nothing that the column may hold.
        peak_gib: Most memory of its process.
        bits: Mean surprise of holdout rows, in bits a row, at the precision of each column.
        impossible: Holdout rows, left out of that mean, that it takes for impossible.
        estimated: Whether its density is estimated.
        notes: Figures of the fit.
        versions: Of its packages.
        figures: What was measured.
    """

    table: str
    model: str
    side: str
    key: str
    measured: str = ""
    minutes: float = 0
    ended: str = DONE
    out_of_budget: bool = False
    fit_seconds: float | None = None
    fit_cpu: float | None = None
    sample_seconds: float | None = None
    sample_cpu: float | None = None
    drawn: int = 0
    broken: int = 0
    peak_gib: float | None = None
    bits: float | None = None
    impossible: int = 0
    estimated: bool = False
    notes: dict[str, float | str] = {}
    versions: dict[str, str] = {}
    figures: dict[str, Figure] = {}

    @property
    def settled(self) -> bool:
        """Whether it need not be trained again: it ended well, or its budget was up."""
        return self.ended == DONE or self.out_of_budget

    def holds(self, minutes: float) -> bool:
        """Whether it stands for another budget too: what was late is later with less, what had time has it with more.

        Who is not told the budget needs only to keep to it. Who is had time where most of it was left and no note says
        that it ran out; in a quarter of a smaller one it has time still, whatever parts it cuts that into.
        """
        if not self.settled or minutes == self.minutes:
            return self.settled
        if self.out_of_budget:
            return minutes < self.minutes
        spent = max(self.fit_seconds or 0, self.sample_seconds or 0) / 60
        if self.side == "peer" and self.model not in TOLD:
            return spent <= minutes
        stopped = bool({"reproducible", "density"} & self.notes.keys())
        return spent < EASE * self.minutes and (minutes > self.minutes or spent < QUARTER * minutes) and not stopped


class Record(BaseModel):
    """All cells of one call, and how they came about.

    Attributes:
        command: What makes them again.
        machine: What they were made on, in words.
        code: The commit, and whether files had changed since.
        minutes: Wall-clock budget of a training, and of a drawing.
        threads: Threads of every generator.
        seed: Where random numbers come from.
        sdmetrics: Version of the library that some figures are of.
        splits: By table, how it was split and how many rows that gave.
        cells: The cells.
    """

    command: str
    machine: str
    code: str
    minutes: float
    threads: int
    seed: int
    sdmetrics: str
    splits: dict[str, str] = {}
    cells: list[Cell] = []


class Store:
    """Cells as files of a folder, one each, and their rows beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def rows(self, cell: Cell) -> Path:
        """Return where a cell's rows lie."""
        return self._place(cell, "csv")

    def known(self, cell: Cell) -> Cell:
        """Return what is kept of a cell of the same key that holds for its budget: else the cell that was given."""
        own = self._place(cell, "json")
        others = set(self.folder.glob(f"{self._stem(cell)}-*.json")) - {own}
        for place in [own, *sorted(others)]:
            if place.is_file():
                kept = Cell.model_validate_json(place.read_bytes())
                lost = kept.ended == DONE and not self.rows(kept).is_file()
                if kept.key == cell.key and kept.holds(cell.minutes) and not lost:
                    return kept
        return cell

    def keep(self, cell: Cell) -> None:
        """Write a cell, all or nothing."""
        replace(self._place(cell, "json"), cell.model_dump_json(indent=1) + "\n")

    def _place(self, cell: Cell, ending: str) -> Path:
        return self.folder / f"{self._stem(cell)}-{cell.minutes:g}.{ending}"

    @staticmethod
    def _stem(cell: Cell) -> str:
        return f"{cell.table}-{cell.model}-{cell.key[:12]}"


def replace(path: Path, text: str) -> None:
    """Write a file beside its place and move it there, so that an interruption leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def key_of(facts: object, roots: Iterable[Path]) -> str:
    """Return a hash of facts, and of files with all files of this project that they import."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in sorted(closure(roots)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def closure(roots: Iterable[Path]) -> set[Path]:
    """Return files and all files of this project that they import, directly or not."""
    found: set[Path] = set()
    waiting = list(roots)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting += _imported(path)
    return found


def _imported(path: Path) -> list[Path]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    places = [ROOT / f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in ROOMS]
    return [place for place in places if place.is_file()]
