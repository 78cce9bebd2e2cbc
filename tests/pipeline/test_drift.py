import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from audit.core import Estimate, Interval
from audit.intervals import wilson
from pipeline.drift import LEVEL, Drift, alarm, compare, holm

OPPOSITE = {"worse": "better", "better": "worse"}


def found(value: float, half: float | None = 0.1, reference: float | None = None) -> Estimate:
    interval = None if half is None else Interval(low=value - half, high=value + half)
    floor = None if reference is None else Interval(low=reference - 0.1, high=reference + 0.1)
    return Estimate(value=value, interval=interval, reference=reference, reference_interval=floor, rows=10)


def drift(before: Estimate, after: Estimate, better: str = "lower", exact: bool = False) -> Drift:
    (only,) = compare({"a.b": before}, {"a.b": after}, {"a.b": better}, ["a.b"] if exact else [])
    return only


@pytest.mark.parametrize(
    ("before", "after", "better", "word"),
    [
        (0.1, 0.5, "lower", "worse"),
        (0.1, 0.5, "higher", "better"),
        (0.5, 0.1, "lower", "better"),
        (0.5, 0.1, "higher", "worse"),
        (0.1, 0.2, "lower", "no difference shown"),
        (0.1, 0.1, "higher", "no difference shown"),
    ],
)
def test_only_a_difference_beyond_both_intervals_is_one(before: float, after: float, better: str, word: str) -> None:
    told = drift(found(before), found(after), better)
    assert told.word == word
    assert word in told.sentence
    assert bool(alarm([told], ["a.b"]).worse) == (word == "worse")
    assert not alarm([told], []).worse


def test_half_widths_add_in_quadrature() -> None:
    told = drift(found(1.0, 3.0), found(3.0, 4.0))
    assert (told.difference, told.interval) == (2.0, Interval(low=-3.0, high=7.0))


def test_shares_are_compared_as_newcombe_does() -> None:
    shares = [Estimate(value=hits / n, interval=wilson(hits, n)) for hits, n in ((3, 400), (20, 500))]
    told = drift(*shares)
    wanted = confint_proportions_2indep(20, 500, 3, 400, method="newcomb", compare="diff")
    assert told.interval is not None
    assert (told.interval.low, told.interval.high) == pytest.approx(wanted, abs=1e-12)
    assert told.word == "worse"


@given(*[st.floats(-5, 5)] * 2, *[st.floats(0, 5)] * 2, st.sampled_from(("lower", "higher")))
@settings(deadline=None)
def test_turning_the_releases_round_turns_the_word_round(a, b, half_a, half_b, better) -> None:
    there, back = (drift(*pair, better) for pair in ((found(a, half_a), found(b, half_b)),
                                                     (found(b, half_b), found(a, half_a))))  # fmt: skip
    assert back.word == OPPOSITE.get(there.word, there.word)
    assert there.interval is not None and back.interval is not None
    assert (-back.interval.high, -back.interval.low) == pytest.approx((there.interval.low, there.interval.high))
    assert drift(found(a, half_a), found(a, half_a), better).word == "no difference shown"


def test_two_releases_of_one_quality_seldom_differ() -> None:
    rng = np.random.default_rng(0)
    hits = rng.binomial(2_000, 0.05, size=(1_000, 2))
    estimates = {n: Estimate(value=n / 2_000, interval=wilson(float(n), 2_000)) for n in np.unique(hits).tolist()}
    words = [drift(estimates[a], estimates[b]).word for a, b in hits.tolist()]
    assert 0.02 < 1 - words.count("no difference shown") / len(words) < 0.08


@pytest.mark.parametrize(
    ("before", "after", "better", "words"),
    [
        (Estimate(value=None, not_computed="no target"), found(1), "lower", "for the first release: no target"),
        (found(1), Estimate(value=None, not_computed="too few rows"), "lower", "second release: too few rows"),
        (found(1), found(2), "none", "neither a higher nor a lower value is better"),
        (found(1, None), found(2), "lower", "first release has no interval"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(before: Estimate, after: Estimate, better: str, words: str) -> None:
    told = drift(before, after, better)
    assert (told.word, told.difference, told.interval) == ("not comparable", None, None)
    assert words in told.sentence
    assert not alarm([told], ["a.b"]).worse
    assert alarm([told], ["a.b"]).compared == 0


def test_counts_over_all_rows_are_certain() -> None:
    assert drift(found(0.0, None), found(1e-6, None), exact=True).word == "worse"
    assert drift(found(1e-6, None), found(1e-6, None), exact=True).word == "no difference shown"


def test_a_metric_of_one_release_only_is_told_and_what_is_worse_comes_first() -> None:
    before = {"a.same": found(1), "a.gone": found(1), "a.worse": found(1), "a.better": found(1)}
    after = {"a.same": found(1), "a.worse": found(2), "a.better": found(0), "a.new": found(1)}
    told = compare(before, after, dict.fromkeys([*before, *after], "lower"))
    assert [(each.metric, each.word) for each in told] == [
        ("a.worse", "worse"),
        ("a.gone", "not comparable"),
        ("a.new", "not comparable"),
        ("a.better", "better"),
        ("a.same", "no difference shown"),
    ]
    assert "second release does not have it" in told[1].sentence
    assert Drift.model_validate_json(told[0].model_dump_json()) == told[0]


def test_where_fresh_real_rows_moved_too_the_distance_from_them_is_compared() -> None:
    told = drift(found(1, reference=0.0), found(2, reference=1.0))
    half = 2 * 0.1  # four half-widths of 0.1 in quadrature
    assert (told.word, told.difference) == ("no difference shown", 0.0)
    assert told.interval is not None
    assert (told.interval.low, told.interval.high) == pytest.approx((-half, half))
    assert "from fresh real rows, which score 1 and scored 0" in told.sentence
    assert drift(found(1, reference=0.0), found(3, reference=1.0)).word == "worse"
    same = drift(found(1, reference=0.5), found(1.2, reference=0.5))
    assert same.difference == pytest.approx(0.2) and "fresh" not in same.sentence


def test_the_paired_gap_is_the_distance_where_there_is_one() -> None:
    ends = {"gap": 0.5, "gap_interval": Interval(low=0.4, high=0.6)}
    told = drift(
        found(1, reference=0.5).model_copy(update=ends),
        found(2, reference=1.5).model_copy(update={**ends, "gap": 0.55}),
    )
    assert told.difference == pytest.approx(0.05)


@given(st.floats(-4, 4), st.floats(0.01, 3))
@settings(deadline=None)
def test_the_p_value_is_that_of_the_normal_test(gap: float, half: float) -> None:
    told = drift(found(0.0, half), found(gap, half))
    z = gap / (np.hypot(half, half) / norm.ppf(0.975))
    assert told.p == pytest.approx(2 * norm.sf(abs(z)), abs=1e-9)
    assert (told.p < 0.05) == (told.word != "no difference shown") or told.p == pytest.approx(0.05)


@given(st.lists(st.floats(0, 1), max_size=30))
@settings(deadline=None)
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    named = {f"m{place}": value for place, value in enumerate(values)}
    wanted = multipletests(values, LEVEL, "holm")[0].tolist() if values else []
    assert {name for name, is_one in zip(named, wanted, strict=True) if is_one} == set(holm(named))


def test_forty_gates_that_did_not_change_raise_an_alarm_once_in_twenty_times_at_most() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1_000):
        names = [f"a.m{place}" for place in range(40)]
        sides = [
            {name: found(value, 1.96) for name, value in zip(names, rng.normal(size=40), strict=True)} for _ in "ab"
        ]
        told = compare(*sides, dict.fromkeys(names, "lower"))
        alarms += bool(alarm(told, names).worse)
    assert alarms <= 50


def test_what_is_better_raises_no_alarm_and_what_is_compared_besides_may() -> None:
    told = [drift(found(5.0), found(1.0))]
    assert alarm(told, ["a.b"]).worse == ()
    both = alarm(told, ["a.b"], {"contract.schema": 1e-6})
    assert (both.compared, both.worse) == (2, ("contract.schema",))
    assert both.sentence == "2 gates compared together at 5% (Holm): contract.schema is worse than chance explains"
    assert alarm(told, ["a.b"]).sentence == "1 gate compared together at 5% (Holm): none is worse than chance explains"
