"""AUCs of several attacks on the same rows, and the errors of their differences."""

import numpy as np

from audit.epsilon import Queries, Values
from audit.intervals import auc


def areas(queries: Queries) -> Values:
    """Return each attack's ROC AUC, shape (A,); 0.5 without a row of either kind."""
    if min(side.shape[1] for side in queries) == 0:
        return np.full(len(queries.members), 0.5)
    positive = np.arange(sum(side.shape[1] for side in queries)) < queries.members.shape[1]
    return np.array([auc(scores, positive) for scores in np.concatenate(queries, axis=1)])


def gap_error(first: Queries, second: Queries) -> Values:
    """Return the standard error of each attack's difference in AUC on the same queries, shape (A,).

    DeLong, DeLong & Clarke-Pearson, 1988, doi:10.2307/2531595.
    """
    errors = []
    for one, two in zip(_placements(first), _placements(second), strict=True):
        apart = [a - b for a, b in zip(one, two, strict=True)]
        errors.append(np.sqrt(sum(each.var(ddof=min(1, len(each) - 1)) / len(each) for each in apart)))
    return np.array(errors)


def _placements(queries: Queries) -> list[tuple[Values, Values]]:
    """Return, for each attack, the share of the other side that each row beats or is beaten by, ties counting half."""
    found = []
    for members, others in zip(*queries, strict=True):
        above, below = (_share_below(members, others), 1 - _share_below(others, members))
        found.append((above, below))
    return found


def _share_below(scores: Values, among: Values) -> Values:
    ordered = np.sort(among)
    places = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(places / (2 * max(len(among), 1)), dtype=np.float64)
