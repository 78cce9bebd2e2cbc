"""Where others define the same quantity, ours is the same number."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import equal_opportunity_difference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sdmetrics.column_pairs import ContingencySimilarity
from sdmetrics.reports import QualityReport
from sdmetrics.single_column import KSComplement, TVComplement
from sklearn.metrics import r2_score, roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from audit.fidelity.sdmetrics_quality import SdmetricsQuality
from audit.intervals import auc, clopper_pearson, share_difference, wilson
from audit.rates import difference, group_rates
from audit.reading import levels
from audit.scores import r_squared
from audit.shape import distance, total_variation
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import Real

SEEDS = st.integers(0, 2**32 - 1)
NUMBER = Column(name="x", kind="continuous", physical="real", nullable=True)


def table(values: np.ndarray) -> Table:
    return Table.conform(Schema(columns=(NUMBER,)), pd.DataFrame({"x": values}))


@given(SEEDS, st.sampled_from([1, 3, 200]), st.sampled_from([0, 1, 8]))
@settings(max_examples=40, deadline=None)
def test_kolmogorov_smirnov(seed: int, rows: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    first = np.round(rng.normal(size=rows), decimals)
    second = np.round(rng.normal(0.5, 2, size=rows + 7), decimals)
    (a, b), size = levels(NUMBER, (table(first), table(second)))
    found = distance(a, b, size, ordered=True)
    assert found == pytest.approx(ks_2samp(first, second).statistic, abs=1e-9)
    assert found == pytest.approx(1 - KSComplement.compute(pd.Series(first), pd.Series(second)), abs=1e-9)


def test_missing_numbers_weigh_by_their_share() -> None:
    first = np.array([1.0, 2.0, 3.0, np.nan])
    second = np.array([np.nan, np.nan, 9.0, 9.0])
    (a, b), size = levels(NUMBER, (table(first), table(second)))
    assert distance(a, b, size, ordered=True) == pytest.approx(0.5 * 1.0 + 0.25)
    assert distance(a, a, size, ordered=True) == 0
    (none, full), size = levels(NUMBER, (table(np.full(3, np.nan)), table(np.ones(3))))
    assert distance(none, full, size, ordered=True) == 1


@given(SEEDS, st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_total_variation_of_one_and_of_two_columns(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(classes, size=(50, 2)), rng.integers(classes, size=(80, 2)) // 2
    # sdmetrics puts a millionth of a row in the place of a category that only synthetic rows hold.
    assume(set(second[:, 0]) <= set(first[:, 0]))
    ours = distance(first[:, 0], second[:, 0], classes, ordered=False)
    assert ours == pytest.approx(1 - TVComplement.compute(pd.Series(first[:, 0]), pd.Series(second[:, 0])), abs=1e-9)
    pair = total_variation(*(each[:, 0] * classes + each[:, 1] for each in (first, second)), classes**2)
    frames = [pd.DataFrame(each, columns=["a", "b"]) for each in (first, second)]
    assert pair == pytest.approx(1 - ContingencySimilarity.compute(*frames), abs=1e-9)


@given(SEEDS, st.sampled_from([0, 1, 12]))
@settings(max_examples=40, deadline=None)
def test_area_under_the_curve(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = np.round(rng.normal(size=60), decimals), np.arange(60) % 3 == 0
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-9)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_coefficient_of_determination(seed: int) -> None:
    truth, guess = np.random.default_rng(seed).normal(size=(2, 30))
    assert r_squared(truth, guess) == pytest.approx(r2_score(truth, guess), abs=1e-9)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_equal_opportunity_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, chosen, positive = rng.integers(3, size=200), rng.random(200) < 0.5, rng.random(200) < 0.5
    theirs = equal_opportunity_difference(positive, chosen, sensitive_features=group)
    assert difference(group_rates(group, chosen, positive, 3)) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (1, 40), (20, 40), (40, 40), (3, 5_000)])
def test_intervals_of_shares(hits: int, n: int) -> None:
    ours = wilson(hits, n)
    assert (ours.low, ours.high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)
    exact = tuple(float(bound) for bound in clopper_pearson(hits, n, 0.025))
    assert exact == pytest.approx(proportion_confint(hits, n, method="beta"), abs=1e-9)
    gap = share_difference(hits / n, 0.25, n, 60)
    theirs = confint_proportions_2indep(hits, n, 15, 60, method="newcomb", compare="diff")
    assert (gap.low, gap.high) == pytest.approx(theirs, abs=1e-9)


def test_the_score_of_sdmetrics_is_the_score_of_sdmetrics(real: Real) -> None:
    found = SdmetricsQuality(SdmetricsQuality.Config())(real.evidence(real.fresh), np.random.default_rng(1))
    frames = []
    for rows in (real.train, real.fresh):
        frame = rows.frame.astype({"joined": "int64"})
        names = [column.name for column in rows.schema.columns if column.is_code]
        frames.append(frame.astype(dict.fromkeys(names, "object")))
    types = {
        column.name: {"sdtype": "categorical" if column.is_code else "numerical"}
        for column in real.train.schema.columns
    }
    report = QualityReport()
    report.generate({"t": frames[0]}, {"t": frames[1]}, {"tables": {"t": {"columns": types}}}, verbose=False)
    assert found.value == pytest.approx(report.get_score(), abs=1e-9)
    theirs = report.get_properties().set_index("Property")["Score"]
    for row in found.detail:
        assert row["score"] == pytest.approx(theirs[row["property"]], abs=1e-9)
