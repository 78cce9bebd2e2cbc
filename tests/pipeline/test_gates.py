"""The one place that decides: every word, in both directions, with and without interval and reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core import Estimate, Interval
from pipeline.gates import Verdict, choose, judge, overall
from pipeline.spec import Demand

NAME = "fidelity.column_shapes"


def estimate(value, low=None, high=None, reference=None):
    interval = None if low is None else Interval(low=low, high=high)
    return Estimate(value=value, interval=interval, reference=reference)


def word(demand, found, better="lower"):
    return judge({NAME: demand}, {NAME: found}, {NAME: better}).verdict


@pytest.mark.parametrize(
    ("demand", "found", "better", "expected"),
    [
        (Demand(at_most=0.1), estimate(0.05, 0.04, 0.06), "lower", "accepted"),
        (Demand(at_most=0.1), estimate(0.2, 0.18, 0.22), "lower", "refused"),
        (Demand(at_most=0.1), estimate(0.09, 0.07, 0.11), "lower", "inconclusive"),
        (Demand(at_most=0.1), estimate(0.11, 0.09, 0.13), "lower", "inconclusive"),
        (Demand(at_most=0.1), estimate(0.05, 0.04, 0.06, reference=0.2), "lower", "invalid"),
        (Demand(at_most=0), estimate(0.0), "lower", "accepted"),
        (Demand(at_most=0), estimate(1e-9), "lower", "refused"),
        (Demand(at_least=0.9), estimate(0.95, 0.92, 0.98), "higher", "accepted"),
        (Demand(at_least=0.9), estimate(0.8, 0.75, 0.85), "higher", "refused"),
        (Demand(at_least=0.9), estimate(0.95, 0.92, 0.98, reference=0.85), "higher", "invalid"),
        (Demand(times_reference=2), estimate(0.03, 0.02, 0.04, reference=0.02), "lower", "accepted"),
        (Demand(times_reference=2), estimate(0.08, 0.07, 0.09, reference=0.02), "lower", "refused"),
        (Demand(times_reference=2), estimate(0.03, 0.02, 0.04), "lower", "inconclusive"),
        (Demand(from_reference=0.05), estimate(0.88, 0.86, 0.9, reference=0.9), "higher", "accepted"),
        (Demand(from_reference=0.05), estimate(0.7, 0.69, 0.71, reference=0.9), "higher", "refused"),
        (Demand(from_reference=0.05), estimate(0.7, 0.69, 0.71, reference=0.69), "lower", "accepted"),
    ],
)
def test_words(demand, found, better, expected):
    assert word(demand, found, better) == expected


def test_what_was_not_computed_is_never_a_pass():
    missing = Estimate(value=None, not_computed="3 rows are too few")
    verdict = judge({NAME: Demand(at_most=1)}, {NAME: missing}, {NAME: "lower"})
    assert verdict.verdict == "inconclusive"
    assert "3 rows are too few" in verdict.reasons[0]
    assert judge({NAME: Demand(at_most=1)}, {}, {}).verdict == "inconclusive"


def test_nothing_demanded_is_nothing_shown():
    assert judge({}, {NAME: estimate(0.0)}, {NAME: "lower"}).verdict == "inconclusive"


def test_a_broken_contract_refuses():
    verdict = judge({NAME: Demand(at_most=1)}, {NAME: estimate(0.0)}, {NAME: "lower"}, ("age holds -3",))
    assert verdict.verdict == "refused"
    assert "age holds -3" in verdict.reasons[-1]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.2))
def test_a_tighter_demand_is_never_easier(value, limit, width):
    order = ["accepted", "inconclusive", "refused"]
    found = estimate(value, value - width, value + width)
    loose, tight = (order.index(word(Demand(at_most=limit * share), found)) for share in (1.0, 0.5))
    assert tight >= loose


def test_the_best_accepted_model_is_chosen():
    accepted, refused = (Verdict(verdict=each, reasons=(), gates=()) for each in ("accepted", "refused"))
    verdicts = {"a": accepted, "b": accepted, "c": refused}
    estimates = {name: {NAME: estimate(value)} for name, value in {"a": 0.2, "b": 0.1, "c": 0.0}.items()}
    assert choose(verdicts, estimates, NAME, "lower") == "b"
    assert choose(verdicts, estimates, NAME, "higher") == "a"
    assert choose({"c": refused}, estimates, NAME, "lower") is None
    assert overall(verdicts) == "accepted"
    assert overall({"c": refused}) == "refused"


def test_luck_of_the_reference_voids_nothing():
    near = Estimate(
        value=0.0,
        interval=Interval(low=-0.01, high=0.004),
        reference=0.006,
        reference_interval=Interval(low=-0.01, high=0.02),
    )
    assert word(Demand(at_most=0.005), near) == "accepted"
    far = near.model_copy(update={"reference_interval": Interval(low=0.0055, high=0.02)})
    assert word(Demand(at_most=0.005), far) == "invalid"
