"""Conditional draws from a family that can only draw: a pool of its rows, weighed by how well they fit the known."""

import numpy as np
from numpy.typing import NDArray

from models.core.base import GenerativeModel, Matrix
from tabular.layout import Layout

POOL = 8192
BANDWIDTH = 0.1
MISMATCH = 1e-4
CHUNK = 2_000_000

Floats = NDArray[np.float64]


def resample_given(
    model: GenerativeModel, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator, pool: int = POOL
) -> tuple[Matrix, Floats]:
    """Draw rows given some of their entries, by importance resampling of unconditional draws.

    A row of the pool weighs exp(-d² / 2h²) for each known real number at distance d, h = 0.1 of about a standard
    deviation, and 0.0001 for each known class that differs; one row is kept in proportion to its weight, and what is
    known is written over it. Exact where classes alone are known and the pool holds them; otherwise the kernel's
    smoothing, and the pool's size, are the error, and the effective number of pool rows says how much to trust it.
    Approximate Bayesian computation by weights: Beaumont, Zhang & Balding, 2002, doi:10.1093/genetics/162.4.2025.

    Args:
        model: A fitted model.
        known: Encoded rows, shape (n, D); entries outside the mask are ignored.
        mask: True where an entry is known, shape (D,); whole blocks at a time.
        rng: Source of all randomness.
        pool: Unconditional rows to draw.

    Returns:
        Encoded rows, shape (n, D), equal to `known` under the mask, and the effective number of pool rows for each,
        shape (n,).
    """
    if not len(known):
        return np.empty((0, model.layout.width), dtype=np.float32), np.zeros(0)
    candidates = model.sample(pool, rng)
    chosen, effective = np.empty(len(known), dtype=np.int64), np.empty(len(known))
    wanted, group = np.unique(np.where(mask, known, 0), axis=0, return_inverse=True)
    rows = max(1, CHUNK // pool)
    height = rng.random(len(known))
    for first in range(0, len(wanted), rows):
        weights = _weights(model.layout, wanted[first : first + rows], mask, candidates)
        heap = np.cumsum(weights, axis=1)
        members = np.flatnonzero((group >= first) & (group < first + rows))
        own = group[members] - first
        for each in np.unique(own):
            here = members[own == each]
            chosen[here] = np.minimum(np.searchsorted(heap[each], height[here] * heap[each, -1]), pool - 1)
        effective[members] = (weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1))[own]
    drawn = np.where(mask, known, candidates[chosen]).astype(np.float32)
    for block in model.layout.blocks:
        if block.when is not None:
            drawn[drawn[:, block.when] == 0, block.start] = 0
    return drawn, effective


def _weights(layout: Layout, wanted: Matrix, mask: NDArray[np.bool_], candidates: Matrix) -> Floats:
    """Return how well each candidate, shape (m, D), fits each wanted row, shape (g, D): shape (g, m), at most 1."""
    total = np.zeros((len(wanted), len(candidates)))
    for block in layout.blocks:
        if not mask[block.start]:
            continue
        if block.kind == "real":
            gap = wanted[:, None, block.start] - candidates[None, :, block.start]
            total -= (gap / BANDWIDTH) ** 2 / 2
            continue
        here, there = (_classes(x[:, block.start : block.stop]) for x in (wanted, candidates))
        total += np.where(here[:, None] == there[None, :], 0.0, np.log(MISMATCH))
    weights: Floats = np.exp(total - total.max(axis=1, keepdims=True))
    return weights


def _classes(x: Matrix) -> NDArray[np.int64]:
    """Return the class of each row of a block, shape (n,)."""
    classes: NDArray[np.int64] = (np.rint(x[:, 0]) if x.shape[1] == 1 else x.argmax(axis=1)).astype(np.int64)
    return classes
