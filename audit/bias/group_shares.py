"""Group shares: is each sensitive group as large as among real rows?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from audit.bias.group_prevalence import Comparison, fresh, joined, told
from audit.core import Estimate, Evidence, Metric, Row, reasoned
from audit.equivalence import Counts, Margin, compare, listed, pooled, together
from audit.groups import Floats, Grouped, Grouping, groupings
from audit.reference import independent, need, parts


class GroupShares(Metric):
    """Ratio of a group's share of the rows, synthetic to real, of the group where it is worst.

    The real side is the whole holdout, the synthetic side all rows: r = P(g) / P'(g), and the value is the largest
    max(r, 1/r) over the groups of each sensitive column and of each pair of them (`audit.groups`). A difference of less
    than half a percentage point counts as the part of the margin that it is of half a point, unless the group is gone
    altogether; the difference is taken as (1 - 1/max(r, 1/r)) of the larger share.

    Which groups are held to the value's upper bound, which are only looked at for failure, the pools and the interval
    are as for group prevalence (`audit.equivalence`). Rows of one privacy unit count as one.

    The reference is the same comparison of one random half of the holdout with the other: fewer rows, a wider interval.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Group shares"
    needs = ("sensitive",)
    definition: ClassVar[str] = (
        "Largest ratio, either way, between a sensitive group's share of the synthetic and of the real rows, "
        "differences below half a percentage point counting as within the margin; 1 (alike) upward, reported up to 100 "
        "(score interval: Koopman 1984, doi:10.2307/2531405)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Groups and margin.

        Attributes:
            minimum: Fewest rows of the holdout and of the synthetic table.
            grouped: How sensitive columns are cut into groups.
            margin: What counts as alike, and which groups are large enough.
        """

        minimum: PositiveInt = 50
        grouped: Grouped = Grouped()
        margin: Margin = Margin(allowance=0.005, hits=30)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each group's share with that among real rows never seen."""
        groups = groupings(evidence, self.config.grouped)
        margin = self.config.margin
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        real, made = independent(evidence.holdout), independent(evidence.synthetic)
        codes = [[each.codes(side) for each in groups] for side in range(2)]
        sizes = [len(each.names) for each in groups]
        whole = [[np.bincount(each, minlength=size) for each, size in zip(side, sizes, strict=True)] for side in codes]
        seen = against(groups, whole[0], whole[1], (real, made), margin)
        value, interval = together(seen.found)
        halves = [
            [np.bincount(each[rows], minlength=size) for each, size in zip(codes[0], sizes, strict=True)]
            for rows in parts(evidence.holdout, 2, rng)
        ]
        reference, around = fresh(against(groups, halves[0], halves[1], (real / 2, real / 2), margin).found)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=around,
            detail=listed(seen.labels, seen.counts, seen.found, margin),
            power=told(seen.found, margin),
            rows=len(evidence.synthetic),
        )


def against(
    groups: tuple[Grouping, ...],
    real: list[NDArray[np.int64]],
    made: list[NDArray[np.int64]],
    rows: tuple[float, float],
    margin: Margin,
) -> Comparison:
    """Compare each group's share on two sides; those too small are pooled besides.

    Args:
        groups: Groups of columns and pairs.
        real: Rows of each group on the real side, one array of shape (G,) per grouping.
        made: The same on the other side.
        rows: Independent rows of each side.
        margin: What counts as alike.
    """
    family = np.concatenate([np.full(len(each.names), place) for place, each in enumerate(groups)])
    counted = [np.concatenate(each).astype(np.float64) for each in (real, made)]
    worth = [each / max(float(side[0].sum()), 1.0) for each, side in zip(rows, (real, made), strict=True)]
    full: list[Floats] = [np.full(len(family), each) for each in rows]
    counts = Counts(counted[0] * worth[0], full[0], counted[1] * worth[1], full[1], full[1])
    labels: list[Row] = [
        {"column": each.label, "group": name, "rows_real": int(a[place]), "rows_synthetic": int(b[place])}
        for each, a, b in zip(groups, real, made, strict=True)
        for place, name in enumerate(each.names)
    ]
    counts, pools = pooled(counts, family, margin, shares=True)
    labels += [joined([labels[each] for each in pool]) for pool in pools]
    return Comparison(labels, counts, compare(counts, margin))
