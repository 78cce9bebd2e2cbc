"""What attackers learn of a secret from having trained on a row: the advantage, its interval, and its control variate.

With acc_T and acc_H the shares of training and of holdout rows whose secret is guessed right, the advantage is
r = (acc_T - acc_H) / (1 - acc_H): what can be learned of everybody of the population is no leak. Bounds are those of a
ratio of two shares of misses, by the recovery of variance estimates from Wilson's intervals (Donner & Zou 2012,
doi:10.1177/0962280210383980).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from audit.core import Interval
from audit.intervals import LEVEL

FEWEST_MISSES = 10
Right = NDArray[np.bool_]


class Advantage(NamedTuple):
    """The advantage r = (acc_T - acc_H) / (1 - acc_H) = 1 - misses_T / misses_H of one attack on one secret.

    Attributes:
        value: r, less what chance explains.
        interval: Its interval.
        surely: Its lower bound, corrected for the number of advantages looked at.
        visible: The smallest r that would have been told from 0.
    """

    value: float
    interval: Interval
    surely: float
    visible: float


def advantage(
    right: Right, control: Right | None, member: NDArray[np.bool_], sizes: tuple[float, float], looks: int, known: float
) -> Advantage | None:
    """Return the advantage of guesses that are right or wrong; None where nothing is left to learn.

    Args:
        right: Whether each guess is right, shape (n,).
        control: Whether the guess of the same row is right when nobody's row was trained on, shape (n,); r is taken
            less its regression on the chance difference of the control (a control variate).
        member: Whether the row is a training row, shape (n,).
        sizes: How many independent training and holdout rows there are.
        looks: How many such advantages are looked at (Bonferroni).
        known: Share of misses of holdout rows below which nothing is left to learn.
    """
    missed = 1 - float(right[member].mean()), 1 - float(right[~member].mean())
    if not learnable(missed[1], sizes[1], known):
        return None
    r = 1 - missed[0] / missed[1]
    shift, narrowed = (0.0, 1.0) if control is None else _chance(right, control, member, sizes, r)
    z, strict = (float(norm.ppf(1 - (1 - LEVEL) / 2 / each)) for each in (1, looks))
    low, high = _ratio(missed, sizes, z)
    strictly = _ratio(missed, sizes, strict)[1]
    value = min(r - shift, 1.0)
    bounds = [min(value + narrowed * (1 - each - r), 1.0) for each in (high, low, strictly)]
    visible = narrowed * strict * error(missed[1], sizes)
    return Advantage(value, Interval(low=bounds[0], high=bounds[1], level=LEVEL), bounds[2], visible)


def learnable(missed: float, size: float, known: float) -> bool:
    """Return whether anything is left to learn of a secret that so large a share of so many holdout rows is missed."""
    return missed >= known and missed * size >= FEWEST_MISSES


def error(missed: float, sizes: tuple[float, float]) -> float:
    """Return the standard error of an advantage of 0 where that share of either side is missed."""
    return float(np.sqrt((1 - missed) / missed * (1 / sizes[0] + 1 / sizes[1])))


def largest(found: Sequence[Advantage]) -> tuple[float, Interval]:
    """Return the largest advantage and the interval of the largest.

    It runs from the largest lower bound, corrected for the number looked at, to the largest upper bound, which needs no
    correction: it lies above the truth wherever the bound of the truly largest does.
    """
    value = max(each.value for each in found)
    low, high = max(each.surely for each in found), max(each.interval.high for each in found)
    return value, Interval(low=min(low, value), high=high, level=LEVEL)


def _chance(
    right: Right, control: Right, member: NDArray[np.bool_], sizes: tuple[float, float], r: float
) -> tuple[float, float]:
    """Return how much of r the control explains by chance, and the factor that its standard error shrinks by."""
    sides = [np.cov(np.stack([right[of], control[of]]).astype(np.float64)) for of in (member, ~member)]
    missed = 1 - float(right[~member].mean())
    weights = 1 / sizes[0] / missed, (1 - r) / sizes[1] / missed
    together = weights[0] * sides[0][0, 1] + weights[1] * sides[1][0, 1]
    own = weights[0] ** 2 * sizes[0] * sides[0][0, 0] + weights[1] ** 2 * sizes[1] * sides[1][0, 0]
    others = sides[0][1, 1] / sizes[0] + sides[1][1, 1] / sizes[1]
    if own * others <= 0:
        return 0.0, 1.0
    gap = float(control[member].mean() - control[~member].mean())
    return gap * together / others, float(np.sqrt(max(1 - together**2 / (own * others), 0.0)))


def _ratio(shares: tuple[float, float], sizes: tuple[float, float], z: float) -> tuple[float, float]:
    """Return the bounds, at so many standard errors each, of the ratio of two shares."""
    (a, low_a, high_a), (b, low_b, high_b) = (_wilson(share, n, z) for share, n in zip(shares, sizes, strict=True))
    upper, lower = high_b * (2 * b - high_b), low_b * (2 * b - low_b)
    # Where the divisor is hardly known, the method has no bound; the extremes of both intervals always are one.
    low = (a * b - np.sqrt(max((a * b) ** 2 - low_a * (2 * a - low_a) * upper, 0))) / upper if upper > 0 else 0.0
    high = (a * b + np.sqrt(max((a * b) ** 2 - high_a * (2 * a - high_a) * lower, 0))) / lower
    return float(max(low, 0.0)), float(high)


def _wilson(share: float, n: float, z: float) -> tuple[float, float, float]:
    middle, half = share + z * z / (2 * n), z * float(np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return share, max(low, 0.0), min(high, 1.0)
