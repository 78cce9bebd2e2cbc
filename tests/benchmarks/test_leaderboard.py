"""The leaderboard is written, goes on where it stopped, says who was out of budget, and complains plainly."""

import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from benchmarks.board import contest, workers
from benchmarks.board.cells import Cell, Record, Store
from benchmarks.board.contest import Judged, anchor
from benchmarks.board.figure import Figure
from benchmarks.board.measures import measured, told_apart
from benchmarks.board.ours import PHASES, settings_of
from benchmarks.board.sheet import sheet
from benchmarks.board.tables import DATA, SOURCES, read, split, write
from benchmarks.leaderboard import main
from pipeline.registry import families, family
from tests.tables import needs_adult

SMALL = ["--tables", "simulated", "--models", "independent", "bayesian_network", "--peers", "none", "--rows", "600"]


def call(out: Path, work: Path, *words: str) -> dict:
    main([*SMALL, *words, "--out", str(out), "--work", str(work)])
    return json.loads((out / "leaderboard.json").read_text())


def by_model(record: dict) -> dict:
    return {cell["model"]: cell for cell in record["cells"]}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    return folder, call(folder / "out", folder / "work", "--minutes", "5")


def test_the_table_holds_every_generator_and_every_figure(board):
    folder, record = board
    cells = by_model(record)
    assert list(cells) == [*contest.ANCHORS, "bayesian_network", "independent"]
    page = (folder / "out" / "leaderboard.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(cells) and len({line.count("|") for line in lines}) == 1
    assert "sdmetrics 0." in page and "over those of bayesian_network" in page
    ElementTree.parse(folder / "out" / "leaderboard.svg")
    for cell in cells.values():
        assert cell["drawn"] in (600, 150) and cell["figures"]["c2st"]["value"] > 0.3
    for name in ("bayesian_network", "independent"):
        assert cells[name]["bits"] > 0 and cells[name]["peak_gib"] > 0 and cells[name]["fit_seconds"] > 0
    assert cells["bayesian_network"]["bits"] < cells["independent"]["bits"]


def test_anchors_score_what_they_must(board):
    figures = {name: cell["figures"] for name, cell in by_model(board[1]).items()}
    assert figures["bootstrap"]["copies"]["value"] > 0.9
    assert figures["bootstrap"]["membership_auc"]["value"] > 0.6
    assert figures["shuffled columns"]["sdmetrics_shape"].get("value", 0) == pytest.approx(0, abs=1e-12)
    assert figures["shuffled columns"]["c2st"]["value"] > figures["fresh real rows"]["c2st"]["value"] + 0.1
    assert figures["fresh real rows"]["sdmetrics_shape"]["over"] == pytest.approx(1, abs=0.4)


def test_a_second_call_trains_and_measures_nothing_again(board, tmp_path):
    folder, record = board
    kept = {path: path.stat().st_mtime_ns for path in (folder / "work").iterdir() if path.name != ".gitignore"}
    again = call(tmp_path, folder / "work", "--minutes", "5")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert again["cells"] == record["cells"]


def test_an_interrupted_call_goes_on_with_what_is_missing(board, tmp_path):
    folder, record = board
    lost = next((folder / "work").glob("simulated-independent-*.json"))
    kept = next((folder / "work").glob("simulated-bayesian_network-*.json"))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    again = by_model(call(tmp_path, folder / "work", "--minutes", "5"))
    assert lost.exists() and kept.stat().st_mtime_ns == before
    assert again["independent"]["figures"] == by_model(record)["independent"]["figures"]


@pytest.mark.parametrize(
    ("model", "facts", "holding"),
    [
        ("arfpy", {"fit_seconds": 120}, [2, 10, 20]),
        ("tabular_argn", {"fit_seconds": 120}, [10, 20]),
        ("tabular_argn", {"fit_seconds": 20}, [2, 10, 20]),
        ("tabular_argn", {"fit_seconds": 500}, [10]),
        ("tabular_argn", {"fit_seconds": 20, "notes": {"reproducible": "no: the time budget ended training"}}, [10]),
        ("arfpy", {"ended": "did not finish in 10 min", "out_of_budget": True}, [1, 2, 10]),
        ("arfpy", {"ended": "failed (1): ValueError"}, []),
    ],
)
def test_what_had_time_enough_holds_for_more_and_what_was_late_for_less(model, facts, holding, tmp_path):
    store, cell = Store(tmp_path), Cell(table="t", model=model, side="peer", key="k" * 12, minutes=10)
    kept = cell.model_copy(update=facts)
    store.keep(kept)
    store.rows(kept).write_text("a\n")
    found = {minutes: store.known(cell.model_copy(update={"minutes": minutes})) for minutes in (1, 2, 10, 20)}
    assert [minutes for minutes, each in found.items() if each == kept] == holding


def test_several_tables_have_an_overview_by_mean():
    record = Record(
        command="c", machine="m", code="k", minutes=1, threads=1, seed=0, sdmetrics="1", splits={"t": "", "u": ""}
    )
    assert "At a glance" not in sheet(record.model_copy(update={"splits": {"t": ""}}))
    for model, side, found in (
        ("late", "peer", {"t": 0.5}),
        ("worse", "ours", {"t": 0.6, "u": 0.9}),
        ("better", "peer", {"t": 0.7, "u": 0.7}),
        ("rows", "anchor", {"t": 0.9, "u": 0.9}),
    ):
        for table, value in found.items():
            figures = {"c2st": Figure(value=value)}
            record.cells.append(Cell(table=table, model=model, side=side, key="", fit_cpu=2, figures=figures))
    record.cells.append(Cell(table="u", model="late", side="peer", key="", ended="did not finish"))
    lines = sheet(record).split("## At a glance")[1].split("## t")[0].split("\n| ")[3:]
    assert [line.split(" |")[0] for line in lines] == ["*rows*", "better", "**worse**", "late"]
    assert lines[1].startswith("better | 0.700 | 0.700 | 0.700 | 4 |") and "0.500 | – | – | – |" in lines[3]


def test_who_is_out_of_budget_is_named_so(board, tmp_path):
    record = call(tmp_path, board[0] / "work", "--models", "independent", "--minutes", "0.0000001")
    cell = by_model(record)["independent"]
    assert cell["ended"].startswith("did not finish in 1e-07 min (training") and cell["out_of_budget"]
    assert "did not finish in 1e-07 min" in (tmp_path / "leaderboard.md").read_text()


def test_a_worker_that_is_late_is_ended_with_all_that_it_started(tmp_path):
    script = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
for line in ({"child": child.pid}, {"stage": "fit", "at": time.time()}):
    print(json.dumps(line), file=open(sys.argv[1], "a"), flush=True)
time.sleep(60)
"""
    start, told = time.monotonic(), tmp_path / "told.jsonl"
    cell = Cell(table="t", model="m", side="peer", key="k")
    made = workers.run(cell, [sys.executable, "-c", script, str(told)], tmp_path, 0.02, 1)
    assert made.out_of_budget and made.ended.startswith("did not finish in 0.02 min (training;")
    assert time.monotonic() - start < 30
    child = json.loads(told.read_text().splitlines()[0])["child"]
    while running(child):
        assert time.monotonic() - start < 30
        time.sleep(0.05)


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_worker_that_fails_is_shown_with_its_last_words(tmp_path):
    cell = Cell(table="t", model="m", side="peer", key="k")
    made = workers.run(cell, [sys.executable, "-c", "raise ValueError('no such thing')"], tmp_path, 1, 1)
    assert made.ended == "failed (1): ValueError: no such thing" and not made.settled


def test_a_peer_whose_environment_cannot_be_made_is_shown(board, tmp_path, monkeypatch):
    (tmp_path / "pins.txt").write_text("/nowhere/nothing-1.0-py3-none-any.whl\n")
    monkeypatch.setitem(contest.PEERS, "arfpy", (str(tmp_path / "pins"), ()))
    cell = by_model(call(tmp_path, board[0] / "work", "--models", "none", "--peers", "arfpy"))["arfpy"]
    assert cell["ended"].startswith("not installed: ERROR: ") and "nothing-1.0" in cell["ended"]
    assert "arfpy: not installed" in (tmp_path / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tables", "nowhere"], "invalid choice: 'nowhere'"),
        (["--models", "nobody"], "--models: got nobody, wanted all, none or some of"),
        (["--minutes", "0"], "got 0, wanted more than 0"),
    ],
)
def test_mistakes_are_told_plainly(words, said, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err


def test_an_absent_table_is_told_plainly(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.board.tables.DATA", tmp_path)
    with pytest.raises(SystemExit, match="table 'magic': got no file .*LOOKALIKE_TABLES"):
        main(["--tables", "magic", "--out", str(tmp_path), "--work", str(tmp_path)])


def test_rows_survive_being_written_and_read(tmp_path):
    table = split("simulated", 200, 0).train
    write(table, tmp_path / "rows.csv")
    again, broken = read(tmp_path / "rows.csv", table.schema)
    assert broken == 0 and again.frame.equals(table.frame)


def test_strange_cells_are_counted_and_become_missing(tmp_path):
    table = split("simulated", 200, 0).train
    frame = table.frame.head(3).astype(object)
    frame.loc[0, "kind"], frame.loc[1, "amount"], frame.loc[2, "age"] = "kind 77", "much", 44.4
    frame.to_csv(tmp_path / "rows.csv", index=False)
    again, broken = read(tmp_path / "rows.csv", table.schema)
    assert broken == 2 and again.frame["kind"].isna().tolist() == [True, False, False]
    assert np.isnan(again.frame["amount"][1]) and again.frame["age"][2] == 44


def test_families_are_given_the_budget_once():
    for name in families():
        settings = settings_of(name, 10, 2)
        family(name).Config.model_validate(settings)
        if settings:
            training = settings["training"]
            assert training["threads"] == 2 and training["minutes"] * PHASES.get(name, 1) == pytest.approx(9)


def test_rows_of_the_holdout_itself_cannot_be_told_apart():
    parts = split("simulated", 2_000, 0)
    fresh = anchor("fresh real rows", parts, np.random.default_rng(0))
    assert told_apart(fresh, 0) == pytest.approx(0.5, abs=0.06)
    figures = measured(Judged(parts.train, parts.holdout, parts.train), 0)
    assert figures["sdmetrics_shape"].value == pytest.approx(0, abs=1e-12)
    assert figures["copies"].value == pytest.approx(1)
    assert figures["copies_of_equal_parts"].value > 0.4


@needs_adult
@pytest.mark.parametrize(
    ("name", "train", "holdout", "numbers", "codes"),
    [
        ("adult", 32_561, 16_281, 6, 9),
        ("default", 27_000, 3_000, 14, 10),
        ("shoppers", 11_097, 1_233, 10, 8),
        ("magic", 17_117, 1_902, 10, 1),
        ("beijing", 37_581, 4_176, 7, 5),
    ],
)
def test_splits_are_those_of_the_published_protocol(name, train, holdout, numbers, codes):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not there")
    parts = split(name, None, 0)
    columns = parts.train.schema.columns
    assert (len(parts.train), len(parts.holdout)) == (train, holdout)
    assert (sum(each.is_number for each in columns), sum(each.is_code for each in columns)) == (numbers, codes)
    assert parts.train.schema.target.name == SOURCES[name].target
    for column in (each for each in columns if each.is_code and name != "adult"):
        assert set(parts.holdout.codes(column.name)) <= set(parts.train.codes(column.name))
