"""Subsample equivalence: how small a part of real rows has pair trends as good as those of the synthetic rows."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from audit.core import Curve, Estimate, Evidence, Interval, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import modelled
from audit.shape import Binned, Floats, PairLook, binned, joint, pairs

FEWEST = 8
NOTHING = 1e-12


class SubsampleEquivalence(Metric):
    """Share of fresh real rows whose pair trends are as far from other real rows as those of the synthetic rows.

    Half B of the holdout is cut to 1, 1/2, 1/4, ... of its rows, and the mean total variation distance over pairs of
    columns (as in `pair_trends`, on the same splits) of each part to half A is the curve of fresh real rows; it falls
    as the share grows. The value is the share at which the curve has the distance of the synthetic rows, interpolated
    on logarithmic axes, never more than 1 nor less than the smallest share. Synthetic and fresh rows are compared with
    the same half A, so the interval is that of their paired log ratio over splits (`audit.intervals.half_samples`),
    read off the curve; the reference is 1 by construction, its interval that of the distance of fresh rows.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Subsample equivalence"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Share of real rows, drawn at random, whose pair trends are as far from other real rows as those of all "
        "synthetic rows; above 0 to 1 (as good as fresh real rows) (idea: Task, Bhagat & Howarth, "
        "SDNist v2, NIST 2023, doi:10.18434/mds2-2943)."
    )

    class Config(PairLook, frozen=True, extra="forbid"):
        """How coarsely columns are read, and how much is compared."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find the share of fresh real rows that is as far off as the synthetic rows."""
        modelled(evidence.holdout.schema, fewest=2)
        seen = pairs(evidence, self.config)
        read = binned(evidence, self.config, self.config.bins, self.config.categories)
        rows = min(len(split.fresh) for split in read.splits)
        sizes = [rows >> halving for halving in range(rows.bit_length()) if rows >> halving >= FEWEST][::-1]
        shares, curve = np.array(sizes) / rows, subsampled(read, seen.sets, sizes).mean(axis=0)
        synthetic, fresh = (_log(each) for each in seen.found.mean(axis=2))
        gap, noise = half_samples(synthetic - fresh), half_samples(fresh - fresh.mean())
        low, value, high, worst = (
            share_at(float(times), shares, curve)
            for times in (gap.high, (synthetic - fresh).mean(), gap.low, noise.high)
        )
        return Estimate(
            value=value,
            interval=Interval(low=low, high=high),
            reference=1.0,
            reference_interval=Interval(low=worst, high=1.0),
            detail=tuple(
                {"share": float(share), "rows": int(size), "distance": float(each)}
                for share, size, each in zip(shares[::-1], sizes[::-1], curve[::-1], strict=True)
            ),
            curves=(
                Curve(name="fresh real rows", x=tuple(shares.tolist()), y=tuple(curve.tolist())),
                Curve(name="synthetic rows", x=(value,), y=(float(seen.found[0].mean()),)),
            ),
            rows=seen.rows,
        )


def subsampled(read: Binned, sets: tuple[tuple[int, ...], ...], sizes: Sequence[int]) -> Floats:
    """Return the mean distance to half A of the first so many rows of half B, shape (splits, sizes).

    Args:
        read: Columns as codes, and the splits, the rows of which are in random order.
        sets: The sets of columns.
        sizes: Numbers of rows, rising; at most as many as half B has.
    """
    found = np.zeros((len(read.splits), len(sizes)))
    bounds = list(zip([0, *sizes[:-1]], sizes, strict=True))
    for turn, split in enumerate(read.splits):
        real, fresh = read.real[:, split.real], read.real[:, split.fresh]
        for each in sets:
            cells = int(np.prod([read.sizes[column] for column in each]))
            p = np.bincount(joint(real, each, read.sizes), minlength=cells) / real.shape[1]
            code = joint(fresh, each, read.sizes)
            steps = np.stack([np.bincount(code[start:end], minlength=cells) for start, end in bounds])
            q = steps.cumsum(axis=0) / np.array(sizes)[:, None]
            found[turn] += np.abs(p - q).sum(axis=1) / 2 / len(sets)
    return found


def share_at(times: float, shares: Floats, curve: Floats) -> float:
    """Return the share at which a falling curve is so many times as high as at its end, in logarithms.

    Args:
        times: Logarithm of the multiple.
        shares: Shares, rising to 1, shape (k,).
        curve: Values of the curve there, shape (k,); a rise of it, which is noise, is taken as level.
    """
    height = _log(np.minimum.accumulate(curve))
    wanted = height[-1] + times
    if times <= 0:
        return 1.0
    return float(np.exp(np.interp(wanted, height[::-1], np.log(shares)[::-1])))


def _log(distance: Floats) -> Floats:
    return np.log(np.maximum(distance, NOTHING))
