"""The leaderboard as a picture: fidelity against membership leakage, the size of a dot its time of training."""

from math import log10
from typing import NamedTuple
from xml.sax.saxutils import escape

from benchmarks.board.cells import DONE, Cell, Record

WIDE, HIGH, LEFT, TOP, RIGHT, BOTTOM = 620, 480, 62, 46, 20, 52
PANELS_A_ROW = 2
LEGEND = 46
LINE = 13
LETTER = 6.1
SHIFTS = range(-HIGH, HIGH, 2)
COLOURS = {"anchor": "#777777", "ours": "#1f6fb2", "peer": "#d1710f"}
WORDS = {"anchor": "real rows", "ours": "this project", "peer": "peers"}
SIZES = {"1 s": 1.0, "1 min": 60.0, "10 min": 600.0}


class Dot(NamedTuple):
    """One generator in a panel, in pixels.

    Attributes:
        name: Its name.
        side: Whose it is.
        x: From the left.
        y: From the top.
        radius: By its time of training.
    """

    name: str
    side: str
    x: float
    y: float
    radius: float


def plot(record: Record) -> str:
    """Return the picture as SVG, one panel a table."""
    tables = list(record.splits)
    across = min(PANELS_A_ROW, max(len(tables), 1))
    down = -(-len(tables) // across) if tables else 1
    width, height = across * WIDE, down * HIGH + LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for place, table in enumerate(tables):
        shift = f"translate({place % across * WIDE} {place // across * HIGH})"
        parts += [f'<g transform="{shift}">', *_panel(record, table), "</g>"]
    parts += [f'<g transform="translate(0 {down * HIGH})">', *_legend(), "</g>", "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(record: Record, table: str) -> list[str]:
    cells = [cell for cell in record.cells if cell.table == table and cell.ended == DONE and _place(cell) is not None]
    # Anchors that leak on purpose stand at the upper edge with their figure, or the others would lie on one line.
    leaks = [place[1] for cell in cells if cell.side != "anchor" and (place := _place(cell)) is not None]
    low, high = max(min([0.48, *leaks]), 0.3) - 0.005, max([0.54, *leaks]) + 0.01
    parts = [f'<text x="{LEFT}" y="24" font-size="14" font-weight="bold">{escape(table)}</text>', *_axes(low, high)]
    dots = [_dot(cell, low, high) for cell in cells]
    for dot in dots:
        parts.append(
            f'<circle cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="{dot.radius:.1f}" fill="{COLOURS[dot.side]}" '
            f'fill-opacity="0.45" stroke="{COLOURS[dot.side]}"><title>{escape(dot.name)}</title></circle>'
        )
    return parts + _labels(dots)


def _place(cell: Cell) -> tuple[float, float] | None:
    told, leak = (cell.figures[name].value if name in cell.figures else None for name in ("c2st", "membership_auc"))
    return None if told is None or leak is None else (told, leak)


def _dot(cell: Cell, low: float, high: float) -> Dot:
    told, leak = _place(cell) or (0.5, 0.5)
    x = LEFT + (min(max(told, 0.48), 1.0) - 0.48) / 0.52 * (WIDE - LEFT - RIGHT)
    y = TOP + (high - min(leak, high)) / (high - low) * (HIGH - TOP - BOTTOM)
    name = cell.model if leak <= high else f"{cell.model}: {leak:.2f} ↑"
    return Dot(name, cell.side, x, y, _radius(cell.fit_cpu or 0.0))


def _radius(seconds: float) -> float:
    return 4 + 4 * log10(1 + seconds)


def _axes(low: float, high: float) -> list[str]:
    bottom, end = HIGH - BOTTOM, WIDE - RIGHT
    parts = []
    for told in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        x = LEFT + (told - 0.48) / 0.52 * (end - LEFT)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{told:g}</text>')
    step = 0.02 if high - low < 0.15 else 0.1
    for turn in range(int(low / step) + 1, int(high / step) + 1):
        y = TOP + (high - turn * step) / (high - low) * (bottom - TOP)
        colour = "#999999" if abs(turn * step - 0.5) < 1e-9 else "#e4e4e4"
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{end}" y2="{y:.1f}" stroke="{colour}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{turn * step:.2f}</text>')
    middle = TOP + (bottom - TOP) / 2
    return [
        *parts,
        f'<text x="{(LEFT + end) / 2}" y="{HIGH - 16}" text-anchor="middle">'
        "C2ST AUC against unseen real rows (0.5: cannot be told apart)</text>",
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">'
        "membership AUC (0.5: no leak found)</text>",
    ]


def _labels(dots: list[Dot]) -> list[str]:
    """Write names beside their dots, each at the nearest height where it covers no other name and no dot."""
    taken = [(dot.x - dot.radius, dot.x + dot.radius, dot.y + 4) for dot in dots]
    parts = []
    for dot in sorted(dots, key=lambda each: (each.y, each.x)):
        long = LETTER * len(dot.name)
        left = dot.x + dot.radius + 3
        if left + long > WIDE:
            left = dot.x - dot.radius - 3 - long
        beside = [at for start, end, at in taken if left < end and start < left + long]
        y = min(
            (dot.y + 4 + shift for shift in SHIFTS if TOP < dot.y + 4 + shift < HIGH - BOTTOM - 4),
            key=lambda at: (any(abs(at - other) < LINE for other in beside), abs(at - dot.y - 4)),
        )
        taken.append((left, left + long, y))
        if abs(y - 4 - dot.y) > LINE - 4:
            near = left if left > dot.x else left + long
            parts.append(f'<line x1="{dot.x:.1f}" y1="{dot.y:.1f}" x2="{near:.1f}" y2="{y - 4:.1f}" stroke="#bbbbbb"/>')
        colour = COLOURS[dot.side]
        parts.append(f'<text x="{left:.1f}" y="{y:.1f}" fill="{colour}">{escape(dot.name)}</text>')
    return parts


def _legend() -> list[str]:
    parts, x = [], float(LEFT)
    for side, colour in COLOURS.items():
        parts.append(f'<circle cx="{x:.0f}" cy="20" r="6" fill="{colour}" fill-opacity="0.45" stroke="{colour}"/>')
        parts.append(f'<text x="{x + 11:.0f}" y="24">{WORDS[side]}</text>')
        x += 92
    for words, seconds in SIZES.items():
        radius = _radius(seconds)
        parts.append(f'<circle cx="{x:.0f}" cy="20" r="{radius:.1f}" fill="none" stroke="#555555"/>')
        parts.append(f'<text x="{x + radius + 4:.0f}" y="24">{words}</text>')
        x += 66
    return [*parts, f'<text x="{x:.0f}" y="24">fit, CPU time</text>']
