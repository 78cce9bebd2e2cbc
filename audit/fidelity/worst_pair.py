"""Worst pair: the pair of columns that is furthest from the real pair, against what its noise allows."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import modelled
from audit.shape import PairLook, pairs

WORST = 15


class WorstPair(Metric):
    """Largest ratio, over pairs of columns, of their total variation distance, 1/2 Σ|p - q|, to their noise floor.

    Columns are read and the holdout is split as in `pair_trends`, with which it shares its tables. A pair's noise floor
    is the mean distance of fresh real rows over the splits, but never less than `least`: of two columns one of which
    fixes the other, fresh rows differ by next to nothing. The reference is the largest ratio of fresh rows. Intervals
    are the half-sample intervals (`audit.intervals.half_samples`) of the pair found worst.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Worst pair"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Largest total variation distance of a pair of columns, seen together on shared bins, as a multiple of what "
        "fresh real rows show for that pair; 0 (alike) upward, 1 as fresh rows (two-way marginals: Tao et al. 2021, "
        "arXiv:2112.09238)."
    )

    class Config(PairLook, frozen=True, extra="forbid"):
        """How coarsely columns are read, how much is compared, and the least noise floor of a pair.

        Attributes:
            least: Smallest distance that counts as a pair's noise floor.
        """

        least: float = Field(default=0.05 / 3, gt=0, le=1)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find the pair that is furthest beyond its noise."""
        modelled(evidence.holdout.schema, fewest=2)
        seen = pairs(evidence, self.config)
        distance, floor = seen.found.mean(axis=1)
        ratio = distance / np.maximum(floor, self.config.least)
        worst = [side[:, side.mean(axis=0).argmax()] for side in seen.found / np.maximum(floor, self.config.least)]
        return Estimate(
            value=float(worst[0].mean()),
            interval=half_samples(worst[0], 0),
            reference=float(worst[1].mean()),
            reference_interval=half_samples(worst[1], 0),
            detail=tuple(
                {
                    "first": seen.columns[seen.sets[place][0]].name,
                    "second": seen.columns[seen.sets[place][1]].name,
                    "distance": float(distance[place]),
                    "reference": float(floor[place]),
                    "ratio": float(ratio[place]),
                }
                for place in np.argsort(-ratio, kind="stable")[:WORST]
            ),
            rows=seen.rows,
        )
