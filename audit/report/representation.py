"""A latent space as one self-contained page: its rows in two dimensions, and what a linear model reads off it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from audit.report.frame import Axis, ticks
from audit.report.page import environment
from audit.report.panel import Cell, Table
from audit.report.wording import clean, number, percent
from audit.representation import Figure, Probe, Representation

MOST_POINTS = 2_000
MARGIN = 0.04
FLATTEST, TALLEST = 0.45, 1.1
SHAPES = (
    '<circle r="3.5"/>',
    '<path d="M-3.3 -3.3h6.6v6.6h-6.6Z"/>',
    '<path d="M0 -4.4L4.2 3.2H-4.2Z"/>',
    '<path d="M0 -4.6L4.6 0L0 4.6L-4.6 0Z"/>',
    '<path d="M0 4.4L4.2 -3.2H-4.2Z"/>',
    '<path d="M-1.2 -4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8Z"/>',
    '<circle r="2.2"/>',
)
MEASURES = {
    "AUC": (
        "Columns of two classes: AUC",
        "The chance that a row of the one class is given a higher score than a row of the other; 0.5 is guessing.",
    ),
    "accuracy": (
        "Columns of more classes: share of rows given their class",
        "The dotted line is the share that always saying the most frequent class gets right.",
    ),
    "R²": (
        "Numbers: R² of their normal scores",
        "1 is a perfect prediction, 0 no better than the mean; below 0 it is worse.",
    ),
}


@dataclass(frozen=True)
class Strip:
    """One column's row: its name, picture, and figures in words."""

    column: str
    drawing: Markup
    codes: str
    others: str


@dataclass(frozen=True)
class Group:
    """The probes of one measure: title, how to read it, rows, the numbers under them, and the same as a table."""

    title: str
    reads: str
    strips: tuple[Strip, ...]
    axis: Markup
    table: Table


def render(found: Representation, model: str, run: str) -> str:
    """Return the page; the same representation gives the same page.

    Args:
        found: What was found.
        model: Name of the model.
        run: The run that it is of.
    """
    shown = np.flatnonzero(np.arange(found.rows) < MOST_POINTS)
    used = [code for code in range(found.coloured.size) if (found.coloured.codes[0][shown] == code).any()]
    return (
        environment()
        .get_template("representation.html")
        .render(
            found=found,
            model=model,
            run=run,
            points=len(shown),
            legend=[(_mark(found, code), found.coloured.names[code]) for code in used],
            drawing=_scatter(found, shown),
            said=_said(found),
            table=_table(found, used),
            groups=[_group(measure, found.probes) for measure in MEASURES if _of(measure, found.probes)],
        )
    )


def explained(found: Representation) -> float:
    """Return the share of the points' spread that lies between the colours, in [0, 1]."""
    codes = found.coloured.codes[0]
    centred = found.places - found.places.mean(axis=0)
    total = float((centred**2).sum())
    between = sum(
        float((codes == code).sum() * (centred[codes == code].mean(axis=0) ** 2).sum()) for code in np.unique(codes)
    )
    return between / total if total else 0.0


def _said(found: Representation) -> str:
    first, second = found.shares
    return (
        f"The two directions hold {percent(first)} and {percent(second)} of the codes’ variance; "
        f"{percent(explained(found))} of the spread of the points lies between the colours."
    )


def _style(found: Representation, code: int) -> tuple[str, int]:
    """Return the colour and the shape of a code: bins of a number in the order of a ramp, missing in grey."""
    if code == found.coloured.size - 1:
        return "c6", len(SHAPES) - 1
    return f"{'o' if found.colour.is_number else 'c'}{code}", code


def _mark(found: Representation, code: int) -> Markup:
    colour, shape = _style(found, code)
    return Markup(
        '<svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true"><g class="{}">{}</g></svg>'
    ).format(colour, Markup(SHAPES[shape]))


def _scatter(found: Representation, shown: NDArray[np.int64]) -> Markup:
    """Draw the rows as marks, as far apart across as up; the marks keep their size whatever the width."""
    places = found.places[shown]
    low, high = places.min(axis=0), places.max(axis=0)
    across = float(high[0] - low[0]) or 1.0
    height = min(max(float(high[1] - low[1]) / across, FLATTEST), TALLEST) * across
    middle = (low + high) / 2
    x = (places[:, 0] - middle[0]) / across * (1 - 2 * MARGIN) + 0.5
    y = 0.5 - (places[:, 1] - middle[1]) / height * (1 - 2 * MARGIN)
    marks = Markup("").join(
        Markup('<use href="#m{}" x="{:.1f}%" y="{:.1f}%"/>').format(code, 100 * a, 100 * b)
        for a, b, code in zip(x, y, found.coloured.codes[0][shown].tolist(), strict=True)
    )
    styles = [_style(found, code) for code in range(found.coloured.size)]
    defined = Markup("").join(
        Markup('<g id="m{}" class="{}">{}</g>').format(code, colour, Markup(SHAPES[shape]))
        for code, (colour, shape) in enumerate(styles)
    )
    said = f"{len(shown)} rows in two dimensions, coloured by {clean(found.colour.name, 48)}. {_said(found)}"
    return Markup(
        '<svg class="scatter" role="img" aria-label="{}" style="aspect-ratio: {:.3f}"><defs>{}</defs>{}</svg>'
    ).format(said, across / height, defined, marks)


def _table(found: Representation, used: Sequence[int]) -> Table:
    """Say where the rows of each colour lie, in standard deviations of all rows."""
    spread = np.where(found.places.std(axis=0) > 0, found.places.std(axis=0), 1.0)
    scaled = (found.places - found.places.mean(axis=0)) / spread
    rows: list[dict[str, Cell]] = []
    for code in used:
        own = scaled[found.coloured.codes[0] == code]
        rows.append(
            {
                clean(found.colour.name, 48): clean(found.coloured.names[code], 48),
                "rows": len(own),
                "first direction": round(float(own[:, 0].mean()), 3),
                "spread there": round(float(own[:, 0].std()), 3),
                "second direction": round(float(own[:, 1].mean()), 3),
                "spread of it": round(float(own[:, 1].std()), 3),
            }
        )
    return Table.of(rows, most=len(rows))


def _of(measure: str, probes: Sequence[Probe]) -> list[Probe]:
    return [probe for probe in probes if probe.measure == measure]


def _group(measure: str, probes: Sequence[Probe]) -> Group:
    own = _of(measure, probes)
    held = [probe.constant for probe in own]
    for figure in (each for probe in own for each in (probe.codes, probe.others) if each is not None):
        held += [figure.interval.low, figure.interval.high]
    low, high = max(min(held), -1.0), max(held)
    pad = 0.03 * (high - low) or 0.5
    axis = Axis("", low - pad, high + pad)
    title, reads = MEASURES[measure]
    return Group(
        title,
        reads,
        tuple(Strip(probe.column, _strip(probe, axis), _told(probe.codes), _told(probe.others)) for probe in own),
        ticks(axis),
        Table.of(
            [
                {
                    "column": clean(probe.column, 48),
                    "rows": probe.rows,
                    "latent codes": _told(probe.codes),
                    "other columns": _told(probe.others),
                    "constant": round(probe.constant, 4),
                }
                for probe in own
            ],
            most=len(own),
        ),
    )


def _strip(probe: Probe, axis: Axis) -> Markup:
    parts = [Markup('<line class="bound" x1="{0}" x2="{0}" y1="0" y2="24"/>').format(axis.at(probe.constant))]
    if probe.others is not None:
        x, width = axis.span(probe.others.interval.low, probe.others.interval.high)
        parts.append(Markup('<rect class="band" x="{}" y="3" width="{}" height="18"/>').format(x, width))
        at = axis.at(probe.others.value)
        parts.append(Markup('<line class="reference" x1="{0}" x2="{0}" y1="3" y2="21"/>').format(at))
    low, high = axis.at(probe.codes.interval.low), axis.at(probe.codes.interval.high)
    parts.append(Markup('<line class="interval" x1="{}" x2="{}" y1="12" y2="12"/>').format(low, high))
    parts.append(Markup('<circle class="mark plain" cx="{}" cy="12" r="4.5"/>').format(axis.at(probe.codes.value)))
    said = f"latent codes {_told(probe.codes)}, other columns {_told(probe.others)}, constant {number(probe.constant)}"
    return Markup('<svg class="strip" role="img" aria-label="{}" height="24">{}</svg>').format(
        said, Markup("").join(parts)
    )


def _told(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    return f"{number(figure.value)} [{number(figure.interval.low)}, {number(figure.interval.high)}]"
