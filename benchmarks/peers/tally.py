"""From answers to right and wrong verdicts: by tool and question, and by single figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from audit.core import QUESTIONS
from benchmarks.peers.readings import READINGS, in_hindsight, reading_of
from benchmarks.peers.record import Cell, Figure, Record
from benchmarks.peers.releases import NAMES, answers, reference

Grade = Literal["right", "wrong", "no answer", "did not run", "not asserted"]
GRADES: tuple[Grade, ...] = ("right", "wrong", "no answer", "did not run")
OWN = "lookalike"


@dataclass(frozen=True)
class Mark:
    """One cell of a table.

    Attributes:
        grade: How the verdict compares with what is right.
        word: The verdict; why there is none.
        value: The figure that decided.
        by: Its name.
    """

    grade: Grade
    word: str
    value: float | None = None
    by: str = ""


def graded(word: str, right: frozenset[str] | None) -> Grade:
    """Compare a verdict with those that are right; None where either may be."""
    if right is None:
        return "not asserted"
    return "right" if word in right else "wrong"


class Answers:
    """All answers, with what is right.

    Attributes:
        cells: By table, case and tool.
    """

    def __init__(self, record: Record) -> None:
        self.cells = {cell.place: cell for cell in record.cells}

    def tables(self) -> list[str]:
        """Return the names of the tables, in the order that they were asked about."""
        return list(dict.fromkeys(table for table, _, _ in self.cells))

    def cases(self, table: str) -> list[str]:
        """Return the names of a table's releases, in the suite's order, those asked for by name last."""
        found = list(dict.fromkeys(case for each, case, _ in self.cells if each == table))
        return sorted(found, key=lambda case: NAMES.index(case) if case in NAMES else len(NAMES))

    def tools(self, table: str) -> list[str]:
        """Return the tools that were asked, our own first."""
        found = list(dict.fromkeys(tool for each, _, tool in self.cells if each == table))
        return sorted(found, key=lambda tool: tool != OWN)

    def right(self, table: str, case: str, question: str) -> frozenset[str] | None:
        """Return the verdicts that are right; None where either may be."""
        return answers(table, case).get(question)

    def figures(self, table: str, tool: str, question: str) -> list[str]:
        """Return the names of a tool's figures that bear on a question, in the order that it was asked."""
        names = (
            figure.figure
            for place, cell in self.cells.items()
            if place[::2] == (table, tool)
            for figure in cell.figures
        )
        return [
            name
            for name in dict.fromkeys(names)
            if (reading := reading_of(tool, name)) is not None and reading.question == question
        ]

    def found(self, table: str, case: str, tool: str, name: str) -> tuple[Figure | None, Figure | None]:
        """Return a figure and the same of fresh real rows."""
        return self._figure(table, case, tool, name), self._figure(table, reference(case), tool, name)

    def _figure(self, table: str, case: str, tool: str, name: str) -> Figure | None:
        cell = self.cells.get((table, case, tool))
        return next((each for each in cell.figures if each.figure == name), None) if cell else None

    def claims(self, tool: str, question: str) -> bool:
        """Say whether a tool makes any statement on a question."""
        return tool == OWN or any(each.tool == tool and each.question == question for each in READINGS)

    def mark_figure(self, table: str, case: str, tool: str, name: str) -> Mark:
        """Grade one figure as if it were all that the tool says."""
        reading = reading_of(tool, name)
        found, fresh = self.found(table, case, tool, name)
        cell = self.cells.get((table, case, tool))
        if reading is None or found is None or fresh is None:
            return Mark("did not run", cell.ended if cell and cell.ended != "done" else "not computed")
        word = reading.verdict(found, fresh)
        if word is None:
            return Mark("did not run", found.failed or fresh.failed or "not computed")
        return Mark(graded(word, self.right(table, case, reading.question)), word, found.value, name)

    def mark(self, table: str, case: str, tool: str, question: str) -> Mark:
        """Grade a tool: failed where any of its figures fails, passed where all that it computed pass."""
        cell = self.cells.get((table, case, tool))
        if cell is None:
            return Mark("did not run", "not asked")
        if tool == OWN:
            return self._own(cell, question)
        if not self.claims(tool, question):
            return Mark("no answer", "")
        marks = [self.mark_figure(table, case, tool, name) for name in self.figures(table, tool, question)]
        said = [each for each in marks if each.grade != "did not run"]
        if not said:
            return Mark("did not run", marks[0].word if marks else cell.ended)
        return next((each for each in said if each.word == "failed"), said[0])

    def _own(self, cell: Cell, question: str) -> Mark:
        figure = next((each for each in cell.figures if each.figure == question), None)
        if figure is None or figure.verdict is None:
            return Mark("did not run" if cell.ended != "done" else "no answer", cell.ended)
        right = self.right(cell.table, cell.case, question)
        return Mark(graded(figure.verdict, right), figure.verdict, figure.value, figure.by or "")

    def hindsight(self, table: str, tool: str, name: str) -> tuple[int, int]:
        """Return how many verdicts the best single threshold gets right, and of how many."""
        reading = reading_of(tool, name)
        assert reading is not None
        distances, right = {}, {}
        for case in self.cases(table):
            found, fresh = self.found(table, case, tool, name)
            wanted = self.right(table, case, reading.question)
            if found and fresh and wanted and found.value is not None and fresh.value is not None:
                distances[case], right[case] = reading.distance(found, fresh), wanted
        return (in_hindsight(distances, right), len(right)) if right else (0, 0)


def counts(marks: Iterable[Mark]) -> Mapping[str, int]:
    """Count grades, and of the wrong ones those that passed what is bad, failed what is good, or would not say."""
    listed = [each for each in marks if each.grade != "not asserted"]
    found: dict[str, int] = {grade: sum(each.grade == grade for each in listed) for grade in GRADES}
    found["missed"] = sum(each.grade == "wrong" and each.word == "passed" for each in listed)
    found["unsure"] = sum(each.grade == "wrong" and each.word == "inconclusive" for each in listed)
    found["false alarms"] = sum(each.grade == "wrong" and each.word == "failed" for each in listed)
    return found


def all_marks(found: Answers, table: str, tool: str) -> list[Mark]:
    """Grade a tool on every release and question that have a right answer."""
    return [
        found.mark(table, case, tool, question)
        for case in found.cases(table)
        for question in QUESTIONS
        if found.right(table, case, question) is not None
    ]
