"""Bias amplification: are groups further apart in their outcomes than among real rows?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.stats import norm

from audit.bias.group_prevalence import tally
from audit.core import DETAIL_ROWS, Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.groups import Floats, Grouped, Grouping, Outcome, groupings, independent_share, outcome
from audit.intervals import LEVEL
from audit.reference import need, parts


class Apart(NamedTuple):
    """One sensitive column and one class of the target on two sides.

    Attributes:
        column: Name of the column.
        outcome: Name of the class.
        rates: P(y|g) of each group that is large enough, real and synthetic, shape (2, G).
        gap: Statistical parity difference of the synthetic rows less that of the real ones.
        error: Its standard error.
    """

    column: str
    outcome: str
    rates: Floats
    gap: float
    error: float


class BiasAmplification(Metric):
    """Largest growth, over sensitive columns and classes, of the statistical parity difference.

    The statistical parity difference of labels is max P(y|g) - min P(y|g) over the groups g of one sensitive column
    (`audit.groups`) with enough independent rows on both sides; amplification is that of the synthetic rows less that
    of the holdout: positive where synthetic rows are the more unequal. It is the plain difference, not the directional
    BiasAmp→ of Wang & Russakovsky, which weighs each pair by whether it is positively correlated. Classes are those of
    group prevalence.

    The standard error is that of a parametric bootstrap: each group's events are drawn anew as binomials on both
    sides. The interval's lower end is the largest of the columns' lower ends, corrected for the number of columns and
    classes (Bonferroni), its upper end the largest of their own upper ends. The reference is the same of one random
    half of the holdout against the other.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Bias amplification"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "Largest growth, over sensitive columns, of the statistical parity difference of the labels from real to "
        "synthetic rows, as a plain difference; -1 (groups made alike) to 1, 0 alike (after Wang & Russakovsky 2021, "
        "arXiv:2102.12594)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Groups and draws.

        Attributes:
            minimum: Fewest rows of the holdout and of the synthetic table.
            group: Fewest independent rows of a group on either side.
            draws: Draws of the bootstrap.
            grouped: How sensitive columns are cut into groups.
        """

        minimum: PositiveInt = 50
        group: PositiveInt = 50
        draws: int = Field(default=200, ge=20)
        grouped: Grouped = Grouped()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the groups' distance in outcomes with that among real rows never seen."""
        target = outcome(evidence, self.config.grouped.categories)
        groups = tuple(each for each in groupings(evidence, self.config.grouped, target.column) if each.second is None)
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        worth = [
            [independent_share(table, each.codes(side), len(each.names)) for each in groups]
            for side, table in enumerate((evidence.holdout, evidence.synthetic))
        ]
        whole = [tally(groups, target, side) for side in range(2)]
        seen = self._apart(groups, target, whole, worth, rng)
        if not seen:
            raise NotComputable(f"no sensitive column has two groups of {self.config.group} rows on both sides")
        halves = [tally(groups, target, 0, rows) for rows in parts(evidence.holdout, 2, rng)]
        fresh = self._apart(groups, target, halves, [worth[0], worth[0]], rng)
        value, interval = furthest(seen)
        reference = furthest(fresh) if fresh else (None, None)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference[0],
            reference_interval=reference[1],
            detail=tuple(_row(each) for each in sorted(seen, key=lambda each: -each.gap)[:DETAIL_ROWS]),
            rows=len(evidence.synthetic),
        )

    def _apart(
        self,
        groups: tuple[Grouping, ...],
        target: Outcome,
        joint: list[list[NDArray[np.int64]]],
        worth: list[list[Floats]],
        rng: np.random.Generator,
    ) -> list[Apart]:
        """Compare two sides' parity differences for each column and class."""
        found = []
        for place, each in enumerate(groups):
            rows = np.stack([side[place].sum(axis=1) * w[place] for side, w in zip(joint, worth, strict=True)])
            enough = (rows >= self.config.group).all(axis=0)
            if enough.sum() < 2:
                continue
            for klass in target.judged:
                hits = np.stack([side[place][:, klass] * w[place] for side, w in zip(joint, worth, strict=True)])
                rates = (hits / np.maximum(rows, 1e-9))[:, enough]
                n = np.round(rows[:, enough]).astype(np.int64)
                drawn = rng.binomial(n, np.clip(rates, 0, 1), size=(self.config.draws, *n.shape)) / n
                gaps = parity_difference(drawn)
                gap = parity_difference(rates)
                error = float((gaps[:, 1] - gaps[:, 0]).std(ddof=1))
                name = f"{target.column} = {target.names[klass]}"
                found.append(Apart(each.label, name, rates, float(gap[1] - gap[0]), error))
        return found


def parity_difference(rates: Floats) -> Floats:
    """Return the largest less the smallest rate along the last axis."""
    difference: Floats = rates.max(axis=-1) - rates.min(axis=-1)
    return difference


def parity_ratio(rates: Floats) -> Floats:
    """Return the smallest over the largest rate along the last axis (disparate impact); 1 where all are 0."""
    largest = rates.max(axis=-1)
    return np.where(largest > 0, rates.min(axis=-1) / np.maximum(largest, 1e-300), 1.0)


def furthest(found: list[Apart]) -> tuple[float, Interval]:
    """Return the largest amplification and the interval of the largest true one."""
    gaps, errors = np.array([each.gap for each in found]), np.array([each.error for each in found])
    alpha = (1 - LEVEL) / 2
    low = float((gaps - norm.isf(alpha / len(found)) * errors).max())
    high = float((gaps + norm.isf(alpha) * errors).max())
    return float(gaps.max()), Interval(low=max(low, -1.0), high=min(high, 1.0), level=LEVEL)


def _row(each: Apart) -> Row:
    difference, ratio = parity_difference(each.rates), parity_ratio(each.rates)
    half = float(norm.ppf((1 + LEVEL) / 2)) * each.error
    return {
        "column": each.column,
        "outcome": each.outcome,
        "amplification": each.gap,
        "low": max(each.gap - half, -1.0),
        "high": min(each.gap + half, 1.0),
        "parity_difference_real": float(difference[0]),
        "parity_difference_synthetic": float(difference[1]),
        "disparate_impact_real": float(ratio[0]),
        "disparate_impact_synthetic": float(ratio[1]),
    }
