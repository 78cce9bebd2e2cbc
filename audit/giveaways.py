"""What gives synthetic rows away: regions as rules that people can read, and the rows told most easily."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from audit.core import Row
from audit.detector import Detected
from tabular.schema import Column
from tabular.table import Table

REGIONS = 5
DEPTH = 3
SMALLEST = 0.01
FEWEST = 10
EDGES = 32
NAMED = 20
EASIEST = 5
CANDIDATES = 25
SHOWN = 12
DIGITS = 3
DAY = 86_400_000_000.0

Floats = NDArray[np.float64]


class Mark(NamedTuple):
    """What one feature of the region tree says of a column.

    Attributes:
        column: Position of the column.
        labels: For an ordered feature, the name of the upper edge of each code 0, 1, ...; for an indicator, the name
            of the one category.
        ordered: Whether the feature is a code on an axis, missing being -1, or the indicator of a category.
        opposite: The one other category, where there is just one; "" where there are more.
        gaps: Whether the column has missing values.
    """

    column: int
    labels: tuple[str, ...]
    ordered: bool
    opposite: str
    gaps: bool


def regions(seen: Detected) -> tuple[Row, ...]:
    """Return the leaves of a shallow tree in which the shares of synthetic and real rows differ most.

    The tree is fitted on the chances given to rows while they were held out, not on what they are, so the shares of
    its leaves are not those of rows picked for being synthetic. Number edges are rounded to three digits of the range.
    """
    marks: list[Mark] = []
    features: list[NDArray[np.float32]] = []
    for place, column in enumerate(seen.columns):
        found = _ordered(place, column, seen) if column.is_number or column.kind == "ordinal" else _named(place, seen)
        for mark, feature in found:
            marks.append(mark)
            features.append(feature)
    x = np.stack(features, axis=1)
    smallest = max(int(SMALLEST * len(x)), FEWEST)
    tree = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=smallest, random_state=0)
    tree.fit(x, seen.told.chance)
    leaf = tree.apply(x)
    shares = [np.bincount(leaf[side], minlength=tree.tree_.node_count) / side.sum() for side in _sides(seen)]
    rules = _rules(tree, marks, seen.columns)
    order = sorted(rules, key=lambda each: -abs(shares[0][each] - shares[1][each]))[:REGIONS]
    return tuple(
        {
            "region": rules[each],
            "synthetic": round(float(shares[0][each]), DIGITS),
            "real": round(float(shares[1][each]), DIGITS),
        }
        for each in order
        if rules[each]
    )


def easiest(seen: Detected, real: Sequence[Table]) -> tuple[Row, ...]:
    """Return the synthetic rows that the classifier is surest of, those left out that any of the real tables holds."""
    chance = seen.told.chance[seen.told.other]
    best = seen.synthetic.take(np.argsort(-chance, kind="stable")[:CANDIDATES])
    scores = np.sort(chance)[::-1]
    rows = np.flatnonzero(~_held(best, real))[:EASIEST]
    first = np.argsort(-seen.told.lost, kind="stable")
    shown = [seen.columns[place] for place in first[:SHOWN]]
    more = ["…"] if len(first) > SHOWN else []
    return tuple(
        {
            "easiest": rank + 1,
            "score": round(float(scores[row]), DIGITS),
            "row": ", ".join([*(f"{column.name} {_value(column, best, int(row))}" for column in shown), *more]),
        }
        for rank, row in enumerate(rows)
    )


def _sides(seen: Detected) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return seen.told.other, ~seen.told.other


def _ordered(place: int, column: Column, seen: Detected) -> list[tuple[Mark, NDArray[np.float32]]]:
    """Return a number or an ordinal as a code of intervals that end at readable edges."""
    tables = (seen.real, seen.synthetic)
    if column.is_code:
        codes = np.concatenate([table.codes(column.name) for table in tables])
        labels = tuple(str(category) for category in column.categories)
        return [(Mark(place, labels, True, "", bool((codes == -1).any())), codes.astype(np.float32))]
    values = np.concatenate([table.numbers(column.name) for table in tables])
    gaps = np.isnan(values)
    edges = _edges(column, values[~gaps])
    codes = np.where(gaps, -1, np.searchsorted(edges, values, side="left"))
    labels = tuple(_edge(column, float(edge)) for edge in edges)
    return [(Mark(place, labels, True, "", bool(gaps.any())), codes.astype(np.float32))]


def _named(place: int, seen: Detected) -> list[tuple[Mark, NDArray[np.float32]]]:
    """Return a column of categories as one indicator for each of the most frequent ones."""
    column = seen.columns[place]
    codes = np.concatenate([table.codes(column.name) for table in (seen.real, seen.synthetic)])
    names = [*(str(category) for category in column.categories), "missing"]
    counts = np.bincount(codes % len(names), minlength=len(names))
    kept = [int(each) for each in np.argsort(-counts, kind="stable")[:NAMED] if counts[each]]
    two = len(kept) == 2
    return [
        (
            Mark(place, (names[each],), False, names[kept[1 - turn]] if two else "", False),
            (codes % len(names) == each).astype(np.float32),
        )
        for turn, each in enumerate(kept[:1] if two else kept)
    ]


def _edges(column: Column, values: Floats) -> Floats:
    """Return edges between values, rounded to three digits of their range, rising; at most as many as wanted."""
    if len(values) == 0:
        return np.empty(0)
    low, high = np.quantile(values, [0.01, 0.99])
    spread = float(high - low) or float(values.max() - values.min())
    if spread <= 0 or not np.isfinite(spread):
        return np.empty(0)
    step = 10.0 ** (np.floor(np.log10(spread)) - (DIGITS - 1))
    if column.kind in ("date", "datetime"):
        step = next(size for size in (DAY, DAY / 24, DAY / 1440, 1.0) if spread >= 20 * size or size == 1.0)
    places = np.quantile(values, [0.01, *np.arange(1, EDGES) / EDGES, 0.99], method="lower")
    edges = np.unique(np.round(places / step) * step)
    inner: Floats = edges[edges < values.max()]
    return inner


def _edge(column: Column, edge: float) -> str:
    if column.kind == "date":
        return str(np.int64(edge).astype("datetime64[us]"))[:10]
    if column.kind == "datetime":
        return str(np.int64(edge).astype("datetime64[us]"))[:16].replace("T", " ")
    if column.kind == "duration":
        return f"{edge / DAY * 24:.6g} h"
    return f"{edge:.10g}"


def _rules(tree: DecisionTreeRegressor, marks: list[Mark], columns: Sequence[Column]) -> dict[int, str]:
    """Return each leaf of the tree with the rule of the way to it; "" where there is no split."""
    grown = tree.tree_
    rules: dict[int, str] = {}
    ways: list[tuple[int, list[tuple[int, float, bool]]]] = [(0, [])]
    while ways:
        node, way = ways.pop()
        left, right = int(grown.children_left[node]), int(grown.children_right[node])
        if left == right:
            rules[node] = _rule(way, marks, columns)
            continue
        feature, threshold = int(grown.feature[node]), float(grown.threshold[node])
        ways.append((left, [*way, (feature, threshold, True)]))
        ways.append((right, [*way, (feature, threshold, False)]))
    return rules


def _rule(way: list[tuple[int, float, bool]], marks: list[Mark], columns: Sequence[Column]) -> str:
    """Write the steps of a way through the tree (feature, threshold, whether below it) as one rule."""
    words: list[str] = []
    for place in dict.fromkeys(marks[feature].column for feature, _, _ in way):
        name = columns[place].name
        steps = [step for step in way if marks[step[0]].column == place]
        mark = marks[steps[0][0]]
        if mark.ordered:
            above = max([int(np.floor(threshold)) for _, threshold, below in steps if not below], default=-2)
            upto = min([int(np.floor(threshold)) for _, threshold, below in steps if below], default=len(mark.labels))
            words.append(_interval(name, mark, above, upto))
            continue
        is_one = [marks[feature].labels[0] for feature, _, below in steps if not below]
        is_none = [marks[feature].labels[0] for feature, _, below in steps if below]
        other = mark.opposite or (is_one[0] if is_one else "")
        words.append(f"{name} = {is_one[0] if is_one else other}" if other else f"{name} not {', '.join(is_none)}")
    return " and ".join(words)


def _interval(name: str, mark: Mark, above: int, upto: int) -> str:
    """Write codes above one and up to another, missing being -1, as a condition."""
    if upto == -1:
        return f"{name} missing"
    ends = upto < len(mark.labels)
    if above >= 0:
        start = f"{mark.labels[above]} < {name}" if ends else f"{name} > {mark.labels[above]}"
        return f"{start} <= {mark.labels[upto]}" if ends else start
    if not ends:
        return f"{name} present"
    return f"{name} <= {mark.labels[upto]}" + (" or missing" if mark.gaps and above == -2 else "")


def _held(rows: Table, real: Sequence[Table]) -> NDArray[np.bool_]:
    """Say for each row whether one of the real tables holds its very values, shape (n,)."""
    found = np.zeros(len(rows), dtype=bool)
    for table in real:
        same = np.ones((len(rows), len(table)), dtype=bool)
        for column in rows.schema.modelled:
            if column.is_code:
                same &= rows.codes(column.name)[:, None] == table.codes(column.name)
            else:
                ours, theirs = rows.numbers(column.name)[:, None], table.numbers(column.name)
                same &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        found |= same.any(axis=1)
    return found


def _value(column: Column, table: Table, row: int) -> str:
    if column.is_code:
        code = int(table.codes(column.name)[row])
        return "missing" if code == -1 else str(column.categories[code])
    number = float(table.numbers(column.name)[row])
    return "missing" if np.isnan(number) else _edge(column, number)
