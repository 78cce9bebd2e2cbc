"""Disparity: how much worse groups fare, or further apart they lie, after synthetic than after real training rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.core import DETAIL_ROWS, Estimate, Evidence, Interval, NotComputable, Row
from audit.goals import two_classes
from audit.intervals import LEVEL, wilson
from audit.learner import Trees
from audit.rates import Groups, Rates, difference, judged, rates
from audit.reference import independent
from audit.trials import Array, Draws, around, margin, trials


class Apart(NamedTuple):
    """How far apart one grouping's rates lie: the synthetic side first, the real one second.

    Attributes:
        column: Name of the grouping.
        crossed: Whether it is two columns.
        means: The difference, of rates averaged over models, shape (2,).
        tested: Variances that the test rows give: of either side, and of the gap; shape (3,).
        fits: The difference of each of the K models, between the groups that are furthest apart on average, shape
            (2, K).
    """

    column: str
    crossed: bool
    means: Array
    tested: Array
    fits: Array

    @property
    def gap(self) -> float:
        """Synthetic minus real."""
        return float(self.means[0] - self.means[1])

    def width(self, comparisons: int = 1, others: bool = False) -> float:
        """Return how far the gap may lie from the truth: see `audit.trials.margin`."""
        return float(margin(self.tested[2], (self.fits[0], self.fits[1]), comparisons, others))


def disparity(evidence: Evidence, kinds: tuple[str, ...], trees: Trees, draws: Draws, groups: Groups) -> Estimate:
    """Return the largest difference of rates between groups, of the grouping that worsens most (see `worst`).

    Of several kinds of rate the larger difference counts.

    Raises:
        NotComputable: If no grouping has two groups that can be judged, or the trials cannot be made.
    """
    found = rates(evidence, trees, draws, groups)
    sides = [
        _Judged(each, at)
        for kind in kinds
        for each, at in zip(found[kind], judged(found[kind], groups.precision), strict=True)
    ]
    count = len(found[kinds[0]])
    apart = [each for place in range(count) if (each := _apart(sides[place::count])) is not None]
    if not apart:
        few = f"{groups.rows} test rows, {groups.cases} of which count for the {kinds[0]}"
        raise NotComputable(f"no sensitive column has two groups of {few}")
    goal = two_classes(evidence)
    tried = trials(evidence, goal, trees, draws)
    answer = worst(apart, tried.trained)
    chosen = next(each.column for each in apart if each.gap == answer.gap)
    worth = independent(tried.test) / len(tried.test)
    detail = (*_columns(apart, sides, chosen), *_listed(sides, chosen, worth))[:DETAIL_ROWS]
    return goal.stated(answer.model_copy(update={"detail": detail}), tried.truth)


def by_group(found: list[Rates], groups: Groups, trained: int, sign: float = 1.0) -> Estimate:
    """Return a score of one group, that which worsens most (see `worst`).

    Args:
        found: The score of each group of each grouping, in place of a rate.
        groups: Which groups are judged.
        trained: How many rows each model was trained on.
        sign: 1 where a lower score is better, -1 where a higher one is.

    Raises:
        NotComputable: If no group can be judged.
    """
    apart, rows = [], []
    small: list[Row] = []
    for each, at in zip(found, judged(found, groups.precision), strict=True):
        for place in range(len(each.names)):
            row: Row = {"column": each.column, "group": each.names[place], "rows": int(each.rows[place])}
            if not at[place]:
                small.append({**row, "note": "too small to audit"})
                continue
            drawn, fits = each.drawn[:, :, place], each.fits[:, :, place]
            tested = np.array([*drawn.var(axis=1, ddof=1), (drawn[0] - drawn[1]).var(ddof=1)])
            apart.append(Apart(each.column, each.crossed, fits.mean(axis=1), tested, fits))
            rows.append(row | _told(apart[-1]))
    if not apart:
        raise NotComputable(f"no sensitive group has {groups.rows} test rows, {groups.cases} of them of either class")
    order = np.argsort([-sign * each.gap for each in apart], kind="stable")
    answer = worst(apart, trained, sign)
    small = sorted(small, key=lambda row: -int(row["rows"] or 0))
    return answer.model_copy(update={"detail": (*(rows[place] for place in order), *small)[:DETAIL_ROWS]})


def worst(apart: list[Apart], trained: int, sign: float = 1.0) -> Estimate:
    """Return the answer for that of several that worsens most from real to synthetic training rows.

    Sensitive columns count each; a pair of them, of thinner groups and more than anyone declared, counts where it
    worsens beyond doubt by more than other real rows would let it. The gap's interval holds the largest worsening of
    all that count: its worse end is the worst end of any of their intervals between these two tables, for all must be
    within a limit to keep it; its better end the worst after Bonferroni and with the luck of other training rows, for
    what other real rows would exceed too is no fault of the synthetic ones.

    Args:
        apart: What is compared, at least one.
        trained: How many rows each model was trained on.
        sign: 1 where lower is better, -1 where higher is.
    """
    many = len(apart)
    counted = [each for each in apart if not each.crossed or sign * each.gap > each.width(many, others=True)] or apart
    chosen = max(counted, key=lambda each: sign * each.gap)
    best = max(sign * each.gap - each.width(many, others=True) for each in counted)
    ends = sign * max(best, -1.0), sign * min(max(sign * each.gap + each.width() for each in counted), 1.0)
    own = [float(margin(chosen.tested[side], (chosen.fits[side],), others=True)) for side in (0, 1)]
    return Estimate(
        value=float(chosen.means[0]),
        interval=around(float(chosen.means[0]), own[0], 0, 1),
        reference=float(chosen.means[1]),
        reference_interval=around(float(chosen.means[1]), own[1], 0, 1),
        gap=chosen.gap,
        gap_interval=Interval(low=min(ends), high=max(ends), level=LEVEL),
        rows=trained,
    )


def _told(apart: Apart) -> Row:
    score = around(float(apart.means[0]), float(margin(apart.tested[0], (apart.fits[0],), others=True)), 0, 1)
    width = apart.width()
    row: Row = {"rate": float(apart.means[0]), "low": score.low, "high": score.high}
    return row | {
        "reference": float(apart.means[1]),
        "gap": apart.gap,
        "gap_low": apart.gap - width,
        "gap_high": apart.gap + width,
    }


class _Judged(NamedTuple):
    """Rates, and which of the groups are judged by them, shape (G,)."""

    rates: Rates
    at: NDArray[np.bool_]


def _apart(kinds: list[_Judged]) -> Apart | None:
    """Measure one grouping by one or several kinds of rate; None if none of them has two judged groups."""
    enough = [each for each in kinds if each.at.sum() >= 2]
    if not enough:
        return None
    means = np.stack([difference(each.rates.means[:, each.at]) for each in enough])
    drawn = np.stack([difference(each.rates.drawn[:, :, each.at]) for each in enough]).max(axis=0)
    fits = np.empty(enough[0].rates.fits.shape[:2])
    for side in (0, 1):
        larger = enough[int(np.argmax(means[:, side]))]
        middle = larger.rates.means[side, larger.at]
        of_fits = larger.rates.fits[side][:, larger.at]
        fits[side] = of_fits[:, np.argmax(middle)] - of_fits[:, np.argmin(middle)]
    tested = np.array([*drawn.var(axis=1, ddof=1), (drawn[0] - drawn[1]).var(ddof=1)])
    return Apart(enough[0].rates.column, enough[0].rates.crossed, means.max(axis=0), tested, fits)


def _columns(apart: list[Apart], sides: list[_Judged], chosen: str) -> list[Row]:
    """Return one row per grouping, the chosen one first, the worse before the others: differences, gap and interval."""
    rows: list[Row] = []
    for each in sorted(apart, key=lambda each: (each.column != chosen, -each.gap)):
        width = each.width()
        both = {"difference": float(each.means[0]), "reference": float(each.means[1])}
        rows.append({"column": each.column, **both, "gap": each.gap, "gap_low": each.gap - width})
        rows[-1]["gap_high"] = each.gap + width
    known = {each.column for each in apart}
    names = dict.fromkeys(each.rates.column for each in sides)
    return rows + [{"column": name, "note": "too small to audit"} for name in names if name not in known]


def _listed(sides: list[_Judged], worst: str, worth: float) -> list[Row]:
    """Return one row per group and kind of rate: those judged first, the worst grouping's before the others'."""
    rows: list[tuple[bool, bool, bool, int, Row]] = []
    several = len({each.rates.kind for each in sides}) > 1
    for found, at in sides:
        for place in np.flatnonzero(found.rows):
            row: Row = {"column": found.column, "group": found.names[place], "rows": int(found.rows[place])}
            row |= {"measure": found.kind} if several else {}
            rank = (not at[place], found.column != worst, found.crossed, -int(found.rows[place]))
            if not found.enough[place]:
                rows.append((*rank, {**row, "note": "too small to audit"}))
                continue
            cases, (rate, reference) = int(found.cases[place]), found.means[:, place]
            score = wilson(float(rate) * cases * worth, cases * worth)
            row |= {"cases": cases, "rate": float(rate), "low": score.low, "high": score.high}
            row |= {"reference": float(reference)}
            row |= {} if at[place] else {"note": "too few to judge its change"}
            rows.append((*rank, row))
    return [row for *_, row in sorted(rows, key=lambda each: each[:4])]
