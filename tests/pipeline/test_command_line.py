"""The command line as a user meets it: a table in, a verdict, rows and a release out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import feather

from pipeline.__main__ import main
from pipeline.registry import families, metrics
from pipeline.spec import Spec
from tests.lenient import WAIVED, write_lenient

CODES = {"copy": (1, 4), "other": (0, 3)}  # refused or void, and accepted or inconclusive
LENIENT = ("--set", "policy=lenient", "--set", f"waivers={json.dumps(WAIVED)}")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A git project with one table, initialised and run."""
    project = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    n = 4_000
    table = pd.DataFrame(
        {
            "id": [f"K{number:05d}" for number in range(n)],
            "age": rng.integers(18, 80, n),
            "sex": rng.choice(["female", "male"], n),
            "town": rng.choice(["Bern", "Basel", "Zug"], n, p=[0.5, 0.3, 0.2]),
            "remark": [
                f"called on day {number} about {rng.integers(1_000_000)}, will call again" for number in range(n)
            ],
        }
    )
    table["pay"] = (table["age"] * 10 + rng.normal(0, 30, n)).round(1).where(rng.random(n) > 0.1)
    table["bought"] = np.where(rng.random(n) < table["age"] / 100, "yes", "no")
    table.to_csv(project / "rows.csv", index=False)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", project, *command], check=True)
    return project


@pytest.fixture
def lookalike(project, monkeypatch, capsys):
    """Run the command line in the project; it must end well; return what it printed."""

    def run(*arguments, expected=0, among=()):
        monkeypatch.chdir(project)
        monkeypatch.setattr(sys, "argv", ["lookalike", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code in (among or (expected,)), captured.err + captured.out
        return captured.out

    return run


@pytest.fixture
def result(lookalike, project):
    """The run of the initialised specification; made once, for the same run again is a no-op."""
    if not (project / "specs" / "toy.yaml").exists():
        lookalike("init", "rows.csv", "--name", "toy")
    demands = "demands={privacy.exact_copies: {at_most: 0.5}}"
    write_lenient(project)
    models = "models=[independent, bayesian_network]"
    return json.loads(
        lookalike("run", "specs/toy.yaml", "--run", "r", "--set", demands, "--set", models, *LENIENT, "--json")
    )


def test_run_ends_with_everything_a_script_needs(result, project):
    assert set(result) == {"run", "verdict", "word", "model", "report", "audit", "synthetic", "release"}
    wanted = ("toy/r", "accepted", "PASS", "toy-v1")
    assert tuple(result[each] for each in ("run", "verdict", "word", "release")) == wanted
    assert "https://" not in Path(result["report"]).read_text(encoding="utf-8").replace("https://doi.org", "")
    audit = json.loads(Path(result["audit"]).read_text())
    fates = {column["name"]: column["fate"] for column in audit["inputs"]["columns"]}
    assert (fates["id"], fates["remark"], fates["age"]) == ("made_anew", "left_out", "modelled")
    real = pd.read_csv(project / "rows.csv")
    for path in result["synthetic"].values():
        rows = pd.read_parquet(path)
        assert "remark" not in rows
        assert rows["id"].is_unique
        assert not set(rows["id"]) & set(real["id"])
        assert 0.03 < rows["pay"].isna().mean() < 0.2


def test_the_same_seed_gives_the_same_rows_and_another_does_not(result, lookalike):
    first = {name: Path(path).read_bytes() for name, path in result["synthetic"].items()}
    spec = "data/runs/toy/r/spec.yaml"
    for seed, equal in ((Spec.load(Path(spec)).seed, True), (12_345, False)):
        again = json.loads(
            lookalike(
                "run", spec, "--run", f"s{seed}", "--set", f"seed={seed}", "--set", "release.enabled=false", "--json"
            )
        )
        assert {name: Path(path).read_bytes() == first[name] for name, path in again["synthetic"].items()} == {
            name: equal for name in first
        }


def test_show_and_releases_and_verify(result, lookalike):
    shown = lookalike("show", "toy/r")
    assert "privacy.exact_copies" in shown
    assert "pandas.read_parquet" in shown
    assert json.loads(lookalike("show", "toy/r", "--json")) == result
    assert [release["release"] for release in json.loads(lookalike("releases", "--json"))] == ["toy-v1"]
    assert "toy-v1" in lookalike("releases")
    assert json.loads(lookalike("verify", "toy-v1", "--json"))["verified"]
    assert "verified" in lookalike("verify", "toy-v1")
    assert "settings: no change" in lookalike("diff", "toy-v1", "toy-v1")


def test_rows_that_are_not_here_are_not_verified(result, lookalike, project):
    rows = project / "data" / "releases" / "toy" / "v1" / "synthetic.parquet"
    content = rows.read_bytes()
    rows.unlink()
    assert "dvc pull" in lookalike("verify", "toy-v1", expected=1)
    rows.write_bytes(content)
    lookalike("verify", "toy-v1")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".jsonl", ".arrow"])
def test_sample_writes_any_format(result, lookalike, project, suffix):
    path = project / f"more{suffix}"
    lookalike("sample", "toy/r", "--rows", 50, "--out", path)
    read = {
        ".parquet": pd.read_parquet,
        ".jsonl": lambda file: pd.read_json(file, lines=True),
        ".arrow": feather.read_feather,
    }
    assert len(read.get(suffix, pd.read_csv)(path)) == 50


@pytest.mark.parametrize("source", ["toy-v1", "toy/r"])
def test_sample_holds_given_values(result, lookalike, project, source):
    path = project / "given.parquet"
    lookalike("sample", source, "--rows", 80, "--given", "sex=female", "--given", "town=Zug", "--out", path)
    rows = pd.read_parquet(path)
    assert (len(rows), set(rows["sex"]), set(rows["town"])) == (80, {"female"}, {"Zug"})
    for given in ("sex=other", "height=3", "age=old"):
        lookalike("sample", source, "--rows", 5, "--given", given, "--out", path, expected=2)


def test_sample_holds_conditions_that_leave_more_than_one_value(result, lookalike, project):
    path = project / "given.parquet"
    given = ("--given", "sex=female", "--given", "age >= 60", "--given", "town in (Zug, Bern)")
    told = lookalike("sample", "toy/r", "--rows", 300, *given, "--out", path)
    rows = pd.read_parquet(path)
    assert (len(rows), set(rows["sex"]), set(rows["town"])) == (300, {"female"}, {"Zug", "Bern"})
    assert rows["age"].between(60, 79).all()
    assert rows["id"].is_unique
    assert "rows drawn hold" in " ".join(told.split())
    real = pd.read_csv(project / "rows.csv")
    assert abs((rows["town"] == "Zug").mean() - (real.loc[real["town"] != "Basel", "town"] == "Zug").mean()) < 0.12
    for wrong in ("age >= sixty", "height > 3", "if age > 3 then sex = female", "sex < male"):
        lookalike("sample", "toy/r", "--rows", 5, "--given", wrong, "--out", path, expected=2)
    lookalike("sample", "toy/r", "--rows", 5, "--given", "age > 79", "--out", path, expected=2)


def test_a_condition_that_few_rows_hold_is_met_from_those_and_said_so(result, lookalike, project):
    path = project / "rare.parquet"
    told = lookalike("sample", "toy/r", "--rows", 9_000, "--given", "age = 77", "--given", "pay > 800", "--out", path)
    rows = pd.read_parquet(path)
    assert len(rows) == 9_000
    assert set(rows["age"]) == {77}
    assert (rows["pay"] > 800).all()
    assert "wanted" in told or "such draws" in told


@pytest.mark.parametrize("model", ["bayesian_network", "independent"])
def test_fill_fills_missing_cells_and_keeps_the_others(result, lookalike, project, model):
    real = pd.read_csv(project / "rows.csv").head(500).drop(columns=["remark"])
    rng = np.random.default_rng(1)
    lacking = real.copy()
    for name in ("age", "sex", "town", "pay"):
        lacking.loc[rng.random(500) < 0.3, name] = None
    lacking.to_csv(project / "lacking.csv", index=False)
    told = lookalike("fill", "toy/r", "lacking.csv", "--out", project / "filled.parquet", "--model", model)
    filled = pd.read_parquet(project / "filled.parquet")
    assert filled[["age", "sex", "town", "bought"]].notna().all().all()
    for name in ("id", "age", "sex", "town", "pay", "bought"):
        there = lacking[name].notna().to_numpy()
        assert (filled[name].to_numpy()[there] == lacking[name].to_numpy()[there]).all(), name
    assert "missing cells" in told
    if model == "bayesian_network":
        gone = lacking["age"].isna() & lacking["pay"].notna()
        assert np.corrcoef(filled.loc[gone, "age"].astype(float), real.loc[gone, "age"])[0, 1] > 0.7
    lacking.drop(columns=["town"]).to_csv(project / "narrow.csv", index=False)
    lookalike("fill", "toy/r", "narrow.csv", "--out", project / "no.parquet", expected=2)
    lacking.assign(sex="other").to_csv(project / "strange.csv", index=False)
    lookalike("fill", "toy/r", "strange.csv", "--out", project / "no.parquet", expected=2)
    assert not (project / "no.parquet").exists()


def test_score_tells_the_bits_of_rows_and_finds_the_odd_one(result, lookalike, project):
    told = {name: lookalike("score", "toy/r", "--model", name) for name in ("bayesian_network", "independent")}
    bits = {name: float(text.split("bits")[0].split()[-1]) for name, text in told.items()}
    assert bits["bayesian_network"] < bits["independent"] - 1
    rows = pd.read_csv(project / "rows.csv").head(300).dropna()
    rows.iloc[0, rows.columns.get_loc("pay")] = 201.0
    rows.iloc[0, rows.columns.get_loc("age")] = 79
    rows.to_csv(project / "odd.csv", index=False)
    lookalike("score", "toy/r", "odd.csv", "--model", "bayesian_network", "--out", project / "bits.parquet")
    scores = pd.read_parquet(project / "bits.parquet")["bits"]
    assert len(scores) == len(rows)
    assert scores.rank(ascending=False)[0] <= 3


def test_audit_judges_any_table(lookalike, project):
    real = pd.read_csv(project / "rows.csv")
    real.iloc[:2_000].to_csv(project / "train.csv", index=False)
    real.iloc[2_000:3_000].to_csv(project / "holdout.csv", index=False)
    found = {}
    for name, rows in {"copy": real.iloc[:1_500], "other": real.iloc[3_000:]}.items():
        rows.to_csv(project / f"{name}.csv", index=False)
        arguments = (
            "audit",
            "train.csv",
            f"{name}.csv",
            "--holdout",
            "holdout.csv",
            "--out",
            f"audit/{name}",
            "--json",
        )
        found[name] = json.loads(lookalike(*arguments, among=CODES[name]))
        document = json.loads((project / "audit" / name / "audit.json").read_text())
        estimates = document["models"][0]["estimates"]
        assert {f"{question}.{metric}" for question in estimates for metric in estimates[question]} == set(metrics())
        found[name] |= {gate["metric"]: gate["verdict"] for gate in document["models"][0]["gates"]}
    assert found["copy"]["privacy.exact_copies"] == "failed"
    assert found["copy"]["verdict"] in ("refused", "invalid")
    assert "failed" not in [word for word in found["other"].values() if isinstance(word, str)]


def test_audit_without_a_holdout_never_passes_privacy(lookalike, project):
    lookalike("audit", "rows.csv", "rows.csv", "--out", "audit/self", expected=3)
    document = json.loads((project / "audit" / "self" / "audit.json").read_text())
    privacy = document["models"][0]["estimates"]["privacy"]
    assert all(answer["estimate"]["value"] is None for answer in privacy.values())
    assert document["verdict"] != "accepted"


def test_models_lists_every_family(lookalike):
    listed = json.loads(lookalike("models", "--json"))
    assert [family["name"] for family in listed] == list(families())
    assert all(family["summary"] for family in listed)


def test_every_command_has_help(lookalike):
    for command in ("init", "run", "stage", "sample", "audit", "models", "releases", "verify", "diff", "show"):
        assert "--help" in lookalike(command, "--help")


def test_init_does_not_overwrite(result, lookalike):
    lookalike("init", "rows.csv", "--name", "toy", expected=2)
    lookalike("init", "rows.csv", "--name", "Bad-Name", expected=2)
