"""Singling out: do descriptions that fit one synthetic row alone fit one person of the training rows alone?"""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.intervals import share_difference
from audit.reading import Codes, bins, levels, modelled
from audit.reference import need, parts, some, units
from tabular.table import Table

FINEST, COARSEST = 100, 10
# Odd and without pattern, so that equal numbers come of equal codes only.
MIX = np.uint64(0x9E3779B97F4A7C15)
# Least share of the descriptions taken from training rows that would be told from the others.
SMALLEST = 0.2


class Success(NamedTuple):
    """How often descriptions single out a real row.

    Attributes:
        excess: Share of the descriptions that were taken from training rows.
        interval: Its interval.
        train: Share that single out one of as many training rows as there are control rows.
        control: Share that single out a control row.
        descriptions: How many were tried.
    """

    excess: float
    interval: Interval
    train: float
    control: float
    descriptions: int


class SinglingOut(Metric):
    """Share of descriptions fitting one synthetic row that fit one training row too, beyond what chance explains.

    A description names the values of a few columns drawn at random, a number by the interval between two quantiles of
    the training rows, finer or coarser as drawn. For each draw of columns, descriptions that fit exactly one synthetic
    row are tried: one succeeds on a table where it fits exactly one person. The training rows are cut into disjoint
    samples as large as the control, the holdout, so that chance does as well on each. Descriptions of rare people
    succeed on unseen rows too: with t and h the shares that succeed on a sample and on the control, and k such samples
    in the training table, the share c taken from training rows follows from t = c / k + (1 - c) h.

    The reference takes half B of the holdout as if synthetic and half A as the control. Intervals are hybrid score
    intervals; descriptions that single out the same person are no independent evidence, so their number is divided by
    Σg²/Σg with g the descriptions that single out each person.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Singling out"
    definition: ClassVar[str] = (
        "Share of random descriptions fitting one synthetic row that fit exactly one training row because they were "
        "taken from it, beyond chance; about 0 (no leak found) to 1 (predicate singling out: Cohen & Nissim 2020, "
        "10.1073/pnas.1914598117)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes of the attack.

        Attributes:
            minimum: Fewest rows of each table and of half of the holdout.
            most: Most rows of each table.
            draws: How often columns are drawn.
            columns: Most columns of a description; at least two.
            tried: Most descriptions tried of each draw.
        """

        minimum: PositiveInt = 50
        most: PositiveInt = 50_000
        draws: PositiveInt = 40
        columns: int = Field(default=4, ge=2)
        tried: PositiveInt = 500

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Describe single synthetic rows, and single fresh real rows, and look whom the descriptions fit."""
        modelled(evidence.holdout.schema, 2)
        halves = parts(evidence.holdout, 2, rng)
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        need(min(len(each) for each in halves), self.config.minimum, "half of the holdout")
        train, holdout, synthetic = (
            table.take(some(np.arange(len(table)), self.config.most, rng))
            for table in (evidence.train, evidence.holdout, evidence.synthetic)
        )
        control, fresh = (evidence.holdout.take(some(half, self.config.most, rng)) for half in halves)
        found = self._success(synthetic, train, holdout, rng)
        floor = self._success(fresh, train, control, rng)
        return Estimate(
            value=found.excess,
            interval=found.interval,
            reference=floor.excess,
            reference_interval=floor.interval,
            detail=(_row("synthetic", found), _row("fresh real", floor)),
            rows=len(synthetic),
        )

    def _success(self, described: Table, train: Table, control: Table, rng: np.random.Generator) -> Success:
        """Try descriptions of single rows on samples of the training rows and on the control.

        Raises:
            NotComputable: If no description fits a single row.
        """
        control = control.take(np.arange(min(len(control), len(train))))
        samples = max(len(train) // len(control), 1)
        order = np.concatenate(parts(train, samples, rng))[: samples * len(control)]
        sides = (train.take(order), control)
        fine, coarse = (_coded(train, (described, *sides), widest) for widest in (FINEST, COARSEST))
        owners = [units(table) for table in sides]
        sample = np.arange(len(order)) // len(control)
        hits = [np.zeros(int(each.max()) + 1) for each in owners]
        tried = 0
        for _ in range(self.config.draws):
            width = int(rng.integers(2, max(min(self.config.columns, len(fine)), 2) + 1))
            drawn = [(fine, coarse)[int(rng.integers(2))][place] for place in rng.permutation(len(fine))[:width]]
            said = [_joined([codes[table] for codes in drawn]) for table in range(3)]
            lone = some(said[0][~_twice(said[0])], self.config.tried, rng)
            tried += len(lone)
            for side, of in enumerate((sample, np.zeros_like(sample[: len(control)]))):
                rows = np.flatnonzero(np.isin(said[side + 1], lone))
                found = _joined([said[side + 1][rows], of[rows]])
                # Several rows of one person are one person.
                first = ~pd.Series(_joined([found, owners[side][rows]])).duplicated().to_numpy()
                rows, found = rows[first], found[first]
                np.add.at(hits[side], owners[side][rows[~_twice(found)]], 1.0)
        if tried == 0:
            raise NotComputable("no description of a few columns fits a single row; the table is too coarse")
        return _compared((hits[0], hits[1]), tried, samples, len(train) / len(control))


def _coded(train: Table, tables: Sequence[Table], widest: int) -> list[tuple[Codes, ...]]:
    """Code each column of several tables, numbers by so many quantiles of the training rows."""
    return [
        bins(column, train, tables, widest).codes if column.is_number else levels(column, tables)[0]
        for column in train.schema.modelled
    ]


def _joined(codes: Sequence[Codes]) -> Codes:
    """Return one number for each combination of codes, shape (n,)."""
    joined = np.zeros(len(codes[0]), dtype=np.uint64)
    for each in codes:
        joined = (joined ^ (joined >> np.uint64(29))) * MIX + each.astype(np.uint64)
    return joined.view(np.int64)


def _twice(values: Codes) -> NDArray[np.bool_]:
    return pd.Series(values).duplicated(keep=False).to_numpy()


def _compared(hits: tuple[NDArray[np.float64], NDArray[np.float64]], tried: int, samples: int, scale: float) -> Success:
    """Compare the successes, given how many descriptions single out each training and each control person.

    A description taken from a training row succeeds on one in `scale` of the samples, any other as often as on the
    control: so the share taken from training rows follows.
    """
    train, control = float(hits[0].sum()) / tried / samples, float(hits[1].sum()) / tried
    every = np.concatenate(hits)
    repeats = max(float((every**2).sum()) / max(float(every.sum()), 1.0), 1.0)
    gap = share_difference(train, control, samples * tried / repeats, tried / repeats)
    room = max(1 / scale - control, SMALLEST / scale)
    low, high = (float(np.clip(each / room, -1, 1)) for each in (gap.low, gap.high))
    return Success(
        float(np.clip((train - control) / room, -1, 1)),
        Interval(low=low, high=high, level=gap.level),
        train,
        control,
        tried,
    )


def _row(name: str, found: Success) -> Row:
    return {
        "descriptions_of": name,
        "descriptions": found.descriptions,
        "single_out_training_row": found.train,
        "single_out_unseen_row": found.control,
    }
