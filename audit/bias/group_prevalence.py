"""Group prevalence: is the outcome as frequent in each sensitive group as among real rows of that group?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.equivalence import Counts, Margin, Ratios, compare, listed, pooled, together
from audit.groups import Floats, Grouped, Grouping, Outcome, groupings, independent_share, outcome
from audit.reading import Codes
from audit.reference import need, parts


class Side(NamedTuple):
    """Rows of one sample, counted.

    Attributes:
        joint: Rows of each group with each class of the target, one array of shape (G, K) per grouping.
        worth: Independent rows that a row of each group is worth, one array of shape (G,) per grouping.
    """

    joint: list[NDArray[np.int64]]
    worth: list[Floats]


class Comparison(NamedTuple):
    """All groups and classes on two sides.

    Attributes:
        labels: Who each is, for people.
        counts: Their events and rows.
        found: Their ratios.
    """

    labels: list[Row]
    counts: Counts
    found: Ratios


class GroupPrevalence(Metric):
    """Ratio of the outcome's frequency in a group, synthetic rows to real ones, of the group where it is worst.

    The real side is the whole holdout, the synthetic side all rows: r = P(y|g) / P'(y|g), and the value is the largest
    max(r, 1/r) over groups g and classes y. Groups are those of each sensitive column and of each pair of them
    (`audit.groups`: numbers cut at training quartiles, rare categories pooled, missing a group); classes those of the
    target, of two the last alone, of a number "above the training median". Rows without a target are left out.

    Groups that are large enough for fresh real rows to be shown alike are held to the value's upper bound; smaller ones
    of 30 rows are only looked at for failure, and those of one column or pair pooled once more. The interval's lower
    end is the largest score bound of any group, corrected for the number of groups (Bonferroni), its upper end the
    largest bound of those held (`audit.equivalence`). Rows of one privacy unit count as one.

    The reference is the same comparison of one random half of the holdout with the other: fewer rows, a wider interval.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Group prevalence"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "Largest ratio, either way, between the outcome's frequency in a sensitive group among synthetic and among "
        "real rows; 1 (alike) upward, reported up to 100 (margin of equivalence 1.25 from the four-fifths rule, 29 CFR "
        "1607.4(D); score interval: Koopman 1984, doi:10.2307/2531405)."
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
        margin: Margin = Margin()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the outcome's frequency in each group with that of real rows never seen."""
        target = outcome(evidence, self.config.grouped.categories)
        groups = groupings(evidence, self.config.grouped, but=target.column)
        margin = self.config.margin
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        worth = [
            [independent_share(table, each.codes(side), len(each.names)) for each in groups]
            for side, table in enumerate((evidence.holdout, evidence.synthetic))
        ]
        real = Side(tally(groups, target, 0), worth[0])
        made = Side(tally(groups, target, 1), worth[1])
        seen = against(groups, target, real, made, margin)
        value, interval = together(seen.found)
        halves = [Side(tally(groups, target, 0, rows), worth[0]) for rows in parts(evidence.holdout, 2, rng)]
        reference, around = fresh(against(groups, target, halves[0], halves[1], margin).found)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=around,
            detail=listed(seen.labels, seen.counts, seen.found, margin),
            power=told(seen.found, margin),
            rows=len(evidence.synthetic),
        )


def tally(
    groups: tuple[Grouping, ...], target: Outcome, side: int, rows: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """Count the rows of each group with each class, of the holdout (0) or synthetic table (1), or of some rows."""
    classes = len(target.names)
    y = _of(target.codes[side], rows)
    found = []
    for each in groups:
        codes, size = _of(each.codes(side), rows), len(each.names)
        known = y >= 0
        counts = np.bincount(codes[known] * classes + y[known], minlength=size * classes)
        found.append(counts.reshape(size, classes))
    return found


def against(groups: tuple[Grouping, ...], target: Outcome, real: Side, made: Side, margin: Margin) -> Comparison:
    """Compare each group's frequency of each judged class on two sides; those too small are pooled besides."""
    labels: list[Row] = []
    columns: list[list[Floats]] = [[] for _ in Counts._fields]
    family: list[NDArray[np.int64]] = []
    for place, each in enumerate(groups):
        rows = [side.joint[place].sum(axis=1) for side in (real, made)]
        whole = float(rows[0].sum())
        expected = rows[0] / max(whole, 1.0) * float((rows[1] * made.worth[place]).sum())
        for klass in target.judged:
            hits = [side.joint[place][:, klass] * side.worth[place] for side in (real, made)]
            full = [rows[0] * real.worth[place], rows[1] * made.worth[place]]
            for column, values in zip(columns, (hits[0], full[0], hits[1], full[1], expected), strict=True):
                column.append(values)
            family.append(np.full(len(each.names), len(family)))
            labels += [
                {
                    "column": each.label,
                    "group": name,
                    "outcome": f"{target.column} = {target.names[klass]}",
                    "rows_real": int(rows[0][group]),
                    "rows_synthetic": int(rows[1][group]),
                }
                for group, name in enumerate(each.names)
            ]
    counts, pools = pooled(Counts(*map(np.concatenate, columns)), np.concatenate(family), margin)
    labels += [joined([labels[each] for each in pool]) for pool in pools]
    return Comparison(labels, counts, compare(counts, margin))


def joined(labels: list[Row]) -> Row:
    """Return the label of a pool of groups."""
    rows = {name: sum(int(each[name] or 0) for each in labels) for name in ("rows_real", "rows_synthetic")}
    return {**labels[0], "group": f"{len(labels)} small groups together", **rows}


def fresh(found: Ratios) -> tuple[float | None, Interval | None]:
    """Return what half of the holdout scores against the other; nothing where the halves are too small."""
    try:
        return together(found)
    except NotComputable:
        return None, None


def told(found: Ratios, margin: Margin) -> str:
    """Say how many groups could be shown alike, and how many could only fail."""
    held, tested = int(found.held.sum()), int((found.tested | found.held).sum())
    return (
        f"{held} of {tested} groups and pools are held to the margin {margin.ratio:g}; the other {tested - held} are "
        "too small to show it and are looked at for failure only"
    )


def _of(codes: Codes, rows: NDArray[np.int64] | None) -> Codes:
    return codes if rows is None else codes[rows]
