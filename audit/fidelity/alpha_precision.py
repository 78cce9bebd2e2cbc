"""Alpha-precision: whether synthetic rows lie where real rows are typical, neither outside nor in the middle only."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.supports import Supports, placed, ranks, summary


class AlphaPrecision(Metric):
    """How evenly synthetic rows fill the supports of real rows: 1 - 2 ∫|P(α) - α| dα over α in [0, 1].

    The α-support of half A of the holdout is the ball around its mean whose radius is the α-quantile of its distances
    to that mean; P(α) is the share of synthetic rows inside. Rows are points (`audit.neighbours.encode`), nothing is
    learned. The value is the mean over random splits of the holdout, the reference the same for half B in place of the
    synthetic rows; intervals are half-sample intervals (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Alpha-precision"
    definition: ClassVar[str] = (
        "Integrated alpha-precision 1 - 2 ∫|P(α) - α| dα, P(α) the share of synthetic rows in the ball around the real "
        "centre that holds the share α of real rows; 0 to 1 (as real) (Alaa et al., How faithful is your synthetic "
        "data?, 2022, arXiv:2102.08921)."
    )

    class Config(Supports, frozen=True, extra="forbid"):
        """How often the holdout is split, and how many rows are compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find out how evenly synthetic rows fill the supports of real ones."""
        seen = placed(evidence, self.config)
        halves = [seen.holdout[split.real] for split in seen.splits]
        pairs = list(zip(halves, seen.splits, strict=True))
        synthetic = [ranks(half, seen.synthetic[split.synthetic]) for half, split in pairs]
        fresh = [ranks(half, seen.holdout[split.fresh]) for half, split in pairs]
        return summary(synthetic, fresh, [len(half) for half in halves], len(seen.splits[0].synthetic))
