"""Shares of single columns for the charts: real rows beside synthetic ones, with small cells pooled."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from audit.core import Evidence
from tabular.schema import Column
from tabular.table import Table

BINS = 30
CATEGORIES = 20
SMALLEST_CELL = 10
DECIMALS = 5
SKEW = 8.0
MICROSECOND_UNITS = (86_400_000_000.0, 3_600_000_000.0, 60_000_000.0, 1_000_000.0, 1_000.0, 1.0)

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Marginal(BaseModel):
    """One column's cells: ranges of a number, or categories.

    A cell holds at least ten real rows: smaller ones are pooled with their neighbours (ranges) or into “all others”
    (categories), so that no cell tells of a few people.

    Attributes:
        column: Name of the column.
        reads: `numbers` for cells in rising order, `codes` for categories.
        labels: What each cell holds, in words.
        real: Share of real rows in each cell, in [0, 1].
        synthetic: Share of synthetic rows in each cell, in [0, 1].
        pooled: How many cells were pooled into others.
        against: Which real rows: the holdout, or the training rows where there is no holdout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    column: str
    reads: Literal["numbers", "codes"]
    labels: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    pooled: int = 0
    against: Literal["holdout", "train"] = "holdout"

    @property
    def difference(self) -> float:
        """Share of rows that would have to change cell: half the sum of absolute differences, in [0, 1]."""
        return sum(abs(a - b) for a, b in zip(self.real, self.synthetic, strict=True)) / 2


def marginals(evidence: Evidence) -> tuple[Marginal, ...]:
    """Return the cells of every modelled column, in the schema's order."""
    held = len(evidence.holdout) > 0
    real = evidence.holdout if held else evidence.train
    drawn = [
        (_of_numbers if column.is_number else _of_codes)(column, real, evidence.synthetic)
        for column in real.schema.modelled
    ]
    return tuple(one if held else one.model_copy(update={"against": "train"}) for one in drawn)


def _of_numbers(column: Column, real: Table, synthetic: Table) -> Marginal:
    x, y = real.numbers(column.name), synthetic.numbers(column.name)
    edges = _edges(column, x[~np.isnan(x)])
    real_counts, synthetic_counts = _histogram(x, edges), _histogram(y, edges)
    groups = _runs(real_counts[:-1])
    labels = [_range_label(column, edges, first, last) for first, last in groups]
    starts = [first for first, _ in groups]
    real_cells, synthetic_cells = (
        np.append(np.add.reduceat(counts[:-1], starts) if starts else [], counts[-1]).astype(np.int64)
        for counts in (real_counts, synthetic_counts)
    )
    pooled = len(real_counts) - 1 - len(groups)
    if column.nullable and real_cells[-1] >= SMALLEST_CELL:
        labels.append("missing")
    else:
        pooled += int(real_cells[-1] > 0)
        real_cells, synthetic_cells = real_cells[:-1], synthetic_cells[:-1]
    return _marginal(column, "numbers", labels, real_cells, synthetic_cells, pooled)


def _of_codes(column: Column, real: Table, synthetic: Table) -> Marginal:
    size = len(column.categories) + 1
    real_counts, synthetic_counts = (
        np.bincount(table.codes(column.name) % size, minlength=size).astype(np.int64) for table in (real, synthetic)
    )
    names = [*(str(category) for category in column.categories), "missing"]
    order = np.argsort(-real_counts[:-1], kind="stable")[:CATEGORIES]
    kept = [int(code) for code in order if real_counts[code] >= SMALLEST_CELL]
    if real_counts[-1] >= SMALLEST_CELL:
        kept.append(size - 1)
    rest = np.setdiff1d(np.arange(size), kept)
    while kept and 0 < real_counts[rest].sum() < SMALLEST_CELL:
        smallest = min(kept, key=lambda code: real_counts[code])
        kept.remove(smallest)
        rest = np.append(rest, smallest)
    if column.kind == "ordinal":
        kept.sort()
    others = len(rest) - int(size - 1 in rest and not column.nullable)
    labels = [names[code] for code in kept]
    real_cells, synthetic_cells = real_counts[kept], synthetic_counts[kept]
    if real_counts[rest].sum() + synthetic_counts[rest].sum() > 0:
        labels.append(f"all others ({others})")
        real_cells = np.append(real_cells, real_counts[rest].sum())
        synthetic_cells = np.append(synthetic_cells, synthetic_counts[rest].sum())
    return _marginal(column, "codes", labels, real_cells, synthetic_cells, others)


def _marginal(
    column: Column, reads: Literal["numbers", "codes"], labels: list[str], real: Counts, synthetic: Counts, pooled: int
) -> Marginal:
    """Turn counts into shares of the rows that are shown, or show nothing where real rows are too few."""
    if real.sum() < SMALLEST_CELL:
        return Marginal(column=column.name, reads=reads, labels=(), real=(), synthetic=(), pooled=len(real) + pooled)
    return Marginal(
        column=column.name,
        reads=reads,
        labels=tuple(labels),
        real=_shares(real),
        synthetic=_shares(synthetic),
        pooled=pooled,
    )


def _shares(counts: Counts) -> tuple[float, ...]:
    return tuple(np.round(counts / max(counts.sum(), 1), DECIMALS).tolist())


def _histogram(values: Floats, edges: Floats) -> Counts:
    """Count the values of each bin, the outer bins open-ended, and the missing ones last."""
    given = values[~np.isnan(values)]
    bins = np.searchsorted(edges[1:-1], given, side="right")
    return np.append(np.bincount(bins, minlength=len(edges) - 1), len(values) - len(given)).astype(np.int64)


def _edges(column: Column, values: Floats) -> Floats:
    """Choose round edges over the bulk of the real values, so that no edge is a value of a single row."""
    if not len(values):
        return np.array([0.0, 1.0])
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99])
    if high <= low:
        low, high = float(values.min()), float(values.max())
    timed = column.physical not in ("integer", "real")
    whole = column.physical == "integer"
    if not timed and low >= 0 and high - middle > SKEW * max(middle - low, high / 1_000):
        return _ladder(float(high), whole)
    unit = 1.0
    if timed:
        unit = next((unit for unit in MICROSECOND_UNITS if high - low >= BINS * unit), 1.0)
    step = unit * _round_up((high - low) / (BINS - 1) / unit)
    if whole or timed:
        step = max(1.0, np.ceil(step))
    first = np.floor(low / step)
    return np.asarray((first + np.arange(np.floor(high / step) - first + 2)) * step)[: BINS + 1]


def _ladder(high: float, whole: bool) -> Floats:
    """Return 0 and the rungs 1, 2, 5, 10, 20, 50, ... of four powers of ten up to a high value."""
    top = int(np.ceil(np.log10(high)))
    rungs = np.sort(np.outer([1.0, 2.0, 5.0], 10.0 ** np.arange(top - 4, top + 1)).ravel())
    if whole:
        rungs = rungs[rungs >= 1]
    below = rungs[rungs <= high]
    return np.concatenate([[0.0], below, rungs[len(below) : len(below) + 1]])


def _round_up(step: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    if step <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(power * leading for leading in (1.0, 2.0, 2.5, 5.0, 10.0) if power * leading >= step * 0.999999))


def _runs(counts: Counts) -> list[tuple[int, int]]:
    """Join neighbouring bins, first to last, until each run holds enough rows."""
    runs: list[tuple[int, int]] = []
    first, held = 0, 0
    for index, count in enumerate(counts.tolist()):
        held += count
        if held >= SMALLEST_CELL:
            runs.append((first, index))
            first, held = index + 1, 0
    if runs and first < len(counts):
        runs[-1] = (runs[-1][0], len(counts) - 1)
    return runs or [(0, len(counts) - 1)]


def _range_label(column: Column, edges: Floats, first: int, last: int) -> str:
    low, high = _value_label(column, edges[first]), _value_label(column, edges[last + 1])
    if len(edges) == 2 or (first == 0 and last == len(edges) - 2):
        return "all values"
    if first == 0 and not (column.minimum is not None and column.minimum >= edges[0]):
        return f"under {high}"
    if last == len(edges) - 2 and not (column.maximum is not None and column.maximum < edges[-1]):
        return f"{low} and over"
    if column.physical == "integer" and edges[last + 1] - edges[first] == 1:
        return low
    if column.physical == "integer":
        high = _value_label(column, edges[last + 1] - 1)
    return f"{low} to {high}"


def _value_label(column: Column, value: float) -> str:
    if column.physical in ("integer", "real"):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.6g}"
    if column.physical == "duration":
        unit, name = next(
            (
                (unit, name)
                for unit, name in zip(MICROSECOND_UNITS, ("d", "h", "min", "s", "ms", "µs"), strict=True)
                if abs(value) >= unit
            ),
            (1.0, "µs"),
        )
        return f"{value / unit:.4g} {name}"
    moment = np.datetime64(int(value), "us")
    day = str(moment.astype("datetime64[D]"))
    return day if value % MICROSECOND_UNITS[0] == 0 else str(moment.astype("datetime64[m]")).replace("T", " ")
