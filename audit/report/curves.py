"""Pictures of an estimate's curves: attacks as ROC, leaks that would have been seen, and anything else as lines."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from audit.core import Estimate
from audit.report.answers import Gate
from audit.report.bars import Bar, bars
from audit.report.frame import Axis, Limit, Line, Point, chart, thinned
from audit.report.panel import Cell, Panel, Table
from audit.report.wording import clean, limit, number, percent

MADE, FRESH = "synthetic rows", "fresh real rows"
LOW, HIGH = "control, low", "control, high"
POWER = "power"
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
SMALLEST_RATE = 0.001
STYLES = ("made", "fresh", "third", "fourth", "fifth")
MOST_LINES = 5

Curves = Mapping[str, Sequence[Point]]


def pictures(estimate: Estimate, gate: Gate | None, metric: str) -> list[Panel]:
    """Draw an estimate's curves: what they are is told by their names, else by the metric."""
    by_name: Curves = {curve.name: list(zip(curve.x, curve.y, strict=False)) for curve in estimate.curves if curve.x}
    if MADE in by_name and FRESH in by_name and metric.startswith("privacy.") and _are_shares(by_name):
        return [_roc(by_name), *_low_rates(by_name)]
    if metric == "fidelity.subsample_equivalence" and by_name.keys() >= {MADE, FRESH} and estimate.value is not None:
        return [_subsample(by_name, estimate)]
    if POWER in by_name:
        return [_power(by_name[POWER], gate)]
    return [_plain(by_name)] if by_name else []


def _are_shares(curves: Curves) -> bool:
    return all(0 <= a <= 1.000001 and 0 <= b <= 1.000001 for points in curves.values() for a, b in points)


def _roc(curves: Curves) -> Panel:
    least = min((a for a, b in curves[MADE] if a >= SMALLEST_RATE), default=SMALLEST_RATE)
    start = next(edge for edge in (0.01, 0.001) if edge <= max(least, SMALLEST_RATE) * 1.001)
    axes = (
        Axis("false positives (log scale)", start, 1, log=True, unit="percent"),
        Axis("true positives (log scale)", start / 2, 1, log=True, unit="percent"),
    )
    low, high = _positive(curves.get(LOW, ())), _positive(curves.get(HIGH, ()))
    lines = [
        Line("chance", ((SMALLEST_RATE, SMALLEST_RATE), (1, 1)), "chance", "none"),
        Line(FRESH, tuple(_positive(curves[FRESH])), "fresh", "below", 0.6),
        Line(MADE, tuple(_positive(curves[MADE])), "made", "above", 0.4),
    ]
    table = _rates_table(curves)
    said = "; ".join(
        f"at {percent(rate)} false positives, {percent(_at(curves[MADE], rate))} of the members are found, "
        f"{percent(_at(curves[FRESH], rate))} in the control"
        for rate in (0.01, 0.1)
    )
    return Panel(
        title="Who can be found in the training rows",
        reads="The higher the coloured line lies above the shaded band of fresh real rows, the more members of the "
        "training rows the attack finds; on the dotted diagonal it guesses.",
        drawing=chart(*axes, lines, f"ROC curves on logarithmic axes: {said}", band=[*high, *reversed(low)]),
        table=table,
    )


def _low_rates(curves: Curves) -> list[Panel]:
    smallest = min((a for a, _ in curves[MADE] if a > 0), default=1.0)
    rates = [rate for rate in RATES if rate >= smallest * 0.999]
    rows = [
        Bar(
            f"at {percent(rate)}",
            _at(curves[MADE], rate),
            _at(curves[FRESH], rate),
            f"{percent(_at(curves[MADE], rate))}, fresh {percent(_at(curves[FRESH], rate))}",
        )
        for rate in rates
    ]
    if not rows:
        return []
    return [
        Panel(
            title="Members found at few false alarms",
            reads="Each coloured bar is the share of members found when the attack may accuse so few non-members; a "
            "leak of few rows shows here first, as a bar longer than the grey one of fresh real rows.",
            drawing=bars(rows),
            table=_rates_table(curves),
        )
    ]


def _rates_table(curves: Curves) -> Table:
    band = [name for name in (LOW, HIGH) if name in curves]
    rows: list[dict[str, Cell]] = [
        {
            "false positives": percent(rate),
            **{name: percent(_at(curves[name], rate)) for name in (MADE, FRESH, *band)},
        }
        for rate in RATES
    ]
    return Table.of(rows)


def _power(points: Sequence[Point], gate: Gate | None) -> Panel:
    limits = []
    if gate is not None and gate.bound is not None:
        limits.append(Limit(f"passes up to {limit(gate.bound)}", gate.bound))
    if gate is not None and gate.fails_beyond is not None and gate.fails_beyond != gate.bound:
        limits.append(Limit(f"fails beyond {limit(gate.fails_beyond)}", gate.fails_beyond, "fails"))
    positive = [(a, b) for a, b in points if a > 0]
    spread = len(positive) > 1 and positive[-1][0] / positive[0][0] >= 5
    title = "share of training rows pasted into the release"
    if spread:
        x = Axis(title + " (log scale)", positive[0][0] / 1.15, positive[-1][0] * 1.15, log=True, unit="percent")
    else:
        x = Axis.over(title, [a for a, _ in points], "percent")
    y = Axis.over("ε lower bound", [*(b for _, b in points), *(limit.value for limit in limits)])
    shown = positive if spread else list(points)
    seen = smallest_seen(points, gate)
    return Panel(
        title="What this audit could have seen",
        reads="Training rows were pasted into the release on purpose, from few to many; a leak as small as the place "
        "where the line first crosses a limit would have been noticed, a smaller one would not.",
        drawing=chart(x, y, [Line("bound found", tuple(shown), "made", "above", 0.9, dots=True)], seen, limits),
        table=Table.of([{"pasted": percent(a), "ε lower bound": b} for a, b in points]),
        spoken=seen,
    )


def smallest_seen(points: Sequence[Point], gate: Gate | None) -> str:
    """Return what the power curve says as a sentence: the smallest share of pasted rows that fails or stays open."""
    if gate is None or gate.bound is None:
        return f"The bound rises to {number(max((b for _, b in points), default=0.0))}."
    bound = gate.bound
    crossed = next((share for share, found in sorted(points) if found > bound), None)
    if crossed is None:
        return f"None of the leaks tried, up to {percent(max(a for a, _ in points))} of the rows, would have been seen."
    return f"The smallest leak tried that would not have passed is {percent(crossed)} of the rows."


def _subsample(curves: Curves, estimate: Estimate) -> Panel:
    points, (place, height) = sorted(curves[FRESH]), curves[MADE][0]
    heights = [max(b, 1e-9) for _, b in points] + [max(height, 1e-9)]
    x = Axis("share of the real rows (log scale)", min(a for a, _ in points), 1, log=True, unit="percent")
    y = Axis("distance of pairs (log scale)", min(heights) / 1.2, max(heights) * 1.2, log=True)
    lines = [
        Line("parts of the real rows", tuple(points), "fresh", "above", 0.5),
        Line(MADE, ((place, height),), "made", "above", dots=True),
    ]
    interval = estimate.interval
    range_ = "" if interval is None else f" (95 % interval {percent(interval.low)} to {percent(interval.high)})"
    spoken = (
        f"By pairs of columns, the synthetic rows are as good as a {percent(estimate.value)} subsample of as many real "
        f"rows{range_}."
    )
    return Panel(
        title="As good as how few real rows?",
        reads="The line shows how far ever smaller parts of the real rows lie from other real rows; the dot lies where "
        "the synthetic rows do, and the place under it is the subsample that they equal.",
        drawing=chart(x, y, lines, spoken, [Limit("", height, "guide")]),
        table=Table.of([{"share of real rows": percent(a), "distance": b} for a, b in points]),
        spoken=spoken,
    )


def _plain(curves: Curves) -> Panel:
    named = list(curves.items())[:MOST_LINES]
    xs, ys = ([point[place] for _, points in named for point in points] for place in (0, 1))
    unit = "percent" if max(xs) <= 1 and min(xs) >= 0 else "number"
    positive = [x for x in xs if x > 0]
    x = Axis.over(
        "share of the real rows" if unit == "percent" else "", xs, "percent" if unit == "percent" else "number"
    )
    if len(positive) == len(xs) and max(xs) / min(xs) >= 20:
        x = Axis(x.title + " (log scale)", min(xs), max(xs), log=True, unit=x.unit)
    y = Axis.over("", ys)
    lines = [
        Line(name, tuple(sorted(points)), STYLES[place], "above" if place % 2 == 0 else "below", 0.7)
        for place, (name, points) in enumerate(named)
    ]
    said = "; ".join(
        f"{clean(name, 48)} runs from {number(points[0][1])} to {number(points[-1][1])}" for name, points in named
    )
    rows: list[dict[str, Cell]] = [
        {"line": name, "at": a, "value": b} for name, points in named for a, b in thinned(points)
    ]
    return Panel(
        title="As a curve",
        reads="Each line is named where it runs; the nearer the lines, the more alike.",
        drawing=chart(x, y, lines, said),
        table=Table.of(rows),
    )


def _at(points: Sequence[Point], rate: float) -> float:
    """Return the height of a curve at a place, along the straight line between its neighbours."""
    before = (0.0, 0.0)
    for (a, b), (c, d) in pairwise([before, *sorted(points)]):
        if c >= rate:
            return b if c == a else b + (d - b) * (rate - a) / (c - a)
    return points[-1][1] if points else 0.0


def _positive(points: Sequence[Point]) -> list[Point]:
    """Return the points that a logarithmic chart can hold, the low ones lifted to its edge."""
    return [(a, max(b, SMALLEST_RATE)) for a, b in points if a >= SMALLEST_RATE]
