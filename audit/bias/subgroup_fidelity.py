"""Subgroup fidelity: are the rows of each sensitive group as close to real ones as fresh real rows of it would be?"""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.groups import Floats, Grouped, Grouping, groupings
from audit.intervals import half_samples
from audit.reading import Coded, Codes, bins, modelled
from audit.reference import Match, Rows, match, some


class Distances(NamedTuple):
    """Mean distances within each group of one grouping.

    Attributes:
        rows: Mean rows of half A and of the synthetic sample compared with it, shape (2, G).
        shapes: Mean total variation of single columns, of the synthetic rows and of half B, shape (splits, 2, G).
        trends: The same of pairs of columns.
    """

    rows: Floats
    shapes: Floats
    trends: Floats


class SubgroupFidelity(Metric):
    """Mean total variation of pairs of columns within a group, as a multiple of its noise floor, of the worst group.

    Within each group of the sensitive columns and of pairs of them (`audit.groups`) that has enough rows in half of
    the holdout, the mean over pairs of columns of 1/2 Σ|p - q| on shared bins is taken between half A and as many
    synthetic rows of the group as half B has, and divided by the group's floor, the mean over splits of the same
    between A and B. At most half of the group's synthetic rows are drawn in a split. The value is the mean over random
    splits of the largest ratio of any group, the reference that of A against B, which the same maximum lifts above 1;
    intervals are half-sample intervals (`audit.intervals.half_samples`). Of many pairs so many are drawn at random.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Subgroup fidelity"
    needs = ("sensitive",)
    definition: ClassVar[str] = (
        "Distance of pairs of columns from the real ones within a sensitive group, as a multiple of that of fresh real "
        "rows of the group, of the worst group; 1 (as good as real) upward (two-way marginals: Tao et al. 2021, "
        "arXiv:2112.09238)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Splits, sizes, and how coarsely columns are read.

        Attributes:
            splits: How often the holdout is split.
            minimum: Fewest rows on either side.
            most: Most rows on either side.
            group: Fewest rows of a group in half of the holdout, in every split.
            fewest: Fewest of them where no group has so many, and fewest synthetic rows to compare them with.
            bins: Most bins of a number column.
            categories: Categories that keep a code of their own.
            pairs: Most pairs of columns.
            grouped: How sensitive columns are cut into groups.
        """

        splits: PositiveInt = 5
        minimum: PositiveInt = 50
        most: PositiveInt = 10_000
        group: PositiveInt = 200
        fewest: PositiveInt = 30
        bins: int = Field(default=5, ge=2)
        categories: PositiveInt = 10
        pairs: PositiveInt = 100
        grouped: Grouped = Grouped(groups=60)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare pairs of columns within each group with those of real rows never seen."""
        settings = self.config
        groups = groupings(evidence, settings.grouped)
        columns = modelled(evidence.holdout.schema, fewest=2)
        tables = (evidence.holdout, evidence.synthetic)
        coded = [bins(column, evidence.train, tables, settings.bins, settings.categories) for column in columns]
        pairs = list(combinations(range(len(columns)), 2))
        if len(pairs) > settings.pairs:
            pairs = [pairs[each] for each in np.sort(rng.choice(len(pairs), settings.pairs, replace=False))]
        splits = [match(evidence, rng, settings.minimum, settings.most) for _ in range(settings.splits)]
        largest = max(min(int(np.bincount(each.codes(0)[split.real]).max()) for split in splits) for each in groups)
        fewest = settings.group if largest >= settings.group else settings.fewest
        pool = min(len(evidence.synthetic) // 2, 4 * settings.most)
        splits = [each._replace(synthetic=some(np.arange(len(evidence.synthetic)), pool, rng)) for each in splits]
        found = [self._within(each, coded, pairs, splits, fewest) for each in groups]
        labels: list[Row] = [{"column": each.label, "group": name} for each in groups for name in each.names]
        rows = np.concatenate([each.rows for each in found], axis=1)
        trends = np.concatenate([each.trends for each in found], axis=2)
        shapes = np.concatenate([each.shapes for each in found], axis=2)
        large = ~np.isnan(trends).any(axis=(0, 1)) & (np.nan_to_num(trends[:, 1]).mean(axis=0) > 0)
        if not large.any():
            raise NotComputable(
                f"no sensitive group has {fewest} rows in half of the holdout and about {2 * settings.fewest} "
                "synthetic ones"
            )
        ratio = trends[..., large] / trends[:, 1:, large].mean(axis=0)
        floor = shapes[:, 1:, large].mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            single = np.where(floor > 0, shapes[..., large] / floor, 1.0)
        worst = ratio.max(axis=2)
        kept = [label for label, there in zip(labels, large, strict=True) if there]
        return Estimate(
            value=float(worst[:, 0].mean()),
            interval=half_samples(worst[:, 0], 0),
            reference=float(worst[:, 1].mean()),
            reference_interval=half_samples(worst[:, 1], 0),
            detail=_listed(kept, rows[:, large], ratio, single),
            rows=len(splits[0].synthetic),
        )

    def _within(
        self,
        group: Grouping,
        coded: list[Coded],
        pairs: list[tuple[int, int]],
        splits: list[Match],
        fewest: int,
    ) -> Distances:
        """Measure the distances within each group of one grouping; NaN where it has too few rows in some split."""
        size = len(group.names)
        codes = [group.codes(side) for side in range(2)]
        rows = np.zeros((len(splits), 2, size))
        found = np.full((2, len(splits), 2, size), np.nan)
        for turn, split in enumerate(splits):
            half = np.bincount(codes[0][split.real], minlength=size)
            drawn = np.minimum(
                np.bincount(codes[0][split.fresh], minlength=size),
                np.bincount(codes[1][split.synthetic], minlength=size),
            )
            large = (half >= fewest) & (drawn >= self.config.fewest)
            rows[turn] = half, drawn
            if not large.any():
                continue
            most = np.where(large, drawn, 0)
            parts = (
                (0, _first(split.real, codes[0], np.where(large, half, 0))),
                (1, _first(split.synthetic, codes[1], most)),
                (0, _first(split.fresh, codes[0], most)),
            )
            sides = [(codes[side][taken], [each.codes[side][taken] for each in coded]) for side, taken in parts]
            sizes = [each.size for each in coded]
            found[0, turn] = np.where(
                large, _mean_distance(sides, [(each,) for each in range(len(coded))], sizes, size), np.nan
            )
            found[1, turn] = np.where(large, _mean_distance(sides, pairs, sizes, size), np.nan)
        return Distances(rows.mean(axis=0), found[0], found[1])


def _first(taken: Rows, codes: Codes, most: NDArray[np.int64]) -> Rows:
    """Return the first so many of the rows of each group, shape (G,) numbers, in no order of the groups."""
    mine = codes[taken]
    order = np.argsort(mine, kind="stable")
    starts = np.cumsum(np.bincount(mine, minlength=len(most))) - np.bincount(mine, minlength=len(most))
    rank = np.arange(len(mine)) - starts[mine[order]]
    return taken[order[rank < most[mine[order]]]]


def _mean_distance(
    sides: list[tuple[Codes, list[Codes]]], margins: Sequence[tuple[int, ...]], sizes: list[int], groups: int
) -> Floats:
    """Return the mean over margins of the total variation from the first side to each other, shape (others, G).

    Args:
        sides: Group of each row, shape (n,), and its code in each column.
        margins: Columns that are looked at together.
        sizes: Number of codes of each column.
        groups: Number of groups G.
    """
    total = np.zeros((len(sides) - 1, groups))
    rows = [np.maximum(np.bincount(group, minlength=groups), 1)[:, None] for group, _ in sides]
    for columns in margins:
        width = int(np.prod([sizes[each] for each in columns]))
        shares = []
        for (group, codes), full in zip(sides, rows, strict=True):
            joint = group
            for each in columns:
                joint = joint * sizes[each] + codes[each]
            shares.append(np.bincount(joint, minlength=groups * width).reshape(groups, width) / full)
        for place, share in enumerate(shares[1:]):
            total[place] += np.abs(shares[0] - share).sum(axis=1) / 2
    return total / len(margins)


def _listed(labels: list[Row], rows: Floats, ratio: Floats, single: Floats) -> tuple[Row, ...]:
    """Return a row for each group, the worst first: shapes (2, G), (splits, 2, G) and (splits, 2, G)."""
    listed: list[Row] = []
    for each in np.argsort(-ratio[:, 0].mean(axis=0), kind="stable")[:DETAIL_ROWS]:
        around = half_samples(ratio[:, 0, each], 0)
        listed.append(
            {
                **labels[each],
                "rows_real": round(float(rows[0, each])),
                "rows_synthetic": round(float(rows[1, each])),
                "ratio": float(ratio[:, 0, each].mean()),
                "low": around.low,
                "high": around.high,
                "ratio_of_single_columns": float(single[:, 0, each].mean()),
            }
        )
    return tuple(listed)
