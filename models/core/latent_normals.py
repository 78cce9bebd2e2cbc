"""Normal scores behind ordered groups: their correlations, the probability of a row of groups, and draws given some."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

FARTHEST = 8.0
LEAST = 1e-300


def edges(margins: Sequence[Floats]) -> list[Floats]:
    """Return where each column's groups begin and end on the scale of normal scores, (K, G + 1), of margins (K, G)."""
    found = []
    for margin in margins:
        heap = np.cumsum(margin, axis=1)
        inner = ndtri(np.clip(heap[:, :-1] / heap[:, -1:], 0.0, 1.0))
        ends = np.full((len(margin), 1), np.inf)
        found.append(np.hstack([-ends, inner, ends]))
    return found


def correlations(
    groups: Codes, member: Codes, margins: Sequence[Floats], sweeps: int, pull: float, rng: np.random.Generator
) -> Floats:
    """Return the correlations of the normal scores in each class, shape (K, d, d), by stochastic approximation.

    The scores are drawn in turns, each given the others and its group (Gibbs), under the correlations so far; those
    follow the scores with falling steps. So ties do not weaken them, as they do correlations of ranks.

    Hoff, Extending the rank likelihood for semiparametric copula estimation, 2007, doi:10.1214/07-AOAS107; Delyon,
    Lavielle & Moulines, Convergence of a stochastic approximation version of the EM algorithm, 1999.

    Args:
        groups: Rows, shape (n, d).
        member: Class of each row, shape (n,).
        margins: Share of each group in each class, (K, G), by column.
        sweeps: Turns through all columns.
        pull: Rows that the correlations within all classes are worth in each class.
        rng: Source of the scores.
    """
    ends, width = edges(margins), groups.shape[1]
    low = np.array([end[member, group] for end, group in zip(ends, groups.T, strict=True)])
    high = np.array([end[member, group + 1] for end, group in zip(ends, groups.T, strict=True)])
    score, _ = _between(low, high, rng.random(low.shape))
    size = len(margins[0])
    rows = [np.flatnonzero(member == k) for k in range(size)]
    smooth = _moments(score, rows)
    found = _pooled(smooth, rows, pull)
    for sweep in range(sweeps):
        precision = np.linalg.inv(found)
        scale = 1 / np.sqrt(np.einsum("kjj->kj", precision))
        for j in range(width):
            mean = np.empty(len(member))
            for k, part in enumerate(rows):
                mean[part] = score[j, part] - precision[k, j] @ score[:, part] / precision[k, j, j]
            spread = scale[member, j]
            drawn, _ = _between((low[j] - mean) / spread, (high[j] - mean) / spread, rng.random(len(member)))
            score[j] = np.clip(mean + spread * drawn, low[j], high[j])
        step = 1.0 if sweep < sweeps // 2 else 1 / (sweep - sweeps // 2 + 1)
        smooth = smooth + step * (_moments(score, rows) - smooth)
        found = _pooled(smooth, rows, pull)
    return found


def integrate(
    factor: Floats, ends: Sequence[Floats], known: Sequence[Codes | Floats], heights: Floats
) -> tuple[Floats, Floats, Codes]:
    """Draw scores in known groups, one column after the other, and weigh them by the probability of what is known.

    The mean weight is an unbiased estimate of that probability. With the same heights for all rows the estimates of all
    rows of groups sum to one, since those of rows that differ in the last group alone do.

    Geweke, Efficient simulation from the multivariate normal and Student-t distributions subject to linear
    constraints, 1991; Hajivassiliou & McFadden, The method of simulated scores, Econometrica 66(4), 1998.

    Args:
        factor: Lower Cholesky factor of the correlations, shape (d, d).
        ends: Where the groups of the first few columns begin and end, shape (G + 1,) each.
        known: Their groups, shape (n,), or the probability of what is known in every group, shape (n, G).
        heights: Where in its bounds each score lies, in (0, 1), shape (columns, n or 1, draws).

    Returns:
        Logarithms of the weights, shape (n, draws); the independent normals behind the scores and the groups, both of
        shape (columns, n, draws).
    """
    shape = (len(known[0]), heights.shape[2])
    normal, groups = np.empty((len(known), *shape)), np.empty((len(known), *shape), dtype=np.int64)
    weight = np.zeros(shape)
    for j, (end, told) in enumerate(zip(ends, known, strict=True)):
        mean, height = np.tensordot(factor[j, :j], normal[:j], axes=1), np.broadcast_to(heights[j], shape)
        if told.ndim == 1:
            groups[j] = told[:, None]
        else:
            mass = np.diff(ndtr((end - mean[..., None]) / factor[j, j]), axis=-1) * told[:, None, :]
            heap = np.cumsum(mass, axis=-1)
            picked = (heap <= height[..., None] * heap[..., -1:]).sum(axis=-1, keepdims=True)
            last = told.shape[1] - 1 - np.argmax(told[:, ::-1] > 0, axis=1)
            picked = np.minimum(picked, last[:, None, None])
            chance = np.maximum(np.take_along_axis(mass, picked, -1)[..., 0], LEAST)
            below = np.take_along_axis(heap, picked, -1)[..., 0] - chance
            height = np.clip((height * heap[..., -1] - below) / chance, 1e-9, 1 - 1e-9)
            groups[j] = picked[..., 0]
            weight += np.log(np.maximum(heap[..., -1], LEAST))
        low, high = end[groups[j]], end[groups[j] + 1]
        normal[j], inside = _between((low - mean) / factor[j, j], (high - mean) / factor[j, j], height)
        weight += np.log(np.maximum(inside, LEAST)) if told.ndim == 1 else 0.0
    return weight, normal, groups


def _between(low: Floats, high: Floats, height: Floats) -> tuple[Floats, Floats]:
    """Return the standard normal at heights in (0, 1) between bounds, and the mass between them."""
    flip = low > 0
    below, above = np.where(flip, -high, low), np.where(flip, -low, high)
    start = ndtr(below)
    mass = ndtr(above) - start
    drawn = ndtri(start + np.where(flip, 1 - height, height) * mass)
    drawn = np.clip(drawn, np.maximum(below, -FARTHEST), np.maximum(np.minimum(above, FARTHEST), -FARTHEST))
    return np.where(flip, -drawn, drawn), mass


def _moments(score: Floats, rows: list[NDArray[np.intp]]) -> Floats:
    """Return summed products of the scores in each class, shape (K, d, d), of scores (d, n)."""
    return np.array([score[:, part] @ score[:, part].T for part in rows])


def _pooled(moments: Floats, rows: list[NDArray[np.intp]], pull: float) -> Floats:
    """Return correlations, shape (K, d, d), each class drawn towards what holds within all, that towards none."""
    count = np.array([len(part) for part in rows], dtype=np.float64)[:, None, None]
    width = moments.shape[1]
    every = _scaled((moments.sum(axis=0) + 2 * np.eye(width)) / (count.sum() + 2))
    return _scaled((moments + pull * every) / (count + pull))


def _scaled(covariance: Floats) -> Floats:
    """Return correlations of covariances, shape (..., d, d)."""
    spread = np.sqrt(np.einsum("...jj->...j", covariance))
    scaled: Floats = covariance / (spread[..., :, None] * spread[..., None, :])
    return scaled
