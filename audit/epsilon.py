"""How much a membership attack proves: lower bounds on the ε of any mechanism that would leak as much."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from audit.intervals import LEVEL, clopper_pearson

Values = NDArray[np.float64]
TUNING = 0.4
# Thresholds tried from either end; between them lie ranks that grow by a constant factor.
CANDIDATES = 60
# Standard errors below the mean that one draw in ten falls short of.
UNLUCKY = float(norm.ppf(0.9))


class Queries(NamedTuple):
    """Scores of one or several attacks on the same rows, high for rows that look like members.

    Attributes:
        members: Scores of training rows, shape (A, n).
        others: Scores of rows that nobody trained on, shape (A, m).
    """

    members: Values
    others: Values

    def only(self, attack: int) -> "Queries":
        """Return the scores of one attack, as if it were the only one."""
        return Queries(self.members[[attack]], self.others[[attack]])


def lower_bound(members: Values, others: Values, rng: np.random.Generator, level: float = LEVEL) -> float:
    """Return a lower bound on ε from one attack's scores; 0 at least.

    An ε-differentially private mechanism bounds the ratio of true to false positives, and that of true to false
    negatives, by exp(ε). The threshold is chosen on 40 % of the queries and judged on the others by the ratios of
    Clopper-Pearson bounds, which share the error between them and so hold for both ratios at once (Jagielski, Ullman &
    Oprea 2020, arXiv:2006.07709).

    Args:
        members: Scores of rows or runs with the member, high if it looks like one, shape (n,); independent.
        others: Scores of rows or runs without, shape (m,); independent.
        rng: Source of the split.
        level: Confidence that ε is not below the bound.
    """
    if min(len(members), len(others)) < 2:
        return 0.0
    tuning, judging = [], []
    for scores in (members, others):
        cut = min(max(round(TUNING * len(scores)), 1), len(scores) - 1)
        mixed = rng.permutation(scores)
        tuning.append(mixed[None, :cut])
        judging.append(mixed[None, cut:])
    return best_bound(Queries(*tuning), Queries(*judging), level)


def best_bound(tuning: Queries, judging: Queries, level: float = LEVEL, share: float | None = None) -> float:
    """Return the bound that the attack and the threshold chosen on one part of the queries show on another part.

    Args:
        tuning: Scores to choose on; without a row of either kind nothing is bound.
        judging: Scores of other rows, by the same attacks.
        level: Confidence of the bound.
        share: None for the scores as they are. Else the members' scores are those that they would have if they stood
            in the release, and the bound is one that is reached nine times in ten where this share of them does, while
            the others of them score as non-members do: the power of the audit.
    """
    if min(side.shape[1] for part in (tuning, judging) for side in part) == 0:
        return 0.0
    best, bound = -1.0, 0.0
    for attack in range(len(tuning.members)):
        here, there = (Queries(part.members[attack], part.others[attack]) for part in (tuning, judging))
        thresholds = np.unique(np.concatenate([_candidates(side) for side in here]))
        bounds = _bounds(here, thresholds, level, share)
        place = int(bounds.argmax())
        if bounds[place] > best:
            best, bound = float(bounds[place]), float(_bounds(there, thresholds[[place]], level, share)[0])
    return bound


def _candidates(scores: Values) -> Values:
    """Return scores of low and of high rank, denser towards both ends."""
    steps = np.unique(np.geomspace(1, len(scores), CANDIDATES).astype(np.int64)) - 1
    ordered = np.sort(scores)
    return np.concatenate([ordered[steps], ordered[len(scores) - 1 - steps]])


def _bounds(part: Queries, thresholds: Values, level: float, share: float | None) -> Values:
    """Return one attack's bound on ε at each threshold, by both ratios; 0 at least."""
    (found, wrong), (n, m) = (_at_least(side, thresholds) for side in part), (len(side) for side in part)
    if share is not None:
        # Of so many members drawn for the audit, few may stand in the release by chance.
        pasted = np.maximum(share - UNLUCKY * np.sqrt(share * (1 - share) / n), 0.0)
        found = np.floor(pasted * found + (1 - pasted) * wrong * n / m + 1e-9).astype(np.int64)
    alpha = (1 - level) / 2
    found_low, _ = clopper_pearson(found, n, alpha)
    _, wrong_high = clopper_pearson(wrong, m, alpha)
    tiny = np.finfo(np.float64).tiny
    above = np.log(np.maximum(found_low, tiny) / np.maximum(wrong_high, tiny))
    below = np.log(np.maximum(1 - wrong_high, tiny) / np.maximum(1 - found_low, tiny))
    return np.maximum(np.maximum(above, below), 0.0)


def _at_least(scores: Values, thresholds: Values) -> NDArray[np.int64]:
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
