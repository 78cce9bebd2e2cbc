"""Charts drawn as SVG text: intervals against a reference, and shares of a column."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from audit.report.answers import Answer, Gate
from audit.report.frame import Axis
from audit.report.marginals import Marginal
from audit.report.wording import clean, number, percent

LABEL_LENGTH = 16
ROW_HEIGHT = 20
GAP = 0.6
MARK: dict[str, str] = {
    "passed": '<circle class="mark passed" cx="{x}" cy="14" r="5"/>',
    "failed": '<rect class="mark failed" x="{x}" y="9" width="10" height="10" transform="translate(-5)"/>',
    "inconclusive": '<circle class="mark inconclusive" cx="{x}" cy="14" r="4.5"/>',
    "invalid": '<rect class="mark invalid" x="{x}" y="9.5" width="9" height="9" transform="translate(-4.5)"/>',
    "reported": '<circle class="mark reported" cx="{x}" cy="14" r="4"/>',
}


def scale(answers: Sequence[Answer], bounds: Sequence[float]) -> Axis:
    """Return an axis that holds every value, interval, reference and bound, and the ideal where it is near."""
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
    return Axis("", low - pad, high + pad)


def strip(answer: Answer, gate: Gate | None, status: str, axis: Axis) -> Markup:
    """Draw one estimate: its interval, the band and line of fresh real rows, and the demand's bound."""
    estimate = answer.estimate
    parts: list[Markup] = []
    if estimate.reference_interval is not None:
        x, width = axis.span(estimate.reference_interval.low, estimate.reference_interval.high)
        parts.append(Markup('<rect class="band" x="{}" y="3" width="{}" height="22"/>').format(x, width))
    if estimate.reference is not None:
        x = axis.at(estimate.reference)
        parts.append(Markup('<line class="reference" x1="{0}" x2="{0}" y1="3" y2="25"/>').format(x))
    if gate is not None and gate.bound is not None:
        x = axis.at(gate.bound)
        parts.append(Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="28"/>').format(x))
    parts.append(Markup('<line class="axis" x1="0" x2="100%" y1="27.5" y2="27.5"/>'))
    if estimate.value is not None:
        if estimate.interval is not None:
            low, high = axis.at(estimate.interval.low), axis.at(estimate.interval.high)
            parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="14" y2="14"/>').format(low, high))
        parts.append(Markup(MARK[status].format(x=axis.at(estimate.value))))
    said = f"{number(estimate.value)}, fresh real rows {number(estimate.reference)}"
    return Markup('<svg class="strip" role="img" aria-label="{}" height="28">{}</svg>').format(
        said, Markup("").join(parts)
    )


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
