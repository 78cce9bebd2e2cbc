"""What two releases' audits found, side by side: which metric is worse or better by more than chance would explain."""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from audit.core import Estimate, Interval

Better = Literal["lower", "higher", "none"]
Word = Literal["worse", "better", "no difference shown", "not comparable"]
ORDER: tuple[Word, ...] = ("worse", "not comparable", "better", "no difference shown")


class Drift(BaseModel):
    """One metric of two releases.

    Attributes:
        metric: Its name, `question.name`.
        before: Its value in the first release; None where there is none.
        after: Its value in the second.
        difference: After minus before.
        interval: Where the true difference lies.
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
    word: Word
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
    independent, which is cautious where they share real rows. Each difference is looked at by itself: of forty metrics
    that did not change, about two are expected to look as if they had.

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


def worsened(drifts: Collection[Drift]) -> bool:
    """Return whether any metric is worse by more than chance would explain."""
    return any(each.word == "worse" for each in drifts)


def _drift(name: str, before: Estimate | None, after: Estimate | None, better: Better, exact: bool) -> Drift:
    values = [None if each is None else each.value for each in (before, after)]
    why = _incomparable(before, after, better, exact)
    if why is not None or before is None or after is None or before.value is None or after.value is None:
        sentence = f"{name} cannot be compared: {why}"
        return Drift(metric=name, before=values[0], after=values[1], word="not comparable", sentence=sentence)
    interval = _difference(
        (before.value, before.interval or Interval(low=before.value, high=before.value)),
        (after.value, after.interval or Interval(low=after.value, high=after.value)),
    )
    rises, falls = interval.low > 0, interval.high < 0
    word: Word = "no difference shown"
    if rises or falls:
        word = "worse" if rises == (better == "lower") else "better"
    return Drift(
        metric=name,
        before=before.value,
        after=after.value,
        difference=after.value - before.value,
        interval=interval,
        word=word,
        sentence=f"{name} is {after.value:.4g}, was {before.value:.4g}: {word} "
        f"({after.value - before.value:+.4g} [{interval.low:+.4g}, {interval.high:+.4g}])",
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
    if better == "none":
        return "neither a higher nor a lower value is better"
    return None if before is None or after is None else _other_floor(before, after)


def _other_floor(before: Estimate, after: Estimate) -> str | None:
    """Say so where fresh real rows score otherwise in one release than in the other; None where that is not shown.

    A metric whose noise floor moves with the number of rows, or whose real rows are others, says nothing of the model.
    """
    if before.reference is None or after.reference is None:
        return None
    if before.reference_interval is None or after.reference_interval is None:
        return None
    floor = _difference((before.reference, before.reference_interval), (after.reference, after.reference_interval))
    if floor.low <= 0 <= floor.high:
        return None
    return f"fresh real rows score {after.reference:.4g}, and scored {before.reference:.4g}"


def _difference(first: tuple[float, Interval], second: tuple[float, Interval]) -> Interval:
    """Return the interval of the second value minus the first."""
    (a, of_a), (b, of_b) = first, second
    low = b - a - float(np.hypot(b - of_b.low, of_a.high - a))
    high = b - a + float(np.hypot(of_b.high - b, a - of_a.low))
    return Interval(low=low, high=high, level=min(of_a.level, of_b.level))
