"""The place that decides: every word, in both directions, with and without interval and reference."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.core import Estimate, Interval
from audit.report.document import NotAsked, Waiver
from pipeline.gates import Asked, gate
from pipeline.spec import Demand
from pipeline.verdicts import SELF_TEST, Findings, Verdict, choose, judge, overall

NAME = "fidelity.column_shapes"
TODAY = date(2030, 6, 1)


def estimate(value, low=None, high=None, reference=None):
    interval = None if low is None else Interval(low=low, high=high)
    return Estimate(value=value, interval=interval, reference=reference)


def judged(demands, estimates, better="lower", controls=None, **found):
    asked = [each if isinstance(each, Asked) else Asked(*each) for each in demands]
    names = dict.fromkeys(SELF_TEST, "lower") | dict.fromkeys([*estimates, *(each.metric for each in asked)], better)
    run = {**right_controls(asked), **(controls or {})}
    return judge(asked, Findings(estimates=estimates, controls=run, **found), names, TODAY)


def right_controls(asked):
    """Return estimates by which every control goes as it must."""
    wrong = {name: estimate(1_000, 999, 1_001, reference=0.1) for name in SELF_TEST}
    return {
        "fresh": {each.metric: met(each.demand) for each in asked},
        **dict.fromkeys(("copy", "paste", "shuffled"), wrong),
    }


def met(demand):
    if demand.at_most is not None:
        return estimate(demand.at_most - 1)
    if demand.at_least is not None:
        return estimate(demand.at_least + 1)
    return estimate(1, reference=1) if demand.from_reference is not None else estimate(0, reference=1)


def word(demand, found, better="lower"):
    return judged([(NAME, demand)], {NAME: found}, better).verdict


def gap(low, value, high, reference=0.9):
    interval = Interval(low=reference + low, high=reference + high)
    paired = {"gap": value, "gap_interval": Interval(low=low, high=high)}
    return Estimate(value=reference + value, interval=interval, reference=reference, **paired)


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
        (Demand(from_reference=0.02, fails_beyond=0.05), gap(-0.03, -0.01, 0.01), "higher", "inconclusive"),
        (Demand(from_reference=0.02, fails_beyond=0.05), gap(-0.015, -0.01, 0.01), "higher", "accepted"),
        (Demand(from_reference=0.02, fails_beyond=0.05), gap(-0.049, -0.045, -0.041), "higher", "inconclusive"),
        (Demand(from_reference=0.02, fails_beyond=0.05), gap(-0.08, -0.07, -0.051), "higher", "refused"),
        (Demand(from_reference=0.05), gap(0.06, 0.08, 0.1), "lower", "refused"),
        (Demand(from_reference=0.05), gap(-0.3, -0.2, -0.1), "lower", "accepted"),
        (
            Demand(times_reference=2, fails_beyond=3),
            estimate(0.05, 0.045, 0.055, reference=0.02),
            "lower",
            "inconclusive",
        ),
        (Demand(times_reference=2, fails_beyond=3), estimate(0.07, 0.061, 0.08, reference=0.02), "lower", "refused"),
        (Demand(at_most=0.005, fails_beyond=0.002), estimate(0.003, 0.0025, 0.004), "lower", "refused"),
        (Demand(at_most=0.005, fails_beyond=0.002), estimate(0.001, -0.001, 0.004), "lower", "accepted"),
        (Demand(at_most=0.005, fails_beyond=0.002), estimate(0.001, -0.01, 0.01), "lower", "inconclusive"),
        (Demand(at_most=0.6, fails_beyond=0.8), estimate(0.7, 0.69, 0.71, reference=0.65), "lower", "inconclusive"),
        (Demand(at_most=0.2, fails_beyond=1), estimate(0.4), "lower", "inconclusive"),
    ],
)
def test_words(demand, found, better, expected):
    assert word(demand, found, better) == expected


def test_what_was_not_computed_is_never_a_pass():
    missing = Estimate(value=None, not_computed="3 rows are too few")
    verdict = judged([(NAME, Demand(at_most=1))], {NAME: missing})
    assert verdict.verdict == "inconclusive"
    assert "3 rows are too few" in verdict.reasons[0]
    assert judged([(NAME, Demand(at_most=1))], {}).verdict == "inconclusive"


def test_nothing_demanded_is_nothing_shown():
    assert judged([], {NAME: estimate(0.0)}).verdict == "inconclusive"


def test_a_broken_contract_refuses():
    verdict = judged([(NAME, Demand(at_most=1))], {NAME: estimate(0.0)}, broken_contract=("age holds -3",))
    assert verdict.verdict == "refused"
    assert "age holds -3" in verdict.reasons[-1]


def test_a_rule_that_real_rows_break_is_the_first_reason():
    rule = "rule 'age > 200' is wrong, not the synthetic rows: 100.0% of the real rows that it applies to break it"
    bad = judged([(NAME, Demand(at_most=1))], {NAME: estimate(2.0)}, broken_contract=("age is 3",), wrong_rules=(rule,))
    assert bad.reasons[0] == rule
    good = judged([(NAME, Demand(at_most=1))], {NAME: estimate(0.0)}, wrong_rules=(rule,))
    assert (good.verdict, good.reasons) == ("accepted", (rule, "all 1 demands are met"))


def test_a_gate_says_how_small_a_difference_it_would_have_missed():
    found = gate(Asked(NAME, Demand(at_most=0.1)), estimate(0.05, 0.04, 0.06), "lower")
    assert found.power == "differences below 0.01 would not have been seen"
    for unsaid in (estimate(0.05), estimate(0.0, 0.0, 0.0)):
        assert gate(Asked(NAME, Demand(at_most=0.1)), unsaid, "lower").power is None


def test_the_bound_of_a_paired_demand_is_drawn_beside_the_value():
    found = gate(Asked(NAME, Demand(from_reference=0.02, fails_beyond=0.05)), gap(-0.01, 0.0, 0.01), "higher")
    assert (found.bound, found.fails_beyond) == (pytest.approx(0.88), pytest.approx(0.85))


def waiver(expires):
    return Waiver(reason="the count is known to be small", author="A. Founder", expires=expires)


@pytest.mark.parametrize(("expires", "expected"), [(TODAY, "accepted"), (date(2030, 5, 31), "refused")])
def test_a_waiver_counts_until_its_day(expires, expected):
    good, bad = ("fidelity.pair_trends", Demand(at_most=1)), Asked(NAME, Demand(at_most=0), "policy", waiver(expires))
    verdict = judged([good, bad], {NAME: estimate(0.5), "fidelity.pair_trends": estimate(0.1)})
    assert verdict.verdict == expected
    assert verdict.gates[1].verdict == "failed"
    assert verdict.gates[1].waiver == (waiver(expires) if expected == "accepted" else None)
    assert any("expired on 2030-05-31" in reason for reason in verdict.reasons) == (expected == "refused")


def test_all_gates_waived_is_nothing_demanded():
    bad = Asked(NAME, Demand(at_most=0), "policy", waiver(TODAY))
    assert judged([bad], {NAME: estimate(0.0)}).verdict == "inconclusive"


GOOD = estimate(0.0, -0.001, 0.001, reference=0.0)
COPIED = estimate(1.0, 0.9, 1.0, reference=0.0)


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ({"fresh": {NAME: GOOD}}, "accepted"),
        ({"fresh": {NAME: COPIED}}, "invalid"),
        ({"fresh": {NAME: estimate(0.1, -0.2, 0.4)}}, "inconclusive"),
        ({"copy": {"privacy.exact_copies": COPIED, "privacy.membership_epsilon": estimate(0.0)}}, "accepted"),
        ({"copy": {"privacy.exact_copies": GOOD, "privacy.membership_epsilon": estimate(5.0)}}, "accepted"),
        ({"copy": {"privacy.exact_copies": GOOD, "privacy.membership_epsilon": estimate(0.0)}}, "invalid"),
        ({"paste": {"privacy.exact_copies": GOOD, "privacy.membership_epsilon": estimate(0.5)}}, "inconclusive"),
        ({"copy": {}}, "inconclusive"),
    ],
)
def test_a_wrong_control_voids_the_audit_and_an_open_one_leaves_it_open(controls, expected):
    verdict = judged([(NAME, Demand(at_most=0.1))], {NAME: GOOD}, controls=controls)
    assert verdict.verdict == expected
    assert len(verdict.controls) == 4
    right = {"accepted": True, "invalid": False, "inconclusive": None}[expected]
    assert [each.right for each in verdict.controls if each.name in controls] == [right]
    if right is not True:
        assert any("control" in reason for reason in verdict.reasons)


def test_a_void_audit_refuses_nothing():
    verdict = judged([(NAME, Demand(at_most=0.1))], {NAME: COPIED}, controls={"fresh": {NAME: COPIED}})
    assert verdict.verdict == "invalid"
    verdict = judged([(NAME, Demand(at_most=0.1))], {NAME: GOOD}, contaminated="the holdout holds training rows")
    assert (verdict.verdict, verdict.reasons[0]) == ("invalid", "the holdout holds training rows")


def test_a_table_without_pairs_is_not_put_to_the_control_of_pairs():
    missing = tuple(
        NotAsked(metric=name, reason="one column") for name in ("fidelity.pair_trends", "fidelity.worst_pair")
    )
    nothing = Estimate(value=None, not_computed="one column")
    asked = [Asked(NAME, Demand(at_most=0.1))]
    controls = right_controls(asked) | {"shuffled": {each.metric: nothing for each in missing}}
    found = Findings(estimates={NAME: GOOD}, controls=controls)
    verdict = judge(asked, found, dict.fromkeys([NAME, *SELF_TEST], "lower"), TODAY, missing)
    assert verdict.verdict == "accepted"
    assert [each.name for each in verdict.controls] == ["fresh", "copy", "paste"]


def test_a_control_that_was_not_run_leaves_the_audit_open():
    asked = [Asked(NAME, Demand(at_most=0.1))]
    better = dict.fromkeys([NAME, *SELF_TEST], "lower")
    verdict = judge(asked, Findings(estimates={NAME: GOOD}), better, TODAY)
    assert verdict.verdict == "inconclusive"
    assert [each.right for each in verdict.controls] == [None] * 4


@pytest.mark.parametrize("interval", [(float("nan"), 1.0), (0.0, float("nan"))])
def test_what_is_no_number_never_passes(interval):
    found = estimate(0.001).model_copy(update={"interval": Interval.model_construct(low=interval[0], high=interval[1])})
    assert gate(Asked(NAME, Demand(at_most=1)), found, "lower").verdict == "inconclusive"


def test_the_generators_own_gates_are_not_put_to_rows_in_its_place():
    asked = [Asked(NAME, Demand(at_most=0.1)), Asked("privacy.canaries", Demand(at_most=0.2))]
    found = {NAME: GOOD, "privacy.canaries": estimate(0.0)}
    verdict = judged(asked, found, controls={"fresh": {NAME: GOOD}})
    assert verdict.verdict == "accepted"


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
