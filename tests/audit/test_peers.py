"""The table of tools side by side: figures read as verdicts, verdicts graded, grades counted and written down."""

import pytest

from audit.core import QUESTIONS
from benchmarks.peers.environments import HERE, TOOLS
from benchmarks.peers.readings import READINGS, Reading, in_hindsight, reading_of
from benchmarks.peers.record import Cell, Figure, Record
from benchmarks.peers.releases import FRESH, NAMES, answers, reference, write
from benchmarks.peers.sheet import grid, sheet
from benchmarks.peers.tally import OWN, Answers, all_marks, counts

PASS, FAIL = frozenset({"passed"}), frozenset({"failed"})


def reading(good: str, tolerance: float, unit: str = "added") -> Reading:
    return Reading("tool", "figure", "privacy", good, tolerance, "a page", unit)


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(figure="figure", value=value, low=low, high=high)


def cell(case: str, tool: str, ended: str = "done", **values: float | None) -> Cell:
    figures = [Figure(figure=name.replace("_", " "), value=value) for name, value in values.items()]
    return Cell(table="world", case=case, tool=tool, ended=ended, figures=figures, seconds=2.0)


def own(case: str, **verdicts: str) -> Cell:
    figures = [Figure(figure=question, verdict=word, value=0.5, by="a_gate") for question, word in verdicts.items()]
    return Cell(table="world", case=case, tool=OWN, figures=figures, seconds=3.0)


def record(*cells: Cell) -> Record:
    return Record(command="python -m benchmarks.audits", machine="two cores", minutes=5, cells=list(cells))


@pytest.mark.parametrize(
    ("good", "value", "word"),
    [
        ("higher", 0.9, "passed"),
        ("higher", 0.8, "passed"),
        ("higher", 0.79, "failed"),
        ("higher", 2.0, "passed"),
        ("lower", 1.0, "passed"),
        ("lower", 1.01, "failed"),
        ("lower", -1.0, "passed"),
        ("near", 0.8, "passed"),
        ("near", 0.79, "failed"),
        ("near", 1.01, "failed"),
    ],
)
def test_a_figure_passes_up_to_its_tolerance_from_that_of_fresh_rows(good, value, word):
    assert reading(good, 0.1).verdict(figure(value), figure(0.9)) == word


def test_a_multiple_is_of_the_figure_of_fresh_rows():
    twice = reading("lower", 2, "times")
    assert twice.verdict(figure(0.2), figure(0.1)) == "passed"
    assert twice.verdict(figure(0.21), figure(0.1)) == "failed"
    assert twice.verdict(figure(0.0), figure(0.0)) == "passed"


def test_an_interval_fails_only_where_all_of_it_lies_beyond_that_of_fresh_rows():
    risk = reading("lower", 0, "interval")
    fresh = figure(0.02, 0.0, 0.05)
    assert risk.verdict(figure(0.9, 0.8, 1.0), fresh) == "failed"
    assert risk.verdict(figure(0.06, 0.04, 0.08), fresh) == "passed"
    assert risk.verdict(figure(0.06), fresh) is None


def test_what_is_missing_is_no_verdict():
    assert reading("higher", 0.1).verdict(figure(None), figure(0.9)) is None
    assert reading("higher", 0.1).verdict(figure(0.9), figure(None)) is None


def test_the_best_threshold_in_hindsight_is_the_best_that_any_threshold_does():
    distances = {"good": 0.0, "good too": 0.1, "bad": 0.05, "worse": 0.9}
    right = {"good": PASS, "good too": PASS, "bad": FAIL, "worse": FAIL}
    assert in_hindsight(distances, right) == 3
    assert in_hindsight({"good": 0.0, "bad": 0.1}, {"good": PASS, "bad": FAIL}) == 2
    assert in_hindsight({"good": 0.1, "bad": 0.0}, {"good": PASS, "bad": FAIL}) == 1
    assert in_hindsight({"good": 0.0, "odd": 0.5}, {"good": PASS}) == 1


def test_a_tool_fails_where_any_of_its_figures_fails_and_only_there():
    good = {"DCROverfittingProtection": 1.0, "NewRowSynthesis": 1.0}
    found = Answers(
        record(
            cell(FRESH, "sdmetrics", **good),
            cell("copy", "sdmetrics", DCROverfittingProtection=0.95, NewRowSynthesis=0.0),
            cell("independent columns", "sdmetrics", **good),
            cell("smote", "sdmetrics", **good),
        )
    )
    marks = {case: found.mark("world", case, "sdmetrics", "privacy") for case in found.cases("world")}
    assert (marks["copy"].grade, marks["copy"].word, marks["copy"].by) == ("right", "failed", "NewRowSynthesis")
    assert marks["independent columns"].grade == "right"
    assert (marks["smote"].grade, marks["smote"].word) == ("wrong", "passed")
    assert found.mark_figure("world", "copy", "sdmetrics", "DCROverfittingProtection").grade == "wrong"
    assert found.hindsight("world", "sdmetrics", "DCROverfittingProtection") == (3, 4)


def test_no_claim_is_no_answer_and_no_figure_did_not_run():
    found = Answers(
        record(
            cell(FRESH, "anonymeter"),
            cell("copy", "anonymeter", ended="out of time"),
            cell("copy", "syntheval", ended="not installed: ERROR"),
        )
    )
    assert found.mark("world", "copy", "anonymeter", "fidelity").grade == "no answer"
    assert found.mark("world", "copy", "anonymeter", "privacy").grade == "did not run"
    assert found.mark("world", "copy", "anonymeter", "privacy").word == "out of time"
    assert found.mark("world", "copy", "syntheval", "privacy").word == "not installed: ERROR"
    assert found.mark("world", "copy", "mostlyai-qa", "privacy").word == "not asked"


def test_our_own_verdicts_count_as_they_are():
    found = Answers(record(own("copy", fidelity="passed", privacy="inconclusive"), own("smote", privacy="failed")))
    assert found.mark("world", "copy", OWN, "fidelity").grade == "right"
    assert found.mark("world", "copy", OWN, "privacy").grade == "wrong"
    assert found.mark("world", "smote", OWN, "privacy").grade == "right"
    assert found.mark("world", "smote", OWN, "bias").grade == "no answer"
    assert found.mark("world", "category never heard of", OWN, "privacy").grade == "did not run"


def test_counts_tell_what_was_missed_from_false_alarms():
    found = Answers(
        record(
            cell(FRESH, "mostlyai-qa", DCR_share=0.5, accuracy=0.0),
            cell("copy", "mostlyai-qa", DCR_share=0.5, accuracy=0.0),
            cell("trees of leaf 50", "mostlyai-qa", DCR_share=0.9, accuracy=-0.5),
        )
    )
    counted = counts(all_marks(found, "world", "mostlyai-qa"))
    assert counted["missed"] == 1
    assert counted["false alarms"] == 2
    assert counted["wrong"] == 3
    asserted = [answers("world", case).get(question) for case in found.cases("world") for question in QUESTIONS]
    assert sum(counted[each] for each in ("right", "wrong", "no answer", "did not run")) == sum(
        each is not None for each in asserted
    )


def test_the_page_shows_signs_figures_versions_and_the_command():
    page = sheet(
        record(
            cell(FRESH, "sdmetrics", DCROverfittingProtection=1.0),
            cell("copy", "sdmetrics", DCROverfittingProtection=0.97),
            own("copy", privacy="failed"),
        ).model_copy(update={"machine": "a machine in words"})
    )
    assert "✗ 0.97" in page
    assert "✗ passes (DCROverfittingProtection 0.97)" in page
    assert "✓ fails (a_gate 0.5)" in page
    assert "`python -m benchmarks.audits`" in page
    assert "a machine in words" in page
    for line in page.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_a_grid_is_as_wide_in_every_row():
    lines = grid(["a", "b"], [["1", "x|y"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |"]


def test_records_come_back_from_json_as_they_were():
    before = record(cell(FRESH, "sdmetrics", QualityReport=0.9), own("copy", privacy="failed"))
    assert Record.model_validate_json(before.model_dump_json(exclude_defaults=True)) == before


def test_readings_are_of_tools_and_questions_that_there_are():
    for each in READINGS:
        assert each.tool in TOOLS and each.tool != OWN
        assert each.question in QUESTIONS
        assert each.why
        assert reading_of(each.tool, each.figure) is each
    assert reading_of("anonymeter", "inference of income") is not None
    assert reading_of("anonymeter", "income") is None


def test_every_tool_has_a_script_and_every_case_a_reference():
    for script in TOOLS.values():
        assert (HERE / f"{script}.py").exists()
    for case in NAMES:
        assert reference(case) in NAMES
    assert FRESH in NAMES
    assert answers("world", "copy of a coarse table") == {"privacy": frozenset({"inconclusive", "failed"})}


def test_pinned_versions_are_exact():
    pinned = sorted(HERE.glob("*.txt"))
    assert {path.stem for path in pinned} <= set(TOOLS)
    for path in pinned:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        assert lines and all("==" in line for line in lines), path


def test_a_release_is_the_same_at_every_call_and_lies_where_tools_look(tmp_path):
    case = "copy of a coarse table"
    rows, mixed = write(tmp_path, "world", case)
    assert (rows, mixed) == write(tmp_path, "world", case)
    assert mixed != write(tmp_path, "world", reference(case))[1]
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "holdout.csv", "synthetic.csv", "about.json"}
    assert (tmp_path / "train.csv").read_text(encoding="utf-8").count("\n") == rows["train"] + 1
