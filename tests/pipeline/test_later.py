"""A release beside real rows that came later: what its schema does not know is a finding, and nothing cries wolf."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import hypergeom

from audit.core import Evidence
from pipeline.__main__ import main
from pipeline.drift import Alarm, alarm
from pipeline.drifting import OUTSIDE, compared
from pipeline.later import anywhere, outside, unlikely
from pipeline.measuring import bench
from pipeline.policies import policy
from tabular.infer import Override, infer_schema
from tabular.schema import Schema
from tabular.table import Table
from tabular.widening import widened
from tests.audit.generators import flipped, where
from tests.audit.releases import real_world
from tests.lenient import WAIVED, write_lenient
from tests.pipeline.test_policies import ROOT

ROWS, MANY = 3_000, 12_000


def table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "id": [f"r{seed}-{place}" for place in range(n)],
            "age": rng.integers(18, 80, n),
            "sex": rng.choice([0, 1], n),
            "town": rng.choice(["Bern", "Basel", "Zug"], n, p=[0.5, 0.45, 0.05]),
            "gone": rng.choice(["a", "b"], n),
        }
    )
    rows["pay"] = (rows["age"] * 10 + rng.normal(0, 30, n)).round(1)
    return rows


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with one release, whose rules and specification name every category."""
    project = tmp_path_factory.mktemp("later")
    (project / "specs").mkdir()
    write_lenient(project)
    table(2_000, 0).to_csv(project / "rows.csv", index=False)
    spec = {
        "name": "toy",
        "source": {"path": "rows.csv"},
        "columns": {
            "sex": {"values": {0: "female", 1: "male"}, "sensitive": True},
            "town": {"categories": ["Bern", "Basel", "Zug"]},
            "age": {"minimum": 18, "maximum": 79, "nullable": False},
            "gone": {"drop": True},
        },
        "rules": ["if town = Zug then age >= 18", "town in (Bern, Basel, Zug)"],
        "models": {"gmm": {"components": 3}},
        "policy": "lenient",
        "waivers": {**WAIVED, "validity.declared_rules": WAIVED["privacy.key_copies"]},
        "demands": {"fidelity.column_shapes": {"at_most": 0.5}, "validity.schema_violations": {"at_most": 0}},
    }
    (project / "specs" / "toy.yaml").write_text(yaml.safe_dump(spec))
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", project, *command], check=True)
    return project


@pytest.fixture
def lookalike(project, monkeypatch, capsys):
    """Run the command line; return its exit code, what it printed and what it said."""

    def run(*arguments):
        monkeypatch.chdir(project)
        monkeypatch.setattr(sys, "argv", ["lookalike", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return run


@pytest.fixture
def release(lookalike, project):
    if not (project / "data" / "releases").exists():
        code, printed, said = lookalike("run", "specs/toy.yaml", "--run", "r", "--json")
        assert code == 0 and json.loads(printed)["release"] == "toy-v1", printed + said
    return "toy-v1"


def compare(lookalike, project, rows: pd.DataFrame, *more: str):
    rows.to_csv(project / "new.csv", index=False)
    return lookalike("diff", "toy-v1", "new.csv", "--json", *more)


def test_a_release_keeps_its_schema_and_swears_to_it(release, lookalike, project) -> None:
    kept = project / "data" / "releases" / "toy" / "v1" / "schema.json"
    assert Schema.model_validate_json(kept.read_bytes())["town"].categories == ("Bern", "Basel", "Zug")
    code, printed, _ = lookalike("verify", release, "--json")
    assert code == 0
    assert {"schema.json": True}.items() <= {each["what"]: each["ok"] for each in json.loads(printed)["checks"]}.items()


def test_fresh_rows_without_a_category_that_a_rule_names_are_compared(release, lookalike, project) -> None:
    rows = table(900, 1)
    rows = rows[rows["town"] != "Zug"]
    code, printed, said = compare(lookalike, project, rows.drop(columns="gone"), "--check")
    assert code in (0, 1), said
    found = json.loads(printed)
    assert [each["column"] for each in found["outside"]] in ([], ["pay"])  # two of 849 beyond the old ends, by chance
    assert OUTSIDE not in found["alarm"]["worse"]
    assert found["alarm"]["compared"] >= 3
    assert {"fidelity.column_shapes", "validity.schema_violations"} <= {each["metric"] for each in found["gates"]}


def test_what_the_schema_does_not_know_is_found_and_no_error(release, lookalike, project) -> None:
    rows = table(900, 2).astype({"town": object, "sex": object, "age": object})
    rows.loc[:44, "town"] = "Chur"
    rows.loc[:9, "sex"] = 7
    rows.loc[:19, "age"] = 120
    rows.loc[30:39, "age"] = None
    code, printed, said = compare(lookalike, project, rows, "--check")
    assert code == 1, said
    found = {each["column"]: each for each in json.loads(printed)["outside"]}
    assert {name: each["rows"] for name, each in found.items() if name != "pay"} == {"town": 45, "sex": 10, "age": 30}
    assert "of 900 new rows 45 hold categories that the release does not know ('Chur')" in found["town"]["sentence"]
    assert "'7'" in found["sex"]["sentence"]
    assert "10 are missing, where none was, 20 lie above 79" in found["age"]["sentence"]
    assert OUTSIDE in json.loads(printed)["alarm"]["worse"]
    code, printed, _ = lookalike("diff", "toy-v1", "new.csv")
    assert code == 0
    assert "hold categories that the release does not know" in printed.replace("\n", " ")
    assert "compared together at 5% (Holm)" in printed.replace("\n", " ")


def test_missing_surplus_and_unreadable_columns_are_errors_all_at_once(release, lookalike, project) -> None:
    rows = table(900, 3).drop(columns=["town", "sex"]).assign(more=1, age="about forty")
    code, _, said = compare(lookalike, project, rows)
    assert code == 2
    said = said.replace("\n", " ")
    assert "there is no column 'sex', 'town', which the release has" in said
    assert "there is a column 'more', which the release does not have" in said
    assert (
        "column 'age': 900 of 900 values cannot be read (first: 'about forty' in row 1), wanted a whole number" in said
    )


@pytest.mark.parametrize(("count", "new", "before"), [(1, 100, 900), (3, 300, 300), (40, 1_000, 5_000)])
def test_the_chance_is_that_of_the_hypergeometric_law(count: int, new: int, before: int) -> None:
    assert unlikely([count], 1, new, before) == pytest.approx(hypergeom.pmf(count, new + before, count, new), rel=1e-9)
    assert unlikely([], 5, new, before) == 1
    assert unlikely([1, count], 7, new, before) == pytest.approx(min(1, 7 * unlikely([count], 1, new, before)))


def test_fresh_halves_seldom_hold_what_the_other_does_not_know() -> None:
    alarms = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame({"n": rng.normal(size=400), "w": rng.zipf(1.6, 400).clip(max=10**6).astype(str), "x": 1.5})
        rows.loc[rng.random(400) < 0.005, "x"] = np.nan
        old, new = rows.iloc[:200], rows.iloc[200:]
        schema = infer_schema(old, {"w": Override(kind="categorical"), "x": Override(kind="continuous")})
        real = Table.conform(widened(schema, new), new)
        alarms += anywhere(outside(schema, real, 200), 3) <= 0.05
    assert alarms <= 0.05 * 400


def judge(released: Table, old: Table, new: Table) -> Alarm:
    """Compare a release's audit against old real rows with that against new ones, by the gates of `ml`."""
    gates = [name for name in policy("ml", ROOT).gates if not name.startswith("privacy.")]
    found = []
    with bench(0, 1) as place:
        for real in (old, new):
            cut = int(0.7 * len(real))
            parts = (real.take(np.arange(cut)), real.take(np.arange(cut, len(real))))
            found.append(place.estimates(Evidence(*parts, released, declared=real_world().declared), gates))
    known = infer_schema(old.frame, {})
    beyond = outside(known, Table.conform(widened(known, new.frame), new.frame), len(old))
    return alarm(compared(*found), gates, {OUTSIDE: anywhere(beyond, len(known.modelled))})


def drawn(seed: int, rows: int = ROWS) -> tuple[Table, Table, Table]:
    """Draw a release of nobody's rows and two fresh halves of real ones, so many each."""
    real = real_world()
    pool = real.train.joined(real.holdout).joined(real.fresh)
    order = np.random.default_rng(seed).permutation(len(pool))
    first, second, third = np.split(order[: 3 * rows], 3)
    return pool.take(first), pool.take(second), pool.take(third)


def halved(rows: Table) -> Table:
    """Turn every second positive of the women into a negative."""
    return flipped(rows, where(rows, "sex", "female"), ("approved", "yes", "no"), 0.5, np.random.default_rng(1))


def shifted(rows: Table) -> Table:
    return Table(rows.schema, rows.frame.assign(age=(rows.frame["age"] + 5).clip(upper=90)))


@pytest.mark.slow
def test_two_fresh_halves_raise_an_alarm_once_in_twenty_seeds_at_most() -> None:
    alarms = {seed: found.worse for seed in range(20) if (found := judge(*drawn(seed))).worse}
    assert len(alarms) <= 1, alarms


@pytest.mark.parametrize("drift", [halved, shifted])
def test_a_true_drift_is_found(drift) -> None:
    released, old, new = drawn(0, MANY)
    assert judge(released, old, drift(new)).worse


def test_fewer_new_rows_raise_no_alarm_and_hide_no_drift() -> None:
    released, old, new = drawn(1, MANY)
    few = new.take(np.arange(MANY // 2))
    assert not judge(released, old, few).worse
    assert judge(released, old, shifted(few)).worse
