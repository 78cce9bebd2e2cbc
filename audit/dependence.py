"""Whether the columns of a table say anything of one another, told without the metrics that are to be tested by it."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from audit.reading import Codes, bins
from tabular.table import Table

PERMUTATIONS = 20
MOST_PAIRS = 1_000
MOST_ROWS = 20_000
WIDEST = 5
# Standard deviations from which one pair settles it; and those below which, in the rows judged, nothing could be seen.
PLAIN = 50.0
LEAST_SEEN = 1.5
# As many times what the most dependent of the permuted tables shows.
BEYOND_CHANCE = 1.25

Floats = NDArray[np.float64]


def is_nearly_independent(table: Table, judged: int, rng: np.random.Generator) -> bool:
    """Return whether no dependence of two columns stands out, or none that so many rows could show.

    Each pair has the likelihood ratio of its joint counts against the product of its columns' counts, in standard
    deviations of the same for permuted columns. The largest of the pairs and their mean are compared with those of
    permuted tables.

    Args:
        table: Real rows.
        judged: How many rows the metrics have to see it by.
        rng: Permutes the columns and picks the rows and pairs of a large table.
    """
    columns = table.schema.modelled
    kept = table if len(table) <= MOST_ROWS else table.take(rng.choice(len(table), MOST_ROWS, replace=False))
    coded = [bins(column, kept, (kept,), WIDEST, WIDEST) for column in columns]
    pairs = list(combinations(range(len(columns)), 2))
    pairs = [pairs[place] for place in rng.permutation(len(pairs))[:MOST_PAIRS]]
    if not pairs or len(kept) < 2:
        return False
    codes, sizes = [each.codes[0] for each in coded], [each.size for each in coded]
    real = np.empty(len(pairs))
    for place, (a, b) in enumerate(pairs):
        real[place] = _ratio(codes[a], codes[b], sizes[a], sizes[b])
        free = max((sizes[a] - 1) * (sizes[b] - 1), 1)
        if (real[place] - free) * judged / len(kept) > PLAIN * np.sqrt(2 * free):
            return False
    return not _stands_out(real, _permuted(codes, sizes, pairs, rng), judged / len(kept))


def _stands_out(real: Floats, permuted: Floats, scale: float) -> bool:
    """Return whether the largest or the mean excess is beyond chance, and enough of it is seen in the rows judged."""
    centre, spread = permuted.mean(axis=0), permuted.std(axis=0)
    told = spread > 0
    if not told.any():
        return False
    mine, chance = ((each[..., told] - centre[told]) / spread[told] for each in (real, permuted))
    for of, root in ((np.max, 1.0), (np.mean, float(np.sqrt(told.sum())))):
        limit = max(BEYOND_CHANCE * float(of(chance, axis=1).max()), LEAST_SEEN / (root * scale))
        if float(of(mine)) > limit:
            return True
    return False


def _permuted(codes: list[Codes], sizes: list[int], pairs: list[tuple[int, int]], rng: np.random.Generator) -> Floats:
    """Return the ratios of tables whose columns are permuted, shape (permutations, pairs)."""
    found = np.empty((PERMUTATIONS, len(pairs)))
    for row in found:
        mixed = [rng.permutation(each) for each in codes]
        row[:] = [_ratio(mixed[a], mixed[b], sizes[a], sizes[b]) for a, b in pairs]
    return found


def _ratio(first: Codes, second: Codes, rows: int, columns: int) -> float:
    """Return 2 Σ O ln(O / E), which rare cells cannot blow up as they do a χ²."""
    joint = np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns).astype(np.float64)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True) / joint.sum()
    held = joint > 0
    return float(2 * (joint[held] * np.log(joint[held] / expected[held])).sum())
