import json

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.appraisal import Wanted, appraise
from pipeline.contract import DECLARED_RULE, WRONG_RULE, run_rules
from pipeline.declarations import fitting
from pipeline.errors import Mistake
from pipeline.monitoring import quiet
from pipeline.spec import Spec, SpecError
from pipeline.stages import call
from tabular.infer import infer_schema
from tabular.rules import Rule
from tabular.table import Table
from tests.lenient import write_lenient

ROWS = 400


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    town = rng.choice(["Bern", "Basel", "Zug"], ROWS)
    return pd.DataFrame(
        {
            "id": [f"r{place}" for place in range(ROWS)],
            "Town": town,
            "canton": np.where(town == "Zug", "ZG", np.where(town == "Bern", "BE", "BS")),
            "age": rng.integers(18, 80, ROWS),
            "pay": rng.normal(100, 20, ROWS).round(2),
            "note": [f"a note with many words, number {place} of them all, and no end of it" for place in range(ROWS)],
        }
    )


def tree(*rules: object) -> dict[str, object]:
    return {
        "name": "toy",
        "source": {"path": "rows.csv"},
        "columns": {"Town": {"rename": "home town"}, "note": {"kind": "text"}},
        "models": {"independent": {}},
        "policy": "lenient",
        "rules": list(rules),
    }


@pytest.fixture
def contract(tmp_path):
    """Run the first two stages over rows and rules; return what the contract found of the real rows."""

    def run(frame, *rules, stages=("ingest", "contract"), **more):
        frame.to_csv(tmp_path / "rows.csv", index=False)
        write_lenient(tmp_path)
        spec = tmp_path / "toy.yaml"
        spec.write_text(yaml.safe_dump(tree(*rules) | more))
        for stage in stages:
            call(stage, spec, tmp_path, "r1")
        found = [each for path in tmp_path.rglob("*real*.json") for each in json.loads(path.read_text())]
        return [each for each in found if each["expectation"] == DECLARED_RULE]

    return run


def test_rules_are_read_and_written_back() -> None:
    given = ("if `home town` = Zug then canton = ZG", "age >= 18 and age <= 80")
    spec = Spec.of(tree(*given), "toy.yaml")
    assert spec.rules == given
    assert Spec.of(yaml.safe_load(spec.dump()), "toy.yaml") == spec
    assert Spec.of({key: value for key, value in tree().items() if key != "rules"}, "toy.yaml").rules == ()


def test_a_rule_that_is_none_is_one_line_with_its_path() -> None:
    with pytest.raises(SpecError) as error:
        Spec.of(tree("age >= 18", "home town = Zug", "age ~ 3", 7), "toy.yaml")
    lines = str(error.value).splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["toy.yaml", f"rules.{place}"] for place in (1, 2, 3)]
    assert "got 'town' at position 6, wanted one of =, !=" in lines[0]
    assert "got '~' at position 5" in lines[1]


def test_rules_that_hold_are_recorded_for_both_parts(contract) -> None:
    found = contract(rows(), "if `home town` = Zug then canton = ZG", "age >= 18")
    assert [(each["rows"], each["success"], each["unexpected"]) for each in found] == [
        (part, True, 0.0) for part in ("train", "train", "holdout", "holdout")
    ]
    assert found[1]["sentence"] == "rule 'age >= 18' holds"


def test_rules_that_real_rows_break_are_recorded_and_stop_nothing(contract) -> None:
    frame = rows()
    frame.loc[:39, "canton"] = "AG"
    found = contract(frame, "canton != AG")
    share = sum(each["unexpected"] * count for each, count in zip(found, (280, 120), strict=True)) / ROWS
    assert share == pytest.approx(0.1)
    assert not any(each["success"] for each in found)
    assert all(
        "of the rows break it, more than 0.5%: it is no rule of these rows" in each["sentence"] for each in found
    )


def test_few_breaches_are_told_with_their_share_only() -> None:
    frame = pd.DataFrame({"age": [17, *([30] * 999)], "pay": np.linspace(1, 2, 1000)})
    table = Table.conform(infer_schema(frame, {}), frame)
    (check,) = run_rules([Rule.parse("age >= 18")], table)
    assert (check.success, check.unexpected) == (False, 0.001)
    assert check.sentence == "rule 'age >= 18': 0.100% of the rows break it"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("Town = Zug", "rules.1: 'Town' is renamed to 'home town'; name it so here too"),
        ("`home town` = Chur", "column 'home town': got 'Chur', wanted one of 'Basel', 'Bern', 'Zug'"),
        ("`home town` < Zug", "has no order"),
        ("age = 3.5.1", "got '3.5.1', wanted a number"),
        ("pay >= much", "got 'much', wanted a number"),
        ("note is present", "free text"),
        ("age > canton", "cannot be compared"),
    ],
)
def test_a_rule_that_fits_no_column_is_a_mistake(contract, rule: str, words: str) -> None:
    with pytest.raises(Mistake) as error:
        contract(rows(), "age >= 18", rule)
    assert words in str(error.value)


def test_a_rule_is_judged_by_the_schema_that_it_is_given() -> None:
    schema = infer_schema(rows(), {})
    assert [rule.text for rule in fitting(("age > pay",), schema)] == ["age > pay"]


def test_every_name_that_is_no_column_is_told_when_the_table_is_read(contract, tmp_path) -> None:
    columns = {"Twon": {"rename": "home town"}, "note": {"kind": "text"}, "sexx": {"sensitive": True}}
    with pytest.raises(Mistake) as error:
        contract(
            rows(), "age >= 18", "payy > 0", "if gae > 3 then age > 3",
            stages=["ingest"], columns=columns, target="caanton", unit="idd", secrets=["age", "nowhere"],
        )  # fmt: skip
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [
        *("columns.Twon", "columns.sexx", "target", "unit", "secrets.1", "rules.1", "rules.2")
    ]
    assert "did you mean 'canton'?" in str(error.value)
    assert not list(tmp_path.rglob("train.parquet"))


def test_what_a_column_cannot_mean_is_told_when_the_table_is_read(contract, tmp_path) -> None:
    given = {"stages": ["ingest"], "secrets": ["note"], "analyses": ["pay ~ nothing"]}
    for _ in "again":
        with pytest.raises(Mistake) as error:
            contract(rows(), "age >= 18", "canton = XX", "note is present", **given)
        assert [line.split(": ")[0] for line in str(error.value).splitlines()] == [
            *("secrets.0", "analyses.0", "rules.1", "rules.2")
        ]
        assert not list(tmp_path.rglob("train.parquet"))
        given.setdefault("seed", 3)


def test_a_declaration_that_turns_wrong_is_told_by_the_same_stage_over_rows_read_before(contract) -> None:
    contract(rows(), "age >= 18", stages=["ingest"])
    with pytest.raises(Mistake, match=r"^rules\.0: .*got 'XX'"):
        contract(rows(), "canton = XX", stages=["ingest"])


@pytest.mark.parametrize(
    ("rule", "share"),
    [
        ("age > 40", "60.0%"),
        ("if town = Zug then canton = BE", "100.0%"),
        ("if town = Zug then age > 70", None),
        ("age > 30", None),
        ("if age > 900 then age < 0", None),
    ],
)
def test_a_rule_that_most_real_rows_break_is_wrong(rule: str, share: str | None) -> None:
    town = np.array(["Zug"] * 10 + ["Bern"] * 90)
    frame = pd.DataFrame(
        {"town": town, "canton": np.where(town == "Zug", "ZG", "BE"), "age": [71] * 5 + [39] * 55 + [50] * 40}
    ) if share != "60.0%" else pd.DataFrame({"age": [39] * 60 + [50] * 40, "town": town})  # fmt: skip
    table = Table.conform(infer_schema(frame, {}), frame)
    first, *rest = run_rules([Rule.parse(rule)], table)
    if share is None:
        assert (first.expectation, rest) == (DECLARED_RULE, [])
        return
    assert first.expectation == WRONG_RULE and not first.success
    assert first.sentence == (
        f"rule {rule!r} is wrong, not the synthetic rows: {share} of the real rows that it applies to break it"
    )
    assert [each.expectation for each in rest] == [DECLARED_RULE]


def test_a_wrong_rule_is_said_first_and_stands_first_in_the_verdict(tmp_path, capsys) -> None:
    rows().to_csv(tmp_path / "rows.csv", index=False)
    write_lenient(tmp_path)
    spec = tmp_path / "toy.yaml"
    spec.write_text(yaml.safe_dump(tree("age >= 18", "pay < 0") | {"release": {"enabled": False}}))
    told = "rule 'pay < 0' is wrong, not the synthetic rows: 100.0% of the real rows that it applies to break it"
    for stage in ("ingest", "contract"):
        call(stage, spec, tmp_path, "r")
        assert f"warning: {told}" in capsys.readouterr().err.replace("\n", " ")
    for stage in ("train", "generate", "check"):
        call(stage, spec, tmp_path, "r", model="independent")
    for stage in ("audit", "decide"):
        call(stage, spec, tmp_path, "r")
    (verdict,) = tmp_path.rglob("verdict.json")
    found = json.loads(verdict.read_text())
    assert found["models"]["independent"]["reasons"][0] == told
    assert told in found["reasons"][0]


def test_a_wrong_rule_is_the_first_reason_of_an_audit_of_given_tables(tmp_path) -> None:
    for name, part in zip(("real", "synthetic", "holdout"), np.array_split(np.arange(ROWS), 3), strict=True):
        rows().drop(columns="note").iloc[part].to_csv(tmp_path / f"{name}.csv", index=False)
    write_lenient(tmp_path)
    spec = tmp_path / "toy.yaml"
    spec.write_text(yaml.safe_dump(tree("pay < 0") | {"columns": {}}))
    tables = (str(tmp_path / "real.csv"), str(tmp_path / "synthetic.csv"), str(tmp_path / "holdout.csv"))
    result = appraise(tmp_path, tables, Wanted(spec), tmp_path / "out", quiet)
    assert result["reasons"][0].startswith("rule 'pay < 0' is wrong, not the synthetic rows: 100.0% of the real rows")
