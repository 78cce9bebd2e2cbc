"""Group prevalence: is each sensitive group as large, and its outcome as frequent, as among the real rows?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import half_samples
from audit.reading import Codes, bins, levels
from audit.reference import Match, match
from tabular.schema import Column


class Side(NamedTuple):
    """The groups of one sensitive column in one sample.

    Attributes:
        rows: Rows of each group, shape (G,).
        share: Their share of the sample, shape (G,).
        given: Distribution of the target's classes within the group, shape (G, K), or the mean of a number target,
            shape (G, 1); NaN without rows, and shape (G, 0) without a target.
    """

    rows: NDArray[np.float64]
    share: NDArray[np.float64]
    given: NDArray[np.float64]


class Groups(NamedTuple):
    """One sensitive column over all splits.

    Attributes:
        column: Name of the column.
        names: Names of its groups, G of them.
        sides: Half A, the synthetic rows and half B of each split.
        gaps: |difference| to A of the synthetic rows and of half B, in share and in outcome; NaN where too small to
            audit;
            shape (2 sides, splits, 2 differences, G).
    """

    column: str
    names: tuple[str, ...]
    sides: list[tuple[Side, Side, Side]]
    gaps: NDArray[np.float64]


class GroupPrevalence(Metric):
    """Largest difference, over sensitive groups, in the group's share or in its outcome.

    The share counts for groups with enough rows on either side (so a group that vanished is seen), the outcome for
    groups with enough rows on both. The outcome's difference is the total variation distance of the target's
    distribution within the group, which for two classes is |P(y|g) - P'(y|g)|; for a number target the difference of
    means in standard deviations of the real rows. Numbers are grouped at quartiles of the training rows; missing is a
    group.

    The value is the mean over random splits of the largest difference of half A from the synthetic rows, the
    reference that of A from half B: the maximum over groups has the same upward bias in both. Intervals are
    half-sample intervals.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Group prevalence"
    needs = ("sensitive",)
    definition: ClassVar[str] = (
        "Largest absolute difference, over sensitive groups, between real and synthetic group share or outcome given "
        "the group; 0 (alike) to 1 for classes (statistical parity on data: Kamiran & Calders 2012, "
        "10.1007/s10115-011-0463-8)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Splits, sizes, and how sensitive columns are grouped.

        Attributes:
            splits: How often the holdout is split.
            minimum: Fewest rows on either side.
            group: Fewest rows of a group that is audited.
            parts: Groups of a number column.
            categories: Groups of a code column, and classes of the target, that are told apart; the rarer are pooled.
        """

        splits: PositiveInt = 10
        minimum: PositiveInt = 50
        group: PositiveInt = 30
        parts: int = Field(default=4, ge=2)
        categories: PositiveInt = 100

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the groups' shares and outcomes with those of real rows never seen."""
        columns = [column for column in evidence.holdout.schema.sensitive if column.is_modelled]
        if not columns:
            raise NotComputable("the schema declares no sensitive column that is modelled")
        splits = [match(evidence, rng, self.config.minimum) for _ in range(self.config.splits)]
        groups = [self._compare(column, evidence, splits) for column in columns]
        gaps = np.concatenate([group.gaps.reshape(2, len(splits), -1) for group in groups], axis=2)
        if np.isnan(gaps).all():
            raise NotComputable(f"no sensitive group has {self.config.group} rows in half of the holdout")
        worst = np.where(np.isnan(gaps), 0.0, gaps).max(axis=2)
        rows = [row for group in groups for row in _rows(group)]
        return Estimate(
            value=float(worst[0].mean()),
            interval=half_samples(worst[0], 0),
            reference=float(worst[1].mean()),
            reference_interval=half_samples(worst[1], 0),
            detail=tuple(sorted(rows, key=_excess, reverse=True)[:DETAIL_ROWS]),
            rows=len(splits[0].synthetic),
        )

    def _compare(self, column: Column, evidence: Evidence, splits: list[Match]) -> Groups:
        """Look at one sensitive column's groups in every split."""
        tables = (evidence.holdout, evidence.synthetic)
        coded = bins(column, evidence.train, tables, self.config.parts, self.config.categories)
        target = evidence.holdout.schema.target
        judged = target if target is not None and target.is_modelled and target.name != column.name else None
        outcomes, classes = _outcomes(judged, evidence, self.config.categories)
        sides = [
            (
                _look(coded.codes[0][split.real], outcomes[0][split.real], coded.size, classes),
                _look(coded.codes[1][split.synthetic], outcomes[1][split.synthetic], coded.size, classes),
                _look(coded.codes[0][split.fresh], outcomes[0][split.fresh], coded.size, classes),
            )
            for split in splits
        ]
        few = self.config.group
        gaps = [[_gaps(half, synthetic, few) for half, synthetic, _ in sides], [_gaps(a, b, few) for a, _, b in sides]]
        return Groups(column.name, coded.names, sides, np.array(gaps))


def _outcomes(target: Column | None, evidence: Evidence, most: int) -> tuple[list[NDArray[np.float64]], int]:
    """Read the target of holdout and synthetic rows.

    Returns:
        Classes by position (missing the last) or numbers in standard deviations of the holdout, each of shape (n,), and
        the number of classes: 1 for a number target, 0 without a target.
    """
    tables = (evidence.holdout, evidence.synthetic)
    if target is None:
        return [np.zeros(len(table)) for table in tables], 0
    if target.is_number:
        values = [table.numbers(target.name) for table in tables]
        known = values[0][~np.isnan(values[0])]
        spread = (float(known.std()) if len(known) else 0.0) or 1.0
        return [each / spread for each in values], 1
    if len(target.categories) > most:
        coded = bins(target, evidence.train, tables, categories=most)
        return [each.astype(np.float64) for each in coded.codes], coded.size
    codes, size = levels(target, tables)
    return [each.astype(np.float64) for each in codes], size


def _look(codes: Codes, outcome: NDArray[np.float64], size: int, classes: int) -> Side:
    rows = np.bincount(codes, minlength=size).astype(np.float64)
    if classes > 1:
        joint = np.bincount(codes * classes + outcome.astype(np.int64), minlength=size * classes)
        given = np.where(rows[:, None] > 0, joint.reshape(size, classes) / np.maximum(rows[:, None], 1), np.nan)
    else:
        known = ~np.isnan(outcome)
        counted = np.bincount(codes[known], minlength=size)
        total = np.bincount(codes[known], outcome[known], minlength=size)
        given = np.where(counted > 0, total / np.maximum(counted, 1), np.nan)[:, None][:, :classes]
    return Side(rows, rows / len(codes), given)


def _gaps(real: Side, other: Side, few: int) -> NDArray[np.float64]:
    """Return the differences in share and in outcome of each group, shape (2, G); NaN where too small to audit."""
    share = np.where(np.maximum(real.rows, other.rows) >= few, np.abs(real.share - other.share), np.nan)
    width = real.given.shape[1]
    if width == 0:
        return np.stack([share, np.full_like(share, np.nan)])
    outcome = np.abs(real.given - other.given).sum(axis=1) / min(width, 2)
    return np.stack([share, np.where(np.minimum(real.rows, other.rows) >= few, outcome, np.nan)])


def _rows(group: Groups) -> list[Row]:
    """Return one row per group for people, and one that counts the groups that are too small."""
    rows = np.mean([[side.rows for side in sides] for sides in group.sides], axis=0)
    shares = np.mean([[side.share for side in sides] for sides in group.sides], axis=0)
    outcomes = np.mean([[_outcome_shown(side) for side in sides] for sides in group.sides], axis=0)
    seen = np.logical_not(np.isnan(group.gaps[0, :, 0]).any(axis=0))
    listed: list[Row] = []
    for place in np.flatnonzero(rows.max(axis=0) > 0):
        row: Row = {
            "column": group.column,
            "group": group.names[place],
            "rows_real": round(float(rows[0, place])),
            "rows_synthetic": round(float(rows[1, place])),
        }
        if not seen[place]:
            listed.append({**row, "note": "too small to audit"})
            continue
        row |= {"share_real": float(shares[0, place]), "share_synthetic": float(shares[1, place])}
        for name, kind in (("share", 0), ("outcome", 1)):
            row |= {f"{name}_difference": _mean(group.gaps[0, :, kind, place])}
            row |= {f"{name}_reference": _mean(group.gaps[1, :, kind, place])}
        listed.append(
            {**row, "outcome_real": _mean(outcomes[:1, place]), "outcome_synthetic": _mean(outcomes[1:2, place])}
        )
    return listed


def _outcome_shown(side: Side) -> NDArray[np.float64]:
    """Return what people read as the outcome, shape (G,): the mean, or the share of the last of two classes."""
    width = side.given.shape[1]
    if width not in (1, 3):
        return np.full(len(side.rows), np.nan)
    return side.given[:, 0 if width == 1 else 1]


def _mean(values: NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).any() else float(values.mean())


def _excess(row: Row) -> float:
    found = [row.get(f"{name}_difference") for name in ("share", "outcome")]
    return max((float(each) for each in found if each is not None), default=-1.0)
