"""Places of codes on a line, so that a tree's thresholds cut between codes that depend alike on other columns."""

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

RIDGE = 1.0
SHRINK = 5.0


def among(codes: Codes, size: int, bins: int, others: Floats) -> Floats:
    """Place the codes of a number: bins at their own number, spikes beside the bin that goes with the same rows.

    What the other columns say of the bin of a row is a linear regression; a spike lies where bins are said the same
    of as the spike's rows. Spikes rise with their codes; the last code may be a missing value, and rises with none.

    Args:
        codes: Code of each row, shape (n,).
        size: Number of codes: bins first, then spikes.
        bins: Number of bins.
        others: Further columns' ranks, about centred, shape (n, d).

    Returns:
        Place of each code, shape (size,).
    """
    place = np.arange(size, dtype=np.float64)
    regular = codes < bins
    if bins == size or regular.sum() < 2 or not others.shape[1]:
        return place
    z = np.column_stack([others, others**2, np.ones(len(others))])
    inside = z[regular]
    gram = inside.T @ inside + RIDGE * np.eye(z.shape[1])
    said = z @ np.linalg.solve(gram, inside.T @ codes[regular].astype(np.float64))
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    mean = np.bincount(codes, said, minlength=size) / np.maximum(counts, 1)
    curve = rising(mean[:bins], counts[:bins] + 1e-9)
    spike = rising(mean[bins : size - 1], counts[bins : size - 1] + 1e-9)
    at = np.searchsorted(curve, np.append(spike, mean[size - 1])) - 0.5
    place[bins:] = at + np.arange(1, size - bins + 1) / (2 * (size - bins + 1))
    return place


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


def rising(values: Floats, weights: Floats) -> Floats:
    """Return the rising values nearest to the given ones, shape (m,): pool adjacent violators."""
    from sklearn.isotonic import isotonic_regression

    return np.asarray(isotonic_regression(values, sample_weight=weights), dtype=np.float64) if len(values) else values
