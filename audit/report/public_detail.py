"""What an estimate may still tell in public: rounded figures, known names, groups of ten people or more."""

import re
from collections.abc import Mapping, Sequence

from audit.core import Curve, Estimate, Interval, Row
from audit.report.coarse import HIDDEN, INTERNAL, SMALLEST_COUNT, count, figure, sentence

MOST_POINTS = 60
DETAIL_DIGITS = 3
SMALLEST_PLACE = 0.001
PRIVATE = ("easiest", "region", "example", "synthetic_example", "row", "canary", "record")
COUNTS = frozenset(
    "rows rows_real rows_synthetic training_rows broken_rows synthetic_rows applies_to members non_members queries "
    "broken cases descriptions attacks in_train in_control of_rows_each support n columns".split()
)
NEVER_FEW = ("rows_real", "members", "training_rows", "non_members", "rows")
FIGURES = frozenset(
    "distance reference ratio auc low high value r advantage epsilon epsilon_reference epsilon_of_a_full_copy share "
    "share_real share_synthetic real_share synthetic_share auc_lost_when_shuffled difference change amplification gap "
    "score limit rate accuracy real synthetic excess overlap risk success parity_difference_real "
    "parity_difference_synthetic disparate_impact_real disparate_impact_synthetic ratio_of_single_columns auc_real "
    "auc_synthetic auc_fresh gap_low gap_high share_real_low share_real_high share_synthetic_low "
    "share_synthetic_high right_of_members right_of_others alarm_below of_training_rows of_unseen_rows covered "
    "single_out_training_row single_out_unseen_row outcome_real outcome_synthetic".split()
) | {"of the limit"}
NAMES = ("first", "second", "column", "secret", "columns", "missing", "target")
LABELS = ("group", "outcome", "label", "class", "level")
WORDED = (
    "attack",
    "attacker",
    "learner",
    "quantity",
    "property",
    "rows",
    "kind",
    "note",
    "trained on",
    "measure",
    "through",
    "alarm",
) + (
    "copying",
    "descriptions_of",
    "score",
)
CROSSES = (" x ", " × ", " & ")
EDGE = re.compile(r"-?\d[\d,]*(?:\.\d+)?")

Known = Mapping[str, frozenset[str]]


def estimate(found: Estimate, known: Known) -> Estimate:
    """Scrub an estimate.

    Args:
        found: The estimate.
        known: Columns, and of each the labels that ten real rows or more hold.
    """
    names = frozenset(known)
    return Estimate(
        value=None if found.value is None else figure(found.value),
        interval=interval(found.interval),
        reference=None if found.reference is None else figure(found.reference),
        reference_interval=interval(found.reference_interval),
        gap=None if found.gap is None else figure(found.gap),
        gap_interval=interval(found.gap_interval),
        detail=_detail(found.detail, known),
        curves=tuple(each for curve in found.curves if (each := _curve(curve, names)) is not None),
        power=None if found.power is None else sentence(found.power, names),
        rows=count(found.rows),
        not_computed=None
        if found.not_computed is None
        else sentence(found.not_computed, names) or f"Why is {INTERNAL}.",
    )


def interval(found: Interval | None) -> Interval | None:
    """Round an interval."""
    return None if found is None else Interval(low=figure(found.low), high=figure(found.high), level=found.level)


def _detail(rows: Sequence[Row], known: Known) -> tuple[Row, ...]:
    """Return what is left of a detail; rules become numbers, and ranges of values their rank."""
    ranges = _ranges(rows, known)
    kept: list[Row] = []
    for place, row in enumerate(rows):
        left = _row(row, {**known, **ranges} if ranges else known)
        if left and "rule" in row:
            left = {"rule": f"rule {place + 1}", **left}
        if left and ranges and isinstance(label := left.get("group"), str):
            left["group"] = " x ".join(_ranked(part, ranges) for part in _parts(label))
        if left:
            kept.append(left)
    return tuple(kept)


def _ranges(rows: Sequence[Row], known: Known) -> dict[str, frozenset[str]]:
    """Return the ranges of each column of numbers that the rows are grouped by."""
    found: dict[str, set[str]] = {}
    for row in rows:
        column, group = row.get("column"), row.get("group")
        if isinstance(column, str) and isinstance(group, str):
            for name, part in zip(_parts(column), _parts(group), strict=False):
                if name in known and not known[name] and EDGE.search(part):
                    found.setdefault(name, set()).add(part)
    return {name: frozenset(parts) for name, parts in found.items()}


def _ranked(part: str, ranges: Mapping[str, frozenset[str]]) -> str:
    """Return a range's rank among those of its column instead of its ends, which may be somebody's values."""
    held = next((parts for parts in ranges.values() if part in parts), None)
    if held is None:
        return part
    ordered = sorted(held, key=lambda each: (_edge(each), not each.startswith(("≤", "<", "under"))))
    return f"range {ordered.index(part) + 1} of {len(ordered)}"


def _edge(part: str) -> float:
    found = EDGE.search(part)
    return float(found[0].replace(",", "")) if found else 0.0


def _row(row: Row, known: Known) -> Row:
    """Return what is left of a row; nothing where it quotes rows, or tells of fewer than ten people."""
    if any(key in PRIVATE for key in list(row)[:1]):
        return {}
    if any(0 < abs(row_count) < SMALLEST_COUNT for key in NEVER_FEW if isinstance(row_count := row.get(key), int)):
        return {}
    kept: Row = {}
    for key, value in row.items():
        if isinstance(value, str):
            told = _string(key, value, row, known)
            if told is None and key in NAMES:
                return {}
            if told is not None:
                kept[key] = told
        elif key in COUNTS and isinstance(value, int):
            kept[key] = value if value == 0 else count(value) or None
        elif (key in COUNTS or key in FIGURES or key.startswith("found at")) and value is not None:
            kept[key] = figure(float(value), DETAIL_DIGITS)
    return kept if any(not isinstance(value, str) for value in kept.values()) else {}


def _string(key: str, value: str, row: Row, known: Known) -> str | None:
    if key in NAMES:
        listed = value in known or all(part in known for part in _parts(value.replace(", ", CROSSES[0])))
        return value if listed else sentence(value, frozenset())
    if key in LABELS:
        return _label(value, row, known)
    if key in WORDED:
        return sentence(value, frozenset(known)) or (_label(value, row, known) if key == "rows" else None)
    return None


def _label(value: str, row: Row, known: Known) -> str:
    """Return a group's name where its every part is a label that ten real rows or more hold."""
    column = row.get("column")
    columns = [part for part in _parts(column) if part in known] if isinstance(column, str) else []
    allowed = frozenset().union(*(known[name] for name in columns or known))
    told = " x ".join(part if _is_held(part, allowed, known) else HIDDEN for part in _parts(value))
    pooled = "%" in value or "together" in value or not any(each.isdigit() for each in value)
    return (sentence(value, frozenset()) if pooled and HIDDEN in told else None) or told


def _is_held(part: str, allowed: frozenset[str], known: Known) -> bool:
    if part in allowed:
        return True
    column, _, label = part.partition(" = ")
    return column in known and label in known[column]


def _parts(text: str) -> list[str]:
    for cross in CROSSES:
        text = text.replace(cross, "\x00")
    return text.split("\x00")


def _curve(curve: Curve, names: frozenset[str]) -> Curve | None:
    name = sentence(curve.name, names)
    points = [
        (figure(a, DETAIL_DIGITS), figure(b, DETAIL_DIGITS))
        for a, b in zip(curve.x, curve.y, strict=False)
        if a <= 0 or a >= SMALLEST_PLACE
    ]
    if name is None or not points:
        return None
    step = max(1.0, (len(points) - 1) / (MOST_POINTS - 1))
    places = sorted({min(len(points) - 1, round(k * step)) for k in range(min(len(points), MOST_POINTS))})
    return Curve(name=name, x=tuple(points[k][0] for k in places), y=tuple(points[k][1] for k in places))
