"""Places of codes on a line, so that a tree's thresholds cut between codes that depend alike on other columns."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

RIDGE = 1.0
SHRINK = 5.0
LEAST = 1e-9
BESIDE = 1e-3
MOST_CLASSES = 8
MOST_ATOMS = 2
LEAST_ATOM = 0.05
WAVE = 0.7


def among(codes: Codes, places: Floats, size: int, others: Floats) -> Floats:
    """Place the codes of a number: as they are given, or next to the code that goes with the same rows.

    What the other columns say of the place of a row is a linear regression; a code without a place lies where they say
    the same of the rows of codes that have one.

    Args:
        codes: Code of each row, shape (n,).
        places: Places of the first codes, shape (known,).
        size: Number of codes.
        others: Further columns' ranks, about centred, shape (n, d).

    Returns:
        Place of each code, shape (size,).
    """
    known = codes < len(places)
    whole = np.append(places, np.full(size - len(places), places.max(initial=0.0) + 1))
    if len(places) == size or known.sum() < 2 or not others.shape[1]:
        return whole
    z = np.column_stack([others, others**2, np.ones(len(others))])
    inside = z[known]
    said = z @ np.linalg.solve(inside.T @ inside + RIDGE * np.eye(z.shape[1]), inside.T @ places[codes[known]])
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    mean = np.bincount(codes, said, minlength=size) / np.maximum(counts, 1)
    order = np.argsort(places, kind="stable")
    at = np.searchsorted(rising(mean[order], counts[order] + LEAST), mean[len(places) :])
    whole[len(places) :] = np.append(places[order], places.max() + 1)[at] - BESIDE
    return whole


def by_target(codes: Codes, size: int, y: Floats) -> Floats:
    """Rank classes by the line along which their means of y, shape (n, q), differ most: shape (size,).

    Coppersmith, Hong & Hosking, Partitioning nominal attributes in decision trees, 1999, doi:10.1023/A:1009869804967.
    """
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    centred = y - y.mean(axis=0)
    totals = np.column_stack([np.bincount(codes, column, minlength=size) for column in centred.T])
    means = totals / (counts + SHRINK)[:, None]
    _, _, axes = np.linalg.svd(means * np.sqrt(counts)[:, None], full_matrices=False)
    rank = np.empty(size)
    rank[np.argsort(means @ axes[0], kind="stable")] = np.arange(size)
    return rank


def of_classes(child: Codes, size: int) -> Floats:
    """Return what tells classes apart, shape (n, q): indicators of the most frequent."""
    often = np.argsort(-np.bincount(child, minlength=size), kind="stable")
    return np.asarray(child[:, None] == often[: max(1, min(MOST_CLASSES, size - 1))], dtype=np.float64)


def of_numbers(child: Codes, place: Floats) -> Floats:
    """Return what tells numbers apart, shape (n, q): their rank, a wave of it, indicators of the heaviest codes."""
    u, share = ranks(place), np.bincount(child) / len(child)
    often = np.argsort(-share, kind="stable")[:MOST_ATOMS]
    heavy = [WAVE * (child == k) / np.sqrt(share[k] * (1 - share[k])) for k in often if LEAST_ATOM < share[k] < 1]
    return np.column_stack([12**0.5 * u, WAVE * np.cos(2 * np.pi * u), *heavy])


def ranks(values: Codes | Floats) -> Floats:
    """Return middle ranks in (0, 1), shape (n,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(counts) - counts / 2) / len(values))[place], dtype=np.float64)


def rising(values: Floats, weights: Floats) -> Floats:
    """Return the rising values nearest to the given ones, shape (m,): pool adjacent violators."""
    from sklearn.isotonic import isotonic_regression

    return np.asarray(isotonic_regression(values, sample_weight=weights), dtype=np.float64) if len(values) else values
