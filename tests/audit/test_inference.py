"""Secrets of isolated rows and of groups: fresh rows pass, a leak of them alone fails, nothing is left out unsaid."""

from functools import cache

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from audit.advantage import advantage, error
from audit.core import Declared, Estimate, Evidence
from audit.inference import inference
from audit.neighbours import encode
from audit.privacy.attribute_inference import AttributeInference
from audit.privacy.attribute_inference_outliers import AttributeInferenceOutliers
from audit.privacy.membership_outliers import MembershipOutliers
from audit.report.coarse import sentence
from audit.subsets import ISOLATION, Subsets, isolation, subsets
from pipeline.gates import Asked, gate
from pipeline.policies import policy
from pipeline.steps import CODE
from tabular.schema import Schema
from tabular.table import Table
from tests.audit.conftest import shuffled, with_units, world
from tests.audit.releases import Real, real_world
from tests.audit.test_cases import redrawn

NAME = "privacy.attribute_inference_outliers"
MARGIN = 0.09
ROWS = 6_000


@cache
def simulated() -> Real:
    """Return the first rows of the simulated table, whose column of origins has a group of one row in thirty."""
    real = real_world()
    some = np.arange(ROWS)
    return Real(
        *(table.take(some) for table in (real.train, real.holdout, real.fresh)),
        *(real.declared, real.small, real.wronged, real.target, real.ruled, real.category, real.number),
    )


def look(synthetic: Table, real: Real | None = None, seed: int = 0, **settings: object) -> Estimate:
    real = real or simulated()
    metric = AttributeInferenceOutliers(AttributeInferenceOutliers.Config.model_validate(settings))
    return metric(Evidence(real.train, real.holdout, synthetic, seed=seed), np.random.default_rng(1))


def verdict(found: Estimate) -> str:
    demand = policy("analytics", CODE).gates[NAME]
    return gate(Asked(NAME, demand), found, AttributeInferenceOutliers.better).verdict


def failing(found: Estimate) -> list[dict[str, float | int | str | None]]:
    return [row for row in found.detail if row.get("note") == "beyond the margin"]


def leaking(leaked: np.ndarray) -> Table:
    """Put some training rows in the place of as many rows of nobody."""
    real = simulated()
    return real.train.take(np.flatnonzero(leaked)).joined(real.fresh.take(np.arange(int(leaked.sum()), ROWS)))


# --- known answers -------------------------------------------------------------------------------------------------


def test_a_copy_fails_among_isolated_rows_and_in_every_group() -> None:
    real = simulated()
    found = look(real.train.take(np.random.default_rng(3).permutation(ROWS)))
    assert verdict(found) == "failed"
    assert found.value is not None and found.value > 0.95
    assert {row["group"] for row in failing(found) if row["column"] == "sex"} == {"female", "male"}
    assert ISOLATION in {row["column"] for row in failing(found)}


def test_fresh_rows_pass_and_so_do_rows_that_know_nothing() -> None:
    for made in (simulated().fresh, shuffled(simulated().train, np.random.default_rng(4))):
        found = look(made)
        assert not failing(found)
        assert verdict(found) == "passed", found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_fresh_rows_of_any_deal_pass(seed: int) -> None:
    real = redrawn(real_world(), seed)
    found = look(real.fresh, real, seed)
    assert verdict(found) == "passed", found


def test_a_leak_of_isolated_rows_only_fails() -> None:
    real = simulated()
    points = encode(real.holdout, real.train, 50)
    near = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points)[0][:, 1:].mean(axis=1)
    found = look(leaking(near >= np.quantile(near, 0.9)))
    assert verdict(found) == "failed"
    assert failing(found)[0]["column"] == ISOLATION
    assert float(failing(found)[0]["advantage"] or 0) > 0.5


def test_a_leak_of_one_group_only_fails_where_the_whole_does_not() -> None:
    real = simulated()
    column, group = real.small
    leaked = (real.train.frame[column] == group).to_numpy()
    assert 100 < leaked.sum() < 300
    made = leaking(leaked)
    found = look(made)
    assert verdict(found) == "failed"
    assert {(row["column"], row["group"]) for row in failing(found)} == {(column, group)}
    evidence = Evidence(real.train, real.holdout, made)
    everybody = AttributeInference(AttributeInference.Config())(evidence, np.random.default_rng(1))
    assert everybody.interval is not None and everybody.interval.low <= MARGIN


# --- who is asked --------------------------------------------------------------------------------------------------


def test_what_is_held_to_the_margin_does_not_depend_on_the_release() -> None:
    real = simulated()
    held = []
    for made in (real.fresh, shuffled(real.train, np.random.default_rng(4))):
        found = look(made)
        rows = [row for row in found.detail if "advantage" in row]
        assert [row for row in rows if row["note"] is None]
        held.append({(row["group"], row["secret"], row["attack"]) for row in rows if row["note"] is None})
    assert held[0] == held[1]


def test_groups_too_small_are_listed_and_the_best_measured_is_held_where_none_is_well_enough() -> None:
    found = look(simulated().fresh, smallest=2_000, margin=0.001)
    listed = {row["group"] for row in found.detail if row.get("note") == "too small to audit"}
    assert {"near", "far", "elsewhere"} <= listed and "here" not in listed
    assert [row["note"] for row in found.detail].count(None) == 1
    assert " 1 of " in (found.power or "")
    assert sentence(found.power or "", frozenset()) == found.power


def test_what_is_hardly_ever_guessed_of_few_rows_is_not_held() -> None:
    """From more rows than the control has, it may be guessed more often, and varies by more than the control shows."""
    column, group = simulated().small
    rows = [row for row in look(simulated().fresh).detail if row.get("group") == group and row["secret"] == column]
    seldom = [row for row in rows if float(row["right_of_others"] or 0) < 0.1]
    assert seldom and {row["note"] for row in seldom} == {"too uncertain to show"}


def test_where_nothing_is_left_to_learn_there_is_no_value() -> None:
    real = simulated()
    schema = Schema(columns=(real.train.schema["city"], real.train.schema["region"]))
    tables = [Table(schema, table.frame[list(schema.names)]) for table in (real.train, real.holdout, real.train)]
    found = AttributeInferenceOutliers(AttributeInferenceOutliers.Config())(
        Evidence(*tables, declared=Declared(secrets=("region",))), np.random.default_rng(1)
    )
    assert found.value is None and "even a copy of all training rows" in (found.not_computed or "")
    assert verdict(found) == "inconclusive"


def test_secrets_that_are_not_attacked_are_told() -> None:
    real = simulated()
    tables = [table.take(np.arange(1_000)) for table in (real.train, real.holdout, real.fresh)]
    evidence = Evidence(*tables, declared=Declared(secrets=("income", "sex", "approved", "region")))
    for kind in (AttributeInference, AttributeInferenceOutliers):
        found = kind(kind.Config.model_validate({"secrets": 2}))(evidence, np.random.default_rng(1))
        assert {row["secret"] for row in found.detail if "secret" in row} == {"income", "sex"}
        assert [row["not attacked"] for row in found.detail if "not attacked" in row] == ["approved", "region"]
        assert "2 further secrets were not attacked" in (found.power or "")
    undeclared = inference(Evidence(*tables), AttributeInference.Config(secrets=2))
    assert {each.guess.secret for each in undeclared.tries} == {"approved", "sex"}
    assert undeclared.left_out == ("age", "origin")


def test_one_computation_serves_both_metrics() -> None:
    real = simulated()
    evidence = Evidence(*(table.take(np.arange(400)) for table in (real.train, real.holdout, real.fresh)))
    made = inference(evidence, AttributeInference.Config())
    assert inference(evidence, AttributeInferenceOutliers.Config(smallest=7)) is made
    assert inference(evidence, AttributeInference.Config(most=199)) is not made


# --- who stands alone ----------------------------------------------------------------------------------------------


def test_training_and_holdout_rows_stand_alone_alike() -> None:
    real = simulated()
    evidence = Evidence(real.train, real.holdout, real.fresh)
    alone = isolation(evidence, (np.arange(ROWS), np.arange(ROWS)))
    cut = np.quantile(np.concatenate(alone), 0.9)
    shares = [float((each >= cut).mean()) for each in alone]
    assert shares == pytest.approx([0.1, 0.1], abs=4 * np.sqrt(0.09 / ROWS))
    assert isolation(evidence, (np.arange(5), np.arange(9)))[1] == pytest.approx(alone[1][:9], abs=1e-6)
    copied = Evidence(real.train, real.train, real.fresh)
    _, itself = isolation(copied, (np.arange(100), np.arange(100)))
    assert (itself > 0).all()


def test_both_metrics_ask_the_same_people() -> None:
    evidence = Evidence(simulated().train, simulated().holdout, simulated().fresh)
    rows = np.arange(1_000), np.arange(1_000)
    first, groups = subsets(evidence, rows, MembershipOutliers.Config())
    second, others = subsets(evidence, rows, AttributeInferenceOutliers.Config())
    assert all((a == b).all() for a, b in zip(first.among, second.among, strict=True))
    assert [each.group for each in groups] == [each.group for each in others]
    assert {each.column for each in groups} == {"sex", "age", "origin"}


def test_rows_of_one_person_are_never_compared_with_one_another() -> None:
    rng = np.random.default_rng(8)
    tables = [with_units(world(2_000, rng), 4, 10_000 * place) for place in range(3)]
    alone = isolation(Evidence(*tables), (np.arange(2_000), np.arange(2_000)))
    assert np.median(alone[1]) == pytest.approx(np.median(alone[0]), rel=0.1)
    first, _ = subsets(Evidence(*tables), (np.arange(200), np.arange(200)), Subsets())
    assert first.group == "the 25 % farthest from others" and first.size > 20


# --- the bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "missed"), [(150, 0.4), (400, 0.12)])
def test_corrected_bounds_of_small_groups_are_seldom_beyond_the_truth(rows: int, missed: float) -> None:
    rng = np.random.default_rng(6)
    member, looks, turns = np.arange(2 * rows) < rows, 5, 4_000
    beyond = 0
    for _ in range(turns):
        control = rng.random(2 * rows) > missed
        right = np.where(rng.random(2 * rows) < 0.7, control, rng.random(2 * rows) > missed)
        found = advantage(right, control, member, (rows, rows), looks, 0.02)
        beyond += found is not None and found.surely > 0
    expected = turns * 0.025 / looks
    assert beyond < expected + 4 * np.sqrt(expected)


def test_the_error_is_what_an_advantage_of_nothing_varies_by() -> None:
    rng = np.random.default_rng(9)
    members, others = (rng.random((3_000, n)) < 0.3 for n in (800, 500))
    found = 1 - members.mean(axis=1) / others.mean(axis=1)
    assert error(0.3, (800, 500)) == pytest.approx(found.std(), rel=0.08)
