"""Unseen combinations: how many synthetic rows pair categories that chance lets meet in real rows, yet never did?"""

from itertools import combinations
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from audit.core import Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import share_difference, wilson
from audit.reading import Coded, Codes, bins
from audit.reference import Rows, independent, match, one_each

WORST = 30


class Cell(NamedTuple):
    """A pair of categories that never met.

    Attributes:
        first: Place of the first column.
        second: Place of the second column.
        codes: The two codes.
        expected: How many known rows would hold both if the columns were independent.
    """

    first: int
    second: int
    codes: tuple[int, int]
    expected: float


class UnseenCombinations(Metric):
    """Share of rows that hold a pair of categories which no known real row holds, though chance alone predicts many.

    Known rows are the training rows and half A of the holdout. A pair is impossible in their eyes where it never
    occurs and n p(a) p(b), its count if the two columns were independent, is at least `expected`; n and the shares are
    those of one row of each privacy unit. The value is over all synthetic rows, the reference over half B. Missing is a
    category; number columns are left out. Intervals are Wilson's, the gap's is Newcombe's; real rows count as many as
    their privacy units (`audit.reference.independent`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Unseen combinations"
    needs = ("codes",)
    definition: ClassVar[str] = (
        "Share of synthetic rows with a pair of categories never seen in real rows although independence predicts at "
        "least 20 of them; 0 (none) to 1 (structural zeros: Bishop, Fienberg & Holland, Discrete Multivariate "
        "Analysis, 1975)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """When a pair counts as impossible.

        Attributes:
            minimum: Fewest rows in half of the holdout.
            expected: Fewest rows that independence predicts for the pair.
            categories: Most frequent categories of a column that are looked at; the others can only meet rarely.
        """

        minimum: PositiveInt = 50
        expected: PositiveFloat = 20.0
        categories: PositiveInt = 200

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the rows that hold a pair never seen."""
        columns = [column for column in evidence.holdout.schema.modelled if column.is_code]
        if len(columns) < 2:
            raise NotComputable(f"the table has {len(columns)} columns of categories; this metric needs at least 2")
        split = match(evidence, rng, self.config.minimum)
        known = (evidence.train, evidence.holdout.take(split.real))
        lone = np.concatenate([one_each(known[0], rng), len(known[0]) + one_each(known[1], rng)])
        judged = (evidence.synthetic, evidence.holdout.take(split.fresh))
        coded = [
            bins(column, evidence.train, (*known, *judged), categories=self.config.categories) for column in columns
        ]
        hit = [np.zeros(len(table), dtype=bool) for table in judged]
        cells: list[tuple[Cell, int]] = []
        for first, second in combinations(range(len(columns)), 2):
            never, expected = self._never(coded[first], coded[second], lone)
            for side in (0, 1):
                codes = coded[first].codes[2 + side], coded[second].codes[2 + side]
                hit[side] |= never[codes]
                if side == 0 and never.any():
                    cells += _held(never, expected, codes, (first, second))
        value, reference = (float(each.mean()) for each in hit)
        n, m = float(len(hit[0])), independent(judged[1])
        cells.sort(key=lambda each: -each[1])
        return Estimate(
            value=value,
            interval=wilson(value * n, n),
            reference=reference,
            reference_interval=wilson(reference * m, m),
            gap=value - reference,
            gap_interval=share_difference(value, reference, n, m),
            detail=tuple(_row(cell, held, [column.name for column in columns], coded) for cell, held in cells[:WORST]),
            rows=len(hit[0]),
        )

    def _never(self, first: Coded, second: Coded, lone: Rows) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return which pairs of codes never met in the known rows, and how often they were to meet, shapes (K, L)."""
        a, b = np.concatenate(first.codes[:2]), np.concatenate(second.codes[:2])
        met = np.bincount(a * second.size + b, minlength=first.size * second.size).reshape(first.size, second.size)
        held = [np.bincount(codes[lone], minlength=each.size) for codes, each in ((a, first), (b, second))]
        expected = np.outer(*held) / len(lone)
        return (met == 0) & (expected >= self.config.expected), expected


def _held(
    never: NDArray[np.bool_], expected: NDArray[np.float64], codes: tuple[Codes, Codes], place: tuple[int, int]
) -> list[tuple[Cell, int]]:
    """Return the pairs never seen that rows hold, with how many rows hold each."""
    flat = codes[0] * never.shape[1] + codes[1]
    held = np.bincount(flat[never[codes]], minlength=never.size)
    return [
        (
            Cell(*place, (int(cell) // never.shape[1], int(cell) % never.shape[1]), float(expected.ravel()[cell])),
            int(held[cell]),
        )
        for cell in np.argsort(-held, kind="stable")[:WORST]
        if held[cell]
    ]


def _row(cell: Cell, held: int, names: list[str], coded: list[Coded]) -> Row:
    return {
        "first": f"{names[cell.first]} = {coded[cell.first].names[cell.codes[0]]}",
        "second": f"{names[cell.second]} = {coded[cell.second].names[cell.codes[1]]}",
        "expected_in_real": cell.expected,
        "synthetic_rows": held,
    }
