"""The one split: rows that models learn from, and rows that no model ever sees."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import Mistake

LEAST_ROWS = 10


def split(
    frame: pd.DataFrame, unit: str | None, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows by privacy unit at random: all rows of a unit stay on one side.

    Args:
        frame: Rows, shape (n, columns).
        unit: Column that names the unit; every row is one of its own where None, and where the unit is missing.
        share: Share of rows that the holdout should have, as near as whole units allow.
        rng: Source of randomness.

    Returns:
        Positions of the training rows and of the holdout rows, each in rising order.

    Raises:
        Mistake: If a side would get no unit or fewer than ten rows.
    """
    n = len(frame)
    members = np.arange(n) if unit is None else _members(frame[unit])
    sizes = np.bincount(members) if n else np.zeros(0, dtype=np.int64)
    order = rng.permutation(len(sizes))
    filled = np.cumsum(sizes[order])
    if len(sizes) < 2:
        raise Mistake(f"{_what(unit)}: got {len(sizes)}, wanted at least 2, one on either side of the holdout")
    count = int(np.argmin(np.abs(filled[:-1] - share * n))) + 1
    held = np.zeros(len(sizes), dtype=bool)
    held[order[:count]] = True
    inside = held[members]
    train, holdout = np.flatnonzero(~inside), np.flatnonzero(inside)
    if min(len(train), len(holdout)) < LEAST_ROWS:
        raise Mistake(
            f"holdout: {n} rows split at {share:g} leave {len(train)} to learn from and {len(holdout)} held back; "
            f"wanted at least {LEAST_ROWS} each"
        )
    return train.astype(np.int64), holdout.astype(np.int64)


def _members(column: pd.Series) -> NDArray[np.int64]:
    """Number the units from 0, in order of appearance, shape (n,); each missing one counts as one of its own."""
    codes, names = pd.factorize(column)
    missing = codes == -1
    numbered: NDArray[np.int64] = codes.astype(np.int64)
    numbered[missing] = len(names) + np.arange(int(missing.sum()))
    return numbered


def _what(unit: str | None) -> str:
    return "rows" if unit is None else f"unit {unit!r}"
