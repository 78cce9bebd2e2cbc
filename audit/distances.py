"""Distances of synthetic and of unseen real rows to the training rows, made once for all metrics that compare them."""

from typing import NamedTuple

import numpy as np
from pydantic import PositiveInt

from audit.core import Evidence, Metric
from audit.neighbours import Distances, Points, encode, nearest
from audit.reading import modelled
from audit.reference import independent, need, parts, some


class Reaching(Metric.Config, frozen=True, extra="forbid"):
    """Sizes of the tables compared.

    Attributes:
        minimum: Fewest rows of each table and of half of the holdout.
        most: Most synthetic rows, and most holdout rows of either half, that are looked up.
        sought: Most training rows, and most holdout rows, that they are sought among.
        categories: Categories of a column that are told apart; the others count as one.
    """

    minimum: PositiveInt = 50
    most: PositiveInt = 2_500
    sought: PositiveInt = 32_768
    categories: PositiveInt = 50


class Reached(NamedTuple):
    """Distances to the nearest row of a table.

    Attributes:
        synthetic: Of synthetic rows to training rows, shape (n,).
        real: Of rows of half A of the holdout to training rows, shape (n,).
        fresh: Of rows of half B of the holdout to training rows, shape (m,).
        rows: How many independent synthetic, real and fresh rows these are.
        nearer: Share of the synthetic rows nearer to as many training rows as holdout rows than to the holdout rows,
            ties counting half.
        fresh_nearer: The same share of fresh rows, with half A for the holdout.
    """

    synthetic: Distances
    real: Distances
    fresh: Distances
    rows: tuple[float, float, float]
    nearer: float
    fresh_nearer: float


def reached(evidence: Evidence, settings: Reaching) -> Reached:
    """Measure the distances: numbers over their 5-95 % range in the holdout, unequal categories at distance 1.

    Raises:
        NotComputable: If there are too few rows, or no column.
    """

    def make(rng: np.random.Generator) -> Reached:
        modelled(evidence.holdout.schema)
        halves = parts(evidence.holdout, 2, rng)
        need(len(evidence.train), settings.minimum, "the training table")
        need(len(evidence.synthetic), settings.minimum, "the synthetic table")
        need(min(len(half) for half in halves), settings.minimum, "half of the holdout")
        size = min(len(evidence.synthetic), len(halves[0]), settings.most)
        synthetic = evidence.synthetic.take(some(np.arange(len(evidence.synthetic)), size, rng))
        real = evidence.holdout.take(some(halves[0], size, rng))
        fresh = evidence.holdout.take(some(halves[1], size, rng))
        train = evidence.train.take(some(np.arange(len(evidence.train)), settings.sought, rng))
        control = evidence.holdout.take(some(np.arange(len(evidence.holdout)), settings.sought, rng))
        half = evidence.holdout.take(some(halves[0], settings.sought, rng))
        points = {
            # Which categories are told apart must not favour the rows of either side.
            name: encode(evidence.train.joined(evidence.holdout), table, settings.categories)
            for name, table in {"S": synthetic, "A": real, "B": fresh, "T": train, "H": control, "half": half}.items()
        }

        equal, fewer = (min(len(train), len(table)) for table in (control, half))
        near, whole = _within(points["S"], points["T"], (equal, len(train)))
        fresh_near, fresh_whole = _within(points["B"], points["T"], (fewer, len(train)))
        return Reached(
            whole,
            nearest(points["A"], points["T"])[:, 0],
            fresh_whole,
            (float(size), independent(real), independent(fresh)),
            _nearer(near, nearest(points["S"], points["H"][:equal])[:, 0]),
            _nearer(fresh_near, nearest(points["B"], points["half"][:fewer])[:, 0]),
        )

    return evidence.shared(f"distances {settings.model_dump_json(include=set(Reaching.model_fields))}", make)


def _within(queries: Points, rows: Points, counts: tuple[int, int]) -> tuple[Distances, Distances]:
    """Return the distances to the nearest of the first rows, and of more of them."""
    first = nearest(queries, rows[: counts[0]])[:, 0]
    return first, np.minimum(first, nearest(queries, rows[counts[0] : counts[1]])[:, 0])


def _nearer(first: Distances, second: Distances) -> float:
    return float(((first < second) + 0.5 * (first == second)).mean())
