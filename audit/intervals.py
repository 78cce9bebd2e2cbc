"""Where a true value lies: closed-form intervals for shares and AUCs, half-samples for the rest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, norm, t

from audit.core import Interval

LEVEL = 0.95


def half_samples(values: Sequence[float] | NDArray[np.float64], low: float = -np.inf, high: float = np.inf) -> Interval:
    """Return mean ± t · standard deviation over repeated random half-samples.

    The spread of a statistic over random halves of n rows estimates its standard error on all n rows (McCarthy,
    Pseudo-replication: half samples, 1969, doi:10.2307/1402132), so the deviation is not divided by the number of
    repeats. At most half of the synthetic rows are drawn anew in each repeat, so their sampling error is counted too.

    Args:
        values: The statistic on each half-sample.
        low: Smallest possible value; the interval is cut there.
        high: Largest possible value.
    """
    x = np.asarray(values, dtype=np.float64)
    half = float(t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1)) if len(x) > 1 else 0.0
    return Interval(low=float(max(x.mean() - half, low)), high=float(min(x.mean() + half, high)), level=LEVEL)


def wilson(hits: float, n: float) -> Interval:
    """Return the score interval of a share of n independent rows (Wilson, 1927, doi:10.1080/01621459.1927.10502953)."""
    z = float(norm.ppf((1 + LEVEL) / 2))
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    low = 0.0 if hits == 0 else max(middle - half, 0.0)
    high = 1.0 if hits == n else min(middle + half, 1.0)
    return Interval(low=low, high=high, level=LEVEL)


def share_difference(first: float, second: float, n: float, m: float) -> Interval:
    """Return the interval of the difference of two shares, of n and of m rows.

    Hybrid score interval: Newcombe, Interval estimation for the difference between independent proportions, 1998,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10.
    """
    a, b = wilson(first * n, n), wilson(second * m, m)
    gap = first - second
    low = gap - float(np.hypot(first - a.low, b.high - second))
    high = gap + float(np.hypot(a.high - first, second - b.low))
    return Interval(low=low, high=high, level=LEVEL)


def clopper_pearson(
    hits: NDArray[np.int64] | int, n: int, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return exact one-sided lower and upper bounds, each at error alpha, of shares of n rows."""
    k = np.asarray(hits, dtype=np.float64)
    low = np.where(k > 0, beta.ppf(alpha, np.maximum(k, 1), n - np.maximum(k, 1) + 1), 0.0)
    high = np.where(k < n, beta.ppf(1 - alpha, np.minimum(k, n - 1) + 1, np.maximum(n - k, 1)), 1.0)
    return low, high


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the chance that a positive row scores above a negative one, ties counting half.

    Args:
        scores: Score of each row, shape (n,).
        positive: Whether a row is positive, shape (n,); rows of both kinds.
    """
    _, level = np.unique(scores, return_inverse=True)
    wins = np.bincount(level, positive)
    losses = np.bincount(level, ~positive)
    return float((wins * (np.cumsum(losses) - losses / 2)).sum() / (wins.sum() * losses.sum()))


def auc_interval(value: float, positives: float, negatives: float) -> Interval:
    """Return the score-type interval of an AUC; it has a width even at 0 and 1, and is exact in variance at 0.5.

    Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2, 2006,
    doi:10.1002/sim.2324, method 5.
    """
    z = float(norm.ppf((1 + LEVEL) / 2))
    extra = (positives + negatives) / 2 - 1

    def distance(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(value - theta) - z * float(np.sqrt(theta * (1 - theta) * spread / (positives * negatives)))

    nearly = 1e-6
    low = float(brentq(distance, 1e-12, min(value, 1 - 1e-9))) if value > nearly else 0.0
    high = float(brentq(distance, max(value, 1e-9), 1 - 1e-12)) if value < 1 - nearly else 1.0
    return Interval(low=min(low, value), high=max(high, value), level=LEVEL)
