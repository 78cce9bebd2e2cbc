"""A map of pairs of columns: how many times the noise floor each pair differs from real rows."""

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from audit.core import Row
from audit.report.panel import Panel, Table
from audit.report.wording import clean, number

CELL = 22
NAME = 16
MAPPED = 30
WORST = 5
SIDE_BY_SIDE = 12
FEWEST = 3
COVERAGE = 0.6
STEPS = ((1.5, "up to 1.5"), (2.0, "1.5 to 2"), (3.0, "2 to 3"), (5.0, "3 to 5"), (float("inf"), "over 5"))

Pair = tuple[str, str]


def pair_panels(rows: Sequence[Row], columns: Sequence[str]) -> list[Panel]:
    """Draw the pairs as a map, and list the worst.

    Args:
        rows: Rows of a detail.
        columns: The table's columns, in order.

    Returns:
        Nothing where the rows are not most pairs of some of the table's columns.
    """
    known = set(columns)
    told = {pair: row for row in rows if (pair := _pair(row, known))}
    ratios = {pair: ratio for pair, row in told.items() if (ratio := _ratio(row)) is not None}
    named = _named(ratios, columns)
    inside = sum(set(pair) <= set(named) for pair in ratios)
    if len(told) != len(rows) or len(named) < FEWEST or inside < COVERAGE * len(named) * (len(named) - 1) / 2:
        return []
    worst = sorted(ratios, key=lambda pair: -ratios[pair])[:WORST]
    (first, second), top = worst[0], ratios[worst[0]]
    return [
        Panel(
            title="Pairs of columns, in noise floors",
            reads="Each cell is a pair: 1 means that the synthetic rows differ from real ones no more than other real "
            "rows do, and the stronger its colour, the more times as much.",
            spoken=f"The worst pair, {clean(first, 40)} with {clean(second, 40)}, differs {number(top)} times as much "
            "as two sets of real rows do.",
            drawing=_map(named, ratios),
            table=Table.of([dict(told[pair]) for pair in sorted(ratios, key=lambda pair: -ratios[pair])], 40),
            wide=len(named) > SIDE_BY_SIDE,
        ),
        Panel(
            title=f"The {len(worst)} worst pairs",
            reads="A distance is the share of rows that would have to change cell in the pair’s joint table; the "
            "ratio sets it against the same distance between two sets of real rows.",
            table=Table.of([{**told[pair], "ratio": ratios[pair]} for pair in worst]),
            leads=True,
        ),
    ]


def _pair(row: Row, columns: set[str]) -> Pair | None:
    first, second = row.get("first"), row.get("second")
    if isinstance(first, str) and isinstance(second, str) and {first, second} <= columns and first != second:
        return first, second
    return None


def _ratio(row: Row) -> float | None:
    ratio, distance, reference = (row.get(key) for key in ("ratio", "distance", "reference"))
    if isinstance(ratio, int | float):
        return float(ratio)
    if isinstance(distance, int | float) and isinstance(reference, int | float) and reference > 0:
        return float(distance) / float(reference)
    return None


def _named(ratios: dict[Pair, float], columns: Sequence[str]) -> list[str]:
    """Return the columns of the map in the table's order: those of most pairs, then of the worst ones."""
    count = Counter(name for pair in ratios for name in pair)
    worst = {name: max(ratio for pair, ratio in ratios.items() if name in pair) for name in count}
    kept = set(sorted(count, key=lambda name: (-count[name], -worst[name]))[:MAPPED])
    return [name for name in columns if name in kept]


def _map(named: Sequence[str], ratios: dict[Pair, float]) -> Markup:
    parts = []
    for i, first in enumerate(named):
        for j, second in enumerate(named[:i]):
            ratio = ratios.get((first, second), ratios.get((second, first)))
            if ratio is not None:
                parts.append(
                    Markup(
                        '<rect class="h{step}" x="{x}" y="{y}" width="{w}" height="{w}" rx="2"><title>{a} × {b}: '
                        "{ratio}</title></rect>"
                    ).format(
                        step=_step(ratio),
                        x=j * CELL,
                        y=i * CELL,
                        w=CELL - 2,
                        a=clean(first, NAME),
                        b=clean(second, NAME),
                        ratio=number(ratio),
                    )  # fmt: skip
                )
        parts.append(Markup('<text x="{}" y="{}">{}</text>').format(i * CELL + 4, i * CELL + 15, clean(first, NAME)))
    side = len(named) * CELL
    above = sum(ratio > STEPS[1][0] for ratio in ratios.values())
    drawn = Markup('<svg class="pairs" role="img" aria-label="{}" width="{}" height="{}">{}</svg>').format(
        f"{len(ratios)} pairs of columns; {above} of them differ more than twice as much as two sets of real rows do",
        side + 9 * NAME,
        side,
        Markup("").join(parts),
    )
    return Markup('<div class="scroll" role="region" aria-label="Map of pairs" tabindex="0">{}</div>{}').format(
        drawn, _legend()
    )


def _legend() -> Markup:
    steps = Markup("").join(
        Markup('<span><svg width="16" height="16" aria-hidden="true"><rect class="h{}" width="16" height="16" rx="2"/>'
               "</svg> {}</span>").format(place, words)
        for place, (_, words) in enumerate(STEPS)
    )  # fmt: skip
    return Markup('<p class="legend">Times the noise floor: {}</p>').format(steps)


def _step(ratio: float) -> int:
    return next(place for place, (most, _) in enumerate(STEPS) if ratio <= most)
