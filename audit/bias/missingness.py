"""Missingness by group: are values missing as often in each sensitive group as among real rows of that group?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, Row, reasoned
from audit.groups import Floats, Grouped, Grouping, groupings
from audit.intervals import half_samples
from audit.reading import modelled
from audit.reference import Match, match, need
from tabular.schema import Column
from tabular.table import Table


class Missingness(Metric):
    """Largest difference, over groups and columns, in the share of values missing within the group.

    Groups are those of each sensitive column and of each pair of them (`audit.groups`) with enough rows on every side
    of every split; columns all that are modelled, but for those that make the group. The value is the mean over random
    splits of the holdout of the largest difference of half A from as many synthetic rows as half B has, the reference
    that of A from B: the maximum has the same upward bias in both. Intervals are half-sample intervals
    (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Missingness by group"
    needs = ("sensitive",)
    definition: ClassVar[str] = (
        "Largest absolute difference, over sensitive groups and columns, between the shares of values missing in the "
        "group among real and synthetic rows; 0 (alike) to 1 (missingness that depends on other columns: Rubin 1976, "
        "doi:10.1093/biomet/63.3.581)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Splits, sizes and groups.

        Attributes:
            splits: How often the holdout is split.
            minimum: Fewest rows on either side.
            most: Most rows on either side.
            group: Fewest rows of a group on every side.
            fewest: Fewest of them where no group has so many.
            grouped: How sensitive columns are cut into groups.
        """

        splits: PositiveInt = 10
        minimum: PositiveInt = 50
        most: PositiveInt = 100_000
        group: PositiveInt = 200
        fewest: PositiveInt = 30
        grouped: Grouped = Grouped()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the shares missing in each group with those of real rows never seen."""
        groups = groupings(evidence, self.config.grouped)
        splits = [match(evidence, rng, self.config.minimum, self.config.most) for _ in range(self.config.splits)]
        holes = Holes(evidence)
        labels: list[Row] = []
        shares = np.empty((len(splits), 3, 0))
        counted = [holes.count(each, splits) for each in groups]
        largest = max(int(rows.min(axis=(0, 1)).max()) for rows, _, _ in counted)
        need(largest, self.config.fewest, "the largest sensitive group, in half of a table,")
        fewest = self.config.group if largest >= self.config.group else self.config.fewest
        for each, (rows, gone, names) in zip(groups, counted, strict=True):
            enough = (rows >= fewest).all(axis=(0, 1))
            kept = gone[:, :, enough] / np.maximum(rows[:, :, enough], 1)[..., None]
            shares = np.concatenate([shares, kept.reshape(len(splits), 3, -1)], axis=2)
            labels += [
                {"column": each.label, "group": each.names[group], "missing": name}
                for group in np.flatnonzero(enough)
                for name in names
            ]
        gaps = np.abs(shares[:, 1:] - shares[:, :1])
        worst = gaps.max(axis=2, initial=0.0)
        return Estimate(
            value=float(worst[:, 0].mean()),
            interval=half_samples(worst[:, 0], 0, 1),
            reference=float(worst[:, 1].mean()),
            reference_interval=half_samples(worst[:, 1], 0, 1),
            detail=_listed(labels, shares.mean(axis=0), gaps.mean(axis=0)),
            rows=len(splits[0].synthetic),
        )


class Holes:
    """Where values are missing, for the columns where any is."""

    def __init__(self, evidence: Evidence) -> None:
        tables = (evidence.holdout, evidence.synthetic)
        columns = modelled(evidence.holdout.schema)
        gone = [[missing(table, column) for column in columns] for table in tables]
        some = [place for place in range(len(columns)) if any(side[place].any() for side in gone)]
        self.names = [columns[place].name for place in some]
        self.gone = [[side[place] for place in some] for side in gone]

    def count(self, group: Grouping, splits: list[Match]) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Count each group's rows and missing values in half A, the synthetic rows and half B of each split.

        Returns:
            Rows, shape (splits, 3, G); missing values, shape (splits, 3, G, C); the names of the C columns.
        """
        columns = [place for place, name in enumerate(self.names) if name not in group.columns]
        size = len(group.names)
        rows = np.empty((len(splits), 3, size), dtype=np.int64)
        gone = np.empty((len(splits), 3, size, len(columns)), dtype=np.int64)
        codes = [group.codes(side) for side in range(2)]
        for turn, split in enumerate(splits):
            for part, (side, taken) in enumerate(((0, split.real), (1, split.synthetic), (0, split.fresh))):
                mine = codes[side][taken]
                rows[turn, part] = np.bincount(mine, minlength=size)
                for place, column in enumerate(columns):
                    gone[turn, part, :, place] = np.bincount(mine[self.gone[side][column][taken]], minlength=size)
        return rows, gone, [self.names[place] for place in columns]


def missing(table: Table, column: Column) -> NDArray[np.bool_]:
    """Return where a column has no value, shape (n,)."""
    return table.frame[column.name].isna().to_numpy(dtype=bool)


def _listed(labels: list[Row], shares: Floats, gaps: Floats) -> tuple[Row, ...]:
    return tuple(
        {
            **labels[each],
            "share_real": float(shares[0, each]),
            "share_synthetic": float(shares[1, each]),
            "difference": float(gaps[0, each]),
            "reference": float(gaps[1, each]),
        }
        for each in np.argsort(gaps[1] - gaps[0], kind="stable")[:DETAIL_ROWS]
    )
