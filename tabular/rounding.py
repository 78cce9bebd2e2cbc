"""Any real matrix to classes and back: what encoders do with what a model made."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def whole(x: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """Round to whole numbers 0 .. size - 1; anything else to the nearest, NaN to 0."""
    return np.clip(np.rint(np.nan_to_num(x)), 0, size - 1).astype(np.int64)


def largest(x: Matrix) -> NDArray[np.int64]:
    """Return the position of each row's largest entry, shape (n,); NaN is the smallest."""
    return np.asarray(np.argmax(np.where(np.isnan(x), -np.inf, x), axis=1), dtype=np.int64)


def one_hot(classes: NDArray[np.int64], size: int) -> Matrix:
    """Write classes, shape (n,), as one-hot rows, shape (n, size)."""
    x = np.zeros((len(classes), size), dtype=np.float32)
    x[np.arange(len(classes)), classes] = 1.0
    return x


def nearest(points: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of the nearest of the rising points to each value, shape (n,)."""
    return np.searchsorted(points[:-1] / 2 + points[1:] / 2, values, side="left").astype(np.int64)
