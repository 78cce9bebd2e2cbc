"""Worst column: the column that is furthest from the real one, against what its noise allows."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.shape import Look, columns


class WorstColumn(Metric):
    """Largest ratio, over columns, of a column's distance (`audit.shape.distance`) to the limit of that column.

    The limit is the larger of three noise floors and 0.05, the noise floor being the mean distance of fresh real rows
    over the splits. A column's distance is the mean over random splits of the holdout of half A against as many
    synthetic rows as half B has; the reference is the largest ratio of B against A. Intervals are the half-sample
    intervals (`audit.intervals.half_samples`) of the column found worst.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Worst column"
    definition: ClassVar[str] = (
        "Largest distance of a column between real and synthetic rows (Kolmogorov-Smirnov or total variation) as a "
        "multiple of that column's limit, the larger of three noise floors and 0.05; 0 (alike) upward, above 1 too far "
        "(Kolmogorov 1933; Smirnov 1948, doi:10.1214/aoms/1177730256)."
    )

    class Config(Look, frozen=True, extra="forbid"):
        """How often the holdout is split, how many rows are compared, and what a column may be off by.

        Attributes:
            floors: How many noise floors a column may be off by.
            always: What a column may be off by in any case.
        """

        floors: PositiveFloat = 3.0
        always: float = Field(default=0.05, gt=0, le=1)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find the column that is furthest beyond what its noise allows."""
        every, _, found, rows = columns(evidence, self.config)
        floor = found[1].mean(axis=0)
        limit = np.maximum(self.config.floors * floor, self.config.always)
        by_column = found[0].mean(axis=0)
        worst = [side[:, side.mean(axis=0).argmax()] for side in found / limit]
        order = np.argsort(-by_column / limit, kind="stable")[:DETAIL_ROWS]
        return Estimate(
            value=float(worst[0].mean()),
            interval=half_samples(worst[0], 0),
            reference=float(worst[1].mean()),
            reference_interval=half_samples(worst[1], 0),
            detail=tuple(
                {
                    "column": every[place].name,
                    "distance": float(by_column[place]),
                    "reference": float(floor[place]),
                    "limit": float(limit[place]),
                    "of the limit": float(by_column[place] / limit[place]),
                }
                for place in order
            ),
            rows=rows,
        )
