"""What two releases' audits found, side by side: which metric is worse or better by more than chance would explain."""

import math
from collections.abc import Collection, Mapping
from statistics import NormalDist
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from audit.core import Estimate, Interval

Better = Literal["lower", "higher", "none"]
Word = Literal["worse", "better", "no difference shown", "not comparable"]
ORDER: tuple[Word, ...] = ("worse", "not comparable", "better", "no difference shown")
LEVEL = 0.05
Figure = tuple[float, Interval]


class Drift(BaseModel):
    """One metric of two releases.

    Attributes:
        metric: Its name, `question.name`.
        before: Its value in the first release; None where there is none.
        after: Its value in the second.
        difference: After minus before; where fresh real rows score otherwise in both, of what lies between them and the
            value.
        interval: Where the true difference lies.
        p: How likely a difference of that size is where there is none, two-sided; None where nothing was compared.
        word: What follows. `no difference shown` is not a proof that there is none: the interval says how large it may
            still be.
        sentence: The same for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    before: float | None
    after: float | None
    difference: float | None = None
    interval: Interval | None = None
    p: float | None = None
    word: Word
    sentence: str


class Alarm(BaseModel):
    """Whether anything that is demanded is worse, all comparisons taken together.

    Attributes:
        level: How often at most an alarm is raised where nothing changed.
        compared: How many comparisons count.
        worse: What is worse at that level.
        sentence: The same for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = LEVEL
    compared: int
    worse: tuple[str, ...]
    sentence: str


def compare(
    before: Mapping[str, Estimate],
    after: Mapping[str, Estimate],
    better: Mapping[str, Better],
    exact: Collection[str] = (),
) -> tuple[Drift, ...]:
    """Compare what two audits found, metric by metric.

    The interval of a difference adds the two half-widths in quadrature, each side by itself (Zou & Donner,
    Construction of confidence limits about effect measures, 2008, doi:10.1002/sim.3095); both audits are held to be
    independent, which is cautious where they share real rows. Where fresh real rows score otherwise in one audit than
    in the other, as they do where there are more or fewer of them, the value's distance from them is compared. Each
    difference is looked at by itself: of forty metrics that did not change, about two are expected to look as if they
    had. `alarm` is for all of them together.

    Args:
        before: Estimates of the first release, by metric.
        after: Estimates of the second.
        better: Direction of each metric.
        exact: Metrics that are counts over all rows, whose value is certain without an interval.

    Returns:
        One comparison for every metric of either: what is worse first, then what cannot be compared.
    """
    names = dict.fromkeys([*before, *after])
    found = [_drift(name, before.get(name), after.get(name), better.get(name, "none"), name in exact) for name in names]
    return tuple(sorted(found, key=lambda each: ORDER.index(each.word)))


def alarm(drifts: Collection[Drift], gates: Collection[str], others: Mapping[str, float] | None = None) -> Alarm:
    """Say whether any gate is worse beyond chance, with all gates of one comparison taken together.

    Each p-value is corrected for their number as Holm does (A simple sequentially rejective multiple test procedure,
    1979, Scandinavian Journal of Statistics 6, 65-70), so that where nothing changed at most one comparison in twenty
    raises an alarm, however many gates there are.

    Args:
        drifts: What `compare` found.
        gates: Metrics that have a gate; no other counts.
        others: What is compared besides, with its p-value: a small one is worse.
    """
    counted = {each.metric: each for each in drifts if each.metric in gates and each.p is not None}
    found = {name: each.p for name, each in counted.items() if each.p is not None} | dict(others or {})
    significant = holm(found)
    worse = tuple(name for name in significant if name not in counted or counted[name].word == "worse")
    compared = f"{len(found)} {'gate' if len(found) == 1 else 'gates'} compared together at {LEVEL:.0%} (Holm)"
    verb = "are" if len(worse) > 1 else "is"
    sentence = f"{compared}: {', '.join(worse) or 'none'} {verb} worse than chance explains"
    return Alarm(compared=len(found), worse=worse, sentence=sentence)


def holm(found: Mapping[str, float], level: float = LEVEL) -> tuple[str, ...]:
    """Return the names whose p-values are significant together, the smallest first (Holm's step-down procedure)."""
    significant: list[str] = []
    for place, name in enumerate(sorted(found, key=lambda name: found[name])):
        if found[name] > level / (len(found) - place):
            break
        significant.append(name)
    return tuple(significant)


def _drift(name: str, before: Estimate | None, after: Estimate | None, better: Better, exact: bool) -> Drift:
    values = [None if each is None else each.value for each in (before, after)]
    why = _incomparable(before, after, better, exact)
    if why is not None or before is None or after is None or before.value is None or after.value is None:
        sentence = f"{name} cannot be compared: {why}"
        return Drift(metric=name, before=values[0], after=values[1], word="not comparable", sentence=sentence)
    figures, of_what = _figures(before, after)
    gap = figures[1][0] - figures[0][0]
    interval = _difference(*figures)
    word: Word = "no difference shown"
    if interval.low > 0 or interval.high < 0:
        word = "worse" if (interval.low > 0) == (better == "lower") else "better"
    return Drift(
        metric=name,
        before=before.value,
        after=after.value,
        difference=gap,
        interval=interval,
        p=_p(gap, interval),
        word=word,
        sentence=f"{name} is {after.value:.4g}, was {before.value:.4g}: {word} "
        f"({gap:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}]{of_what})",
    )


def _incomparable(before: Estimate | None, after: Estimate | None, better: Better, exact: bool) -> str | None:
    """Say why two estimates cannot be compared; None where they can."""
    for each, when in ((before, "first"), (after, "second")):
        if each is None:
            return f"the {when} release does not have it"
        if each.value is None:
            return f"it was not computed for the {when} release: {each.not_computed}"
        if each.interval is None and not exact:
            return f"the {when} release has no interval for it"
    return "neither a higher nor a lower value is better" if better == "none" else None


def _figures(before: Estimate, after: Estimate) -> tuple[tuple[Figure, Figure], str]:
    """Return what is compared, and what it is: the values, or their distances from fresh real rows that moved too.

    A metric whose noise floor moves with the number of rows, or whose real rows are others, says nothing by its value.
    """
    first, second = _distance(before), _distance(after)
    if first is not None and second is not None and _floor_moved(before, after):
        return (
            first,
            second,
        ), f" from fresh real rows, which score {after.reference:.4g} and scored {before.reference:.4g}"
    return (_value(before), _value(after)), ""


def _value(estimate: Estimate) -> Figure:
    assert estimate.value is not None
    return estimate.value, estimate.interval or Interval(low=estimate.value, high=estimate.value)


def _distance(estimate: Estimate) -> Figure | None:
    """Return value minus reference with its interval: the paired one where there is one; None without a reference."""
    if estimate.gap is not None and estimate.gap_interval is not None:
        return estimate.gap, estimate.gap_interval
    if estimate.value is None or estimate.reference is None or estimate.reference_interval is None:
        return None
    floor = (estimate.reference, estimate.reference_interval)
    return estimate.value - estimate.reference, _difference(floor, _value(estimate))


def _floor_moved(before: Estimate, after: Estimate) -> bool:
    """Return whether fresh real rows score otherwise in one audit than in the other."""
    if before.reference is None or after.reference is None:
        return False
    if before.reference_interval is None or after.reference_interval is None:
        return False
    floor = _difference((before.reference, before.reference_interval), (after.reference, after.reference_interval))
    return not floor.low <= 0 <= floor.high


def _difference(first: Figure, second: Figure) -> Interval:
    """Return the interval of the second value minus the first."""
    (a, of_a), (b, of_b) = first, second
    low = b - a - float(np.hypot(b - of_b.low, of_a.high - a))
    high = b - a + float(np.hypot(of_b.high - b, a - of_a.low))
    return Interval(low=low, high=high, level=min(of_a.level, of_b.level))


def _p(gap: float, interval: Interval) -> float:
    """Return the two-sided p-value that an interval of a difference stands for, by the half of it that faces zero."""
    half = gap - interval.low if gap > 0 else interval.high - gap
    if half <= 0 or gap == 0:
        return 1.0 if gap == 0 else 0.0
    z = abs(gap) / half * NormalDist().inv_cdf((1 + interval.level) / 2)
    return math.erfc(z / math.sqrt(2))
