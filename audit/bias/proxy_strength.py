"""Proxy strength: do the other columns give a sensitive one away as much as among real rows?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from audit.core import DETAIL_ROWS, Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.groups import sensitive
from audit.intervals import LEVEL, auc, auc_interval
from audit.learner import LARGEST_SEED, THREADS, Trees, blanked, classifier
from audit.reading import Codes, bins, features, modelled
from audit.reference import independent, match, parts
from tabular.schema import Column
from tabular.table import Table

Floats = NDArray[np.float64]


class Proxy(NamedTuple):
    """How well one sensitive column is predicted from the others.

    Attributes:
        column: Its name.
        areas: AUC within half A, within the synthetic rows and within half B.
        errors: Standard errors of those.
    """

    column: str
    areas: tuple[float, float, float]
    errors: tuple[float, float, float]


class ProxyStrength(Metric):
    """Largest change, over sensitive columns, in how well the other columns predict it.

    A small gradient boosting learns the column's groups (categories beyond the most frequent pooled, numbers cut at
    training quartiles, missing a group) from all other columns, on one half of some rows, and answers on the other
    half, then the other way round; its AUC is the mean over groups, one against the rest, weighed by their rows. The
    same is done within half A of the holdout, within as many synthetic rows and within as many rows of half B. The
    value is the largest |AUC(S) - AUC(A)|, the reference the largest |AUC(B) - AUC(A)|. Standard errors of AUCs are
    taken from score intervals (`audit.intervals.auc_interval`); the interval's lower end is corrected for the number of
    sensitive columns (Bonferroni). A privacy unit's rows are on one side.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Proxy strength"
    needs = ("sensitive",)
    definition: ClassVar[str] = (
        "Largest absolute change, over sensitive columns, of the AUC at which all other columns predict it, within the "
        "synthetic against within the real rows; 0 (alike) to 1 (proxies: Feldman et al., Certifying and removing "
        "disparate impact, 2015, arXiv:1412.3756)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes and the learner.

        Attributes:
            minimum: Fewest rows on either side.
            most: Most rows on either side.
            group: Fewest rows of a group, on every side, that counts.
            columns: Most sensitive columns; the first in the table are taken.
            parts: Groups of a number column.
            categories: Categories of a code column that are told apart.
            trees: The learner.
        """

        minimum: PositiveInt = 100
        most: PositiveInt = 5_000
        group: PositiveInt = 20
        columns: PositiveInt = 8
        parts: int = Field(default=4, ge=2)
        categories: PositiveInt = 3
        trees: Trees = Trees(rounds=30, leaves=12)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare how far the other columns give each sensitive one away."""
        columns = sensitive(evidence.holdout.schema)[: self.config.columns]
        modelled(evidence.holdout.schema, fewest=2)
        split = match(evidence, rng, self.config.minimum, self.config.most)
        tables = (
            evidence.holdout.take(split.real[: len(split.synthetic)]),
            evidence.synthetic.take(split.synthetic),
            evidence.holdout.take(split.fresh),
        )
        halves = [np.isin(np.arange(len(table)), parts(table, 2, rng)[1]) for table in tables]
        seed = int(rng.integers(LARGEST_SEED))
        looked = [self._look(column, evidence.train, tables, halves, seed) for column in columns]
        found = [each for each in looked if each is not None]
        if not found:
            raise NotComputable(f"no sensitive column has two groups of {self.config.group} rows on every side")
        value, interval = furthest(found, 1)
        reference, around = furthest(found, 2)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=around,
            detail=tuple(_row(each) for each in sorted(found, key=lambda each: -_gap(each, 1)[0])[:DETAIL_ROWS]),
            rows=len(tables[1]),
        )

    def _look(
        self, column: Column, train: Table, tables: tuple[Table, ...], halves: list[NDArray[np.bool_]], seed: int
    ) -> Proxy | None:
        """Measure one column's AUC within each table; None where fewer than two groups have enough rows."""
        coded = bins(column, train, tables, self.config.parts, self.config.categories)
        counts = np.stack([np.bincount(each, minlength=coded.size) for each in coded.codes])
        kept = np.flatnonzero((counts >= self.config.group).all(axis=0))
        if len(kept) < 2:
            return None
        others = [each for each in modelled(train.schema) if each.name != column.name]
        read = features(train, tables, others)
        areas, errors = [], []
        for table, matrix, codes, half in zip(tables, read.matrices, coded.codes, halves, strict=True):
            rows = np.flatnonzero(np.isin(codes, kept))
            labels = np.searchsorted(kept, codes[rows])
            scores = crossed(matrix[rows], labels, half[rows], self.config.trees, read.categorical, seed)
            area, error = macro(scores, labels, independent(table) / len(table))
            areas.append(area)
            errors.append(error)
        return Proxy(column.name, (areas[0], areas[1], areas[2]), (errors[0], errors[1], errors[2]))


def crossed(
    x: Floats, labels: Codes, part: NDArray[np.bool_], trees: Trees, categorical: NDArray[np.bool_], seed: int
) -> Floats:
    """Return each row's probabilities by the model that was trained on the other part, shape (n, K)."""
    size = int(labels.max()) + 1
    shared = trees.model_copy(update={"rounds": max(trees.rounds // max(size - 1, 1), 8)})
    scores = np.zeros((len(x), size))
    for train in (part, ~part):
        seen = np.unique(labels[train])
        if len(seen) < 2 or train.all():
            continue
        learned, asked = blanked(x[train], x[~train])
        with threadpool_limits(THREADS):
            model = classifier(shared, categorical, seed).fit(learned, labels[train])
            scores[np.ix_(~train, seen)] = model.predict_proba(asked)
    return scores


def macro(scores: Floats, labels: Codes, worth: float) -> tuple[float, float]:
    """Return the AUC of each class against the rest, weighed by its rows, and its standard error.

    Args:
        scores: Scores of the classes, shape (n, K).
        labels: The classes, shape (n,).
        worth: Independent rows that a row is worth.
    """
    counts = np.bincount(labels, minlength=scores.shape[1])
    sizes = counts[:1] if len(counts) == 2 else counts
    areas = [auc(scores[:, each], labels == each) for each in range(len(sizes))]
    spans = [
        auc_interval(area, max(size * worth, 1.0), max((len(labels) - size) * worth, 1.0))
        for area, size in zip(areas, sizes, strict=True)
    ]
    errors = [(each.high - each.low) / (2 * norm.ppf((1 + LEVEL) / 2)) for each in spans]
    return float(np.average(areas, weights=sizes)), float(np.average(errors, weights=sizes))


def furthest(found: list[Proxy], side: int) -> tuple[float, Interval]:
    """Return the largest change from half A to another side, and the interval of the largest true one."""
    alpha = (1 - LEVEL) / 2
    gaps = [_gap(each, side) for each in found]
    value = max(gap for gap, _ in gaps)
    low = max(gap - float(norm.isf(alpha / len(gaps))) * error for gap, error in gaps)
    high = max(gap + float(norm.isf(alpha)) * error for gap, error in gaps)
    return value, Interval(low=max(low, 0.0), high=min(high, 1.0), level=LEVEL)


def _gap(each: Proxy, side: int) -> tuple[float, float]:
    return abs(each.areas[side] - each.areas[0]), float(np.hypot(each.errors[side], each.errors[0]))


def _row(each: Proxy) -> Row:
    real, made, fresh = each.areas
    half = float(norm.ppf((1 + LEVEL) / 2)) * _gap(each, 1)[1]
    names = {"auc_real": real, "auc_synthetic": made, "auc_fresh": fresh}
    return {
        "column": each.column,
        **names,
        "change": made - real,
        "low": made - real - half,
        "high": made - real + half,
    }
