"""Beta-recall: whether synthetic rows reach every place where real rows are."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.supports import Supports, first_inside, placed, ranks, reach_of, summary


class BetaRecall(Metric):
    """How evenly the supports of synthetic rows reach real rows: 1 - 2 ∫|R(β) - β| dβ over β in [0, 1].

    The β-support of synthetic rows is the ball around their mean whose radius is the β-quantile of their distances to
    it. R(β) is the share of rows of half A of the holdout that have a synthetic row of the β-support no further away
    than their own k-th nearest neighbour in A. Rows are points (`audit.neighbours.encode`), nothing is learned. The
    value is the mean over random splits of the holdout, the reference the same for half B in place of the synthetic
    rows; intervals are half-sample intervals (`audit.intervals.half_samples`). Read it beside its reference and the
    curve: real rows give less than 1, since a ball around many neighbours reaches into more than one support, and the
    fold |R(β) - β| can give a release that misses half of the real rows the same number; R(1) in the detail does not.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "none"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Beta-recall"
    definition: ClassVar[str] = (
        "Integrated beta-recall 1 - 2 ∫|R(β) - β| dβ, R(β) the share of real rows that have a row of the synthetic "
        "β-support within the reach of their nearest real neighbours; 0 to 1 (Alaa et al., How faithful is your "
        "synthetic data?, 2022, arXiv:2102.08921)."
    )

    class Config(Supports, frozen=True, extra="forbid"):
        """How often the holdout is split, how many rows are compared, and how far a real row reaches.

        Attributes:
            neighbours: The real row's nearest real neighbours that its ball reaches to.
        """

        neighbours: PositiveInt = 5

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find out how evenly the supports of synthetic rows reach real ones."""
        seen = placed(evidence, self.config)
        synthetic, fresh = [], []
        for split in seen.splits:
            half = seen.holdout[split.real]
            radii = reach_of(half, min(self.config.neighbours, len(half) - 1))
            made, kept = seen.synthetic[split.synthetic], seen.holdout[split.fresh]
            synthetic.append(first_inside(half, radii, made, ranks(made, made)))
            fresh.append(first_inside(half, radii, kept, ranks(kept, kept)))
        sizes = [len(split.synthetic) for split in seen.splits]
        return summary(synthetic, fresh, sizes, sizes[0])
