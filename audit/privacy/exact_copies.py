"""Exact copies: are more synthetic rows identical to training rows than chance makes identical to unseen ones?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, Row, reasoned
from audit.intervals import share_difference, wilson
from audit.reading import modelled
from audit.reference import need, parts, some
from tabular.table import Table

Hashes = NDArray[np.uint64]


class Copied(NamedTuple):
    """How often rows match training rows, and how often unseen ones.

    Attributes:
        excess: The difference, scaled to the whole training table.
        interval: Its interval.
        train: Share of rows found in a training sample as large as the control.
        control: Share of rows found in the control.
        size: Rows of the control.
    """

    excess: float
    interval: Interval
    train: float
    control: float
    size: int


class ExactCopies(Metric):
    """Share of synthetic rows identical to a training row, less the share identical to as many holdout rows.

    Rows are compared in all modelled columns. The training rows are cut into disjoint samples as large as the control
    (the holdout), so that chance finds as much in each as in the control; the mean excess over a sample is scaled by
    the number of such samples in the training table, and cut at 1. A verbatim copy of the training rows thus scores
    near 1 whatever the size of the holdout, and fresh real rows near 0. The reference takes half B of the holdout as
    if synthetic and half A as the control. Intervals are hybrid score intervals with distinct rows for n: identical
    rows are no independent evidence.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Exact copies"
    definition: ClassVar[str] = (
        "Share of synthetic rows identical to a training row beyond the share that chance gives unseen real rows; "
        "below 0 or 0 (no copying) to 1 (all copied). Finds copies, proves no privacy (identical match share with a "
        "holdout control: Platzer & Reutterer 2021, 10.3389/fdata.2021.679939)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few."""

        minimum: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Look each synthetic row up among training rows and among as many unseen ones."""
        modelled(evidence.holdout.schema)
        halves = parts(evidence.holdout, 2, rng)
        for table, where in ((evidence.train, "the training table"), (evidence.synthetic, "the synthetic table")):
            need(len(table), self.config.minimum, where)
        for half in halves:
            need(len(half), self.config.minimum, "half of the holdout")
        train, holdout, synthetic = (hashes(each) for each in (evidence.train, evidence.holdout, evidence.synthetic))
        order = np.concatenate(parts(evidence.train, max(len(train) // len(halves[0]), 1), rng))
        found = _copied(synthetic, train[order], some(np.arange(len(holdout)), len(train), rng), holdout)
        fresh = _copied(holdout[halves[1]], train[order], some(halves[0], len(train), rng), holdout)
        in_train = int(np.isin(synthetic, train).sum())
        share = wilson(in_train, len(synthetic))
        return Estimate(
            value=found.excess,
            interval=found.interval,
            reference=fresh.excess,
            reference_interval=fresh.interval,
            detail=(
                _row("synthetic", found),
                _row("fresh real", fresh),
                {
                    "rows": "synthetic in the whole training table, no control",
                    "in_train": in_train / len(synthetic),
                    "low": share.low,
                    "high": share.high,
                },
            ),
            rows=len(synthetic),
        )


def hashes(table: Table) -> Hashes:
    """Return one 64-bit hash per row over its modelled columns, shape (n,): equal rows, equal hashes."""
    columns = table.schema.modelled
    read = {
        str(place): table.codes(column.name) if column.is_code else table.numbers(column.name) + 0.0
        for place, column in enumerate(columns)
    }
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(read), index=False), dtype=np.uint64)


def _copied(rows: Hashes, train: Hashes, control: NDArray[np.int64], holdout: Hashes) -> Copied:
    """Compare matches in disjoint training samples with matches in a control of the same size."""
    size = len(control)
    samples = max(len(train) // size, 1)
    in_train = float(np.mean([np.isin(rows, train[each * size : (each + 1) * size]).mean() for each in range(samples)]))
    in_control = float(np.isin(rows, holdout[control]).mean())
    scale = len(train) / size
    distinct = len(np.unique(rows))
    interval = share_difference(in_train, in_control, distinct, distinct)
    low, high = (float(np.clip(scale * each, -1, 1)) for each in (interval.low, interval.high))
    return Copied(
        float(np.clip(scale * (in_train - in_control), -1, 1)),
        Interval(low=low, high=high, level=interval.level),
        in_train,
        in_control,
        size,
    )


def _row(name: str, found: Copied) -> Row:
    return {"rows": name, "in_train": found.train, "in_control": found.control, "of_rows_each": found.size}
