"""Coverage: how much of what real rows hold is held by synthetic rows, rare categories and ends of ranges included."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, reasoned
from audit.intervals import half_samples
from audit.reading import Codes, levels, modelled
from audit.shape import Drawn, Floats, Look, drawn
from tabular.schema import Column

NAMED = 5


class Coverage(Metric):
    """Mean over columns of the share of real categories, or of the real range, that synthetic rows hold.

    For code columns the share of categories, each weighing the same, that half A of the holdout has in so large a share
    that at least ten of them are expected among the synthetic rows compared: a faithful generator misses such a
    category once in 22,000 times. Missing is a category. For number columns the share of the range between the 1 % and
    99 % quantiles of A that lies between the smallest and the largest synthetic value. The value is the mean over
    random splits of the holdout, the reference the same for half B in place of the synthetic rows; intervals are
    half-sample intervals (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Coverage"
    definition: ClassVar[str] = (
        "Mean over columns of the share of real categories that occur among synthetic rows, or of the real range that "
        "they span; 0 to 1 (all of it) (as Category Coverage and Range Coverage, docs.sdv.dev/sdmetrics)."
    )

    class Config(Look, frozen=True, extra="forbid"):
        """How often the holdout is split, how many rows are compared, and what must be covered.

        Attributes:
            expected: A category counts where so many rows of it are expected.
            tail: Share of real numbers at either end that need not be covered.
        """

        expected: PositiveFloat = 10.0
        tail: float = Field(default=0.01, ge=0, lt=0.5)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Find what real rows hold and synthetic rows do not."""
        every = modelled(evidence.holdout.schema)
        rows = drawn(evidence, self.config)
        covered = np.stack([self._covered(column, rows) for column in every], axis=2)
        counted = np.flatnonzero(~np.isnan(covered).any(axis=(0, 1)))
        if len(counted) == 0:
            raise NotComputable("no column has a value so frequent that it must occur among so few rows")
        found = covered[:, :, counted]
        synthetic, fresh = found.mean(axis=2)
        by_column = found.mean(axis=1)
        return Estimate(
            value=float(synthetic.mean()),
            interval=half_samples(synthetic, 0, 1),
            reference=float(fresh.mean()),
            reference_interval=half_samples(fresh, 0, 1),
            detail=tuple(
                {
                    "column": every[counted[place]].name,
                    "covered": float(by_column[0, place]),
                    "reference": float(by_column[1, place]),
                    "lacking": self._lacking(every[counted[place]], rows) or None,
                }
                for place in np.argsort(by_column[0] - by_column[1], kind="stable")[:DETAIL_ROWS]
            ),
            rows=len(rows.splits[0].synthetic),
        )

    def _covered(self, column: Column, rows: Drawn) -> Floats:
        """Return the share covered on each split by synthetic and by fresh rows, shape (2, splits); NaN for none."""
        found = np.full((2, len(rows.splits)), np.nan)
        if not column.is_code:
            numbers, made = rows.holdout.numbers(column.name), rows.synthetic.numbers(column.name)
            for turn, split in enumerate(rows.splits):
                for side, others in enumerate((made[split.synthetic], numbers[split.fresh])):
                    found[side, turn] = spanned(numbers[split.real], others, self.config.tail)
            return found
        (real, synthetic), size = levels(column, (rows.holdout, rows.synthetic))
        for turn, split in enumerate(rows.splits):
            wanted = self._expected(real[split.real], size, len(split.fresh))
            if len(wanted):
                for side, codes in enumerate((synthetic[split.synthetic], real[split.fresh])):
                    found[side, turn] = np.isin(wanted, codes).mean()
        return found

    def _expected(self, real: Codes, size: int, rows: int) -> Codes:
        """Return the codes that must be expected among so many rows."""
        return np.flatnonzero(np.bincount(real, minlength=size) * (rows / len(real)) >= self.config.expected)

    def _lacking(self, column: Column, rows: Drawn) -> str:
        """Say what no synthetic row holds; of numbers only what synthetic rows say."""
        if column.is_code:
            (real, synthetic), size = levels(column, (rows.holdout, rows.synthetic))
            names = [*(str(category) for category in column.categories), "missing"]
            wanted = self._expected(real, size, len(synthetic))
            missed = [names[code] for code in wanted[~np.isin(wanted, synthetic)]]
            return ", ".join(missed[:NAMED]) + (", …" if len(missed) > NAMED else "")
        made, kept = (table.numbers(column.name) for table in (rows.synthetic, rows.holdout))
        made, kept = made[~np.isnan(made)], kept[~np.isnan(kept)]
        if len(made) == 0 or len(kept) == 0:
            return "every value" if len(kept) else ""
        low, high = np.quantile(kept, [self.config.tail, 1 - self.config.tail])
        ends = [word for word, short in (("low end", made.min() > low), ("high end", made.max() < high)) if short]
        return " and ".join(ends)


def spanned(real: Floats, others: Floats, tail: float) -> float:
    """Return the share of the range of real numbers, without its tails, that others span; NaN where there is none."""
    real, others = real[~np.isnan(real)], others[~np.isnan(others)]
    if len(real) == 0:
        return float("nan")
    if len(others) == 0:
        return 0.0
    low, high = np.quantile(real, [tail, 1 - tail], method="closest_observation")
    if low == high:
        return float(others.min() <= low <= others.max())
    return float(max(min(high, others.max()) - max(low, others.min()), 0.0) / (high - low))
