"""The gates of each policy: what they name exists, privacy is never softened, and what is moot says why."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from audit.core import Declared
from audit.report.document import Waiver
from pipeline.errors import Mistake
from pipeline.policies import asked, policies, policy, record
from pipeline.registry import metric
from pipeline.spec import Demand, Spec
from tabular.rules import Rule
from tabular.schema import Column, Schema

ROOT = Path(__file__).resolve().parents[2]
NUMBER = Column(name="age", kind="integer", physical="integer", sensitive=True)
COLOUR = Column(name="colour", kind="categorical", physical="text", categories=("red", "blue"))
TOWN = Column(name="town", kind="categorical", physical="text", categories=("a", "b"))
ANSWER = Column(name="answer", kind="categorical", physical="text", categories=("no", "yes"), role="target")


def spec(**more: object) -> Spec:
    return Spec.of({"name": "toy", "source": {"path": "x.csv"}, "models": {"independent": {}}, **more}, "toy.yaml")


def names(schema: Schema, declared: Declared | None = None, given: Spec | None = None) -> set[str]:
    wanted, _ = asked(policy("analytics", ROOT), given, schema, declared or Declared())
    return {each.metric for each in wanted}


def test_the_three_policies_are_there() -> None:
    assert set(policies(ROOT)) == {"structural", "analytics", "ml"}


@pytest.mark.parametrize("name", ["structural", "analytics", "ml"])
def test_every_gate_is_of_a_metric_that_may_be_a_gate(name: str) -> None:
    given = policy(name, ROOT)
    assert given.name == name and given.purpose
    assert all(metric(each).better != "none" for each in given.gates)


def test_privacy_and_validity_gates_are_the_same_in_every_policy() -> None:
    strict = [
        {name: gate for name, gate in policy(each, ROOT).gates.items() if name.startswith(("privacy.", "validity."))}
        for each in ("structural", "analytics", "ml")
    ]
    assert strict[0] == strict[1] == strict[2]
    assert {"privacy.exact_copies", "privacy.membership_epsilon", "privacy.attribute_inference"} <= strict[0].keys()


def test_gates_that_a_table_gives_nothing_to_judge_by_are_not_asked_and_say_why() -> None:
    wanted, moot = asked(policy("analytics", ROOT), None, Schema(columns=(COLOUR,)), Declared())
    reasons = {each.metric: each.reason for each in moot}
    assert reasons["utility.train_synthetic_test_real"] == "no target is declared"
    assert reasons["bias.group_shares"] == "no sensitive column is declared"
    assert reasons["validity.declared_rules"] == "no rule is declared"
    assert reasons["privacy.attribute_inference"] == "no secret is declared"
    assert reasons["fidelity.pair_trends"] == "there are no two columns to look at together"
    assert reasons.keys().isdisjoint(each.metric for each in wanted)
    assert {"fidelity.column_shapes", "privacy.exact_copies", "privacy.membership_epsilon"} <= {
        each.metric for each in wanted
    }


def test_what_is_declared_is_asked() -> None:
    schema = Schema(columns=(NUMBER, COLOUR, TOWN, ANSWER))
    declared = Declared(rules=(Rule.parse("age >= 0"),), analyses=("answer ~ age",))
    assert {"validity.declared_rules", "utility.interval_overlap", "bias.equal_opportunity"} <= names(schema, declared)
    number = NUMBER.model_copy(update={"role": "target", "sensitive": False})
    assert "bias.equal_opportunity" in names(Schema(columns=(number, COLOUR.model_copy(update={"sensitive": True}))))


def test_a_specification_adds_gates_and_loosens_none() -> None:
    schema = Schema(columns=(COLOUR, TOWN))
    given = spec(demands={"fidelity.pair_trends": {"times_reference": 100}})
    wanted, _ = asked(policy("analytics", ROOT), given, schema, Declared())
    pairs = [(each.origin, each.demand) for each in wanted if each.metric == "fidelity.pair_trends"]
    own = policy("analytics", ROOT).gates["fidelity.pair_trends"]
    assert pairs == [("policy", own), ("specification", Demand(times_reference=100))]


def test_a_waiver_stands_at_its_gate_and_a_waiver_of_nothing_is_refused() -> None:
    waiver = {"reason": "few rows", "author": "A. Founder", "expires": date(2031, 1, 1)}
    schema = Schema(columns=(COLOUR, TOWN))
    own = {"fidelity.pair_trends": {"times_reference": 4}}
    given = spec(waivers={"fidelity.pair_trends": waiver}, demands=own)
    wanted, _ = asked(policy("analytics", ROOT), given, schema, Declared())
    assert [each.waiver for each in wanted if each.origin == "specification"] == [None]
    found = {each.metric: each.waiver for each in wanted if each.origin == "policy"}
    assert found["fidelity.pair_trends"] == Waiver.model_validate(waiver)
    assert found["fidelity.column_shapes"] is None
    with pytest.raises(Mistake, match=r"waivers.bias.nothing: policy 'analytics' has no such gate"):
        asked(policy("analytics", ROOT), spec(waivers={"bias.nothing": waiver}), schema, Declared())


@pytest.mark.parametrize("missing", ["reason", "author", "expires"])
def test_a_waiver_needs_a_reason_an_author_and_a_day(missing: str) -> None:
    waiver = {"reason": "few rows", "author": "A. Founder", "expires": "2031-01-01"}
    del waiver[missing]
    with pytest.raises(Mistake, match=rf"waivers\.fidelity\.pair_trends\.{missing}"):
        spec(waivers={"fidelity.pair_trends": waiver})
    with pytest.raises(Mistake, match=r"waivers\.x\.reason"):
        spec(waivers={"x": {**waiver, missing: "2031-01-01", "reason": ""}})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": "own", "purpose": "x", "gates": {"fidelity.nothing": {"at_most": 1}}}, "there is no such metric"),
        ({"name": "own", "purpose": "x", "gates": {"privacy.data_copying": {"at_most": 1}}}, "reported only"),
        ({"name": "own", "purpose": "x", "gates": {"fidelity.detection": {}}}, "got nothing, wanted exactly one"),
        ({"name": "other", "purpose": "x", "gates": {"fidelity.detection": {"at_most": 1}}}, "name: got 'other'"),
        ({"name": "own", "purpose": "x", "gates": {}}, "gates: got none"),
        ({"name": "own", "gates": {}}, "purpose"),
        ([1], "the file"),
        ("just: [words", "is not YAML"),
    ],
)
def test_a_wrong_policy_is_refused_by_name(content: object, words: str, tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (tmp_path / "policies" / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(Mistake, match=words):
        policy("own", tmp_path)


def test_an_unknown_policy_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="there are analytics, ml, structural"):
        policy("lax", tmp_path)


def test_the_record_changes_with_every_gate_and_waiver() -> None:
    waiver = {"reason": "few rows", "author": "A. Founder", "expires": "2031-01-01"}
    own = {"demands": {"fidelity.detection": {"at_most": 1}}}
    given = [None, spec(), spec(waivers={"fidelity.detection": waiver}), spec(**own)]
    found = {record(policy("ml", ROOT), each, 3).sha256 for each in given}
    found.add(record(policy("analytics", ROOT), None, 3).sha256)
    assert len(found) == 5


def test_a_projects_policy_drops_and_loosens_no_privacy(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    gates = {"fidelity.coverage": {"at_least": 0.1}, "privacy.exact_copies": {"at_most": 1}}
    for name in ("lax", "analytics"):
        tree = {"name": name, "purpose": "x", "gates": gates}
        (tmp_path / "policies" / f"{name}.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    wanted, _ = asked(policy("lax", tmp_path), None, Schema(columns=(NUMBER, COLOUR, TOWN)), Declared())
    demands = [each.demand for each in wanted if each.metric == "privacy.exact_copies"]
    assert demands == [Demand(at_most=1), policy("structural", ROOT).gates["privacy.exact_copies"]]
    assert {"privacy.membership_epsilon", "privacy.attribute_inference", "validity.schema_violations"} <= {
        each.metric for each in wanted
    }
    assert policy("analytics", tmp_path) == policy("analytics", ROOT)
