"""Distances of columns and of sets of columns, between real and synthetic rows, on random splits that metrics share."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import Evidence, Metric
from audit.reading import Codes, bins, levels, modelled
from audit.reference import Match, match, some
from tabular.schema import Column
from tabular.table import Table

Floats = NDArray[np.float64]
ENUMERATED = 100_000


class Look(Metric.Config, frozen=True, extra="forbid"):
    """How often the holdout is split, and how many rows are compared.

    Attributes:
        splits: How often the holdout is split.
        minimum: Fewest rows on either side.
        most: Most rows on either side; of more, twice as many are drawn at random, and the splits are made of these.
    """

    splits: PositiveInt = 20
    minimum: PositiveInt = 50
    most: PositiveInt = 20_000


class PairLook(Look, frozen=True, extra="forbid"):
    """How coarsely pairs of columns are read, and how many of them.

    Attributes:
        bins: Most bins of a number column.
        categories: Categories that keep a code of their own.
        pairs: Most pairs; of more, so many are drawn at random.
    """

    bins: int = Field(default=10, ge=2)
    categories: PositiveInt = 20
    pairs: PositiveInt = 1_000


class Drawn(NamedTuple):
    """The rows that are compared, and how they are split again and again.

    Attributes:
        train: Rows that bins are cut from.
        holdout: Real rows that splits are made of.
        synthetic: Synthetic rows that splits are made of.
        splits: Row positions in the two, one of each split.
    """

    train: Table
    holdout: Table
    synthetic: Table
    splits: tuple[Match, ...]


class Compared(NamedTuple):
    """Distances of several things to half A of the holdout.

    Attributes:
        columns: The columns, in the order of the schema.
        sets: Positions of the columns of each thing: one, a pair, or more.
        found: Distances of synthetic rows and of fresh real ones (half B), shape (2, splits, things).
        rows: How many synthetic rows each split compares.
    """

    columns: tuple[Column, ...]
    sets: tuple[tuple[int, ...], ...]
    found: Floats
    rows: int


class Binned(NamedTuple):
    """All columns as coarse codes.

    Attributes:
        columns: The columns, in the order of the schema.
        sizes: Number of codes of each column.
        real: Codes of the drawn holdout rows, shape (C, n).
        synthetic: Codes of the drawn synthetic rows, shape (C, m).
        splits: Row positions in the two, one of each split.
    """

    columns: tuple[Column, ...]
    sizes: tuple[int, ...]
    real: Codes
    synthetic: Codes
    splits: tuple[Match, ...]


def drawn(evidence: Evidence, look: Look) -> Drawn:
    """Draw the rows to compare and split them, once for all metrics that split alike."""

    def make(rng: np.random.Generator) -> Drawn:
        train, holdout, synthetic = (
            table if len(table) <= 2 * look.most else table.take(some(np.arange(len(table)), 2 * look.most, rng))
            for table in (evidence.train, evidence.holdout, evidence.synthetic)
        )
        less = Evidence(train, holdout, synthetic)
        splits = tuple(match(less, rng, look.minimum, look.most) for _ in range(look.splits))
        return Drawn(train, holdout, synthetic, splits)

    return evidence.shared(f"shape.drawn {settings(look, Look)}", make)


def columns(evidence: Evidence, look: Look) -> Compared:
    """Return the distance of each column's distribution (`distance`), once for all metrics that ask alike."""

    def make(_: np.random.Generator) -> Compared:
        every = modelled(evidence.holdout.schema)
        rows = drawn(evidence, look)
        found = np.empty((2, len(rows.splits), len(every)))
        for place, column in enumerate(every):
            (real, synthetic), size = levels(column, (rows.holdout, rows.synthetic))
            for turn, split in enumerate(rows.splits):
                half = real[split.real]
                found[0, turn, place] = distance(half, synthetic[split.synthetic], size, column.is_number)
                found[1, turn, place] = distance(half, real[split.fresh], size, column.is_number)
        sets = tuple((place,) for place in range(len(every)))
        return Compared(every, sets, found, len(rows.splits[0].synthetic))

    return evidence.shared(f"shape.columns {settings(look, Look)}", make)


def pairs(evidence: Evidence, look: PairLook) -> Compared:
    """Return the total variation distance of each pair's joint distribution, once for all metrics that ask alike."""

    def make(rng: np.random.Generator) -> Compared:
        read = binned(evidence, look, look.bins, look.categories)
        return compared(read, chosen(read.columns, 2, look.pairs, rng))

    return evidence.shared(f"shape.pairs {settings(look, PairLook)}", make)


def binned(evidence: Evidence, look: Look, widest: int, categories: int) -> Binned:
    """Code all columns coarsely (`audit.reading.bins`), once for all metrics that ask alike."""

    def make(_: np.random.Generator) -> Binned:
        every = modelled(evidence.holdout.schema)
        rows = drawn(evidence, look)
        coded = [bins(each, rows.train, (rows.holdout, rows.synthetic), widest, categories) for each in every]
        real, synthetic = (np.stack([each.codes[side] for each in coded]) for side in (0, 1))
        return Binned(every, tuple(each.size for each in coded), real, synthetic, rows.splits)

    return evidence.shared(f"shape.binned {settings(look, Look)} {widest} {categories}", make)


def chosen(every: Sequence[Column], count: int, most: int, rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    """Return sets of so many columns, at most so many sets; which ones does not depend on the order of the columns."""
    by_name = sorted(range(len(every)), key=lambda place: every[place].name)
    if comb(len(every), count) <= ENUMERATED:
        sets = list(combinations(by_name, count))
        if len(sets) > most:
            sets = [sets[each] for each in rng.choice(len(sets), most, replace=False)]
    else:
        drawn_sets = {tuple(sorted(rng.choice(len(every), count, replace=False).tolist())) for _ in range(most)}
        sets = [tuple(by_name[place] for place in each) for each in drawn_sets]
    return tuple(sorted(tuple(sorted(each)) for each in sets))


def compared(read: Binned, sets: tuple[tuple[int, ...], ...]) -> Compared:
    """Return the total variation distance of the joint distribution of each set of columns, on every split."""
    found = np.empty((2, len(read.splits), len(sets)))
    for turn, split in enumerate(read.splits):
        real, synthetic, fresh = read.real[:, split.real], read.synthetic[:, split.synthetic], read.real[:, split.fresh]
        for place, each in enumerate(sets):
            cells = int(np.prod([read.sizes[column] for column in each]))
            half = joint(real, each, read.sizes)
            found[0, turn, place] = total_variation(half, joint(synthetic, each, read.sizes), cells)
            found[1, turn, place] = total_variation(half, joint(fresh, each, read.sizes), cells)
    return Compared(read.columns, sets, found, len(read.splits[0].synthetic))


def joint(codes: Codes, each: tuple[int, ...], sizes: tuple[int, ...]) -> Codes:
    """Return one code for each combination of the codes of several columns, shape (n,), of codes, shape (C, n)."""
    one: Codes = codes[each[0]]
    for column in each[1:]:
        one = one * sizes[column] + codes[column]
    return one


def total_variation(first: Codes, second: Codes, size: int) -> float:
    """Return 1/2 Σ|p - q| of two samples of codes in [0, size), shapes (n,) and (m,)."""
    return float(np.abs(_shares(first, size) - _shares(second, size)).sum() / 2)


def distance(first: Codes, second: Codes, size: int, ordered: bool) -> float:
    """Return the distance of two samples of one column.

    Total variation for categories. For numbers the Kolmogorov-Smirnov distance sup|F - G| of the values present, times
    the share present on both sides, plus the difference of the shares missing.

    Args:
        first: Codes of one sample, shape (n,), in [0, size); the last code is missing.
        second: Codes of the other, shape (m,).
        size: Number of codes.
        ordered: Whether the codes are ranks of numbers.
    """
    if not ordered:
        return total_variation(first, second, size)
    p, q = _shares(first, size), _shares(second, size)
    present_p, present_q = 1 - p[-1], 1 - q[-1]
    gap = abs(float(p[-1] - q[-1]))
    if min(present_p, present_q) <= 0:
        return gap
    steps = np.abs(np.cumsum(p[:-1]) / present_p - np.cumsum(q[:-1]) / present_q)
    return float(min(present_p, present_q) * steps.max()) + gap


def settings(look: Look, kind: type[Look]) -> str:
    """Return the settings of one kind as text: what makes two questions the same."""
    return look.model_dump_json(include=set(kind.model_fields))


def _shares(codes: Codes, size: int) -> Floats:
    return np.bincount(codes, minlength=size) / len(codes)
