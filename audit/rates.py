"""Rates of sensitive groups: how often models trained on synthetic and on real rows call each group's rows positive."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveFloat, PositiveInt
from scipy.sparse import csr_array

from audit.core import Evidence, NotComputable
from audit.goals import two_classes
from audit.learner import Trees
from audit.reading import Codes, bins
from audit.trials import Array, Draws, Trials, called, demand_useful, margin, trials

SELECTION, TRUE_POSITIVE, FALSE_POSITIVE = "selection rate", "true positive rate", "false positive rate"
KINDS = (SELECTION, TRUE_POSITIVE, FALSE_POSITIVE)
RULE_OF_THREE = 3.0


class Groups(BaseModel, frozen=True, extra="forbid"):
    """What calls a row positive, how sensitive columns are grouped, and which groups are judged.

    Attributes:
        threshold: Probability above which a row is called positive. None averages each rate over all thresholds, which
            is the mean probability: nobody has said which will be used, and a rate at one threshold varies half as
            much again with the luck of training rows, also of real ones.
        rows: Fewest test rows of a group that is audited.
        cases: Fewest rows among them that a rate is a share of: positives, negatives.
        precision: A group is judged where its rate's change, from real to synthetic training rows, is told to within
            so much, the luck of other training rows included, and by the rule of three (3 / cases) too; or where it
            changed by more, beyond doubt. Where two such groups are nowhere to be found, all that are large enough are
            judged. Gates usually allow 0.05: where luck alone moves a rate by so much, nothing can be shown.
        parts: Groups of a number column, cut at quantiles of the training rows.
        categories: Groups of a code column that are looked at one by one; the rarer ones are pooled.
        crossed: How many sensitive columns, the first, are crossed with one another in pairs.
    """

    threshold: float | None = Field(default=None, gt=0, lt=1)
    rows: PositiveInt = 30
    cases: PositiveInt = 20
    precision: PositiveFloat = 0.04
    parts: int = Field(default=4, ge=2)
    categories: PositiveInt = 100
    crossed: int = Field(default=6, ge=0)


class Grouping(NamedTuple):
    """One sensitive column, or two of them crossed.

    Attributes:
        column: Its name, or both.
        names: Names of its groups, G of them.
        codes: Group of each test row, shape (n,), in [0, G).
        crossed: Whether it is two columns.
    """

    column: str
    names: tuple[str, ...]
    codes: Codes
    crossed: bool = False


class Rates(NamedTuple):
    """One kind of rate of one grouping's G groups.

    Attributes:
        kind: Which rate.
        column: Name of the grouping.
        crossed: Whether it is two columns.
        names: Names of the groups.
        rows: Test rows of each group, shape (G,).
        cases: Rows that the rate is a share of, shape (G,).
        enough: Whether a group has enough of both, shape (G,).
        fits: Rates of the K models trained on synthetic and of those on real rows, shape (2, K, G).
        drawn: Their means over models in each bootstrap replicate of the test rows, shape (2, B, G).
    """

    kind: str
    column: str
    crossed: bool
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    cases: NDArray[np.int64]
    enough: NDArray[np.bool_]
    fits: Array
    drawn: Array

    @property
    def means(self) -> Array:
        """Means over models, shape (2, G)."""
        return np.asarray(self.fits.mean(axis=1))


def rates(evidence: Evidence, trees: Trees, draws: Draws, groups: Groups) -> dict[str, list[Rates]]:
    """Return each kind of rate of every grouping; made once for an evidence and these settings.

    Raises:
        NotComputable: If there is no target of two classes or more, no sensitive column, or a model that tells nothing.
    """
    settings = ", ".join(each.model_dump_json() for each in (trees, draws, groups))
    return evidence.shared(f"rates of groups: {settings}", lambda _: _rates(evidence, trees, draws, groups))


def groupings(evidence: Evidence, tried: Trials, groups: Groups) -> list[Grouping]:
    """Group the test rows by each sensitive column, and by pairs of them.

    Raises:
        NotComputable: If no sensitive column is modelled, other than the target.
    """
    schema = evidence.holdout.schema
    columns = [each for each in schema.sensitive if each.is_modelled and each.role != "target"]
    if not columns:
        raise NotComputable("the schema declares no sensitive column that is modelled, other than the target")
    single = []
    for column in columns:
        coded = bins(column, evidence.train, (tried.test,), groups.parts, groups.categories)
        single.append(Grouping(column.name, coded.names, coded.codes[0]))
    return single + [_crossed(first, second) for first, second in combinations(single[: groups.crossed], 2)]


def judged(found: list[Rates], precision: float) -> list[NDArray[np.bool_]]:
    """Say which groups of each grouping are judged, shapes (G,): see `Groups.precision`."""
    many = max(sum(int(each.enough.sum()) for each in found), 1)
    precise, evident = [], []
    for each in found:
        tested = (each.drawn[0] - each.drawn[1]).var(axis=0, ddof=1)
        sides = (each.fits[0], each.fits[1])
        change = np.abs(each.means[0] - each.means[1])
        told = np.maximum(margin(tested, sides, others=True), RULE_OF_THREE / np.maximum(each.cases, 1))
        precise.append(each.enough & (told <= precision))
        evident.append(each.enough & (change > np.maximum(margin(tested, sides, many, others=True), precision)))
    if not any(each.sum() >= 2 for each in precise):
        return [each.enough for each in found]
    return [first | second for first, second in zip(precise, evident, strict=True)]


def group_rates(codes: Codes, chosen: NDArray[np.bool_] | Array, of: NDArray[np.bool_], size: int) -> Array:
    """Return the share of each group's rows that were chosen.

    Args:
        codes: Group of each row, shape (n,), in [0, size).
        chosen: Whether a row was predicted positive, or in what share of the models, shape (n,).
        of: Which rows a rate is a share of, shape (n,): all, the positives, the negatives.
        size: Number of groups.

    Returns:
        Rates, shape (size,); NaN for a group without such rows.
    """
    total = np.bincount(codes[of], minlength=size)
    found = np.bincount(codes[of], np.asarray(chosen, dtype=np.float64)[of], minlength=size)
    return np.where(total > 0, found / np.maximum(total, 1), np.nan)


def difference(found: Array) -> Array:
    """Return the largest minus the smallest rate along the last axis; NaN where fewer than two are known."""
    known = ~np.isnan(found)
    gap = np.where(known, found, -np.inf).max(axis=-1) - np.where(known, found, np.inf).min(axis=-1)
    return np.where(known.sum(axis=-1) >= 2, gap, np.nan)


def sums(codes: Codes, values: Array, weights: Array, size: int) -> Array:
    """Return the weighted sums of values, shape (n,), by group and replicate, weights (n, B): shape (B, size)."""
    each = csr_array((values, (codes, np.arange(len(codes)))), shape=(size, len(codes)))
    return np.asarray((each @ weights).T)


def kept(grouping: Grouping, fewest: int) -> tuple[Grouping, NDArray[np.int64], list[tuple[str, int]]]:
    """Leave out groups with too few test rows.

    Returns:
        The grouping of the rows that are left, their positions, and the groups left out with their rows.
    """
    counts = np.bincount(grouping.codes, minlength=len(grouping.names))
    large = counts >= fewest
    rows = np.flatnonzero(large[grouping.codes])
    place = np.cumsum(large) - 1
    names = tuple(name for name, keep in zip(grouping.names, large, strict=True) if keep)
    few = [(grouping.names[each], int(counts[each])) for each in np.flatnonzero((counts > 0) & ~large)]
    return grouping._replace(names=names, codes=place[grouping.codes[rows]]), rows, few


def measured(
    kind: str, large: Grouping, few: list[tuple[str, int]], found: tuple[Array, Array], cases: Codes, fewest: int
) -> Rates:
    """Put the groups left out beside those that were measured, so that they can be named.

    Args:
        kind: What was measured.
        large: The grouping of the rows of groups with enough of them.
        few: The groups left out, with their rows.
        found: What was measured in each model and each replicate, shapes (2, K, G) and (2, B, G).
        cases: Rows of each group that count, shape (G,).
        fewest: Fewest of them that are enough.
    """
    blank = [(0, 0), (0, 0), (0, len(few))]
    counts = np.bincount(large.codes, minlength=len(large.names))
    return Rates(
        kind,
        large.column,
        large.crossed,
        (*large.names, *(name for name, _ in few)),
        np.append(counts, np.array([count for _, count in few], dtype=np.int64)),
        np.pad(cases, (0, len(few))),
        np.pad(cases >= fewest, (0, len(few))),
        *(np.pad(each, blank, constant_values=np.nan) for each in found),
    )


def _rates(evidence: Evidence, trees: Trees, draws: Draws, groups: Groups) -> dict[str, list[Rates]]:
    tried = trials(evidence, two_classes(evidence), trees, draws)
    by = groupings(evidence, tried, groups)
    positive = tried.truth == 1
    chosen = called(tried, groups.threshold)
    demand_useful(chosen, positive)
    of = dict(zip(KINDS, (np.ones_like(positive), positive, ~positive), strict=True))
    return {kind: [_measure(kind, each, chosen, of[kind], tried.weights, groups) for each in by] for kind in KINDS}


def _measure(
    kind: str, grouping: Grouping, chosen: Array, of: NDArray[np.bool_], weights: Array, groups: Groups
) -> Rates:
    large, rows, few = kept(grouping, groups.rows)
    counted = of[rows]
    at, codes, size = rows[counted], large.codes[counted], len(large.names)
    everyone = np.ones(len(at), dtype=bool)
    fits = np.array([[group_rates(codes, fit[at], everyone, size) for fit in side] for side in chosen])
    total = sums(codes, np.ones(len(at)), weights[at], size)
    drawn = []
    for side, found in zip(chosen, fits, strict=True):
        hits = sums(codes, side[:, at].mean(axis=0), weights[at], size)
        drawn.append(np.where(total > 0, hits / np.maximum(total, 1), found.mean(axis=0)))
    cases = np.bincount(codes, minlength=size)
    return measured(kind, large, few, (fits, np.array(drawn)), cases, 1 if kind == SELECTION else groups.cases)


def _crossed(first: Grouping, second: Grouping) -> Grouping:
    size = len(second.names)
    found, codes = np.unique(first.codes * size + second.codes, return_inverse=True)
    names = tuple(f"{first.names[each // size]}, {second.names[each % size]}" for each in found)
    return Grouping(f"{first.column} x {second.column}", names, codes, crossed=True)
