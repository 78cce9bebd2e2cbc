"""Charts drawn as SVG text: intervals against a reference, shares of a column, and a map of pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from audit.report.answers import Answer, Gate
from audit.report.marginals import Marginal
from audit.report.wording import clean, number, percent, tick

LABEL_LENGTH = 16
ROW_HEIGHT = 20
CELL = 22
GAP = 0.6
TICKS = 4
MARK: dict[str, str] = {
    "passed": '<circle class="mark passed" cx="{x}" cy="14" r="5"/>',
    "failed": '<rect class="mark failed" x="{x}" y="9" width="10" height="10" transform="translate(-5)"/>',
    "inconclusive": '<circle class="mark inconclusive" cx="{x}" cy="14" r="4.5"/>',
    "invalid": '<rect class="mark invalid" x="{x}" y="9.5" width="9" height="9" transform="translate(-4.5)"/>',
    "reported": '<circle class="mark reported" cx="{x}" cy="14" r="4"/>',
}


@dataclass(frozen=True)
class Scale:
    """A line of numbers, from `low` at the left edge to `high` at the right."""

    low: float
    high: float

    @classmethod
    def over(cls, answers: Sequence[Answer], bounds: Sequence[float]) -> "Scale":
        """Return a scale that holds every value, interval, reference and bound, and the ideal where it is near."""
        held = list(bounds)
        for answer in answers:
            estimate = answer.estimate
            held += [value for value in (estimate.value, estimate.reference) if value is not None]
            for interval in (estimate.interval, estimate.reference_interval):
                held += [interval.low, interval.high] if interval else []
        low, high = min(held, default=0.0), max(held, default=1.0)
        for ideal in {answer.ideal for answer in answers if np.isfinite(answer.ideal)}:
            if abs(ideal - (low + high) / 2) <= 4 * (high - low) or high == low:
                low, high = min(low, ideal), max(high, ideal)
        pad = 0.05 * (high - low) or 0.05 * max(abs(high), 1.0)
        return cls(low - pad, high + pad)

    def at(self, value: float) -> str:
        """Return where a value lies, as a percentage of the width."""
        return f"{self._place(value):.2f}%"

    def span(self, low: float, high: float) -> tuple[str, str]:
        """Return where a span begins and how wide it is, as percentages of the width."""
        left, right = self._place(low), self._place(high)
        return f"{left:.2f}%", f"{right - left:.2f}%"

    def ticks(self) -> list[float]:
        """Return a few round numbers inside the scale."""
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * lead for lead in (1, 2, 5, 10) if power * lead >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]

    def _place(self, value: float) -> float:
        return float(np.clip(100 * (value - self.low) / (self.high - self.low), 0, 100))


def strip(answer: Answer, gate: Gate | None, status: str, scale: Scale) -> Markup:
    """Draw one estimate: its interval, the band and line of fresh real rows, and the demand's bound."""
    estimate = answer.estimate
    parts: list[Markup] = []
    if estimate.reference_interval is not None:
        x, width = scale.span(estimate.reference_interval.low, estimate.reference_interval.high)
        parts.append(Markup('<rect class="band" x="{}" y="3" width="{}" height="22"/>').format(x, width))
    if estimate.reference is not None:
        x = scale.at(estimate.reference)
        parts.append(Markup('<line class="reference" x1="{0}" x2="{0}" y1="3" y2="25"/>').format(x))
    if gate is not None and gate.bound is not None:
        x = scale.at(gate.bound)
        parts.append(Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="28"/>').format(x))
    parts.append(Markup('<line class="axis" x1="0" x2="100%" y1="27.5" y2="27.5"/>'))
    if estimate.value is not None:
        if estimate.interval is not None:
            low, high = scale.at(estimate.interval.low), scale.at(estimate.interval.high)
            parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="14" y2="14"/>').format(low, high))
        parts.append(Markup(MARK[status].format(x=scale.at(estimate.value))))
    said = f"{number(estimate.value)}, fresh real rows {number(estimate.reference)}"
    return Markup('<svg class="strip" role="img" aria-label="{}" height="28">{}</svg>').format(
        said, Markup("").join(parts)
    )


def axis(scale: Scale) -> Markup:
    """Draw the numbers under the strips."""
    ticks = Markup("").join(
        Markup('<line class="axis" x1="{0}" x2="{0}" y1="0" y2="4"/><text x="{0}" y="15">{1}</text>').format(
            scale.at(place), tick(place)
        )
        for place in scale.ticks()
    )
    return Markup('<svg class="ticks" aria-hidden="true" height="18">{}</svg>').format(ticks)


def shares(marginal: Marginal) -> Markup:
    """Draw one column's real shares with the synthetic ones over them."""
    gaps = [abs(a - b) for a, b in zip(marginal.real, marginal.synthetic, strict=True)]
    widest = int(np.argmax(gaps))
    said = (
        f"{clean(marginal.column, 48)}: {percent(marginal.difference)} of rows differ; widest at "
        f"{clean(marginal.labels[widest], LABEL_LENGTH + 20)}, real {percent(marginal.real[widest])}, "
        f"synthetic {percent(marginal.synthetic[widest])}"
    )
    return _histogram(marginal, said) if marginal.reads == "numbers" else _bars(marginal, said)


def pair_map(columns: Sequence[str], values: dict[tuple[str, str], float], said: str) -> Markup:
    """Draw a triangle of cells, one per pair of columns, darker where the value is higher.

    Args:
        columns: Names along both sides, in order.
        values: One value per pair of names, in either order.
        said: What a screen reader says.
    """
    top = max(values.values(), default=0.0) or 1.0
    parts: list[Markup] = []
    for i, first in enumerate(columns):
        for j, second in enumerate(columns[:i]):
            value = values.get((first, second), values.get((second, first)))
            if value is not None:
                parts.append(
                    Markup(
                        '<rect class="cell" x="{}" y="{}" width="{w}" height="{w}" fill-opacity="{:.2f}">'
                        "<title>{} × {}: {}</title></rect>"
                    ).format(
                        j * CELL,
                        i * CELL,
                        0.06 + 0.94 * max(value, 0) / top,
                        clean(first, LABEL_LENGTH),
                        clean(second, LABEL_LENGTH),
                        number(value),
                        w=CELL - 1,
                    )  # fmt: skip
                )
        label = Markup('<text x="{}" y="{}">{}</text>').format(i * CELL + 4, i * CELL + 15, clean(first, LABEL_LENGTH))
        parts.append(label)
    side = len(columns) * CELL
    return Markup('<svg class="pairs" role="img" aria-label="{}" width="{}" height="{}">{}</svg>').format(
        said, side + 9 * LABEL_LENGTH, side, Markup("").join(parts)
    )


def _histogram(marginal: Marginal, said: str) -> Markup:
    top = max(*marginal.real, *marginal.synthetic) or 1.0
    missing = len(marginal.labels) > 1 and marginal.labels[-1] == "missing"
    lefts = [place + GAP * (missing and place == len(marginal.labels) - 1) for place in range(len(marginal.labels))]
    cells = list(zip(lefts, marginal.labels, marginal.real, marginal.synthetic, strict=True))
    area = "".join(f"M{left} 100V{_level(share, top)}h1V100Z" for left, _, share, _ in cells)
    line = "".join(
        f"M{left} {_level(share, top)}h1" if left in (0, lefts[-1] * missing) else f"V{_level(share, top)}h1"
        for left, _, _, share in cells
    )
    hovers = Markup("").join(
        Markup('<rect x="{}" width="1" height="100"><title>{}: real {}, synthetic {}</title></rect>').format(
            left, clean(label, 40), percent(real), percent(synthetic)
        )
        for left, label, real, synthetic in cells
    )
    return Markup(
        '<svg class="histogram" role="img" aria-label="{}" viewBox="0 0 {} 100" preserveAspectRatio="none">'
        '<path class="real" d="{}"/><path class="made" d="{}"/><g class="hover">{}</g></svg>'
    ).format(said, lefts[-1] + 1, area, line, hovers)


def _level(share: float, top: float) -> str:
    return f"{100 - 96 * share / top:.1f}"


def _bars(marginal: Marginal, said: str) -> Markup:
    top = max(*marginal.real, *marginal.synthetic) or 1.0
    rows = Markup("").join(
        Markup(
            '<g><title>{label}: real {real}, synthetic {made}</title><text x="0" y="{text}">{label}</text>'
            '<rect class="real" x="42%" y="{y}" width="{a:.2f}%" height="14"/>'
            '<rect class="made" x="42%" y="{middle}" width="{b:.2f}%" height="4"/></g>'
        ).format(
            label=clean(label, LABEL_LENGTH),
            real=percent(a),
            made=percent(b),
            text=ROW_HEIGHT * place + 14,
            y=ROW_HEIGHT * place + 3,
            middle=ROW_HEIGHT * place + 8,
            a=57 * a / top,
            b=57 * b / top,
        )  # fmt: skip
        for place, (label, a, b) in enumerate(zip(marginal.labels, marginal.real, marginal.synthetic, strict=True))
    )
    return Markup('<svg class="bars" role="img" aria-label="{}" height="{}">{}</svg>').format(
        said, ROW_HEIGHT * len(marginal.labels), rows
    )
