"""Random parts of the holdout and matched synthetic rows: how every metric gets its noise floor.

The holdout is split into a half A and a half B; synthetic rows S' are drawn to match the size of B. A metric's value
compares A with S', its reference compares A with B: the same question put to fresh real rows of the same number.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audit.core import Evidence, NotComputable
from tabular.table import Table

Rows = NDArray[np.int64]


class Match(NamedTuple):
    """One random split, as row positions.

    Attributes:
        real: Half A of the holdout.
        fresh: Rows of half B of the holdout, no privacy unit of which is in A.
        synthetic: As many synthetic rows, at most half of those there are.
    """

    real: Rows
    fresh: Rows
    synthetic: Rows


def match(evidence: Evidence, rng: np.random.Generator, minimum: int, most: int | None = None) -> Match:
    """Split the holdout in halves by privacy unit, and draw as many synthetic rows as are taken of the second half.

    At most half of the synthetic rows are taken: splits that all took the same ones would not show their sampling error
    (`audit.intervals.half_samples`).

    Args:
        evidence: What is looked at.
        rng: Source of the split.
        minimum: Smallest number of rows in each of the three, before `most` cuts them.
        most: Largest number of rows in each of the three; None for no bound.

    Raises:
        NotComputable: If one of the three has fewer rows than the minimum.
    """
    real, fresh = parts(evidence.holdout, 2, rng)
    drawn = len(evidence.synthetic) // 2
    size = min(len(fresh), drawn, len(fresh) if most is None else most)
    need(len(real), minimum, "half of the holdout")
    need(len(fresh), minimum, "half of the holdout")
    need(drawn, minimum, "half of the synthetic table")
    return Match(
        some(real, len(real) if most is None else most, rng),
        some(fresh, size, rng),
        some(np.arange(len(evidence.synthetic)), size, rng),
    )


def parts(table: Table, count: int, rng: np.random.Generator) -> list[Rows]:
    """Split a table's rows at random into parts of about equal size; rows of one privacy unit stay together."""
    unit = units(table)
    sizes = np.bincount(unit)
    order = rng.permutation(len(sizes))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    part_of_unit = np.empty(len(sizes), dtype=np.int64)
    part_of_unit[order] = np.minimum((middle * count / max(len(unit), 1)).astype(np.int64), count - 1)
    part = part_of_unit[unit]
    return [np.flatnonzero(part == each) for each in range(count)]


def units(table: Table) -> NDArray[np.int64]:
    """Return the privacy unit of each row as 0, 1, ..., shape (n,); without one, each row is its own."""
    column = table.schema.unit
    if column is None:
        return np.arange(len(table))
    codes, distinct = pd.factorize(table.frame[column.name])
    unit = np.asarray(codes, dtype=np.int64)
    lone = unit == -1
    unit[lone] = len(distinct) + np.arange(int(lone.sum()))
    return unit


def independent(table: Table) -> float:
    """Return how many independent rows a table's rows are worth when those of one privacy unit say the same.

    That is (Σm)² / Σm² with m the rows of each unit: the number of units where all have equally many rows, the number
    of rows where each is its own unit (Kish, Survey sampling, 1965).
    """
    sizes = np.bincount(units(table)).astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def one_each(table: Table, rng: np.random.Generator) -> Rows:
    """Return one row of each privacy unit, drawn at random, in random order."""
    order = rng.permutation(len(table))
    _, first = np.unique(units(table)[order], return_index=True)
    return rng.permutation(order[first])


def some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Return at most so many of the rows, drawn without replacement and in random order."""
    return rng.permutation(rows)[:most]


def need(got: int, minimum: int, where: str) -> None:
    """Demand a smallest number of rows.

    Raises:
        NotComputable: If there are fewer.
    """
    if got < minimum:
        raise NotComputable(f"{where} has {got} rows; this metric needs at least {minimum}")
