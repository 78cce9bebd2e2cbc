"""Supports of real and synthetic rows as points in space: what alpha-precision and beta-recall are made of."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt
from threadpoolctl import threadpool_limits

from audit.core import Curve, Estimate, Evidence, Metric
from audit.intervals import half_samples
from audit.learner import THREADS
from audit.neighbours import Points, encode, nearest
from audit.reading import modelled
from audit.reference import Match, match, one_each

Floats = NDArray[np.float64]
BLOCK = 500
LEVELS = np.round(np.arange(21) / 20, 2)
SHOWN = (10, 18, 20)
# Relative errors by which a point at the very edge of a ball would miss it: of float32 places, and of float64 sums.
SLACK = 1e-6
SUMMED = 1e-12


class Supports(Metric.Config, frozen=True, extra="forbid"):
    """How often the holdout is split, and how many rows are compared.

    Attributes:
        splits: How often the holdout is split.
        minimum: Fewest rows on either side.
        most: Most rows on either side; of more, twice as many are drawn at random, and the splits are made of these.
        categories: Categories of a column that keep a code of their own.
    """

    splits: PositiveInt = 5
    minimum: PositiveInt = 50
    most: PositiveInt = 2_500
    categories: PositiveInt = 20


class Placed(NamedTuple):
    """Rows as points, and how they are split again and again.

    Attributes:
        holdout: The drawn holdout rows, shape (n, D).
        synthetic: The drawn synthetic rows, shape (m, D).
        splits: Row positions in the two, one of each split.
    """

    holdout: Points
    synthetic: Points
    splits: tuple[Match, ...]


def placed(evidence: Evidence, settings: Supports) -> Placed:
    """Place the rows to compare in space and split them, once for all metrics that ask alike.

    One row of each privacy unit: rows of one person are near one another, which says nothing of the support.
    """

    def make(rng: np.random.Generator) -> Placed:
        modelled(evidence.holdout.schema)
        holdout, synthetic = (
            table.take(one_each(table, rng)[: 2 * settings.most]) for table in (evidence.holdout, evidence.synthetic)
        )
        less = Evidence(evidence.train, holdout, synthetic)
        splits = tuple(match(less, rng, settings.minimum, settings.most) for _ in range(settings.splits))
        real, other = (encode(evidence.train, table, settings.categories) for table in (holdout, synthetic))
        return Placed(real, other, splits)

    return evidence.shared(f"supports {settings.model_dump_json(include=set(Supports.model_fields))}", make)


def ranks(own: Points, others: Points) -> Floats:
    """Return the share of own points no further from their centre than each other point is, shape (m,).

    A point lies in the support that holds the share α of own points, a ball around their centre, where this is at most
    α, but for the steps of 1/n.

    Args:
        own: Points that the centre and the radii are of, shape (n, D).
        others: Points to place, shape (m, D).
    """
    centre = own.mean(axis=0, dtype=np.float64)
    radii = np.sort(np.linalg.norm(own - centre, axis=1))
    asked = np.linalg.norm(others - centre, axis=1)
    inner = np.searchsorted(radii, asked * (1 - SLACK), side="left")
    return np.asarray((inner + 1) / len(own), dtype=np.float64)


def first_inside(balls: Points, radii: Floats, points: Points, order: Floats) -> Floats:
    """Return the smallest rank of a point inside each ball, infinite where there is none, shape (n,).

    Args:
        balls: Centres of the balls, shape (n, D).
        radii: Their radii, shape (n,).
        points: Points, shape (m, D).
        order: Ranks of the points, shape (m,).
    """
    by_rank = np.argsort(order, kind="stable")
    order, others = order[by_rank], points[by_rank].astype(np.float64)
    squares = np.einsum("ij,ij->i", others, others)
    found = np.full(len(balls), np.inf)
    with threadpool_limits(THREADS):
        for start in range(0, len(balls), BLOCK):
            block = balls[start : start + BLOCK].astype(np.float64)
            own = np.einsum("ij,ij->i", block, block)
            edge = radii[start : start + BLOCK] ** 2 * (1 + SLACK) + SUMMED * (1 + own) - own
            inside = squares - 2 * (block @ others.T) <= edge[:, None]
            found[start : start + BLOCK] = np.where(inside.any(axis=1), order[inside.argmax(axis=1)], np.inf)
    return found


def reach_of(points: Points, neighbour: int) -> Floats:
    """Return the distance of each point to its nearest, second nearest, ... other point, shape (n,)."""
    return nearest(points, points, neighbour + 1)[:, neighbour]


def evenness(found: Floats, steps: int) -> float:
    """Return 1 - 2 ∫ |F(α) - α| dα of the distribution F of ranks over α in [0, 1]; 1 where they are uniform.

    Args:
        found: Ranks, multiples of 1/steps, shape (n,); those above 1 are in no support.
        steps: How many steps the ranks come in.
    """
    middle = (np.arange(steps) + 0.5) / steps
    return float(1 - 2 * np.abs(filled(found, middle) - middle).mean())


def filled(found: Floats, levels: Floats) -> Floats:
    """Return the share of ranks, shape (n,), at most each level, shape (k,)."""
    return np.searchsorted(np.sort(found), levels, side="right") / len(found)


def summary(synthetic: Sequence[Floats], fresh: Sequence[Floats], steps: Sequence[int], rows: int) -> Estimate:
    """Return the estimate of ranks found on each split, for synthetic rows and for fresh real ones.

    Args:
        synthetic: Ranks on each split.
        fresh: The same for half B in place of the synthetic rows.
        steps: How many steps the ranks come in, on each split.
        rows: How many synthetic rows each split compares.
    """
    value, reference = (
        [evenness(found, size) for found, size in zip(side, steps, strict=True)] for side in (synthetic, fresh)
    )
    share, floor = (np.mean([filled(found, LEVELS) for found in side], axis=0) for side in (synthetic, fresh))
    return Estimate(
        value=float(np.mean(value)),
        interval=half_samples(value, 0, 1),
        reference=float(np.mean(reference)),
        reference_interval=half_samples(reference, 0, 1),
        detail=tuple(
            {"support": float(LEVELS[place]), "share": float(share[place]), "reference": float(floor[place])}
            for place in SHOWN
        ),
        curves=(
            Curve(name="synthetic rows", x=tuple(LEVELS.tolist()), y=tuple(share.tolist())),
            Curve(name="fresh real rows", x=tuple(LEVELS.tolist()), y=tuple(floor.tolist())),
        ),
        rows=rows,
    )
