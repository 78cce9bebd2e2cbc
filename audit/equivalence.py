"""Many ratios of shares against one margin: one value and one interval that say whether all of them lie within.

Two questions are asked of many groups at once, and chance must not answer either. "Is any ratio beyond the margin?" is
answered by lower bounds that are corrected for the number of groups (Bonferroni). "Do all lie within?" needs no such
correction: the largest of the groups' own upper bounds covers the largest true ratio as often as that group's bound
does (intersection-union test: Berger 1982, doi:10.1080/00401706.1982.10487790). It needs groups large enough to show
anything: those for which fresh real rows would all pass are held to it, the others are only looked at for failure, one
by one and pooled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt
from scipy.stats import norm

from audit.core import DETAIL_ROWS, Interval, NotComputable, Row
from audit.intervals import LEVEL, wilson

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LARGEST = 100.0
STEPS = 60


class Margin(BaseModel, frozen=True, extra="forbid"):
    """What counts as alike, and which groups are large enough to be asked.

    Attributes:
        ratio: Largest ratio, either way, that counts as alike: four fifths is 1.25.
        allowance: Difference of two shares that always counts as alike.
        rows: Fewest independent rows on either side of a group that is tested.
        hits: Fewest events, found or to be expected.
        missed: Largest chance that fresh real rows do not show all ratios to be within the margin; it decides how many
            groups are held to it, the best measured first.
    """

    ratio: float = Field(default=1.25, gt=1)
    allowance: float = Field(default=0.0, ge=0, lt=1)
    rows: PositiveInt = 30
    hits: PositiveInt = 10
    missed: float = Field(default=0.03, gt=0, lt=1)


class Counts(NamedTuple):
    """Events and rows of each group on both sides, each of shape (C,), in independent rows.

    Attributes:
        hits: Events among the real rows.
        rows: Real rows.
        hits_synthetic: Events among the synthetic rows.
        rows_synthetic: Synthetic rows.
        expected: Synthetic rows that there would be without any difference.
    """

    hits: Floats
    rows: Floats
    hits_synthetic: Floats
    rows_synthetic: Floats
    expected: Floats


class Ratios(NamedTuple):
    """The ratio synthetic / real of each group, each of shape (C,).

    Attributes:
        ratio: The ratio, at most 100; NaN without events on both sides or without rows on one.
        low: Lower end of its own score interval.
        high: Upper end, at most 100.
        far: The larger of ratio and 1 / ratio, or less where the allowance makes it alike; NaN as the ratio.
        least: Lower bound of that, corrected for the number of groups tested; 1 where not tested.
        most: Its own upper bound.
        tested: Whether the group is large enough to fail.
        held: Whether the value's upper bound covers it: large enough to be shown alike, or seen to differ.
    """

    ratio: Floats
    low: Floats
    high: Floats
    far: Floats
    least: Floats
    most: Floats
    tested: Flags
    held: Flags


def compare(counts: Counts, margin: Margin) -> Ratios:
    """Compare each group's share of events on the two sides."""
    tested = _tested(counts, margin)
    shown = shown_alike(counts, margin)
    point = _ratio(counts)
    alpha = (1 - LEVEL) / 2
    low, high = score_interval(counts, alpha)
    surely_low, surely_high = score_interval(counts, alpha / max(int(tested.sum()), 1))
    away = np.maximum.reduce([surely_low, 1 / np.maximum(surely_high, 1 / LARGEST), np.ones_like(low)])
    # A group inside the margin is no failure, however surely it differs: significance alone alarms about real rows.
    outside = _either_way(point) > margin.ratio
    least = np.where(tested & outside, _lenient(away, counts, margin), 1.0)
    held = shown | (tested & (away > 1) & (least > 1))
    if not shown.any():
        held = held | tested
    return Ratios(
        point,
        low,
        np.minimum(high, LARGEST),
        _lenient(_either_way(point), counts, margin),
        least,
        _lenient(np.maximum(_either_way(low), _either_way(high)), counts, margin),
        tested,
        held,
    )


def together(found: Ratios) -> tuple[float, Interval]:
    """Return the ratio furthest from 1 of the groups that are held, and the interval of the furthest true one.

    Raises:
        NotComputable: If no group is large enough.
    """
    if not (found.held & ~np.isnan(found.far)).any():
        raise NotComputable("no group has enough rows and events on both sides to be compared")
    value = float(np.nanmax(found.far[found.held]))
    low = float(found.least.max())
    high = float(found.most[found.held].max())
    return max(value, low), Interval(low=min(low, value), high=max(high, value, low), level=LEVEL)


def shown_alike(counts: Counts, margin: Margin) -> Flags:
    """Say which groups fresh real rows would show to be alike: the best measured, while none is likely to be missed.

    Only the real side's counts and the number of synthetic rows decide, so that a release cannot shrink a group out of
    sight.
    """
    large = (counts.rows >= margin.rows) & (counts.hits > 0)
    share = (counts.hits + 0.5) / (counts.rows + 1)
    with np.errstate(divide="ignore"):
        error = np.sqrt((1 - share) / share * (1 / counts.rows + 1 / counts.expected))
    z = norm.ppf((1 + LEVEL) / 2)
    over = np.log(np.maximum(margin.ratio, 1 + margin.allowance / share))
    under = np.log(np.maximum(margin.ratio, 1 / np.maximum(1 - margin.allowance / share, 1 / LARGEST)))
    miss = np.where(large, norm.sf(over / error - z) + norm.sf(under / error - z), np.inf)
    order = np.argsort(miss, kind="stable")
    shown = np.zeros(len(miss), dtype=bool)
    shown[order] = np.cumsum(miss[order]) <= margin.missed
    return shown


def pooled(
    counts: Counts, family: NDArray[np.int64], margin: Margin, shares: bool = False
) -> tuple[Counts, list[NDArray[np.int64]]]:
    """Add, for each family of groups, all that are too small to be shown alike as one more group.

    Args:
        counts: The groups.
        family: Which groups are parts of one whole, shape (C,).
        margin: What decides which are too small.
        shares: Whether the groups' rows are all the rows there are, rather than the group's own.

    Returns:
        The groups and the pools after them, and the groups of each pool. Neither a pool of one group nor one that is
        the whole is added.
    """
    small = ~shown_alike(counts, margin)
    pools = [np.flatnonzero(small & (family == each)) for each in np.unique(family)]
    pools = [pool for pool in pools if 1 < len(pool) < int((family == family[pool[0]]).sum())]
    hits = ("hits", "hits_synthetic")
    joined = {
        name: [each[pool[0]] if shares and name not in hits else each[pool].sum() for pool in pools]
        for name, each in counts._asdict().items()
    }
    return Counts(*(np.append(each, joined[name]) for name, each in counts._asdict().items())), pools


def score_interval(counts: Counts, alpha: float) -> tuple[Floats, Floats]:
    """Return bounds of the ratio of two shares, each at error alpha: shapes (C,), in [0, inf].

    Koopman, Confidence intervals for the ratio of two binomial proportions, 1984, doi:10.2307/2531405: the ratios that
    a score test does not reject, found by bisection.
    """
    limit = float(norm.isf(alpha))
    ends = []
    for sign in (1.0, -1.0):
        inside, outside = np.zeros(len(counts.rows)), np.zeros(len(counts.rows))
        inside += np.log(np.maximum(_ratio(counts, 0.5), 1e-9))
        outside += np.where(sign > 0, -30.0, 30.0)
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            rejected = sign * _score(counts, np.exp(middle)) > limit
            outside = np.where(rejected, middle, outside)
            inside = np.where(rejected, inside, middle)
        ends.append(np.exp(inside))
    nothing = (counts.rows <= 0) | (counts.rows_synthetic <= 0)
    low = np.where(nothing | (counts.hits_synthetic <= 0), 0.0, ends[0])
    high = np.where(nothing | (counts.hits <= 0), np.inf, ends[1])
    return low, high


def _score(counts: Counts, ratio: Floats) -> Floats:
    """Return the score statistic of the hypothesis that the true ratio is so large, shape (C,)."""
    n, m = np.maximum(counts.rows_synthetic, 1e-9), np.maximum(counts.rows, 1e-9)
    x, y = counts.hits_synthetic, counts.hits
    a, b = (n + m) * ratio, n * ratio + x + m + y * ratio
    root = np.sqrt(np.maximum(b * b - 4 * a * (x + y), 0.0))
    real = np.clip(2 * (x + y) / np.maximum(b + root, 1e-300), 0.0, 1.0)
    made = np.clip(ratio * real, 0.0, 1.0)
    spread = made * (1 - made) / n + ratio**2 * real * (1 - real) / m
    return (x / n - ratio * y / m) / np.sqrt(np.maximum(spread, 1e-300))


def _tested(counts: Counts, margin: Margin) -> Flags:
    rows = np.minimum(counts.rows, counts.rows_synthetic)
    expected = counts.hits / np.maximum(counts.rows, 1e-9) * counts.expected
    events = np.maximum.reduce([counts.hits, counts.hits_synthetic, expected])
    large: Flags = (rows >= margin.rows) & (events >= margin.hits)
    return large


def _ratio(counts: Counts, more: float = 0.0) -> Floats:
    """Return the ratio of the shares, with so many more events on both sides; NaN where it is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        made = (counts.hits_synthetic + more) / (counts.rows_synthetic + more)
        found = made / ((counts.hits + more) / (counts.rows + more))
    return np.minimum(np.where(np.isnan(found) & (more > 0), 1.0, found), LARGEST)


def _either_way(ratio: Floats) -> Floats:
    """Return the larger of a ratio and its inverse, at most 100; NaN stays."""
    return np.clip(np.maximum(ratio, 1 / np.maximum(ratio, 1 / LARGEST)), 1.0, LARGEST)


def _lenient(far: Floats, counts: Counts, margin: Margin) -> Floats:
    """Let a difference below the allowance weigh as the part of it that it is; a group that is gone gets none."""
    if margin.allowance == 0:
        return far
    made = counts.hits_synthetic / np.maximum(counts.rows_synthetic, 1e-9)
    real = counts.hits / np.maximum(counts.rows, 1e-9)
    difference = np.maximum(made, real) * (1 - 1 / far)
    gone = (counts.hits_synthetic == 0) & (real * counts.expected >= margin.hits)
    alike = (difference <= margin.allowance) & ~gone
    return np.where(alike, np.minimum(far, 1 + (margin.ratio - 1) * difference / margin.allowance), far)


def listed(labels: Sequence[Row], counts: Counts, found: Ratios, margin: Margin) -> tuple[Row, ...]:
    """Return a row for people of each group, those that fail first, then those that are held, the furthest first."""
    rank = np.lexsort((-np.nan_to_num(found.far, nan=0.0), ~found.held, -np.maximum(found.least, margin.ratio)))
    rows = []
    for each in rank[:DETAIL_ROWS]:
        known = not np.isnan(found.ratio[each])
        row: Row = {
            **labels[each],
            "ratio": float(found.ratio[each]) if known else None,
            "low": float(found.low[each]) if known else None,
            "high": float(found.high[each]) if known else None,
        }
        for side, hits, n in (
            ("real", counts.hits[each], counts.rows[each]),
            ("synthetic", counts.hits_synthetic[each], counts.rows_synthetic[each]),
        ):
            row |= {f"share_{side}": float(hits / n) if n > 0 else None}
            if n > 0 and not found.held[each]:
                around = wilson(float(hits), float(n))
                row |= {f"share_{side}_low": around.low, f"share_{side}_high": around.high}
        rows.append({**row, "note": _note(found, int(each), margin)})
    return tuple(rows)


def _note(found: Ratios, group: int, margin: Margin) -> str | None:
    if found.least[group] > margin.ratio:
        return "beyond the margin"
    if found.held[group]:
        return "nothing to compare" if np.isnan(found.far[group]) else None
    return "too small to show" if found.tested[group] else "too small to audit"
