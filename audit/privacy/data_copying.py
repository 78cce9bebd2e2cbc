"""Data copying: do synthetic rows lie nearer to the training rows than unseen real rows do?"""

from typing import ClassVar, Literal

import numpy as np
from scipy.stats import norm, rankdata

from audit.core import Estimate, Evidence, Interval, Metric, reasoned
from audit.distances import Reaching, reached
from audit.intervals import LEVEL
from audit.neighbours import Distances

ALARM = -3.0


class DataCopying(Metric):
    """Mann-Whitney z of the distances to the nearest training row: of synthetic rows against those of unseen real rows.

    The unseen real rows are half A of the holdout, as many as synthetic rows; the reference puts half B in the place of
    the synthetic rows. Distances are Euclidean: numbers over their 5-95 % range in the holdout, unequal categories at
    distance 1, missing a category. Ties share their ranks, and real rows count as many as their privacy units. The
    interval is the value with the spread of a z-score, 1. It is a mean over all rows: a few copies among many distant
    rows leave it high, so that a high value clears nobody.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Data copying"
    definition: ClassVar[str] = (
        "z-score C_T of synthetic rows' distances to the nearest training row against those of unseen real rows; about "
        "0 for real rows, below -3 copying, above 3 rows far from all data; misses copies among distant rows (Meehan, "
        "Chaudhuri & Dasgupta 2020, arXiv:2004.05675)."
    )

    class Config(Reaching, frozen=True, extra="forbid"):
        """Sizes of the tables compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Rank distances of synthetic rows among those of unseen real rows."""
        found = reached(evidence, self.config)
        synthetic, real, fresh = found.rows
        value = shift(found.synthetic, found.real, synthetic, real)
        reference = shift(found.fresh, found.real, fresh, real)
        return Estimate(
            value=value,
            interval=_interval(value),
            reference=reference,
            reference_interval=_interval(reference),
            detail=({"rows": "synthetic", "copying": "yes" if value < ALARM else "not seen"},),
            rows=len(found.synthetic),
        )


def shift(first: Distances, second: Distances, n: float, m: float) -> float:
    """Return the z-score by which distances, shape (a,), lie above others, shape (b,), worth n and m independent rows.

    Normal approximation with tie correction, without correction for continuity.
    """
    everything = np.concatenate([first, second])
    total = len(everything)
    ranks = rankdata(everything)
    _, ties = np.unique(everything, return_counts=True)
    tied = 1 - float((ties**3 - ties).sum()) / (total**3 - total)
    if tied <= 0:
        return 0.0
    chance = (ranks[: len(first)].mean() - (len(first) + 1) / 2) / len(second)
    return float((chance - 0.5) / np.sqrt(tied * (n + m + 1) / (12 * n * m)))


def _interval(value: float) -> Interval:
    half = float(norm.ppf((1 + LEVEL) / 2))
    return Interval(low=value - half, high=value + half, level=LEVEL)
