"""Bars beside names: a coloured bar for the synthetic rows over a grey one for the real rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from audit.report.wording import clean

NAME_LENGTH = 120


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its length, the length of the grey bar behind it, and its figures in words."""

    name: str
    value: float
    reference: float | None
    figures: str


def bars(rows: Sequence[Bar]) -> Markup:
    """Draw bars from zero as a list, each under its own name so that long names fit on a phone.

    Args:
        rows: The bars; negative lengths are drawn as none.
    """
    top = max([max(row.value, row.reference or 0.0) for row in rows], default=0.0) or 1.0
    return Markup('<ul class="barlist">{}</ul>').format(Markup("").join(_bar(row, top) for row in rows))


def _bar(row: Bar, top: float) -> Markup:
    behind = Markup("")
    if row.reference is not None:
        behind = Markup('<rect class="real" width="{:.2f}%" height="10"/>').format(100 * max(row.reference, 0.0) / top)
    return Markup(
        '<li><bdi>{name}</bdi> <span class="figures">{figures}</span><svg aria-hidden="true" height="10">'
        '<rect class="rail" width="100%" height="10"/>{behind}<rect class="made" y="3" width="{width:.2f}%" '
        'height="4"/></svg></li>'
    ).format(
        name=clean(row.name, NAME_LENGTH),
        figures=clean(row.figures, 60),
        behind=behind,
        width=100 * max(row.value, 0.0) / top,
    )
