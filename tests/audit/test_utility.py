"""Learners, their trials and scores: closed forms, what others compute, and releases of known faults."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from statsmodels.api import OLS, Logit

from audit.core import Declared, Estimate, Evidence, NotComputable
from audit.goals import whole
from audit.learner import Linear, Trees, inputs, logistic, predict
from audit.regression import coefficients, overlap, parsed
from audit.scores import auc_parts, r_squared, r_squared_parts
from audit.trials import Draws, margin, trials
from audit.utility.interval_overlap import IntervalOverlap
from audit.utility.train_synthetic_test_real import TrainSyntheticTestReal
from audit.utility.train_synthetic_test_real_linear import TrainSyntheticTestRealLinear
from tabular.schema import Schema
from tabular.table import Table
from tests.audit.conftest import shuffled, with_units, world, world_schema

SEEDS = st.integers(0, 2**32 - 1)
ANALYSES = ("income ~ age + schooling + sex", "approved ~ sex + `age` + income")
FEW = Draws(count=4, most=3_000)


@cache
def tables(rows: int = 14_000, holdout: int = 6_000) -> tuple[Table, Table, Table]:
    rng = np.random.default_rng(7)
    return world(rows, rng), world(holdout, rng), world(rows, rng)


def released(change: str) -> Evidence:
    train, holdout, fresh = tables()
    made = {"fresh": fresh, "copy": train, "shuffled": shuffled(train, np.random.default_rng(2))}[change]
    return Evidence(train, holdout, made, declared=Declared(analyses=ANALYSES))


@cache
def tried(linear: bool, change: str) -> Estimate:
    kind = TrainSyntheticTestRealLinear if linear else TrainSyntheticTestReal
    config = kind.Config() if change == "fresh" else kind.Config(draws=FEW)
    return kind(config)(released(change), np.random.default_rng(1))


@cache
def overlapping(change: str) -> Estimate:
    return IntervalOverlap(IntervalOverlap.Config())(released(change), np.random.default_rng(1))


@pytest.mark.parametrize(("linear", "change"), [(False, "fresh"), (True, "fresh"), (True, "copy")])
def test_real_rows_and_copies_train_as_well_as_real_rows(linear: bool, change: str) -> None:
    found = tried(linear, change)
    assert found.gap_interval is not None and found.gap == pytest.approx((found.value or 0) - (found.reference or 0))
    assert found.gap_interval.low > -0.02 and found.gap_interval.high < 0.02
    assert found.gap_interval.low <= found.gap <= found.gap_interval.high


@pytest.mark.parametrize("linear", [False, True])
def test_shuffled_columns_train_nothing(linear: bool) -> None:
    found = tried(linear, "shuffled")
    assert found.value == pytest.approx(0.5, abs=0.12)
    assert found.gap_interval is not None and found.gap_interval.high < -0.05


def test_the_paired_gap_is_told_better_than_the_two_scores() -> None:
    found = tried(False, "fresh")
    assert found.interval is not None and found.gap_interval is not None
    assert found.gap_interval.high - found.gap_interval.low < 0.6 * (found.interval.high - found.interval.low)


def test_one_class_is_answered_by_that_class() -> None:
    train, holdout, fresh = tables(1_000, 1_000)
    one = Table.conform(fresh.schema, fresh.frame.assign(approved="yes"))
    for kind in (TrainSyntheticTestReal, TrainSyntheticTestRealLinear):
        found = kind(kind.Config(draws=FEW))(Evidence(train, holdout, one), np.random.default_rng(1))
        assert found.value == 0.5


def test_numbers_and_many_classes_are_predicted_by_both_learners() -> None:
    columns = {"income": "feature", "region": "feature", "approved": "feature"}
    for target in ("income", "region"):
        roles = columns | {target: "target"}
        schema = Schema(
            columns=tuple(
                each.model_copy(update={"role": roles.get(each.name, each.role)}) for each in world_schema().columns
            )
        )
        made = [Table.conform(schema, table.frame) for table in tables(2_000, 2_000)]
        for kind, few in (
            (TrainSyntheticTestReal, TrainSyntheticTestReal.Config(draws=FEW, trees=Trees(rounds=30, leaves=8))),
            (TrainSyntheticTestRealLinear, TrainSyntheticTestRealLinear.Config(draws=FEW)),
        ):
            found = kind(few)(Evidence(*made), np.random.default_rng(1))
            assert found.value is not None and found.value > (0.9 if target == "region" else 0.15)
            assert abs(found.gap or 0) < 0.05


def test_persons_not_rows_are_tested_and_drawn() -> None:
    made = [with_units(table, 8, 100_000 * place) for place, table in enumerate(tables(2_000, 2_000))]
    target = made[0].schema.target
    assert target is not None
    found = trials(Evidence(*made), whole(target), Linear(), FEW)
    assert len(np.unique(found.unit)) == 250
    assert (found.weights.reshape(250, 8, -1) == found.weights.reshape(250, 8, -1)[:, :1]).all()
    assert found.weights.sum(axis=0) == pytest.approx(2_000)
    assert found.trained == 1_000
    alone = tables(2_000, 2_000)
    rows = [
        TrainSyntheticTestRealLinear(TrainSyntheticTestRealLinear.Config(draws=FEW))(
            Evidence(*each), np.random.default_rng(1)
        )
        for each in (made, alone)
    ]
    widths = [each.interval.high - each.interval.low for each in rows if each.interval is not None]
    assert widths[0] > 1.5 * widths[1]


def test_trials_are_made_once_and_do_not_depend_on_who_asks() -> None:
    evidence = released("fresh")
    target = evidence.holdout.schema.target
    assert target is not None
    small = Draws(count=2, most=200)
    first = trials(evidence, whole(target), Linear(), small)
    assert trials(evidence, whole(target), Linear(), small) is first
    trials(evidence, whole(target), Trees(rounds=2), small)
    again = trials(released("fresh"), whole(target), Linear(), small)
    assert np.array_equal(first.synthetic, again.synthetic)


def test_too_few_rows_are_refused_with_a_reason() -> None:
    train, holdout, fresh = tables(1_000, 1_000)
    for made, words in (
        (Evidence(train, holdout.take(np.arange(20)), fresh), "the holdout has 20 rows"),
        (Evidence(train.take(np.arange(60)), holdout, fresh), "half of the smaller"),
        (Evidence(train, holdout, fresh.take(np.arange(30))), "the synthetic table has 30 rows"),
    ):
        found = TrainSyntheticTestReal(TrainSyntheticTestReal.Config())(made, np.random.default_rng(1))
        assert words in (found.not_computed or "")


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_logistic_regression_agrees_with_others(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.ones((300, 1)), rng.normal(size=(300, 4))], axis=1)
    y = rng.random(300) < 1 / (1 + np.exp(-x @ np.array([-0.5, 1, -1, 0, 0.3])))
    found, information = logistic(x, y, 0.0)
    theirs = Logit(y, x).fit(disp=False, tol=1e-14)
    assert found == pytest.approx(theirs.params, abs=1e-9)
    assert np.sqrt(np.diag(np.linalg.inv(information))) == pytest.approx(theirs.bse, abs=1e-9)
    penalised, _ = logistic(x, y, 2.0)
    model = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(x[:, 1:], y)
    assert penalised == pytest.approx(np.append(model.intercept_, model.coef_), abs=1e-6)


@given(SEEDS, st.booleans())
@settings(max_examples=20, deadline=None)
def test_coefficients_and_their_intervals_agree_with_statsmodels(seed: int, classes: bool) -> None:
    rng = np.random.default_rng(seed)
    x = np.concatenate([np.ones((400, 1)), rng.normal(size=(400, 3)), np.zeros((400, 1))], axis=1)
    score = x[:, :4] @ np.array([0.2, 0.5, -0.5, 0]) + rng.logistic(size=400)
    y = (score > 0).astype(float) if classes else score
    found = coefficients(x, y, classes)
    theirs = Logit(y, x[:, :4]).fit(disp=False, tol=1e-14) if classes else OLS(y, x[:, :4]).fit()
    assert found is not None
    assert found[:, :4] == pytest.approx(np.vstack([theirs.params, theirs.conf_int().T]), abs=1e-9)
    assert np.isnan(found[:, 4]).all()


def test_a_regression_without_a_single_best_fit_has_no_coefficients() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([np.ones((50, 1)), rng.normal(size=(50, 2))], axis=1)
    twice = np.concatenate([x, x[:, 1:2]], axis=1)
    assert coefficients(twice, rng.normal(size=50), classes=False) is None
    assert coefficients(x, (x[:, 1] > 0).astype(float), classes=True) is None
    assert coefficients(x[:3], np.arange(3.0), classes=False) is None


def test_overlaps_of_intervals_in_closed_form() -> None:
    first = np.array([[0.0, 0, 0, 0, np.nan], [2.0, 2, 2, 2, np.nan]])
    second = np.array([[0.0, 1, 3, -1, 0], [2.0, 3, 4, 3, 1]])
    assert overlap(first, second) == pytest.approx([1, 0.5, 0, 0.75, 0])


def test_intervals_of_real_rows_overlap_as_they_should_and_those_of_noise_do_not() -> None:
    rng = np.random.default_rng(3)
    ends = [np.stack([middle - 1.96, middle + 1.96]) for middle in rng.normal(size=(2, 200_000))]
    assert overlap(*ends).mean() == pytest.approx(0.714, abs=0.003)
    fresh, copied, noise = (overlapping(each) for each in ("fresh", "copy", "shuffled"))
    assert fresh.gap_interval is not None and fresh.gap_interval.low <= 0 <= fresh.gap_interval.high
    assert fresh.reference == pytest.approx(0.71, abs=0.2)
    assert copied.value is not None and copied.value > 0.5
    assert noise.gap_interval is not None and noise.gap_interval.high < -0.1
    assert {row["coefficient"] for row in fresh.detail} >= {"age", "sex = female", "schooling = none"}
    assert all(
        float(row["real_low"] or 0) < float(row["real"] or 0) < float(row["real_high"] or 0) for row in fresh.detail
    )


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("income", "cannot be read"),
        ("income ~ ", "cannot be read"),
        ("income ~ age + ", "cannot be read"),
        ("income ~ age * sex", "cannot be read"),
        ("income ~ agee + sex", "the column 'agee', which the table has not"),
        ("income ~ `age group`", "the column 'age group', which the table has not"),
        ("city ~ age", "neither a number nor of two classes"),
        ("income ~ age + income", "a column twice"),
    ],
)
def test_formulas_that_cannot_be_run_are_named(formula: str, words: str) -> None:
    with pytest.raises(NotComputable, match=words):
        parsed(formula, world_schema())
    found = IntervalOverlap(IntervalOverlap.Config())(
        Evidence(*tables(1_000, 1_000), declared=Declared(analyses=(formula,))), np.random.default_rng(1)
    )
    assert words in (found.not_computed or "") and repr(formula) in (found.not_computed or "")


def test_collinear_predictors_are_refused_on_real_rows() -> None:
    evidence = Evidence(*tables(1_000, 1_000), declared=Declared(analyses=("income ~ city + region",)))
    found = IntervalOverlap(IntervalOverlap.Config(of_level=30))(evidence, np.random.default_rng(1))
    assert "no single best fit to the real rows" in (found.not_computed or "")


@given(SEEDS, st.sampled_from([1, 12]))
@settings(max_examples=20, deadline=None)
def test_what_each_row_adds_to_a_score_is_its_derivative(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = np.round(rng.normal(size=80), decimals), np.arange(80) % 3 == 0
    truth, guess = rng.normal(size=(2, 80))
    row, step = int(rng.integers(80)), 1e-5
    weights = np.ones(80)
    weights[row] += step
    moved = roc_auc_score(positive, scores, sample_weight=weights) - roc_auc_score(positive, scores)
    assert auc_parts(scores, positive)[row] == pytest.approx(moved / step, abs=1e-6)
    middle = weights @ truth / weights.sum()
    now = 1 - weights @ (truth - guess) ** 2 / (weights @ (truth - middle) ** 2)
    assert r_squared_parts(truth, guess)[row] == pytest.approx((now - r_squared(truth, guess)) / step, abs=1e-5)
    assert auc_parts(scores, positive).sum() == pytest.approx(0, abs=1e-9)


def test_margins_shrink_with_models_and_grow_with_comparisons() -> None:
    fits = np.random.default_rng(1).normal(size=(10_000, 3))
    assert margin(0.0, (fits,)) == pytest.approx(1.96 * fits.std(axis=0, ddof=1) / 100, rel=0.01)
    assert margin(4.0, (np.zeros((5, 3)),)) == pytest.approx(np.full(3, 1.96 * 2), rel=0.01)
    assert margin(0.0, (fits[:8],)) == pytest.approx(2.3646 * fits[:8].std(axis=0, ddof=1) / np.sqrt(8), rel=1e-3)
    assert (margin(0.0, (fits,), comparisons=10) > 1.3 * margin(0.0, (fits,))).all()
    assert (margin(0.0, (fits,), others=True) > 90 * margin(0.0, (fits,))).all()


def test_the_linear_learner_reads_missing_numbers_and_rare_categories() -> None:
    train, holdout, _ = tables(1_000, 1_000)
    columns = [column for column in train.schema.modelled if column.role != "target"]
    read = inputs(Linear(categories=3), train, (holdout, train), columns)
    assert all(np.isfinite(matrix).all() for matrix in read.matrices)
    target = train.schema["city"]
    chances = predict(Linear(), read.matrices[1], train.codes("city").astype(float), read, target, 1)
    assert chances.sum(axis=1) == pytest.approx(np.ones(len(holdout)))
    assert pd.Series(chances.argmax(axis=1)).nunique() > 3
