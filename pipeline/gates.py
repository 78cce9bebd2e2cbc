"""Estimates against the spec's demands: the only place that decides."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from audit.core import Estimate
from audit.report.document import Gate, GateVerdict
from pipeline.spec import Demand

Word = Literal["accepted", "refused", "inconclusive", "invalid"]
Better = Literal["lower", "higher", "none"]

DEFAULT_DEMANDS: dict[str, Demand] = {
    "fidelity.column_shapes": Demand(times_reference=3),
    "fidelity.pair_trends": Demand(times_reference=3),
    "utility.train_synthetic_test_real": Demand(from_reference=0.1),
    "bias.group_prevalence": Demand(from_reference=0.1),
    "validity.schema_violations": Demand(at_most=0),
    "privacy.exact_copies": Demand(at_most=0.005),
    "privacy.membership_inference": Demand(at_most=0.6),
}


class Verdict(BaseModel):
    """All gates of one model, and what follows from them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Word
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]


def judge(
    demands: Mapping[str, Demand],
    estimates: Mapping[str, Estimate],
    better: Mapping[str, Better],
    broken_contract: tuple[str, ...] = (),
) -> Verdict:
    """Judge one model.

    Args:
        demands: What is demanded, by metric.
        estimates: What was found, by metric.
        better: Direction of each metric.
        broken_contract: Sentences of the contract that the synthetic rows break; any of them refuses.

    Returns:
        The verdict: invalid before refused before inconclusive before accepted. Nothing demanded is inconclusive.
    """
    gates = tuple(
        _gate(name, demand, estimates.get(name), better.get(name, "lower")) for name, demand in demands.items()
    )
    words = {gate.verdict for gate in gates}
    reasons = tuple(gate.sentence for gate in gates if gate.verdict != "passed")
    reasons += tuple(f"the contract is broken: {sentence}" for sentence in broken_contract)
    if not gates:
        return Verdict(verdict="inconclusive", reasons=("nothing was demanded, so nothing was shown",), gates=())
    if "invalid" in words:
        return Verdict(verdict="invalid", reasons=reasons, gates=gates)
    if "failed" in words or broken_contract:
        return Verdict(verdict="refused", reasons=reasons, gates=gates)
    return Verdict(
        verdict="inconclusive" if "inconclusive" in words else "accepted",
        reasons=reasons or (f"all {len(gates)} demands are met",),
        gates=gates,
    )


def overall(verdicts: Mapping[str, Verdict]) -> Word:
    """Return the run's verdict: accepted if any model is; else the gravest question left open."""
    words = {verdict.verdict for verdict in verdicts.values()}
    for word in ("accepted", "invalid", "inconclusive"):
        if word in words:
            return word
    return "refused"


def choose(
    verdicts: Mapping[str, Verdict], estimates: Mapping[str, Mapping[str, Estimate]], metric: str, better: Better
) -> str | None:
    """Return the accepted model that is best by one metric; the first named wins a tie; None if none is accepted."""
    accepted = [name for name, verdict in verdicts.items() if verdict.verdict == "accepted"]
    sign = -1.0 if better == "higher" else 1.0

    def rank(name: str) -> float:
        estimate = estimates[name].get(metric)
        return float("inf") if estimate is None or estimate.value is None else sign * estimate.value

    return min(accepted, key=rank, default=None)


def _gate(name: str, demand: Demand, estimate: Estimate | None, better: Better) -> Gate:
    """Judge one demand: passed where the whole interval meets it, failed where none of it does."""
    if estimate is None or estimate.value is None:
        why = "it was not computed" if estimate is None else estimate.not_computed
        return Gate(
            metric=name, demand=_words(demand, None), verdict="inconclusive", sentence=f"{name} has no value: {why}"
        )
    limit, lower_is_better = _limit(demand, estimate, better)
    text = _words(demand, limit)
    low, high = estimate.value, estimate.value
    if estimate.interval is not None:
        low, high = min(low, estimate.interval.low), max(high, estimate.interval.high)
    sign = 1.0 if lower_is_better else -1.0
    floor = _floor(estimate, lower_is_better)
    best, worst = (low, high) if lower_is_better else (high, low)
    verdict: GateVerdict
    if limit is None:
        verdict, why = "inconclusive", ", but there is no reference: fresh real rows could not be measured"
    elif floor is not None and sign * floor > sign * limit:
        verdict, why = "invalid", f", but fresh real rows themselves give {_number(estimate.reference)}"
    elif sign * worst <= sign * limit:
        verdict, why = "passed", ""
    elif sign * best > sign * limit:
        verdict, why = "failed", ""
    else:
        verdict, why = "inconclusive", ": too uncertain to tell"
    return Gate(
        metric=name,
        demand=text,
        verdict=verdict,
        value=estimate.value,
        interval=estimate.interval,
        reference=estimate.reference,
        bound=limit,
        sentence=f"{name} is {_number(estimate.value)} [{_number(low)}, {_number(high)}], {text}{why}",
    )


def _floor(estimate: Estimate, lower_is_better: bool) -> float | None:
    """Return the best that fresh real rows may score: their interval's good end, so that luck voids nothing."""
    if estimate.reference is None or estimate.reference_interval is None:
        return estimate.reference
    ends = (estimate.reference, estimate.reference_interval.low, estimate.reference_interval.high)
    return min(ends) if lower_is_better else max(ends)


def _limit(demand: Demand, estimate: Estimate, better: Better) -> tuple[float | None, bool]:
    """Return the limit in the metric's own units, and whether the value must lie below it."""
    if demand.at_most is not None:
        return demand.at_most, True
    if demand.at_least is not None:
        return demand.at_least, False
    lower = better != "higher"
    if estimate.reference is None:
        return None, lower
    if demand.times_reference is not None:
        return demand.times_reference * estimate.reference, lower
    step = demand.from_reference or 0.0
    return estimate.reference + (step if lower else -step), lower


def _words(demand: Demand, limit: float | None) -> str:
    result = "" if limit is None else f" = {_number(limit)}"
    if demand.at_most is not None:
        return f"wanted at most {_number(demand.at_most)}"
    if demand.at_least is not None:
        return f"wanted at least {_number(demand.at_least)}"
    if demand.times_reference is not None:
        return f"wanted at most {_number(demand.times_reference)} x fresh real rows{result}"
    return f"wanted within {_number(demand.from_reference)} of fresh real rows{result}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
