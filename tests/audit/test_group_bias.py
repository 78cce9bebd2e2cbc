"""Bias in the data: real rows pass, wronged groups fail, small ones are not called alike; ratios are the textbook's."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, demographic_parity_ratio
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep

from audit.bias.bias_amplification import parity_difference, parity_ratio
from audit.bias.group_prevalence import tally
from audit.bias.proxy_strength import macro
from audit.core import Estimate, Evidence
from audit.equivalence import Counts, Margin, compare, pooled, score_interval, shown_alike, together
from audit.groups import OTHER, Grouped, groupings, independent_share, outcome
from audit.intervals import auc
from pipeline.registry import metric
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import Real, shuffled, with_units, world

LIMIT, BEYOND = 1.25, 1.1
DATA = (
    "group_prevalence",
    "group_shares",
    "subgroup_fidelity",
    "bias_amplification",
    "proxy_strength",
    "missingness",
)


@cache
def drawn(seed: int, rows: int = 6_000) -> Real:
    rng = np.random.default_rng(seed)
    return Real(*(world(rows, rng) for _ in range(3)))


def look(name: str, evidence: Evidence, **config: object) -> Estimate:
    kind = metric(f"bias.{name}")
    return kind(kind.Config.model_validate(config))(evidence, np.random.default_rng(1))


def verdict(found: Estimate, beyond: float = LIMIT) -> str:
    assert found.interval is not None
    if found.interval.high <= LIMIT:
        return "passed"
    return "failed" if found.interval.low > beyond else "inconclusive"


def flipped(table: Table, share: float, rng: np.random.Generator, sex: str = "female") -> Table:
    """Turn a share of the approvals of one sex into refusals."""
    frame = table.frame.copy()
    wronged = (frame["sex"] == sex) & (frame["approved"] == "yes") & (rng.random(len(frame)) < share)
    frame.loc[wronged, "approved"] = "no"
    return Table.conform(table.schema, frame)


def counts(*rows: tuple[float, float, float, float]) -> Counts:
    k, n, x, m = np.array(rows, dtype=np.float64).T
    return Counts(k, n, x, m, m)


@pytest.mark.parametrize(
    ("hits", "n", "real", "m"), [(3, 40, 9, 50), (300, 1_000, 200, 1_000), (1, 30, 40, 900), (39, 40, 20, 50)]
)
def test_the_interval_of_a_ratio_is_the_score_interval(hits: int, n: int, real: int, m: int) -> None:
    low, high = score_interval(counts((real, m, hits, n)), 0.025)
    theirs = confint_proportions_2indep(hits, n, real, m, compare="ratio", method="score", correction=False)
    assert (low[0], high[0]) == pytest.approx(theirs, rel=1e-6)


def test_the_interval_of_a_ratio_covers_it(rng: np.random.Generator) -> None:
    turns = 4_000
    for p, q, n, m in ((0.1, 0.1, 200, 600), (0.02, 0.03, 400, 400), (0.5, 0.3, 60, 40)):
        each = Counts(
            rng.binomial(n, p, turns).astype(float),
            np.full(turns, float(n)),
            rng.binomial(m, q, turns).astype(float),
            np.full(turns, float(m)),
            np.full(turns, float(m)),
        )
        low, high = score_interval(each, 0.025)
        assert 0.935 < ((low <= q / p) & (q / p <= high)).mean() < 0.97


def test_nothing_found_is_known_one_sidedly() -> None:
    low, high = score_interval(counts((20, 500, 0, 500), (0, 500, 20, 500), (5, 50, 0, 0)), 0.025)
    assert low[0] == 0 and high[0] < 0.5
    assert low[1] > 2 and np.isinf(high[1])
    assert low[2] == 0 and np.isinf(high[2])
    found = compare(counts((20, 500, 0, 500), (0, 500, 20, 500), (200, 500, 200, 500)), Margin(hits=1))
    assert np.isfinite([found.far[0], *found.most]).all() and found.far[0] == 100


def test_large_groups_that_are_alike_are_shown_to_be() -> None:
    value, interval = together(compare(counts((4_000, 9_000, 4_050, 9_000), (900, 3_000, 900, 3_000)), Margin()))
    assert value == pytest.approx(4_050 / 4_000)
    assert 1 <= interval.low <= value <= interval.high < LIMIT


def test_a_small_group_fails_where_it_is_far_off_and_is_never_shown_alike() -> None:
    large, small, far = (4_000, 9_000, 4_000, 9_000), (12, 40, 14, 40), (30, 60, 2, 60)
    alike = compare(counts(large, small), Margin())
    assert alike.held.tolist() == [True, False]
    assert together(alike)[1].high < LIMIT
    assert alike.most[1] > LIMIT and alike.least[1] == 1
    found = compare(counts(large, far), Margin())
    assert found.held.tolist() == [True, True]
    assert together(found)[1].low > LIMIT
    none_large = together(compare(counts(small), Margin()))[1]
    assert none_large.low == 1 and none_large.high > LIMIT


def test_small_groups_are_pooled_and_tested_once_more() -> None:
    rows = [(4_000.0, 9_000.0, 4_000.0, 9_000.0)] + 40 * [(10.0, 40.0, 4.0, 40.0)]
    family = np.zeros(len(rows), dtype=np.int64)
    each = counts(*rows)
    assert together(compare(each, Margin()))[1].low == 1
    joined, pools = pooled(each, family, Margin())
    assert [len(pool) for pool in pools] == [40]
    assert (joined.hits[-1], joined.rows[-1], joined.hits_synthetic[-1]) == (400, 1_600, 160)
    assert together(compare(joined, Margin()))[1].low > LIMIT
    assert pooled(counts(*rows[1:]), family[1:], Margin())[1] == []
    parts = counts((8_600, 9_000, 8_600, 9_000), *4 * [(100, 9_000, 100, 9_000)])
    shares, _ = pooled(parts, np.zeros(5, dtype=np.int64), Margin(), shares=True)
    assert (shares.hits[-1], shares.rows[-1], shares.expected[-1]) == (400, 9_000, 9_000)


def test_a_release_cannot_shrink_a_group_out_of_sight() -> None:
    full, gone = counts((4_000, 9_000, 4_000, 9_000)), counts((4_000, 9_000, 0, 0))
    hidden = Counts(*gone[:4], full.expected)
    assert shown_alike(hidden, Margin()).tolist() == [True]
    both = Counts(*(np.append(a, b) for a, b in zip(full, hidden, strict=True)))
    assert together(compare(both, Margin()))[1].high > LIMIT


def test_half_a_percentage_point_never_fails() -> None:
    margin = Margin(allowance=0.005, hits=30)
    n = 1_000_000.0
    low, high, moved = (5_000, n, 9_000, n), (9_000, n, 5_000, n), (5_000, n, 20_000, n)
    for each in (low, high):
        found = compare(counts(each), margin)
        assert found.far[0] == pytest.approx(1 + 0.25 * 0.004 / 0.005)
        assert together(found)[1].high <= LIMIT
    assert together(compare(counts(moved), margin))[1].low > LIMIT
    assert together(compare(counts((400, n, 0, n)), margin))[1].low > LIMIT


def test_chance_among_many_groups_is_allowed_for() -> None:
    rng, failed, passed = np.random.default_rng(3), 0, 0
    for _ in range(400):
        n = np.append(rng.integers(30, 300, 60), [6_000, 5_000]).astype(float)
        m = np.append(rng.integers(30, 300, 60), [9_000, 4_000]).astype(float)
        p = rng.uniform(0.05, 0.6, 62)
        p[-2:] = 0.4
        k, x = rng.binomial(n.astype(int), p).astype(float), rng.binomial(m.astype(int), p).astype(float)
        _, interval = together(compare(Counts(k, n, x, m, m), Margin()))
        failed += interval.low > BEYOND
        passed += interval.high <= LIMIT
    assert failed <= 4
    assert passed >= 372


def test_groups_are_those_of_columns_and_of_pairs(real: Real) -> None:
    evidence = real.evidence(real.fresh)
    sex, age, both = groupings(evidence, Grouped())
    assert (sex.label, age.label, both.label) == ("sex", "age", "sex x age")
    assert sex.names == ("female", "male") or sex.names == ("male", "female")
    assert len(age.names) == 4 and len(both.names) == 8
    told = np.array(both.names)[both.codes(0)]
    assert all(
        told == np.char.add(np.char.add(np.array(sex.names)[sex.codes(0)], " x "), np.array(age.names)[age.codes(0)])
    )
    *_, few = groupings(evidence, Grouped(groups=9))
    assert len(few.names) == 4 and few.names[-1] == OTHER
    counted = np.bincount(few.codes(0), minlength=4)
    assert counted.sum() == len(real.holdout) and counted.min() > 0


def test_rows_of_one_person_count_once(real: Real) -> None:
    people = with_units(real.holdout.take(np.arange(400)), 8, 0)
    worth = independent_share(people, np.zeros(400, dtype=np.int64), 1)
    assert worth == pytest.approx([1 / 8])
    halves = np.arange(400) % 8 < 4
    assert independent_share(people, halves.astype(np.int64), 2) == pytest.approx([1 / 4, 1 / 4])
    assert independent_share(real.holdout, np.zeros(len(real.holdout), dtype=np.int64), 2) == pytest.approx([1, 1])


def test_a_number_is_cut_at_the_training_median() -> None:
    schema = Schema(
        columns=(
            Column(name="x", kind="continuous", physical="real", role="target", nullable=True),
            Column(name="g", kind="categorical", physical="text", categories=("a", "b"), sensitive=True),
        )
    )
    values = [0.0, 1.0, 2.0, 3.0, np.nan, 9.0]
    table = Table.conform(schema, pd.DataFrame({"x": values, "g": list("ababab")}))
    evidence = Evidence(table, table, table)
    target = outcome(evidence)
    assert target.codes[0].tolist() == [0, 0, 0, 1, -1, 1] and target.judged == (1,)
    (joint,) = tally(groupings(evidence, Grouped()), target, 0)
    assert joint.tolist() == [[2, 0], [1, 2]]


@pytest.mark.parametrize("seed", range(4))
def test_fresh_real_rows_pass_and_never_fail(seed: int) -> None:
    worlds = drawn(seed)
    for name in ("group_prevalence", "group_shares"):
        found = look(name, worlds.evidence(worlds.fresh))
        assert verdict(found, BEYOND) == "passed"
        assert found.reference_interval is not None and found.reference_interval.low < BEYOND


def test_flipped_approvals_fail(rng: np.random.Generator) -> None:
    worlds = drawn(0)
    for sex, share, beyond in (("male", 0.3, LIMIT), ("female", 0.3, BEYOND), ("female", 0.5, LIMIT)):
        found = look("group_prevalence", worlds.evidence(flipped(worlds.fresh, share, rng, sex)))
        assert verdict(found, beyond) == "failed"
        assert sex in str(found.detail[0]["group"])
        assert found.detail[0]["outcome"] == "approved = yes"
    found = look("bias_amplification", worlds.evidence(flipped(worlds.fresh, 0.5, rng)))
    assert found.interval is not None and found.interval.low > 0.1
    assert found.detail[0]["column"] == "sex"


def test_shuffled_columns_fail(rng: np.random.Generator) -> None:
    worlds = drawn(0)
    evidence = worlds.evidence(shuffled(worlds.train, rng))
    assert verdict(look("group_prevalence", evidence), BEYOND) == "failed"
    for name in ("subgroup_fidelity", "proxy_strength"):
        found = look(name, evidence)
        assert found.interval is not None and found.reference_interval is not None
        assert found.interval.low > found.reference_interval.high, name
    assert verdict(look("group_shares", evidence), BEYOND) != "failed"


@pytest.mark.parametrize("kept", [0.0, 20.0])
def test_a_small_group_that_is_gone_or_swollen_fails(kept: float) -> None:
    worlds = drawn(0)
    frame = worlds.fresh.frame
    rare = ((frame["sex"] == "female") & (frame["age"] > 68)).to_numpy()
    rows = np.concatenate([np.flatnonzero(~rare), np.repeat(np.flatnonzero(rare), int(kept))])
    ages = pd.cut(np.arange(0, 120), [-1, 68, 119], labels=["younger", "old"])
    schema = Schema(
        columns=(
            *worlds.fresh.schema.columns,
            Column(name="years", kind="categorical", physical="text", categories=("younger", "old"), sensitive=True),
        )
    )
    made = [
        Table.conform(schema, table.frame.assign(years=np.asarray(ages)[table.frame["age"].astype(int)]))
        for table in (worlds.train, worlds.holdout, worlds.fresh.take(rows))
    ]
    found = look("group_shares", Evidence(*made))
    assert verdict(found) == "failed"
    assert {"female x old"} <= {row["group"] for row in found.detail if row["note"] == "beyond the margin"}


def test_values_missing_in_one_group_only_are_found(rng: np.random.Generator) -> None:
    worlds = drawn(0)
    frame = worlds.fresh.frame.copy()
    frame.loc[(frame["sex"] == "female") & (rng.random(len(frame)) < 0.4), "savings"] = np.nan
    found = look("missingness", worlds.evidence(Table.conform(worlds.fresh.schema, frame)))
    assert found.interval is not None and found.reference_interval is not None
    assert found.interval.low > found.reference_interval.high
    assert "female" in str(found.detail[0]["group"]) and found.detail[0]["missing"] == "savings"


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_parity_of_labels_is_that_of_fairlearn(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    group, y = np.append(np.arange(size), rng.integers(size, size=200)), rng.random(200 + size) < 0.4
    rates = np.bincount(group, y) / np.bincount(group)
    assert parity_difference(rates) == pytest.approx(
        demographic_parity_difference(y, y, sensitive_features=group), abs=1e-9
    )
    assert parity_ratio(rates) == pytest.approx(demographic_parity_ratio(y, y, sensitive_features=group), abs=1e-9)


def test_the_area_of_many_groups_is_weighed_by_their_rows(rng: np.random.Generator) -> None:
    labels = rng.integers(3, size=300)
    scores = rng.dirichlet(np.ones(3), 300)
    theirs = roc_auc_score(labels, scores, multi_class="ovr", average="weighted")
    assert macro(scores, labels, 1.0)[0] == pytest.approx(theirs, abs=1e-9)
    two = labels % 2
    pair = np.stack([scores[:, 0], 1 - scores[:, 0]], axis=1)
    assert macro(pair, two, 1.0)[0] == pytest.approx(auc(scores[:, 0], two == 0), abs=1e-9)


@pytest.mark.parametrize("name", DATA)
def test_the_order_of_categories_and_columns_does_not_matter(name: str) -> None:
    def turned(table: Table) -> Table:
        columns = [
            column.model_copy(update={"categories": column.categories[::-1]})
            if column.kind == "categorical"
            else column
            for column in table.schema.columns[::-1]
        ]
        target = [column for column in table.schema.columns if column.role == "target"]
        kept = [column for column in columns if column.role != "target"]
        return Table.conform(Schema(columns=(*kept, *target)), table.frame)

    worlds = drawn(0, 2_000)
    tables = (worlds.train, worlds.holdout, flipped(worlds.fresh, 0.3, np.random.default_rng(2)))
    before, after = look(name, Evidence(*tables)), look(name, Evidence(*map(turned, tables)))
    assert after.value == pytest.approx(before.value, abs=0.03 if name == "proxy_strength" else 1e-6)
