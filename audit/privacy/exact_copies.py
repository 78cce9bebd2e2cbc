"""Exact copies: are more synthetic rows identical to training rows than chance makes identical to unseen ones?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.intervals import share_difference, wilson
from audit.reading import modelled
from audit.reference import need, parts, some, units
from tabular.table import Table

DIGITS = 8
Hashes = NDArray[np.uint64]
PASTED = (0.01, 0.02, 0.05, 0.1)


class Lone(NamedTuple):
    """Real rows that no other privacy unit has a row like.

    Attributes:
        train: Hashes of such training rows.
        control: Hashes of such control rows.
        share: Share of the training rows that are such: what a verbatim copy of them would score before scaling.
    """

    train: Hashes
    control: Hashes
    share: float


class Found(NamedTuple):
    """How many rows are identical to lone real rows.

    Attributes:
        train: Share identical to a lone training row.
        control: Share identical to a lone control row, scaled to as many of them as there are lone training rows.
        rows: How many independent rows the judged ones are worth.
        controls: How many the control's share is worth.
    """

    train: float
    control: float
    rows: float
    controls: float


class ExactCopies(Metric):
    """Share of synthetic rows copied from a training row: identical to one, beyond what chance gives unseen rows.

    Rows are compared in all modelled columns, and only with lone rows, which one privacy unit alone of all the real
    ones has, so that common combinations blur nothing. Chance makes a synthetic row as often identical to a lone
    holdout row as to a lone training row; the share identical to holdout rows, scaled by the numbers of lone rows, is
    taken off. What is left is divided by the share of training rows that are lone, since only that part of the copies
    can be seen. A verbatim copy of the training rows thus scores 1 whatever the size of the holdout, fresh real rows
    near 0. Where even a verbatim copy would not be seen, nothing is computed.

    The reference takes half B of the holdout as if synthetic and half A as the control. Intervals are hybrid score
    intervals; rows identical to one another are no independent evidence, so n is divided by Σw²/Σw with w the rows
    that hit each real row.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Exact copies"
    definition: ClassVar[str] = (
        "Share of synthetic rows copied from training rows: identical to one beyond the share that chance gives unseen "
        "real rows; below 0 or 0 (no copying) to 1 (all copied). Finds copies, proves no privacy (identical match "
        "share with a holdout control: Platzer & Reutterer 2021, 10.3389/fdata.2021.679939)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few, and what counts as found.

        Attributes:
            minimum: Fewest rows of each table and each half of the holdout.
            found: Share of copies from which on they are said to be found: the power is told against it, and a
                verbatim copy of the training rows must lie beyond it.
        """

        minimum: PositiveInt = 50
        found: float = Field(default=0.002, ge=0, lt=1)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Look each synthetic row up among training rows and among unseen ones."""
        modelled(evidence.holdout.schema)
        halves = parts(evidence.holdout, 2, rng)
        for table, where in ((evidence.train, "the training table"), (evidence.synthetic, "the synthetic table")):
            need(len(table), self.config.minimum, where)
        need(min(len(half) for half in halves), self.config.minimum, "half of the holdout")
        train, holdout, synthetic = (hashes(each) for each in (evidence.train, evidence.holdout, evidence.synthetic))
        unit = units(evidence.train), units(evidence.holdout)
        lone = _lone((train, holdout), unit)
        half = _lone((train, holdout[halves[0]]), (unit[0], unit[1][halves[0]]))
        found, fresh = _hits(synthetic, lone), _hits(holdout[halves[1]], half)
        if _pasted(1.0, found, lone.share) <= self.config.found:
            raise NotComputable(_blind(lone.share))
        value, interval = _scaled(found, lone.share)
        reference, reference_interval = _scaled(fresh, half.share)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=reference_interval,
            detail=(
                _row("synthetic, against lone real rows", found),
                _row("fresh real, against lone real rows", fresh),
                _all_rows("synthetic, against all real rows", synthetic, train, holdout, rng),
                _uncontrolled(synthetic, train),
                {"rows": "training rows that are lone", "in_train": lone.share},
            ),
            power=self._power(found, lone.share),
            rows=len(synthetic),
        )

    def _power(self, found: Found, lone: float) -> str:
        """Say which share of pasted training rows would have been found among so many rows."""
        for share in PASTED:
            if _pasted(share, found, lone) > self.config.found:
                return f"Had {share:.0%} of these rows been copied from the training rows, it would have been found."
        return f"Even {PASTED[-1]:.0%} of rows copied from the training rows might not have been found."


def hashes(table: Table) -> Hashes:
    """Return one 64-bit hash per row over its modelled columns, shape (n,): equal rows, equal hashes."""
    columns = table.schema.modelled
    read = {
        str(place): table.codes(column.name) if column.is_code else rounded(table.numbers(column.name))
        for place, column in enumerate(columns)
    }
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(read), index=False), dtype=np.uint64)


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers, shape (n,), with eight significant digits: a last digit that was changed hides no copy."""
    size = np.floor(np.log10(np.abs(values, where=values != 0, out=np.ones_like(values))))
    scale = np.power(10.0, np.clip(DIGITS - 1 - size, -300, 300))
    near: NDArray[np.float64] = np.round(values * scale) / scale + 0.0
    return near


def _lone(rows: tuple[Hashes, Hashes], unit: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Lone:
    """Find the training and control rows that one privacy unit alone has.

    Raises:
        NotComputable: If there are none on a side.
    """
    held = pd.DataFrame({"row": np.concatenate(rows), "unit": np.concatenate([unit[0], -1 - unit[1]])})
    held = held.drop_duplicates()
    held = held[~held["row"].duplicated(keep=False)]
    ours = held["unit"].to_numpy() >= 0
    lone = held["row"].to_numpy(dtype=np.uint64)
    share = float(np.isin(rows[0], lone[ours]).mean())
    if ours.all() or not ours.any():
        raise NotComputable(_blind(share))
    return Lone(lone[ours], lone[~ours], share)


def _blind(share: float) -> str:
    return (
        f"only {share:.2%} of the training rows differ from every other real row; even a verbatim copy of the training "
        f"rows could not be told from chance"
    )


def _hits(rows: Hashes, lone: Lone) -> Found:
    values, counts = np.unique(rows, return_counts=True)
    hit = [counts[np.isin(values, side)].astype(np.float64) for side in (lone.train, lone.control)]
    every = np.concatenate(hit)
    # Without any hit, rows identical to one another still count once only.
    repeats = float((every**2).sum() / every.sum()) if len(every) else len(rows) / len(values)
    scale = len(lone.train) / len(lone.control)
    return Found(
        float(hit[0].sum() / len(rows)),
        float(min(scale * hit[1].sum() / len(rows), 1.0)),
        len(rows) / repeats,
        len(rows) / repeats / scale,
    )


def _scaled(found: Found, lone: float) -> tuple[float, Interval]:
    """Return the share of copies and its interval, within [-1, 1]."""
    between = share_difference(found.train, found.control, found.rows, found.controls)
    value, low, high = (
        float(np.clip(each / lone, -1, 1)) for each in (found.train - found.control, between.low, between.high)
    )
    return value, Interval(low=low, high=high, level=between.level)


def _pasted(share: float, found: Found, lone: float) -> float:
    """Return the lower bound on the share of copies if that share had been pasted in and chance gave the rest."""
    seen = min(share * lone + (1 - share) * found.control, 1.0)
    return _scaled(found._replace(train=seen), lone)[1].low


def _all_rows(name: str, rows: Hashes, train: Hashes, holdout: Hashes, rng: np.random.Generator) -> Row:
    """Return the shares of rows identical to any row of as many training and holdout rows."""
    size = min(len(train), len(holdout))
    sample, control = (some(np.arange(len(each)), size, rng) for each in (train, holdout))
    shares = [float(np.isin(rows, each).mean()) for each in (train[sample], holdout[control])]
    return {"rows": name, "in_train": shares[0], "in_control": shares[1], "of_rows_each": size}


def _uncontrolled(rows: Hashes, train: Hashes) -> Row:
    """Return the share of rows identical to any training row."""
    found = int(np.isin(rows, train).sum())
    share = wilson(found, len(rows))
    return {
        "rows": "synthetic, against the whole training table, no control",
        "in_train": found / len(rows),
        "low": share.low,
        "high": share.high,
    }


def _row(name: str, found: Found) -> Row:
    return {"rows": name, "in_train": found.train, "in_control": found.control}
