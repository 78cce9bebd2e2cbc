"""Bias of models trained on synthetic rows: agreement with fairlearn, and releases whose unfairness is known."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.bias.calibration import calibration_errors
from audit.core import Estimate, Evidence
from audit.goals import whole
from audit.learner import Trees
from audit.rates import KINDS, Groups, difference, group_rates, rates, sums
from audit.trials import Draws, trials
from pipeline.registry import metric
from tabular.table import Table
from tests.audit.conftest import shuffled, with_units, world

SEEDS = st.integers(0, 2**32 - 1)
DISPARITIES = ("bias.demographic_parity", "bias.equal_opportunity", "bias.equalized_odds")
METRICS = (*DISPARITIES, "bias.calibration", "bias.worst_group")
QUICK: dict[str, Any] = {"trees": {"rounds": 20, "leaves": 8}, "draws": {"count": 4}}


def flipped(table: Table, share: float, seed: int = 1) -> Table:
    """Turn that share of the approvals of women into refusals."""
    frame = table.frame.copy()
    chosen = np.random.default_rng(seed).random(len(frame)) < share
    frame.loc[(frame["sex"] == "female") & (frame["approved"] == "yes") & chosen, "approved"] = "no"
    return Table.conform(table.schema, frame)


@cache
def tables(rows: int, holdout: int) -> tuple[Table, Table, Table]:
    rng = np.random.default_rng(19)
    return world(rows, rng), world(holdout, rng), world(rows, rng)


@cache
def released(change: str) -> Evidence:
    train, holdout, fresh = tables(14_000, 6_000)
    return Evidence(train, holdout, {"fresh": fresh, "flipped": flipped(fresh, 0.3)}[change])


@cache
def found(name: str, change: str) -> Estimate:
    kind = metric(name)
    return kind(kind.Config())(released(change), np.random.default_rng(1))


def quick(name: str, train: Table, holdout: Table, synthetic: Table, **groups: object) -> Estimate:
    kind = metric(name)
    config = kind.Config.model_validate({**QUICK, "groups": groups})
    return kind(config)(Evidence(train, holdout, synthetic), np.random.default_rng(1))


@given(SEEDS, st.integers(2, 5))
@settings(max_examples=12, deadline=None)
def test_rates_and_their_differences_are_those_of_fairlearn(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    group, chosen, positive = rng.integers(size, size=300), rng.random(300) < 0.4, rng.random(300) < 0.5
    of = dict(zip(KINDS, (np.ones(300, dtype=bool), positive, ~positive), strict=True))
    ours = {kind: group_rates(group, chosen, of[kind], size) for kind in KINDS}
    theirs = (selection_rate, true_positive_rate, false_positive_rate)
    for kind, function in zip(KINDS, theirs, strict=True):
        frame = MetricFrame(metrics=function, y_true=positive, y_pred=chosen, sensitive_features=group)
        assert ours[kind][frame.by_group.index] == pytest.approx(frame.by_group.to_numpy(), abs=1e-9)
    known = {"sensitive_features": group}
    gaps = {kind: float(difference(ours[kind])) for kind in KINDS}
    assert gaps[KINDS[0]] == pytest.approx(demographic_parity_difference(positive, chosen, **known), abs=1e-9)
    odds = max(gaps[KINDS[1]], gaps[KINDS[2]])
    assert odds == pytest.approx(equalized_odds_difference(positive, chosen, **known), abs=1e-9)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_neither_the_order_of_rows_nor_the_names_of_groups_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, chosen, of = rng.integers(4, size=200), rng.random(200), rng.random(200) < 0.7
    order, names = rng.permutation(200), rng.permutation(4)
    first = difference(group_rates(group, chosen, of, 4))
    second = difference(group_rates(names[group[order]], chosen[order], of[order], 4))
    assert second == pytest.approx(first, abs=1e-12)
    ece = calibration_errors(group, chosen, of, 4, 10)
    assert calibration_errors(names[group[order]], chosen[order], of[order], 4, 10)[names] == pytest.approx(ece)


def test_mean_probabilities_are_rates_averaged_over_thresholds() -> None:
    rng = np.random.default_rng(1)
    group, chance, positive = rng.integers(3, size=500), rng.random(500), rng.random(500) < 0.5
    cuts = (np.arange(2_000) + 0.5) / 2_000
    means = np.mean([group_rates(group, chance > cut, positive, 3) for cut in cuts], axis=0)
    assert group_rates(group, chance, positive, 3) == pytest.approx(means, abs=1e-3)


def test_calibration_errors_in_closed_form() -> None:
    codes = np.array([0, 0, 0, 0, 1, 1])
    chance = np.array([0.25, 0.25, 0.95, 1.0, 0.5, 0.5])
    positive = np.array([False, True, True, True, True, False])
    assert calibration_errors(codes, chance, positive, 2, 10) == pytest.approx([(0.5 + 0.05) / 4, 0])


def test_weighted_sums_are_those_of_the_drawn_rows() -> None:
    rng = np.random.default_rng(1)
    codes, values, weights = rng.integers(3, size=50), rng.random(50), rng.integers(3, size=(50, 7)).astype(float)
    drawn = sums(codes, values, weights, 3)
    for turn in range(7):
        rows = np.repeat(np.arange(50), weights[:, turn].astype(int))
        assert drawn[turn] == pytest.approx(np.bincount(codes[rows], values[rows], minlength=3))


@pytest.mark.parametrize("name", METRICS)
def test_fresh_real_rows_are_within_five_hundredths_with_the_whole_interval(name: str) -> None:
    estimate = found(name, "fresh")
    assert estimate.gap_interval is not None and estimate.gap is not None
    assert estimate.gap_interval.low <= estimate.gap <= estimate.gap_interval.high
    assert estimate.gap_interval.high <= 0.05 if name != "bias.worst_group" else estimate.gap_interval.low >= -0.05


def test_refused_women_are_seen_where_overall_scores_see_nothing() -> None:
    utility = found("utility.train_synthetic_test_real", "flipped")
    assert utility.gap is not None and utility.gap > -0.02
    assert utility.gap_interval is not None and utility.gap_interval.low > -0.05
    opportunity = found("bias.equal_opportunity", "flipped")
    assert opportunity.gap_interval is not None and opportunity.gap_interval.low > 0.05
    assert opportunity.gap == pytest.approx((opportunity.value or 0) - (opportunity.reference or 0))
    columns = {row["column"]: row for row in opportunity.detail if "gap" in row}
    assert float(columns["sex"]["gap_low"] or 0) > 0.05
    assert (found("bias.demographic_parity", "flipped").gap_interval or opportunity.gap_interval).low > 0.05
    assert (found("bias.equalized_odds", "flipped").gap_interval or opportunity.gap_interval).low > 0.05
    assert "female" in str(found("bias.calibration", "flipped").detail[0]["group"])


def test_a_forest_plot_has_what_it_needs() -> None:
    rows = [row for row in found("bias.equal_opportunity", "fresh").detail if "rate" in row]
    assert {"female", "male"} <= {row["group"] for row in rows if row["column"] == "sex"}
    for row in rows:
        assert float(row["low"] or 0) <= float(row["rate"] or 0) <= float(row["high"] or 0)
        assert {"column", "group", "rows", "cases", "reference"} <= row.keys()
    assert {row["column"] for row in found("bias.demographic_parity", "fresh").detail} == {"sex", "age", "sex x age"}


def test_pairs_of_columns_are_judged_where_single_ones_hide_it() -> None:
    """Refuse young men and old women: each sex and each half of the ages is treated alike on average."""
    train, holdout, fresh = tables(6_000, 6_000)
    frame = fresh.frame.copy()
    young = frame["age"] < 45
    wronged = young == (frame["sex"] == "male")
    frame.loc[wronged, "approved"] = "no"
    estimate = quick("bias.demographic_parity", train, holdout, Table.conform(fresh.schema, frame))
    assert estimate.detail[0]["column"] == "sex x age"
    assert estimate.value == estimate.detail[0]["difference"]
    assert estimate.gap_interval is not None and estimate.gap_interval.low > 0.1


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("answer", "words"),
    [("no", "finds no positive at all"), ("yes", "calls every row positive"), (None, "hardly tells")],
)
def test_a_model_that_tells_nothing_is_not_called_fair(name: str, answer: str | None, words: str) -> None:
    train, holdout, fresh = tables(1_000, 1_000)
    made = shuffled(fresh, np.random.default_rng(2))
    if answer is not None:
        made = Table.conform(fresh.schema, fresh.frame.assign(approved=answer))
    estimate = quick(name, train, holdout, made)
    assert estimate.value is None
    assert words in (estimate.not_computed or "")


def test_a_threshold_gives_the_rates_of_decisions() -> None:
    train, holdout, fresh = tables(2_000, 2_000)
    evidence, trees, draws = Evidence(train, holdout, fresh), Trees(rounds=20), Draws(count=2)
    measured = rates(evidence, trees, draws, Groups(threshold=0.5))["true positive rate"][0]
    target = holdout.schema.target
    assert target is not None and measured.column == "sex"
    tried = trials(evidence, whole(target), trees, draws)
    frame = MetricFrame(
        metrics=true_positive_rate,
        y_true=tried.truth == 1,
        y_pred=tried.synthetic[0, :, 1] > 0.5,
        sensitive_features=tried.test.frame["sex"].astype(str).to_numpy(),
    )
    ours = pd.Series(measured.fits[0, 0], index=measured.names)[frame.by_group.index]
    assert ours.to_numpy() == pytest.approx(frame.by_group.to_numpy(), abs=1e-9)


def test_small_groups_are_named_and_not_judged() -> None:
    train, holdout, fresh = tables(1_000, 1_000)
    estimate = quick("bias.equal_opportunity", train, holdout, fresh, rows=150, cases=90)
    small = [row for row in estimate.detail if row.get("note") == "too small to audit" and "group" in row]
    assert small and all("rate" not in row and int(row["rows"] or 0) > 0 for row in small)
    none = quick("bias.equal_opportunity", train, holdout, fresh, rows=900)
    assert "no sensitive column has two groups of 900 test rows" in (none.not_computed or "")


def test_intervals_are_those_of_persons() -> None:
    alone = tables(2_000, 2_000)
    together = [with_units(table, 8, 100_000 * place) for place, table in enumerate(alone)]
    widths = []
    for train, holdout, fresh in (alone, together):
        measured = rates(Evidence(train, holdout, fresh), Trees(rounds=10), Draws(count=2), Groups())
        widths.append(float(measured["selection rate"][0].drawn[0].std(axis=0).max()))
    assert widths[1] > 2 * widths[0]
