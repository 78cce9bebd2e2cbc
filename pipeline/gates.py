"""One demand against one estimate: the place where a figure becomes a word."""

import math
from typing import Literal, NamedTuple

from audit.core import Estimate
from audit.report.document import Gate, GateVerdict, Waiver
from pipeline.spec import Demand

Better = Literal["lower", "higher", "none"]


class Asked(NamedTuple):
    """One gate that counts.

    Attributes:
        metric: Name of the metric, `question.name`.
        demand: What it must show.
        origin: Who demands it.
        waiver: Who waived it; None where nobody did.
    """

    metric: str
    demand: Demand
    origin: Literal["policy", "specification"] = "policy"
    waiver: Waiver | None = None


class Span(NamedTuple):
    """What is judged, turned so that lower is better, and up to where.

    Attributes:
        low: Best end of the interval.
        high: Worst end of it.
        limit: What the worst end may reach; None where there is nothing to measure by.
        fails: Beyond this the best end makes a failure.
        floor: What fresh real rows score at best; None where unknown or where it cannot matter.
    """

    low: float
    high: float
    limit: float | None
    fails: float
    floor: float | None


def gate(asked: Asked, estimate: Estimate | None, better: Better) -> Gate:
    """Judge one demand.

    Passed where the whole interval meets the limit, failed where the whole interval lies beyond the limit (or beyond
    `fails_beyond`, where the demand has one), inconclusive between, and invalid where fresh real rows would miss it.
    """
    name, demand = asked.metric, asked.demand
    if estimate is None or estimate.value is None or not _finite(estimate):
        why = "it was not computed" if estimate is None else estimate.not_computed or "a figure of it is no number"
        return Gate(
            metric=name,
            demand=_words(demand, None),
            verdict="inconclusive",
            origin=asked.origin,
            waiver=asked.waiver,
            sentence=f"{name} has no value: {why}",
        )
    lower = _lower_is_better(demand, better)
    span = _span(demand, estimate, lower)
    verdict, why = _judged(span, estimate)
    sign = 1.0 if lower else -1.0
    bound = None if span.limit is None else _in_units(span.limit, demand, estimate, sign)
    interval = estimate.interval
    ends = "" if interval is None else f" [{_number(interval.low)}, {_number(interval.high)}]"
    text = _words(demand, bound)
    return Gate(
        metric=name,
        demand=text,
        verdict=verdict,
        origin=asked.origin,
        value=estimate.value,
        interval=interval,
        reference=estimate.reference,
        bound=bound,
        fails_beyond=None if span.limit is None else _in_units(span.fails, demand, estimate, sign),
        power=estimate.power or _power(estimate),
        waiver=asked.waiver,
        sentence=f"{name} is {_number(estimate.value)}{ends}, {text}{_beyond(demand)}{_paired(demand, estimate)}{why}",
    )


def _finite(estimate: Estimate) -> bool:
    """Return whether every figure that is judged is a number."""
    figures = [estimate.value, estimate.reference, estimate.gap]
    for interval in (estimate.interval, estimate.reference_interval, estimate.gap_interval):
        figures += [] if interval is None else [interval.low, interval.high]
    return all(math.isfinite(figure) for figure in figures if figure is not None)


def _judged(span: Span, estimate: Estimate) -> tuple[GateVerdict, str]:
    if span.limit is None:
        return "inconclusive", ", but there is no reference: fresh real rows could not be measured"
    if span.floor is not None and span.floor > max(span.limit, span.fails):
        return "invalid", f", but fresh real rows themselves give {_number(estimate.reference)}"
    if span.low > span.fails:
        return "failed", ""
    if span.high <= span.limit:
        return "passed", ""
    return "inconclusive", ": too uncertain to tell" if span.low <= span.limit else ": worse than wanted, no clear fail"


def _span(demand: Demand, estimate: Estimate, lower: bool) -> Span:
    """Turn demand and estimate so that lower is better."""
    sign = 1.0 if lower else -1.0
    assert estimate.value is not None
    if demand.from_reference is not None and estimate.gap is not None and estimate.gap_interval is not None:
        low, high = _ends(estimate.gap, estimate.gap_interval.low, estimate.gap_interval.high, sign)
        fails = demand.from_reference if demand.fails_beyond is None else demand.fails_beyond
        return Span(low, high, demand.from_reference, fails, None)
    interval = estimate.interval
    ends = (estimate.value,) * 2 if interval is None else (interval.low, interval.high)
    low, high = _ends(estimate.value, *ends, sign)
    limits = [_limit(each, demand, estimate, sign) for each in (_asked(demand), demand.fails_beyond)]
    return Span(low, high, limits[0], limits[0] or 0.0 if limits[1] is None else limits[1], _floor(estimate, sign))


def _ends(value: float, first: float, second: float, sign: float) -> tuple[float, float]:
    turned = (sign * value, sign * first, sign * second)
    return min(turned), max(turned)


def _asked(demand: Demand) -> float | None:
    given = (demand.at_most, demand.at_least, demand.times_reference, demand.from_reference)
    return next(each for each in given if each is not None)


def _limit(number: float | None, demand: Demand, estimate: Estimate, sign: float) -> float | None:
    """Return one of the demand's numbers in the metric's units, turned so that lower is better."""
    if number is None or demand.at_most is not None or demand.at_least is not None:
        return None if number is None else sign * number
    if estimate.reference is None:
        return None
    if demand.times_reference is not None:
        return number * estimate.reference
    return sign * estimate.reference + number


def _in_units(turned: float, demand: Demand, estimate: Estimate, sign: float) -> float:
    """Return a turned limit as the metric's own figure, so that it can be drawn beside the value."""
    if demand.from_reference is not None and estimate.gap is not None and estimate.value is not None:
        return estimate.value - estimate.gap + sign * turned
    return sign * turned


def _floor(estimate: Estimate, sign: float) -> float | None:
    """Return the best that fresh real rows may score: their interval's good end, so that luck voids nothing."""
    if estimate.reference is None:
        return None
    interval = estimate.reference_interval
    ends = (estimate.reference,) if interval is None else (estimate.reference, interval.low, interval.high)
    return min(sign * end for end in ends)


def _lower_is_better(demand: Demand, better: Better) -> bool:
    if demand.at_most is not None:
        return True
    return False if demand.at_least is not None else better != "higher"


def _paired(demand: Demand, estimate: Estimate) -> str:
    interval = estimate.gap_interval
    if demand.from_reference is None or estimate.gap is None or interval is None:
        return ""
    return f", found {_number(estimate.gap)} [{_number(interval.low)}, {_number(interval.high)}] from it"


def _power(estimate: Estimate) -> str | None:
    """Say how small a difference the interval could still tell."""
    interval = estimate.gap_interval or estimate.interval
    if interval is None or interval.high == interval.low:
        return None
    return f"differences below {_number((interval.high - interval.low) / 2)} would not have been seen"


def _words(demand: Demand, limit: float | None) -> str:
    result = "" if limit is None else f" = {_number(limit)}"
    if demand.at_most is not None:
        return f"wanted at most {_number(demand.at_most)}"
    if demand.at_least is not None:
        return f"wanted at least {_number(demand.at_least)}"
    if demand.times_reference is not None:
        return f"wanted at most {_number(demand.times_reference)} x fresh real rows{result}"
    return f"wanted within {_number(demand.from_reference)} of fresh real rows{result}"


def _beyond(demand: Demand) -> str:
    return "" if demand.fails_beyond is None else f", fails beyond {_number(demand.fails_beyond)}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
