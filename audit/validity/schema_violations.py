"""Schema violations: how many synthetic rows could not exist by the schema's own rules?"""

from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, reasoned
from audit.reference import need
from tabular.table import Table


class SchemaViolations(Metric):
    """Share of synthetic rows with a value of a wrong type, unknown, out of range, or missing where none may be.

    Counts rows that broke the schema before they were coerced to it, and rows that still break it in a modelled column:
    names and keys are made anew, and a table made elsewhere need not have them. The reference is the
    share of holdout rows that break it, checked and not assumed. Every row is looked at, so the share is exact for this
    table and has no interval.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Schema violations"
    spread = "exact"
    definition: ClassVar[str] = (
        "Share of synthetic rows that break the schema: type, range, category or null; 0 (none) to 1. A count "
        "over all rows, exact for this table."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few."""

        minimum: int = 1

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the rows that break the schema."""
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        real, synthetic = (_broken(table) for table in (evidence.holdout, evidence.synthetic))
        broken = evidence.broken | synthetic.any(axis=1).to_numpy()
        breaks = int(real.any(axis=1).sum())
        still = synthetic.sum().sort_values(ascending=False, kind="stable")
        return Estimate(
            value=float(broken.mean()),
            reference=breaks / len(real),
            detail=(
                {"column": "any, before coercion", "rows": int(evidence.broken.sum())},
                *({"column": str(name), "rows": int(count)} for name, count in still.items() if count),
            )[:DETAIL_ROWS],
            rows=len(broken),
        )


def _broken(table: Table) -> pd.DataFrame:
    """Return where a table's values break its schema, shape (rows, modelled columns)."""
    _, broken = Table.coerce(table.schema, table.frame)
    return broken[[column.name for column in table.schema.modelled]]
