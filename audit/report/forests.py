"""Forest plots: one row per group, secret or pair, its interval beside what fresh real rows score."""

from collections.abc import Sequence

from markupsafe import Markup

from audit.core import Row
from audit.report.frame import Axis, ticks
from audit.report.panel import Panel, Strip
from audit.report.wording import clean, number, tick

SHOWN = 40
ENDS = {"low", "high"}
SIZES = ("rows", "rows_real", "members", "n", "attacks", "queries")
NOT_VALUES = {*ENDS, *SIZES, "reference", "reference_low", "reference_high", "rows_synthetic", "level"}
WORDS_NOT_NAMES = {"note", "rule"}
# Rates and shares of one set of rows: no figure of them means that nothing differs.
OF_ONE_SIDE = {"rate", "in_train"}
MIDDLES = {"auc": 0.5}
CLOSE = 1e-6

Drawn = tuple[Sequence[float], float | None]


def value_key(rows: Sequence[Row]) -> str | None:
    """Return the key whose figures lie inside the intervals `low` to `high`; None where the rows hold no intervals."""
    held = [row for row in rows if all(_figure(row.get(end)) is not None for end in ENDS)]
    inside: dict[str, int] = {}
    for row in held:
        for key in row:
            if key not in NOT_VALUES and (value := _figure(row[key])) is not None:
                inside[key] = inside.get(key, 0) + (_low(row) - CLOSE <= value <= _high(row) + CLOSE)
    most = max(inside.values(), default=0)
    return next((key for key, count in inside.items() if count == most), None) if most else None


def forest(
    rows: Sequence[Row], title: str, reads: str, judged: tuple[float | None, float | None, float]
) -> Panel | None:
    """Draw rows that hold a value with its interval; None where they do not.

    Args:
        rows: Rows of a detail.
        title: What is shown.
        reads: How to read it.
        judged: The metric's value, the bound that it is held to, and its ideal; the bound is drawn where the value is
            one of the rows'.
    """
    key = value_key(rows)
    if key is None:
        return None
    shown = _together([row for row in rows if _figure(row.get(key)) is not None][:SHOWN])
    figures = [each for row in shown for each in _figures(row, key)]
    log = (key == "ratio" or key.endswith("_ratio")) and all(figure > 0 for figure in figures)
    bounds = _bounds([figure for row in shown if (figure := _figure(row.get(key))) is not None], judged, log)
    middle = _middle(key, judged[2], log)
    near = [
        each
        for each in (*middle[:1], *bounds)
        if min(figures) - _width(figures) <= each <= max(figures) + _width(figures)
    ]
    axis = _over([*figures, *near], log)
    inside = next((each for each in middle if axis.low <= each <= axis.high), None)
    names = [name for name, value in shown[0].items() if isinstance(value, str) and name not in WORDS_NOT_NAMES]
    drawn = ([each for each in bounds if each in near], inside)
    return Panel(
        title=title,
        reads=reads if inside is None else f"{reads} The grey line is at {tick(inside)}: nothing differs.",
        strips=tuple(_strips(shown, key, names, axis, drawn)),
        axis=ticks(axis),
        value=key.replace("_", " "),
        wide=True,
        left_out=len(rows) - len(shown),
    )


def _middle(key: str, ideal: float, log: bool) -> list[float]:
    """Return where nothing differs, the likeliest place first; nothing where the figures have no such place."""
    if key in OF_ONE_SIDE:
        return []
    return [1.0] if log else [MIDDLES[key]] if key in MIDDLES else [ideal, 0.0]


def _together(rows: Sequence[Row]) -> list[Row]:
    """Put rows of one heading together, in the order in which the headings come."""
    place: dict[object, int] = {}
    for row in rows:
        place.setdefault(next(iter(row.values()), None), len(place))
    return sorted(rows, key=lambda row: place[next(iter(row.values()), None)])


def _bounds(values: Sequence[float], judged: tuple[float | None, float | None, float], log: bool) -> list[float]:
    value, bound, _ = judged
    if value is None or bound is None:
        return []
    if log and bound > 0 and any(abs(max(each, 1 / each) - value) < CLOSE * value for each in values):
        return [bound, 1 / bound]
    return [bound] if any(abs(each - value) < CLOSE for each in values) else []


def _strips(shown: Sequence[Row], key: str, names: Sequence[str], axis: Axis, drawn: Drawn) -> list[Strip]:
    told = [_name(row, names) for row in shown]
    grouped = len(names) > 1 and len({heading for heading, _ in told}) < len(told)
    strips, before = [], None
    for row, (heading, label) in zip(shown, told, strict=True):
        value, reference = _figure(row.get(key)), _figure(row.get("reference"))
        strips.append(
            Strip(
                heading=heading if grouped and heading != before else None,
                label=label if grouped or not label else f"{heading}: {label}",
                drawing=None if value is None else _strip(row, value, reference, axis, drawn),
                figures=_said(row, value),
                reference="–" if reference is None else number(reference),
                note=_note(row),
            )
        )
        if not label:
            strips[-1] = Strip(None, heading, *_rest(strips[-1]))
        before = heading
    return strips


def _rest(strip: Strip) -> tuple[Markup | None, str, str, str]:
    return strip.drawing, strip.figures, strip.reference, strip.note


def _name(row: Row, names: Sequence[str]) -> tuple[str, str]:
    """Return the heading under which a row stands, and its name there."""
    words = [clean(row.get(name), 60) for name in names if row.get(name) is not None]
    return (words[0] if words else "all"), " · ".join(words[1:])


def _strip(row: Row, value: float, reference: float | None, axis: Axis, drawn: Drawn) -> Markup:
    low, high = _figure(row.get("low")), _figure(row.get("high"))
    bounds, middle = drawn
    parts = [
        Markup('<line class="{0}" x1="{1}" x2="{1}" y1="0" y2="24"/>').format(style, axis.at(place))
        for style, places in (("middle", [middle]), ("bound", bounds))
        for place in places
        if place is not None
    ]
    if reference is not None:
        parts.append(Markup('<line class="reference" x1="{0}" x2="{0}" y1="4" y2="20"/>').format(axis.at(reference)))
    if low is not None and high is not None:
        parts.append(
            Markup('<line class="interval" x1="{}" x2="{}" y1="12" y2="12"/>').format(axis.at(low), axis.at(high))
        )
    parts.append(Markup('<circle class="mark plain" cx="{}" cy="12" r="4.5"/>').format(axis.at(value)))
    return Markup('<svg class="strip" role="img" aria-label="{}" height="24">{}</svg>').format(
        _said(row, value), Markup("").join(parts)
    )


def _over(values: Sequence[float], log: bool) -> Axis:
    low, high = min(values), max(values)
    if log:
        return Axis("", low / 1.06, high * 1.06, log=True)
    pad = 0.04 * (high - low) or 0.5
    return Axis("", low - pad, high + pad)


def _said(row: Row, value: float | None) -> str:
    if value is None:
        return "–"
    low, high = _figure(row.get("low")), _figure(row.get("high"))
    return number(value) + (f" [{number(low)}, {number(high)}]" if low is not None and high is not None else "")


def _note(row: Row) -> str:
    size = next((f"{number(found)} rows" for key in SIZES if (found := _figure(row.get(key))) is not None), "")
    note = row.get("note")
    return ", ".join(each for each in (size, clean(note, 160) if isinstance(note, str) else "") if each)


def _figures(row: Row, key: str) -> list[float]:
    found = [_figure(row.get(name)) for name in (key, "low", "high", "reference")]
    return [figure for figure in found if figure is not None]


def _figure(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _low(row: Row) -> float:
    return _figure(row.get("low")) or 0.0


def _high(row: Row) -> float:
    return _figure(row.get("high")) or 0.0


def _width(figures: Sequence[float]) -> float:
    return 2 * (max(figures) - min(figures)) or 1.0
