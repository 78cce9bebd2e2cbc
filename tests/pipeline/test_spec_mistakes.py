"""Every mistake of a specification that can be known without its table is told at once, each with its path."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from pipeline.errors import Mistake
from pipeline.policies import LONGEST, expired, policy_mistakes
from pipeline.spec import Spec, SpecError
from pipeline.stages import call
from tests.lenient import write_lenient

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.now(UTC).date()
GOOD = {"reason": "few rows", "author": "A. Founder", "expires": str(TODAY + timedelta(days=30))}
PLAIN = {"name": "toy", "source": {"path": "rows.csv"}, "models": {"independent": {}}}
WRONG = """
name: toy
source: { path: nowhere.csv }
modles: {}
columns:
  age: { kind: integer }
  age: { kind: continuous }
  sex: { rename: group, sensitive: true }
  gender: { rename: group, sensitive: true }
target: bought
target: sold
unit: person
secrets: [income, person, income]
models: { independent: { colour: 1 } }
policy: structural
demands: { fidelity.nothing: { at_most: 1 } }
waivers:
  fidelity.detection: { reason: r, author: a, expires: SOON }
  privacy.exact_copies: { reason: r, expires: SOON }
  privacy.key_copies: { reason: r, author: a, expires: 2999-12-31 }
choose: { metric: fidelity.best }
""".replace("SOON", GOOD["expires"])


def mistakes(**more: object) -> list[str]:
    return policy_mistakes({**PLAIN, **more}, ROOT, TODAY)


def test_all_mistakes_are_told_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(WRONG)
    with pytest.raises(SpecError) as error:
        call("ingest", path, tmp_path, "r")
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert {line.removeprefix(f"{path}: ").split(": ")[0] for line in lines} == {
        "modles",
        "columns.age",
        "columns.gender.rename",
        "target",
        "secrets.1",
        "secrets.2",
        "models.independent.colour",
        "demands.fidelity.nothing",
        "waivers.fidelity.detection",
        "waivers.privacy.exact_copies.author",
        "waivers.privacy.key_copies.expires",
        "choose.metric",
    }
    assert len(lines) == 12


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"policy": "lax"}, "policy: there is no policy 'lax'; there are analytics, ml, structural"),
        ({"waivers": {"bias.nothing": GOOD}}, "waivers.bias.nothing: policy 'analytics' has no such gate; there are "),
        ({"waivers": {"privacy.canaries": GOOD}}, "waivers.privacy.canaries: policy 'analytics' has no such gate"),
        (
            {"waivers": {"fidelity.detection": {**GOOD, "expires": str(TODAY + LONGEST + timedelta(days=1))}}},
            f"waivers.fidelity.detection.expires: got {TODAY + LONGEST + timedelta(days=1)}, wanted a day until "
            f"{TODAY + LONGEST}, 366 days from today: a waiver without an end is none",
        ),
    ],
)
def test_a_wrong_gate_or_waiver_is_named(more: dict[str, object], words: str) -> None:
    (only,) = mistakes(**more)
    assert only.startswith(words)


def test_what_is_right_is_no_mistake() -> None:
    latest = {**GOOD, "expires": TODAY + LONGEST}
    assert mistakes() == []
    assert mistakes(waivers={"fidelity.detection": GOOD, "privacy.exact_copies": latest}) == []
    assert mistakes(waivers={"privacy.canaries": GOOD}, deep=True) == []
    assert mistakes(waivers={"utility.interval_overlap": {**GOOD, "expires": "2020-01-01"}}) == []
    # What is no day at all, and no mapping, the types say.
    assert mistakes(waivers={"fidelity.detection": {**GOOD, "expires": "soon"}, "privacy.key_copies": 3}) == []
    assert mistakes(waivers=[1], policy=3) == []


def test_a_projects_policy_that_is_wrong_is_told_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own.yaml").write_text("name: own\npurpose: x\ngates: {}\n")
    (only,) = policy_mistakes({**PLAIN, "policy": "own"}, tmp_path, TODAY)
    assert "gates: got none" in only


def test_an_expired_waiver_is_a_warning_and_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("age,sex\n" + "".join(f"{place},{place % 2}\n" for place in range(60)))
    write_lenient(tmp_path)
    waivers = {"privacy.exact_copies": {**GOOD, "expires": "2020-01-01"}, "privacy.key_copies": GOOD}
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump({**PLAIN, "policy": "lenient", "waivers": waivers}))
    call("ingest", path, tmp_path, "r")
    said = capsys.readouterr().err.replace("\n", " ")
    assert "warning: waivers.privacy.exact_copies: expired on 2020-01-01; the gate counts again" in said
    assert "privacy.key_copies" not in said
    assert expired(Spec.load(path), TODAY) == (
        "warning: waivers.privacy.exact_copies: expired on 2020-01-01; the gate counts again",
    )


def test_a_waiver_is_looked_at_wherever_a_specification_comes_in(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("age,sex\n" + "".join(f"{place},{place % 2}\n" for place in range(60)))
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(PLAIN))
    call("ingest", path, tmp_path, "r")
    path.write_text(yaml.safe_dump({**PLAIN, "waivers": {"privacy.key_copies": {**GOOD, "expires": "2999-12-31"}}}))
    with pytest.raises(Mistake, match="waiver without an end"):
        call("contract", path, tmp_path, "r")


def test_a_key_that_stands_twice_is_named_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(PLAIN) + "seed: 1\nsource: { path: other.csv }\ncolumns: { a: {}, b: {}, a: {} }\n")
    with pytest.raises(SpecError) as error:
        Spec.load(path)
    assert str(error.value).splitlines() == [
        f"{path}: source: stands twice, in lines 4 and 7",
        f"{path}: columns.a: stands twice, in line 8",
    ]
