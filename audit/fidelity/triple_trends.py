"""Triple trends: how far each three columns are from the real ones, seen together."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import modelled
from audit.shape import Compared, Look, binned, chosen, compared

WORST = 15


class TripleTrends(Metric):
    """Mean over triples of columns of the total variation distance of their joint distribution, 1/2 Σ|p - q|.

    As `pair_trends`, on the same splits, with three columns at a time and coarser bins, since three columns have many
    cells; of more triples than wanted some are drawn at random.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Triple trends"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Mean over triples of columns of the total variation distance between their real and synthetic joint "
        "distributions on shared coarse bins; 0 (alike) to 1 (three-way marginals: McKenna et al. 2021, "
        "arXiv:2108.04978)."
    )

    class Config(Look, frozen=True, extra="forbid"):
        """How coarsely columns are read, and how much is compared.

        Attributes:
            bins: Most bins of a number column.
            categories: Categories that keep a code of their own.
            triples: Most triples; of more, so many are drawn at random.
        """

        bins: int = Field(default=5, ge=2)
        categories: PositiveInt = 8
        triples: PositiveInt = 364

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each triple's joint distribution with that of real rows never seen."""
        modelled(evidence.holdout.schema, fewest=3)
        read = binned(evidence, self.config, self.config.bins, self.config.categories)

        def make(turns: np.random.Generator) -> Compared:
            return compared(read, chosen(read.columns, 3, self.config.triples, turns))

        seen = evidence.shared(f"fidelity.triple_trends {self.config.model_dump_json()}", make)
        synthetic, fresh = seen.found.mean(axis=2)
        distance, floor = seen.found.mean(axis=1)
        order = np.argsort(floor - distance, kind="stable")[:WORST]
        return Estimate(
            value=float(synthetic.mean()),
            interval=half_samples(synthetic, 0, 1),
            reference=float(fresh.mean()),
            reference_interval=half_samples(fresh, 0, 1),
            detail=tuple(
                {
                    "columns": ", ".join(seen.columns[column].name for column in seen.sets[place]),
                    "distance": float(distance[place]),
                    "reference": float(floor[place]),
                }
                for place in order
            ),
            rows=seen.rows,
        )
