"""pMSE ratio: how far a classifier's chances are from a coin's, in multiples of what real rows give."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from audit.core import Estimate, Evidence, Interval, Metric, NotComputable, reasoned
from audit.detector import Detector, Scores, detect
from audit.intervals import LEVEL


class Pmse(Metric):
    """Propensity mean squared error mean((p - c)²) over its null, that of fresh real rows.

    p is the chance that a row is synthetic, said by the classifier of `detection` while the row was held out, and c the
    share of synthetic rows. The null is the same error for half B of the holdout in place of the synthetic rows, so
    the reference is 1 by construction; its interval is that of the ratio of two such nulls. Held-out chances keep a
    flexible classifier's memory of its training rows out of both. Each fold has a classifier of its own, and these
    differ by more than their rows do, so intervals are Student's, on the logarithm, from the spread over folds: that
    of the synthetic rows or of the fresh ones, whichever is larger, for so few folds tell a spread badly.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "pMSE ratio"
    definition: ClassVar[str] = (
        "Mean squared difference of held-out propensity scores from the share of synthetic rows, as a multiple of what "
        "fresh real rows give; 0 upward, 1 is as good as real (Snoke et al., General and specific utility measures for "
        "synthetic data, 2018, arXiv:1604.06651)."
    )

    class Config(Detector, frozen=True, extra="forbid"):
        """Sizes of the two sides, folds and the learner."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the classifier's chances with those that it gives fresh real rows."""
        seen = detect(evidence, self.config)
        error, noise = squared(seen.told), squared(seen.floor)
        null = float(noise.mean())
        if null <= 0:
            raise NotComputable("the classifier gives every real row the same chance; there is no null to divide by")
        value, folds = float(error.mean()) / null, self.config.folds
        spread = max(_relative(error, seen.told.fold, folds), _relative(noise, seen.floor.fold, folds))
        step = float(np.exp(t.ppf((1 + LEVEL) / 2, 2 * (folds - 1)) * np.sqrt(2) * spread))
        return Estimate(
            value=value,
            interval=Interval(low=value / step, high=value * step, level=LEVEL),
            reference=1.0,
            reference_interval=Interval(low=1 / step, high=step, level=LEVEL),
            detail=(
                {"quantity": "pMSE of synthetic rows", "value": float(error.mean())},
                {"quantity": "pMSE of fresh real rows", "value": null},
            ),
            rows=len(seen.synthetic),
        )


def squared(scores: Scores) -> NDArray[np.float64]:
    """Return the squared difference of each row's chance from the share of the other side, shape (n,)."""
    gap: NDArray[np.float64] = scores.chance - scores.other.mean()
    return gap**2


def _relative(errors: NDArray[np.float64], fold: NDArray[np.int64], folds: int) -> float:
    """Return the relative standard error of a mean over rows, shape (n,), from its spread over folds."""
    means = np.bincount(fold, errors, folds) / np.bincount(fold, minlength=folds)
    return float(means.std(ddof=1) / means.mean() / np.sqrt(folds)) if means.mean() > 0 else 0.0
