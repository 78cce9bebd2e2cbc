"""Numbers in cells: a distribution function made of atoms and short stretches that no single row shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.schema import Column

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROWS_PER_CELL = 10
RARE_ROWS = 5
RARE_SHARE = 0.05
SPIKE_SHARE = 0.005
FEWEST_ON_GRID = 30
STEEPEST = 20.0
LEAST = 1e-9


@dataclass(frozen=True)
class Cells:
    """Neighbouring cells that together hold all values, in rising order.

    A cell is an atom, one value that many rows share, or a stretch of several values. Inside a stretch the density
    is proportional to exp(tilt · t), t in [0, 1]: of all densities with the mean of the training rows in it, the one
    of maximum entropy. A stretch of fewer than five rows tells nothing of where they lie: it is even, and goes from
    the shared value below to the one above. No value of a row is kept but atoms and the two extremes.

    Attributes:
        bounds: Limits between neighbouring cells, shape (m - 1,); a value on a limit belongs to the cell below.
        lows: Lower ends, shape (m,).
        highs: Upper ends, shape (m,); equal to `lows` for an atom.
        tilts: Steepness of the density inside, shape (m,).
        levels: Share of rows below each cell, and 1 at the end, shape (m + 1,).
        grid: Smallest value, largest value and the step between values (0 where there is none), shape (3,).
    """

    bounds: Floats
    lows: Floats
    highs: Floats
    tilts: Floats
    levels: Floats
    grid: Floats

    def __len__(self) -> int:
        """Return the number of cells, m."""
        return len(self.lows)

    @classmethod
    def fit(cls, values: Floats, column: Column, most: int, exact: bool = False, beside: Floats | None = None) -> Self:
        """Cut values into neighbouring cells.

        Args:
            values: None missing, shape (n,).
            column: What they are values of.
            most: About how many cells there are at most.
            exact: Whether each value that five rows share is an atom, however many cells that makes.
            beside: Shared values that are kept apart from these, rising; a cell of few rows may reach to them.
        """
        if not len(values):
            nothing = np.zeros(0)
            return cls(nothing, nothing, nothing, nothing, np.zeros(1), np.zeros(3))
        distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        size = max(ROWS_PER_CELL, len(values) / most)
        starts = _exact_starts(counts) if exact else _starts(counts, size)
        ends = np.append(starts[1:], len(distinct))
        known = distinct
        if beside is not None and len(distinct) < FEWEST_ON_GRID:
            known = np.union1d(distinct, beside)
        step = _step(known, column)
        bounds = _between(distinct[starts[1:] - 1], distinct[starts[1:]])
        lows = np.append(distinct[0] - step / 2, np.nextafter(bounds, np.inf))
        highs = np.append(bounds, distinct[-1] + step / 2)
        atoms = ends - starts == 1
        lows[atoms] = highs[atoms] = distinct[starts[atoms]]
        cell = np.searchsorted(starts, inverse, side="right") - 1
        rows = np.bincount(cell, minlength=len(starts))
        few = rows < RARE_ROWS
        lows[few] = known[np.maximum(np.searchsorted(known, distinct[starts[few]]) - 1, 0)] - step / 2
        highs[few] = known[np.minimum(np.searchsorted(known, distinct[ends[few] - 1]) + 1, len(known) - 1)] + step / 2
        means = np.bincount(cell, weights=values / len(values), minlength=len(starts)) / rows * len(values)
        tilts = np.where(few, 0.0, _tilts(_part(means, lows, highs)))
        levels = np.append(0.0, np.cumsum(rows) / len(values))
        return cls(bounds, lows, highs, tilts, levels, np.array([known[0], known[-1], step]))

    def find(self, values: Floats) -> Integers:
        """Return the cell of each value, shape (n,); the nearest one for a value outside."""
        return np.searchsorted(self.bounds, values, side="left").astype(np.int64)

    def place(self, cell: Integers, u: Floats) -> Floats:
        """Return the value at share u of each row's cell, shape (n,), on the grid of the values."""
        low, high, tilt = self.lows[cell], self.highs[cell], self.tilts[cell]
        steep = np.maximum(np.abs(tilt), 1e-6)
        rising = np.log1p(np.where(tilt < 0, 1 - u, u) * np.expm1(steep)) / steep
        t = np.where(tilt < 0, 1 - rising, rising)
        value = low * (1 - t) + high * t
        smallest, largest, step = self.grid
        if step > 0:
            value = smallest + np.round((value - smallest) / step) * step
        return np.asarray(np.where(low == high, low, np.clip(value, smallest, largest)), dtype=np.float64)

    def share(self, values: Floats) -> Floats:
        """Return the distribution function at values, shape (n,): the middle rank for an atom."""
        cell = self.find(values)
        low, high, tilt = self.lows[cell], self.highs[cell], self.tilts[cell]
        t = np.where(low == high, 0.5, _part(values, low, high))
        steep = np.where(np.abs(tilt) < 1e-6, 1e-6, tilt)
        u = np.where(low == high, t, np.expm1(steep * t) / np.expm1(steep))
        below, above = self.levels[cell], self.levels[cell + 1]
        return np.asarray(below * (1 - u) + above * u, dtype=np.float64)

    def span(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the distribution function on both sides of values, each of shape (n,).

        An atom spans its share of the rows; a value on a grid the stretch that is rounded to it, within its cell; a
        value of a column without a grid spans nothing.
        """
        cell, step = self.find(values), float(self.grid[2])
        atom = self.lows[cell] == self.highs[cell]
        below = self.share(np.maximum(values - step / 2, self.lows[cell]))
        above = self.share(np.minimum(values + step / 2, self.highs[cell]))
        low = np.where(atom, self.levels[cell], np.clip(below, self.levels[cell], self.levels[cell + 1]))
        high = np.where(atom, self.levels[cell + 1], np.clip(above, low, self.levels[cell + 1]))
        return low, high

    def slope(self, values: Floats) -> Floats:
        """Return the density at values, in shares of rows a unit, shape (n,); infinite at an atom."""
        cell = self.find(values)
        low, high, tilt = self.lows[cell], self.highs[cell], self.tilts[cell]
        width = np.where(low == high, 1.0, high - low)
        steep = np.where(np.abs(tilt) < 1e-6, 1e-6, tilt)
        inside = steep * np.exp(steep * _part(values, low, high)) / np.expm1(steep)
        density = (self.levels[cell + 1] - self.levels[cell]) * inside / width
        return np.asarray(np.where(low == high, np.inf, density), dtype=np.float64)

    def log_part(self, values: Floats) -> Floats:
        """Return the log-probability of each value within its cell, shape (n,); a log-density where none rounds."""
        cell = self.find(values)
        mass = self.levels[cell + 1] - self.levels[cell]
        low, high = self.span(values)
        point = np.clip(self.slope(values) / mass, LEAST, 1 / LEAST)
        return np.asarray(np.log(np.where(high > low, np.maximum((high - low) / mass, LEAST), point)), dtype=np.float64)

    def quantile(self, levels: Floats) -> Floats:
        """Return the values at levels in [0, 1], shape (n,): the inverse of `share`."""
        cell = np.clip(np.searchsorted(self.levels, levels, side="right") - 1, 0, len(self) - 1)
        below, above = self.levels[cell], self.levels[cell + 1]
        return self.place(cell, np.clip((levels - below) / (above - below), 0.0, 1.0))

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take the arrays that `state` returned."""
        return cls(**{field.name: np.asarray(arrays[field.name], dtype=np.float64) for field in fields(cls)})


def shared_values(values: Floats, most: int) -> Floats | None:
    """Return the values that five rows or more share, rising; None where values are many or 5 % of the rows beyond.

    Such values may be emitted as they are; the rows that hold another one belong in cells.
    """
    distinct, counts = np.unique(values, return_counts=True)
    shared = counts >= RARE_ROWS
    few = len(distinct) <= most and counts[~shared].sum() <= RARE_SHARE * len(values)
    return distinct[shared] if few else None


def spikes(values: Floats, column: Column) -> Floats:
    """Return the column's spikes and every value that holds more than 0.5 % of the rows, rising."""
    distinct, counts = np.unique(values, return_counts=True)
    heavy = distinct[counts >= max(ROWS_PER_CELL, SPIKE_SHARE * len(values))]
    return np.union1d(heavy, np.array(column.spikes, dtype=np.float64))


def _starts(counts: Integers, size: float) -> Integers:
    """Return the first distinct value of each cell: `size` rows or more a cell, an atom alone where it can be."""
    below = np.append(0, np.cumsum(counts))
    atoms = np.append(np.flatnonzero(counts >= size), len(counts))
    starts, start = [0], 0
    while True:
        end = int(np.searchsorted(below, below[start] + size))
        atom = int(atoms[np.searchsorted(atoms, start)])
        if start < atom < end:
            end = atom if below[atom] - below[start] >= size / 2 else atom + 1
        if end >= len(counts) or below[-1] - below[end] < size / 2:
            return np.array(starts, dtype=np.int64)
        starts.append(end)
        start = end


def _exact_starts(counts: Integers) -> Integers:
    """Return the first distinct value of each cell: a shared one alone, the rare ones between two of them together."""
    shared = counts >= RARE_ROWS
    begins = np.flatnonzero(np.append(True, shared[1:] | shared[:-1]))
    runs = zip(begins, np.append(begins[1:], len(counts)), strict=True)
    return np.concatenate([begin + _starts(counts[begin:end], ROWS_PER_CELL) for begin, end in runs])


def _step(distinct: Floats, column: Column) -> float:
    """Return the largest step that all distances between values are multiples of, 0 where there is no grid."""
    whole = column.physical != "real" or column.kind == "integer"
    decimals = 0 if whole and column.decimals is None else column.decimals
    if decimals is None:
        return 0.0
    scale = 10.0**decimals
    units = np.round((distinct - distinct[0]) * scale)
    if not units[-1] < 2.0**53:
        return 0.0
    return float(np.gcd.reduce(units.astype(np.int64))) / scale


def _between(below: Floats, above: Floats) -> Floats:
    middle = below / 2 + above / 2
    return np.asarray(np.where((middle > below) & (middle < above), middle, below), dtype=np.float64)


def _part(values: Floats, lows: Floats, highs: Floats) -> Floats:
    """Return how far along its stretch each value lies, in [0, 1]."""
    width = np.where(highs / 2 > lows / 2, highs / 2 - lows / 2, 1.0)
    return np.asarray(np.clip((values / 2 - lows / 2) / width, 0.0, 1.0), dtype=np.float64)


def _tilts(means: Floats) -> Floats:
    """Solve for the tilt whose density on [0, 1] has the given mean: 1 / (1 - exp(-tilt)) - 1 / tilt."""
    tilt = np.linspace(1e-3, STEEPEST, 5001)
    above = 1 / -np.expm1(-tilt) - 1 / tilt
    known = np.concatenate([1 - above[::-1], [0.5], above])
    return np.asarray(np.interp(means, known, np.concatenate([-tilt[::-1], [0.0], tilt])), dtype=np.float64)
