"""Declared rules: how many synthetic rows break what people said every row must keep?"""

from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.reference import need
from tabular.rules import Rule
from tabular.table import Table

LONGEST_EXAMPLE = 300


class DeclaredRules(Metric):
    """Share of synthetic rows that break at least one declared rule.

    A comparison with a missing value breaks nothing (`tabular.rules`). Every row is looked at, so the share is exact
    for this table and has no interval. The reference is the share of holdout rows that break a rule: where it is not 0,
    a rule is no rule of the real world and no model can be asked to keep it. The detail has, for each rule, the most
    broken first, the synthetic rows that it applies to, those that break it and one of them, always a synthetic one.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Declared rules"
    spread = "exact"
    needs = ("rules",)
    definition: ClassVar[str] = (
        "Share of synthetic rows that break at least one declared rule; 0 (none) to 1. A count over all rows, exact "
        "for this table (constraint violations of generators: Stoian et al., 2024, arXiv:2402.04823)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few.

        Attributes:
            minimum: Fewest rows of the synthetic table and of the holdout.
        """

        minimum: PositiveInt = 1

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the rows that break a rule."""
        rules = evidence.declared.rules
        if not rules:
            raise NotComputable("no rule was declared")
        synthetic, holdout = evidence.synthetic, evidence.holdout
        need(len(synthetic), self.config.minimum, "the synthetic table")
        need(len(holdout), self.config.minimum, "the holdout")
        broken, breaks = np.zeros(len(synthetic), dtype=bool), np.zeros(len(holdout), dtype=bool)
        found: list[tuple[int, Row]] = []
        for rule in rules:
            try:
                wrong, real = rule.broken(synthetic), rule.broken(holdout)
                applies = rule.applies(synthetic)
            except ValueError as error:
                raise NotComputable(str(error)) from error
            broken |= wrong
            breaks |= real
            row: Row = {
                "rule": rule.text,
                "applies_to": int(applies.sum()),
                "broken_rows": int(wrong.sum()),
                "share": float(wrong.mean()),
                "real_share": float(real.mean()),
                "synthetic_example": _example(rule, synthetic, int(wrong.argmax())) if wrong.any() else None,
            }
            found.append((int(wrong.sum()), row))
        found.sort(key=lambda each: -each[0])
        return Estimate(
            value=float(broken.mean()),
            reference=float(breaks.mean()),
            detail=tuple(row for _, row in found[:DETAIL_ROWS]),
            rows=len(synthetic),
        )


def _example(rule: Rule, table: Table, row: int) -> str:
    """Write what the rule looks at in one row."""
    shown = {name: table.frame[name].iloc[row] for name in rule.columns(table.schema)}
    cells = [f"{name} = {'missing' if pd.isna(value) else value}" for name, value in shown.items()]
    return ", ".join(cells)[:LONGEST_EXAMPLE]
