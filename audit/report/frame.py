"""The frame of a chart: axes with round ticks, a grid, and lines drawn inside it at any width of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from audit.report.wording import clean, tick

WIDTH = 1_000
TICKS = 5
MOST_POINTS = 120
LABEL_HEIGHT = 0.075

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    Attributes:
        title: What it measures.
        low: The value at its beginning.
        high: The value at its end.
        log: Whether equal ratios are equally long.
        unit: How its numbers are written.
    """

    title: str
    low: float
    high: float
    log: bool = False
    unit: Literal["number", "percent"] = "number"

    @classmethod
    def over(cls, title: str, values: Sequence[float], unit: Literal["number", "percent"] = "number") -> "Axis":
        """Return an even axis from zero, or below it, to a little above every value."""
        low, high = min((*values, 0.0)), max((*values, 0.0))
        high = high + 0.08 * (high - low) if high > low else low + 1.0
        return cls(title, low - 0.05 * (high - low) * (low < 0), high, unit=unit)

    def place(self, value: float) -> float:
        """Return where a value lies, in [0, 1]; what lies outside is drawn at the edge."""
        if self.log:
            value = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            value = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, value))

    def at(self, value: float) -> str:
        """Return where a value lies, as a percentage of the length."""
        return f"{100 * self.place(value):.2f}%"

    def span(self, low: float, high: float) -> tuple[str, str]:
        """Return where a span begins and how long it is, as percentages of the length."""
        return self.at(low), f"{100 * (self.place(high) - self.place(low)):.2f}%"

    def ticks(self) -> list[tuple[float, str]]:
        """Return a few round numbers inside the axis, and how they are written."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            found: list[float] = []
            for leads in ((1,), (1, 2, 5), (1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 9)):
                places = [lead * 10.0**power for power in range(first, last + 1) for lead in leads]
                found = [place for place in places if self.low * 0.999 <= place <= self.high * 1.001]
                if len(found) > 2:
                    break
        else:
            rough = (self.high - self.low) / TICKS
            power = 10.0 ** math.floor(math.log10(rough))
            step = next(power * lead for lead in (1, 2, 5, 10) if power * lead >= rough * 0.999)
            found = [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]
        return [(place, self.said(place)) for place in found]

    def said(self, value: float) -> str:
        """Return how a place on the axis is written."""
        return tick(float(f"{100 * value:.6g}")) + " %" if self.unit == "percent" else tick(float(f"{value:.6g}"))


def ticks(axis: Axis) -> Markup:
    """Draw the numbers under a row of strips."""
    return Markup('<svg class="ticks" aria-hidden="true" height="18">{}</svg>').format(
        _joined(
            [
                Markup('<line class="axis" x1="{0}" x2="{0}" y1="0" y2="4"/><text x="{0}" y="15">{1}</text>').format(
                    axis.at(place), words
                )
                for place, words in axis.ticks()
            ]
        )
    )


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: What it stands for; written beside it where `label` says so.
        points: Where it runs, from left to right.
        style: Its class in the style sheet.
        label: On which side of the line its name stands.
        at: How far along the chart its name stands, in [0, 1].
        dots: Whether its points are marked.
    """

    name: str
    points: tuple[Point, ...]
    style: str
    label: Literal["above", "below", "none"] = "above"
    at: float = 0.5
    dots: bool = False


@dataclass(frozen=True)
class Limit:
    """A level that is drawn across the whole chart, with its name."""

    name: str
    value: float
    style: str = "bound"


def chart(
    x: Axis, y: Axis, lines: Sequence[Line], said: str, limits: Sequence[Limit] = (), band: Sequence[Point] = ()
) -> Markup:
    """Draw lines over a grid; the text keeps its size whatever the width.

    Args:
        x: The axis along the bottom.
        y: The axis up the left side.
        lines: The lines, the last on top.
        said: What a screen reader says.
        limits: Levels across the chart.
        band: The outline of a shaded area.
    """
    inner = [_path("area", _outline(x, y, band), closed=True)] if band else []
    inner += [_path(line.style, _outline(x, y, thinned(line.points))) for line in lines if len(line.points) > 1]
    over = [
        Markup('<circle class="dot {}" cx="{:.2f}%" cy="{:.2f}%" r="3.5"/>').format(
            line.style, 100 * x.place(a), 100 - 100 * y.place(b)
        )
        for line in lines
        if line.dots or len(line.points) == 1
        for a, b in thinned(line.points)
    ]
    return Markup(
        '<div class="plot"><p class="y-title" aria-hidden="true">{}</p><svg class="lines" role="img" aria-label="{}" '
        'height="250">{}{}<svg aria-hidden="true" width="100%" height="100%" viewBox="0 0 {w} {w}" '
        'preserveAspectRatio="none">{}</svg>{}{}</svg><p class="x-title" aria-hidden="true">{}</p></div>'
    ).format(
        y.title, clean(said), _grid(x, y), _limits(y, limits), _joined(inner), _joined(over), _names(x, y, lines),
        x.title, w=WIDTH,
    )  # fmt: skip


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most so many points as can be told apart, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(place * step)] for place in range(MOST_POINTS)]


def _joined(parts: Sequence[Markup]) -> Markup:
    return Markup("").join(parts)


def _outline(x: Axis, y: Axis, points: Sequence[Point]) -> list[tuple[int, int]]:
    drawn = [(round(WIDTH * x.place(a)), round(WIDTH * (1 - y.place(b)))) for a, b in points]
    return [place for k, place in enumerate(drawn) if k == 0 or place != drawn[k - 1]]


def _path(style: str, outline: Sequence[tuple[int, int]], closed: bool = False) -> Markup:
    way = "L".join(f"{a} {b}" for a, b in outline)
    return Markup('<path class="{}" d="M{}{}"/>').format(style, way, "Z" if closed else "")


def _grid(x: Axis, y: Axis) -> Markup:
    parts = []
    for value, words in x.ticks():
        place = x.at(value)
        parts.append(
            Markup(
                '<line class="axis" x1="{0}" x2="{0}" y1="0" y2="100%"/><text class="tick" x="{0}" y="100%" dy="17" '
                'text-anchor="middle">{1}</text>'
            ).format(place, words)
        )
    for value, words in y.ticks():
        place = f"{100 - 100 * y.place(value):.2f}%"
        parts.append(
            Markup(
                '<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/><text class="tick" x="0" y="{0}" dx="-8" '
                'dy="4" text-anchor="end">{1}</text>'
            ).format(place, words)
        )
    return _joined(parts)


def _limits(y: Axis, limits: Sequence[Limit]) -> Markup:
    return _joined(
        [
            Markup(
                '<line class="{style}" x1="0" x2="100%" y1="{at:.2f}%" y2="{at:.2f}%"/><text class="name {style}" '
                'x="100%" y="{at:.2f}%" dx="-6" dy="-5" text-anchor="end">{name}</text>'
            ).format(style=limit.style, at=100 - 100 * y.place(limit.value), name=clean(limit.name, 48))
            for limit in limits
            if y.low <= limit.value <= y.high
        ]
    )


def _names(x: Axis, y: Axis, lines: Sequence[Line]) -> Markup:
    """Write each line's name beside it; names that would touch are moved apart."""
    placed: list[Point] = []
    parts = []
    for line in lines:
        if line.label == "none" or not line.points:
            continue
        points = [(x.place(a), y.place(b)) for a, b in line.points]
        place = min(range(len(points)), key=lambda k: abs(points[k][0] - line.at))
        across, height = points[place]
        before, after = points[max(0, place - 1)], points[min(len(points) - 1, place + 1)]
        rises, above = after[1] >= before[1], line.label == "above"
        down = min(0.97, max(0.06, 1 - height + (-0.035 if above else 0.085)))
        step = LABEL_HEIGHT if down < 0.5 else -LABEL_HEIGHT
        for _ in range(len(placed)):
            if any(abs(down - other) < LABEL_HEIGHT and abs(across - beside) < 0.35 for beside, other in placed):
                down = min(0.98, max(0.05, down + step))
        placed.append((across, down))
        anchor = "end" if rises == above else "start"
        anchor = "start" if across < 0.25 else "end" if across > 0.75 else anchor
        parts.append(
            Markup('<text class="name {}" x="{:.2f}%" y="{:.2f}%" text-anchor="{}">{}</text>').format(
                line.style, 100 * across, 100 * down, anchor, clean(line.name, 48)
            )
        )
    return _joined(parts)
