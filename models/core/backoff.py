"""Conditional frequency tables that back off, one parent at a time, where counts are thin."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

STRENGTHS = 8.0 ** np.arange(0, 6)  # at least 1: a single row never decides alone
SMOOTHING = 0.5
STRETCHES = 16

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """Counts given the first few parents.

    Attributes:
        cells: Combined numbers of (parents, child) that were seen, rising, shape (m,).
        counts: How often, in rows or shares of rows, shape (m,).
        strength: Rows that the level below is worth.
    """

    cells: Codes
    counts: Floats
    strength: float


@dataclass(frozen=True)
class BackoffTable:
    r"""p(x | u₁ … u_L) with a Dirichlet prior around p(x | u₁ … u_{L-1}), down to the margin.

    p_l(x | u) = (n_l(x, u) + s_l p_{l-1}(x | u)) / (n_l(u) + s_l), and p_0(x) = (n_0(x) + c/K) / (n_0 + c). Each
    strength s_l is the one of a geometric grid that predicts each stretch of training rows best from the others (the
    rows of one privacy unit are neighbours, and may not tell of each other).
    n_L counts every row once; below, a row counts for the share s_l / (n_l(u) + s_l) of its mass that backs off.
    So over the training rows' parents the table gives x as often as the training rows, whatever the strengths.
    Only cells that were seen are kept: the size is bounded by the rows, whatever the cardinalities.

    MacKay & Peto, A hierarchical Dirichlet language model, Natural Language Engineering 1(3), 1995,
    doi:10.1017/S1351324900000218; lower levels that keep the margins: Kneser & Ney, Improved backing-off for m-gram
    language modeling, 1995, doi:10.1109/ICASSP.1995.479394.

    Attributes:
        base: p_0, shape (K,).
        radix: Cardinalities of the parents, in order of the levels.
        levels: Counts given one parent, two parents, ...
        short: Codes of the first parent under which the child's last one cannot be, as True, shape (radix[0],); None
            where there are none. What smoothing gives it there goes to the others.
    """

    base: Floats
    radix: tuple[int, ...]
    levels: tuple[Level, ...]
    short: NDArray[np.bool_] | None = None

    @classmethod
    def fit(
        cls, child: Codes, parents: Codes, size: int, radix: tuple[int, ...], short: NDArray[np.bool_] | None = None
    ) -> Self:
        """Count a child's codes, shape (n,), of cardinality `size`, given its parents' codes, shape (n, L)."""
        predicted = margin_left_out(child, size)
        configs, strengths = [], []
        config = np.zeros(len(child), dtype=np.int64)
        for index, cardinality in enumerate(radix):
            config = config * cardinality + parents[:, index]
            predicted, strength = refine(predicted, config * size + child, config)
            configs.append(config)
            strengths.append(strength)
        weight = np.ones(len(child))
        levels: list[Level] = []
        for config, strength in zip(reversed(configs), reversed(strengths), strict=True):
            worth = strength * float(weight.mean())
            cells, row = np.unique(config * size + child, return_inverse=True)
            levels.insert(0, Level(cells.astype(np.int64), np.bincount(row, weight).astype(np.float64), worth))
            weight = weight * worth / (_total(config, weight) + worth)
        smoothing = SMOOTHING * float(weight.mean())
        base = (np.bincount(child, weight, minlength=size) + smoothing / size) / (weight.sum() + smoothing)
        return cls(base, radix, tuple(levels), short)

    def prob(self, child: Codes, parents: Codes) -> Floats:
        """Return p(child | parents), shape (n,)."""
        p = self._smoothed(child, parents)
        closed = self._closed(parents)
        if closed.any():
            last = np.full(int(closed.sum()), len(self.base) - 1)
            p[closed] /= 1 - self._smoothed(last, parents[closed])
            p[closed & (child == len(self.base) - 1)] = 0
        return p

    def _smoothed(self, child: Codes, parents: Codes) -> Floats:
        """Return p(child | parents), shape (n,), as if any code could be under any other."""
        size = len(self.base)
        p: Floats = self.base[child]
        for level, config in zip(self.levels, self._configs(parents), strict=True):
            at = np.minimum(np.searchsorted(level.cells, config * size + child), len(level.cells) - 1)
            seen = np.where(level.cells[at] == config * size + child, level.counts[at], 0.0)
            heap, first, last = self._span(level, config)
            p = (seen + level.strength * p) / (heap[last] - heap[first] + level.strength)
        return p

    def rows(self, parents: Codes) -> Floats:
        """Return p(· | parents) in full, shape (n, K), using as many levels as parents are given."""
        size = len(self.base)
        p = np.repeat(self.base[None, :], len(parents), axis=0)
        for level, config in zip(self.levels, self._configs(parents), strict=False):
            heap, first, last = self._span(level, config)
            lengths = last - first
            row = np.repeat(np.arange(len(config)), lengths)
            cell = np.arange(len(row)) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)
            p *= level.strength
            p[row, level.cells[cell] % size] += level.counts[cell]
            p /= (heap[last] - heap[first] + level.strength)[:, None]
        closed = self._closed(parents)
        p[closed, -1] = 0
        p[closed] /= p[closed].sum(axis=1, keepdims=True)
        return p

    def draw(self, parents: Codes, rng: np.random.Generator) -> Codes:
        """Draw children given their parents, shape (n, L), to shape (n,).

        The table is a mixture: with probability n(u) / (n(u) + s) a row seen under u, otherwise the level below.
        """
        size, n = len(self.base), len(parents)
        heap = np.cumsum(self.base)
        child: Codes = np.minimum(np.searchsorted(heap, rng.random(n) * heap[-1], side="right"), size - 1)
        for level, config in zip(self.levels, self._configs(parents), strict=True):
            heap, first, last = self._span(level, config)
            mass = heap[last] - heap[first]
            height = rng.random(n) * (mass + level.strength)
            at = np.searchsorted(heap, heap[first] + height, side="right") - 1
            at = np.clip(at, 0, np.maximum(last - 1, 0))
            child[height < mass] = (level.cells[at] % size)[height < mass]
        again = self._closed(parents) & (child == size - 1)
        if again.any():
            steps = np.cumsum(self.rows(parents[again]), axis=1)
            child[again] = np.minimum((steps <= rng.random((len(steps), 1)) * steps[:, -1:]).sum(axis=1), size - 2)
        return child

    def _closed(self, parents: Codes) -> NDArray[np.bool_]:
        """Return under which parents, shape (n, L), the last code cannot be, shape (n,)."""
        if self.short is None or not parents.shape[1]:
            return np.zeros(len(parents), dtype=np.bool_)
        return np.asarray(self.short[parents[:, 0]])

    def _configs(self, parents: Codes) -> list[Codes]:
        """Number the parents' configurations, level by level, each of shape (n,)."""
        configs = []
        config = np.zeros(len(parents), dtype=np.int64)
        for index in range(parents.shape[1]):
            config = config * self.radix[index] + parents[:, index]
            configs.append(config)
        return configs

    def _span(self, level: Level, config: Codes) -> tuple[Floats, Codes, Codes]:
        """Return cumulated counts, shape (m + 1,), and each configuration's first and last place in it."""
        size = len(self.base)
        heap = np.concatenate([[0.0], np.cumsum(level.counts)])
        first = np.searchsorted(level.cells, config * size)
        last = np.searchsorted(level.cells, (config + 1) * size)
        return heap, first.astype(np.int64), last.astype(np.int64)


def margin_left_out(child: Codes, size: int) -> Floats:
    """Return p_0 of each row's code, shape (n,), counted on the rows of other stretches."""
    own = _stretches(len(child))
    others: Floats = elsewhere(child, own)
    predicted: Floats = (others + SMOOTHING / size) / (len(child) - tally(own) + SMOOTHING)
    return predicted


def refine(predicted: Floats, cell: Codes, config: Codes) -> tuple[Floats, float]:
    """Put one more parent on left-out predictions.

    Args:
        predicted: Probability of each row's child at the level below, counted on other stretches, shape (n,).
        cell: Number of each row's (parents, child), shape (n,).
        config: Number of each row's parents, shape (n,).

    Returns:
        The same with that parent, shape (n,), and the strength that gives the largest likelihood.
    """
    own = _stretches(len(cell))
    seen, under = elsewhere(cell, own), elsewhere(config, own)
    best, chosen, score = predicted, float(STRENGTHS[-1]), -np.inf
    for strength in STRENGTHS:
        p: Floats = (seen + strength * predicted) / (under + strength)
        total = float(np.log(p).sum())
        if total > score:
            best, chosen, score = p, float(strength), total
    return best, chosen


def elsewhere(numbers: Codes, own: Codes) -> Floats:
    """Return how often each row's number occurs in other stretches than its own, shape (n,)."""
    return tally(numbers) - tally(numbers * STRETCHES + own)


def tally(numbers: Codes) -> Floats:
    """Return how often each row's number occurs, shape (n,)."""
    if len(numbers) and int(numbers.max()) < 16 * len(numbers):
        counts: Floats = np.bincount(numbers)[numbers].astype(np.float64)
        return counts
    _, inverse, found = np.unique(numbers, return_inverse=True, return_counts=True)
    return found[inverse].astype(np.float64)


def _stretches(n: int) -> Codes:
    """Return the stretch of neighbours of each of n rows; the rows of one privacy unit share it, but at the cuts."""
    return np.arange(n) * min(STRETCHES, n) // max(n, 1)


def _total(numbers: Codes, weight: Floats) -> Floats:
    """Return the summed weight of the rows that share each row's number, shape (n,)."""
    _, row = np.unique(numbers, return_inverse=True)
    total: Floats = np.bincount(row, weight)[row].astype(np.float64)
    return total
