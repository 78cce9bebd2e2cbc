"""Duplicate rows: how many synthetic rows repeat one another, against real rows of the same number."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.intervals import share_difference, wilson
from audit.reading import Codes, levels, modelled
from audit.reference import need, one_each
from tabular.table import Table

WORST = 5


class DuplicateRows(Metric):
    """Share of synthetic rows that say what an earlier synthetic row says in every modelled column.

    Repeats grow with the number of rows, so both sides have the same number: the reference is the share among all rows
    of the holdout, the value among as many synthetic rows, drawn without replacement (where these are fewer, among all
    of them and as many holdout rows). One row of each privacy unit counts, since a person's rows may well be alike.
    Intervals are Wilson's (`audit.intervals.wilson`), the gap's Newcombe's (`audit.intervals.share_difference`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Duplicate rows"
    definition: ClassVar[str] = (
        "Share of synthetic rows that repeat another synthetic row, to be compared with as many real rows; 0 to 1 "
        "(intervals: Wilson 1927, doi:10.1080/01621459.1927.10502953)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How many rows are compared.

        Attributes:
            minimum: Fewest rows on either side.
            most: Most rows on either side.
        """

        minimum: PositiveInt = 50
        most: PositiveInt = 200_000

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the rows that repeat another one, on both sides."""
        modelled(evidence.holdout.schema)
        real, made = (one_each(table, rng) for table in (evidence.holdout, evidence.synthetic))
        rows = min(len(real), len(made), self.config.most)
        need(len(real), self.config.minimum, "the holdout")
        need(len(made), self.config.minimum, "the synthetic table")
        tables = evidence.holdout.take(np.sort(real[:rows])), evidence.synthetic.take(np.sort(made[:rows]))
        floor, sizes = (np.bincount(each) for each in same(tables))
        value, reference = (1 - int((each > 0).sum()) / rows for each in (sizes, floor))
        largest = np.sort(sizes)[::-1][:WORST]
        return Estimate(
            value=value,
            interval=wilson(value * rows, rows),
            reference=reference,
            reference_interval=wilson(reference * rows, rows),
            gap=value - reference,
            gap_interval=share_difference(value, reference, rows, rows),
            detail=tuple(
                {"rows that are the same": f"most frequent, {place + 1}", "count": int(count)}
                for place, count in enumerate(largest)
                if count > 1
            ),
            rows=rows,
        )


def same(tables: tuple[Table, ...]) -> list[Codes]:
    """Return a code for each row of each table, equal where two rows are the same in every modelled column."""
    whole = np.zeros(sum(len(table) for table in tables), dtype=np.int64)
    for column in tables[0].schema.modelled:
        codes, size = levels(column, tables)
        _, whole = np.unique(whole * size + np.concatenate(codes), return_inverse=True)
    return np.split(whole, np.cumsum([len(table) for table in tables])[:-1])
