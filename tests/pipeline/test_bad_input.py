"""Bad input: one plain sentence, exit code 2, nothing half-written; odd but usable input goes through."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.__main__ import main
from tests.lenient import WAIVED, write_lenient

ROWS = 120


def table(n=ROWS):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "pay": rng.normal(100, 20, n).round(2),
            "town": rng.choice(["Bern", "Basel", "Zug"], n),
            "bought": rng.choice(["yes", "no"], n),
        }
    )


@pytest.fixture
def project(tmp_path):
    """A project's folder whose one specification reads rows.csv."""
    (tmp_path / "specs").mkdir()
    table().to_csv(tmp_path / "rows.csv", index=False)
    write_lenient(tmp_path)
    return tmp_path


def specify(project, **changes):
    settings = {
        "name": "toy",
        "source": {"path": "rows.csv"},
        "models": {"independent": {}},
        "policy": "lenient",
        "waivers": WAIVED,
        "demands": {"validity.schema_violations": {"at_most": 0}},
        "release": {"enabled": False},
    }
    path = project / "specs" / "toy.yaml"
    path.write_text(yaml.safe_dump({**settings, **changes}))
    return path


@pytest.fixture
def lookalike(monkeypatch, capsys):
    """Run the command line in this process; return its exit code, what it said, and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lookalike", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code, captured.err, captured.out

    return run


def leftovers(project):
    return [path for path in project.rglob("*") if ".partial" in path.name]


def refused(lookalike, project, *words, spec=None):
    """Run the toy specification; it must end with 2, one sentence that holds the words, and nothing written."""
    code, said, printed = lookalike("run", spec or project / "specs" / "toy.yaml", "--root", project, "--run", "r")
    assert code == 2, said + printed
    assert "Traceback" not in said
    sentence = said.strip().splitlines()[-1]
    for word in words:
        assert word in sentence, sentence
    assert not (project / "data" / "runs" / "toy" / "r" / "train.parquet").exists()
    assert leftovers(project) == []


def goes_through(lookalike, project, **changes):
    """Run the toy specification; it must end with a report and a verdict."""
    spec = specify(project, **changes)
    code, said, printed = lookalike("run", spec, "--root", project, "--run", "r", "--json")
    assert code == 0, said
    result = json.loads(printed)
    assert result["verdict"] in ("accepted", "refused", "inconclusive", "invalid")
    assert Path(result["report"]).is_file()
    assert leftovers(project) == []
    return pd.read_parquet(result["synthetic"]["independent"])


def test_missing_file(lookalike, project):
    specify(project, source={"path": "nowhere.csv"})
    refused(lookalike, project, "nowhere.csv")


def test_a_folder_is_not_a_file(lookalike, project):
    (project / "folder.csv").mkdir()
    specify(project, source={"path": "folder.csv"})
    refused(lookalike, project, "folder.csv")


@pytest.mark.parametrize("content", [b"", b"age,pay\n"], ids=["empty", "header only"])
def test_no_rows(lookalike, project, content):
    (project / "rows.csv").write_bytes(content)
    specify(project)
    refused(lookalike, project, "rows.csv")


def test_one_row(lookalike, project):
    table(1).to_csv(project / "rows.csv", index=False)
    specify(project)
    refused(lookalike, project, "row")


def test_fewer_rows_than_the_holdout_needs(lookalike, project):
    table(12).to_csv(project / "rows.csv", index=False)
    specify(project, holdout=0.1)
    refused(lookalike, project, "holdout")


def test_duplicate_column_names(lookalike, project):
    (project / "rows.csv").write_text("age,age\n" + "1,2\n" * 50)
    specify(project)
    refused(lookalike, project, "'age'")


def test_infinities(lookalike, project):
    table().assign(pay=np.inf).to_parquet(project / "rows.parquet")
    specify(project, source={"path": "rows.parquet"})
    refused(lookalike, project, "'pay'", "infinit")


def test_broken_utf8(lookalike, project):
    (project / "rows.csv").write_bytes(b"town,age\n" + b"Z\xfcrich,3\n" * 60)
    specify(project, source={"path": "rows.csv", "encoding": "utf-8"})
    refused(lookalike, project, "rows.csv", "UTF-8")


def test_a_column_that_is_not_there(lookalike, project):
    specify(project, columns={"agee": {"kind": "integer"}})
    refused(lookalike, project, "agee", "age")


def test_a_target_that_is_not_there(lookalike, project):
    specify(project, target="sold")
    refused(lookalike, project, "sold")


def test_a_target_with_one_class(lookalike, project):
    table().assign(bought="yes").to_csv(project / "rows.csv", index=False)
    specify(project, target="bought")
    refused(lookalike, project, "bought", "one")


def test_another_file_than_the_spec_swears_to(lookalike, project):
    specify(project, source={"path": "rows.csv", "sha256": "0" * 64})
    refused(lookalike, project, "sha256")


def test_all_mistakes_of_a_spec_at_once(lookalike, project):
    spec = specify(project, seed="x", holdout=2, modles={}, models={"gmmm": {}, "independent": {"colour": 1}})
    code, said, _ = lookalike("run", spec, "--root", project)
    assert code == 2
    for path in ("seed", "holdout", "modles", "models.gmmm", "models.independent.colour"):
        assert f"toy.yaml: {path}" in said


def test_impossible_combinations_all_at_once(lookalike, project):
    columns = {"age": {"minimum": 5, "maximum": 1}, "pay": {"otherwise": "x"}, "town": {"drop": True}}
    spec = specify(project, task="regression", unit="town", columns=columns, seed=-1)
    code, said, _ = lookalike("run", spec, "--root", project)
    assert code == 2
    for path in ("task", "columns.age.minimum", "columns.pay.otherwise", "columns.town.drop", "seed"):
        assert f"toy.yaml: {path}" in said


def test_a_demand_that_is_no_number(lookalike, project):
    specify(project, demands={"validity.schema_violations": {"at_most": float("inf")}})
    refused(lookalike, project, "demands.validity.schema_violations.at_most")


def test_audit_of_infinities(lookalike, project):
    table().assign(pay=np.inf).to_parquet(project / "rows.parquet")
    code, said, _ = lookalike("audit", "rows.parquet", "rows.csv", "--out", project / "x", "--root", project)
    assert (code, "'pay'" in said) == (2, True)


def test_another_reading_of_the_same_file_is_read_anew(lookalike, project):
    spec = specify(project)
    path = project / "data" / "runs" / "toy" / "r" / "train.parquet"
    before = []
    for nulls in ("[]", "[Bern]"):
        code, said, _ = lookalike(
            "stage", "ingest", spec, "--run", "r", "--set", f"source.nulls={nulls}", "--root", project
        )
        assert code == 0, said
        before.append(pd.read_parquet(path)["town"].isna().sum())
    assert before[0] == 0 < before[1]


def test_a_folder_with_an_odd_name(lookalike, tmp_path):
    project = tmp_path / "a[/x]b c'é"
    (project / "specs").mkdir(parents=True)
    write_lenient(project)
    table().to_csv(project / "rows.csv", index=False)
    code, said, printed = lookalike("run", specify(project), "--root", project, "--run", "r")
    assert code == 0, said
    assert "a[/x]b c'é" in printed


@pytest.mark.parametrize("text", ["a: [", "- 1\n", ""], ids=["not YAML", "a list", "empty"])
def test_a_spec_that_is_none(lookalike, project, text):
    path = project / "specs" / "toy.yaml"
    path.write_text(text)
    refused(lookalike, project, "toy.yaml", spec=path)


def test_unknown_names(lookalike, project):
    spec = specify(project)
    for arguments in (
        ("stage", "bake", spec, "--run", "r"),
        ("stage", "train", spec, "--run", "r", "--model", "gan"),
        ("stage", "train", spec, "--run", "r"),
        ("stage", "train", spec, "--run", "r", "--model", "independent"),
        ("stage", "generate", spec, "--run", "r", "--model", "independent"),
        ("stage", "check", spec, "--run", "r", "--model", "independent"),
        ("stage", "contract", spec, "--run", "r"),
        ("stage", "audit", spec, "--run", "r"),
        ("stage", "decide", spec, "--run", "r"),
        ("stage", "release", spec, "--run", "r"),
        ("audit", "rows.csv", "nowhere.csv", "--out", project / "x"),
        ("audit", "rows.csv", "rows.csv", "--out", project / "rows.csv"),
        ("stage", "ingest", spec, "--run", "../up"),
        ("show", "nothing"),
        ("verify", "toy-v1"),
        ("sample", "nothing", "--rows", "3", "--out", project / "x.csv"),
        ("run", spec, "--set", "seed"),
    ):
        code, said, _ = lookalike(*arguments, "--root", project)
        assert (code, "Traceback" in said) == (2, False), arguments
        assert said.startswith("lookalike: ")


def test_one_column(lookalike, project):
    table()[["town"]].to_csv(project / "rows.csv", index=False)
    assert list(goes_through(lookalike, project).columns) == ["town"]


def test_all_null_constant_and_mixed_columns(lookalike, project):
    odd = table().assign(nothing=None, one="same", mixed=[1, "two", 3.5] * 40)
    odd.to_csv(project / "rows.csv", index=False)
    rows = goes_through(lookalike, project)
    assert rows["nothing"].isna().all()
    assert set(rows["one"]) == {"same"}
    assert set(rows["mixed"].astype(str)) <= {"1", "two", "3.5"}


def test_dates_out_of_range(lookalike, project):
    table().assign(day="99999-01-01").to_csv(project / "rows.csv", index=False)
    assert set(goes_through(lookalike, project)["day"]) == {"99999-01-01"}


def test_ten_thousand_categories(lookalike, project):
    rng = np.random.default_rng(0)
    rows = table(20_000).assign(code=[f"c{value:05d}" for value in np.tile(np.arange(10_000), 2)])
    rows.sample(frac=1, random_state=rng).to_csv(project / "rows.csv", index=False)
    assert goes_through(lookalike, project)["code"].nunique() > 3_000


def test_disk_full(project, lookalike):
    small = project / "data"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (that takes root)")
    try:
        rng = np.random.default_rng(0)
        pd.DataFrame(rng.normal(size=(4_000, 4)), columns=list("abcd")).to_csv(project / "rows.csv", index=False)
        code, said, _ = lookalike("run", specify(project), "--root", project, "--run", "r")
        assert code == 2
        assert "No space left" in said
        assert "Traceback" not in said
        assert leftovers(project) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_remote_is_out_of_reach(lookalike, project):
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "rows"],
    ):
        subprocess.run(["git", "-C", project, *command], check=True)
    (project / "file").write_text("not a folder")
    rows = table(4_000)
    rows.assign(paid=rows["age"] * 2).to_csv(project / "rows.csv", index=False)
    spec = specify(project, release={"remote": "file/below"})
    code, said, _ = lookalike("run", spec, "--root", project, "--run", "r")
    assert code == 2
    assert "Traceback" not in said
    tags = subprocess.run(["git", "-C", project, "tag"], capture_output=True, text=True, check=True).stdout
    assert tags == ""
    assert not (project / "data" / "releases" / "toy" / "v1").exists()


def test_a_killed_training_goes_on(project):
    """Kill -9 in the middle of a fit, run again: the rows equal an undisturbed run's."""
    pytest.importorskip("torch")
    table(2_000).to_csv(project / "rows.csv", index=False)
    training = {"epochs": 30, "checkpoint_seconds": 0.0}
    specify(project, models={"vae": {"training": training}}, demands={})
    command = [sys.executable, "-m", "pipeline", "run", "specs/toy.yaml", "--json", "--run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([*command, "a"], cwd=project, env=environment, stderr=subprocess.DEVNULL)
    checkpoint = project / "data" / "runs" / "toy" / "a" / "models" / "vae" / "checkpoint.safetensors"
    for _ in range(6_000):
        if checkpoint.exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    assert checkpoint.exists(), "the fit left no checkpoint"
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = {}
    for run in ("a", "b"):
        done = subprocess.run([*command, run], cwd=project, env=environment, capture_output=True, text=True, check=True)
        found[run] = Path(json.loads(done.stdout)["synthetic"]["vae"]).read_bytes()
    assert found["a"] == found["b"]
    shutil.rmtree(project / "data")
