"""Figures in the documentation are those of the newest committed results."""

import re
from pathlib import Path

import pytest

from benchmarks.board.cells import DONE, Record
from benchmarks.board.plot import plot
from benchmarks.board.sheet import sheet
from pipeline.registry import families

ROOT = Path(__file__).resolve().parents[2]
RECORD = Record.model_validate_json((ROOT / "benchmarks" / "results" / "leaderboard.json").read_bytes())


def test_the_page_of_families_says_what_the_leaderboard_measured():
    said = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").split("## Measured")[1]
    lines = re.findall(r"^\| `(\w+)` \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", said, re.M)
    cells = {cell.model: cell for cell in RECORD.cells if cell.table == "adult" and cell.ended == DONE}
    assert sorted(line[0] for line in lines) == sorted(families())
    for name, *figures in lines:
        cell = cells[name]
        shape, trend, c2st = (cell.figures[each].value for each in ("sdmetrics_shape", "sdmetrics_trend", "c2st"))
        wanted = [f"{100 * shape:.2f}", f"{100 * trend:.2f}", f"{c2st:.3f}", f"{cell.fit_cpu:.1f}"]
        assert figures == [*wanted, f"{cell.sample_cpu:.1f}"], name
    assert f"sdmetrics {RECORD.sdmetrics}" in said


@pytest.mark.parametrize("beside", ["leaderboard.md", "leaderboard.svg"])
def test_the_page_and_the_picture_are_of_the_committed_record(beside):
    made = {"leaderboard.md": sheet, "leaderboard.svg": plot}[beside](RECORD)
    assert (ROOT / "benchmarks" / "results" / beside).read_text(encoding="utf-8") == made


def test_the_readme_says_what_the_leaderboard_measured():
    said = re.findall(r"`(\w+)` ([\d.]{5}) \(([\d,]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(said) >= 4
    for name, mean, seconds in said:
        cells = [cell for cell in RECORD.cells if cell.model == name and cell.ended == DONE]
        assert len(cells) == len(RECORD.splits), name
        values = [cell.figures["c2st"].value for cell in cells]
        assert f"{sum(values) / len(values):.3f}" == mean, name
        assert f"{sum(cell.fit_cpu for cell in cells):,.0f}" == seconds, name
