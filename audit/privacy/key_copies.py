"""Key copies: do names, numbers of persons or free text of training rows stand in synthetic rows?"""

from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, Row, reasoned
from audit.intervals import share_difference
from audit.reference import need

KEPT = 4


class KeyCopies(Metric):
    """Share of synthetic values that stand in the training rows, less the share that stand in as many holdout rows.

    Looked at are the columns that no other metric reads: identifiers, the privacy unit, and free text. Values are
    compared as text without outer spaces and without regard to case; missing and very short ones are left out. The
    training values are cut to as many distinct ones as the holdout has. Of several columns the worst is told. The
    reference asks the same of one half of the holdout against the training rows and the other half. A table without
    such columns, or without synthetic values in them, has nothing to copy: the value is 0, exactly.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Key copies"
    definition: ClassVar[str] = (
        "Largest share, over columns of identifiers and free text, of synthetic values found among training values "
        "beyond the share found among as many unseen ones; 0 (none) to 1 (all copied) (identical match share with a "
        "holdout control: Platzer & Reutterer 2021, 10.3389/fdata.2021.679939)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few."""

        minimum: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Look each synthetic name up among those of training rows and of unseen ones."""
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        found: list[tuple[float, Row]] = [(0.0, {"column": "none with values on both sides", "copied": 0.0})]
        spans = [Interval(low=0.0, high=0.0)]
        for names in evidence.names:
            made, real, others = (_plain(each) for each in (names.synthetic, names.train, names.holdout))
            if not len(made):
                continue
            distinct = [rng.permutation(each.unique()) for each in (real, others)]
            size = min(len(each) for each in distinct)
            shares = [float(made.isin(each[:size]).mean()) for each in distinct]
            whole = float(made.isin(distinct[0]).mean())
            excess = whole - shares[1] * len(distinct[0]) / max(size, 1)
            told = max(excess, shares[0] - shares[1], 0.0) if size else whole
            count = float(made.nunique())
            spans.append(share_difference(whole, min(whole - told, 1.0), count, count))
            row: Row = {"column": names.column, "copied": whole, "by_chance": shares[1], "values": int(count)}
            found.append((told, row))
        worst = int(np.argmax([each for each, _ in found]))
        return Estimate(
            value=found[worst][0],
            interval=spans[worst],
            reference=0.0,
            reference_interval=spans[0],
            detail=tuple(row for _, row in found[1:60]),
            rows=len(evidence.synthetic),
        )


def _plain(values: pd.Series) -> pd.Series:
    text = values.dropna().astype(str).str.strip().str.casefold()
    return text[text.str.len() >= KEPT]
