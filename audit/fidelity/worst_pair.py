"""Worst pair: the pair of columns that is furthest from the real pair."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import modelled
from audit.shape import PairLook, pairs

WORST = 15


class WorstPair(Metric):
    """Largest total variation distance, over pairs of columns, of their joint distribution, 1/2 Σ|p - q|.

    Columns are read and the holdout is split as in `pair_trends`, with which it shares its tables. The largest distance
    is taken on each random split and averaged, for synthetic rows against half A as for half B, the reference, so that
    both gain alike from looking at many pairs; intervals are half-sample intervals (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Worst pair"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Largest total variation distance, over pairs of columns, between their real and synthetic joint distributions "
        "on shared bins; 0 (alike) to 1 (two-way marginals: Tao et al. 2021, arXiv:2112.09238)."
    )

    class Config(PairLook, frozen=True, extra="forbid"):
        """How coarsely columns are read, and how much is compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find the pair whose joint distribution is furthest from that of real rows never seen."""
        modelled(evidence.holdout.schema, fewest=2)
        seen = pairs(evidence, self.config)
        worst = seen.found.max(axis=2)
        distance, floor = seen.found.mean(axis=1)
        order = np.argsort(-distance, kind="stable")[:WORST]
        return Estimate(
            value=float(worst[0].mean()),
            interval=half_samples(worst[0], 0, 1),
            reference=float(worst[1].mean()),
            reference_interval=half_samples(worst[1], 0, 1),
            detail=tuple(
                {
                    "first": seen.columns[seen.sets[place][0]].name,
                    "second": seen.columns[seen.sets[place][1]].name,
                    "distance": float(distance[place]),
                    "reference": float(floor[place]),
                }
                for place in order
            ),
            rows=seen.rows,
        )
