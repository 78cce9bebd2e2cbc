"""Kinds of people whom a leak may hurt most: rows that stand alone, and each group of each sensitive column."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import Evidence, Metric
from audit.neighbours import Points, encode, nearest
from audit.reading import bins
from audit.reference import Rows, parts, some
from tabular.table import Table

ISOLATION = "isolation"
NEIGHBOURS = 5
# Reference rows of either half of the holdout; more hardly change who stands alone.
REFERENCES = 1_500
CATEGORIES = 50
Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


class Subsets(Metric.Config, frozen=True, extra="forbid"):
    """Which rows are asked by themselves.

    Attributes:
        isolated: Share of the rows that count as isolated.
        fewest: Fewest training rows, and fewest holdout rows, that are isolated, where there are so many.
        smallest: Fewest training rows, and fewest holdout rows, of a group that is judged.
        parts: Groups of a number column.
        groups: Most categories of a column that are groups of their own; the rarer ones are one.
    """

    isolated: float = Field(default=0.1, gt=0, le=1)
    fewest: PositiveInt = 50
    smallest: PositiveInt = 100
    parts: int = Field(default=4, ge=2)
    groups: PositiveInt = 20


class Subset(NamedTuple):
    """Rows of one kind of people.

    Attributes:
        column: What they are told apart by.
        group: Who they are.
        among: Whether a training row asked, and whether a holdout row asked, is one of them, shapes (n,) and (m,).
    """

    column: str
    group: str
    among: tuple[Mask, Mask]

    @property
    def size(self) -> int:
        """Training rows or holdout rows, whichever are fewer."""
        return min(int(each.sum()) for each in self.among)


class Reference(NamedTuple):
    """Real rows that say who stands alone; no row is compared with rows of its own half, nor with itself.

    Attributes:
        known: Rows of both halves of the holdout, which also say where groups of numbers begin.
        points: Those of each half, placed in space, each of shape (k, D).
        halves: The half of each training row and of each holdout row, shapes (n,) and (m,).
    """

    known: Table
    points: tuple[Points, Points]
    halves: tuple[Rows, Rows]


def subsets(evidence: Evidence, asked: tuple[Rows, Rows], settings: Subsets) -> tuple[Subset, list[Subset]]:
    """Return the most isolated of the rows asked, and each group of them by each sensitive column.

    Args:
        evidence: What is looked at.
        asked: Positions of training rows and of holdout rows.
        settings: How they are cut; of few rows more than the share given count as isolated, so that some can be asked.
    """
    alone = isolation(evidence, asked)
    both = np.concatenate(alone)
    share = min(max(settings.isolated, 2 * settings.fewest / len(both)), 1.0)
    cut = np.quantile(both, 1 - share)
    name = f"the {100 * share:.3g} % farthest from others"
    return Subset(ISOLATION, name, (alone[0] >= cut, alone[1] >= cut)), list(_groups(evidence, asked, settings))


def isolation(evidence: Evidence, asked: tuple[Rows, Rows]) -> tuple[Values, Values]:
    """Return the mean distance of training rows and of holdout rows to their 5 nearest reference rows.

    A holdout row is compared with the half of the holdout that it is not in, a training row with a half drawn by lot
    with its privacy unit, so that nothing but chance makes either kind lie farther out.

    Args:
        evidence: What is looked at.
        asked: Positions of training rows and of holdout rows.
    """
    reference = evidence.shared("audit.subsets.isolation", lambda rng: _reference(evidence, rng))
    found: list[Values] = []
    for table, rows, halves in zip((evidence.train, evidence.holdout), asked, reference.halves, strict=True):
        queries = encode(reference.known, table.take(rows), CATEGORIES)
        alone = np.zeros(len(rows))
        for half, points in enumerate(reference.points):
            others = halves[rows] != half
            alone[others] = nearest(queries[others], points, NEIGHBOURS).mean(axis=1)
        found.append(alone)
    return found[0], found[1]


def _reference(evidence: Evidence, rng: np.random.Generator) -> Reference:
    halves = []
    for table in (evidence.train, evidence.holdout):
        half = np.zeros(len(table), dtype=np.int64)
        half[parts(table, 2, rng)[1]] = 1
        halves.append(half)
    of = [some(np.flatnonzero(halves[1] == half), REFERENCES, rng) for half in (0, 1)]
    known = evidence.holdout.take(np.concatenate(of))
    placed = encode(known, known, CATEGORIES)
    return Reference(known, (placed[: len(of[0])], placed[len(of[0]) :]), (halves[0], halves[1]))


def _groups(evidence: Evidence, asked: tuple[Rows, Rows], settings: Subsets) -> Iterator[Subset]:
    known = evidence.shared("audit.subsets.isolation", lambda rng: _reference(evidence, rng)).known
    tables = evidence.train.take(asked[0]), evidence.holdout.take(asked[1])
    for column in known.schema.sensitive:
        if column.is_modelled:
            coded = bins(column, known, tables, settings.parts, settings.groups)
            for code, name in enumerate(coded.names):
                members, others = (codes == code for codes in coded.codes)
                if members.any() or others.any():
                    yield Subset(column.name, name, (members, others))
