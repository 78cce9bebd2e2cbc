"""Equal opportunity: does a model trained on synthetic rows find the positives of each group equally often?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import half_samples
from audit.learner import Trees, Trial, trial
from audit.reading import Codes, bins
from tabular.schema import Column


class Rates(NamedTuple):
    """One sensitive column over all splits.

    Attributes:
        column: Name of the column.
        names: Names of its groups, G of them.
        rows: Mean test rows of each group, shape (G,).
        positives: Mean test rows with a positive target, shape (G,).
        found: True positive rates of the model trained on synthetic rows and of that trained on real ones, NaN where a
            group is too small to audit, shape (2, splits, G).
    """

    column: str
    names: tuple[str, ...]
    rows: NDArray[np.float64]
    positives: NDArray[np.float64]
    found: NDArray[np.float64]


class EqualOpportunity(Metric):
    """Equal opportunity difference of a model trained on synthetic rows.

    The largest minus the smallest true positive rate of the groups of one sensitive column,
    max P(ŷ=1 | y=1, g) - min P(ŷ=1 | y=1, g); of several sensitive columns, the one that worsens most against the
    reference, for a large difference that real rows have too would hide it.

    The target has two classes, the last of which is positive; a row is predicted positive where its probability is
    above one half. The reference is the difference of the same model trained on as many fresh real rows, tested on
    the same real rows; both are means over random splits. Groups need enough test rows and enough positives.
    Intervals are half-sample intervals (`audit.intervals.half_samples`), the gap's paired. A model that finds no
    positive treats all groups alike and is of no use to any: there is no value then.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Equal opportunity difference"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "Largest gap in true positive rate between groups of a sensitive column, on unseen real rows, of a model "
        "trained on synthetic ones; 0 (equal) to 1 (Hardt, Price & Srebro, Equality of opportunity, 2016, "
        "arXiv:1610.02413)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes and the learner.

        Attributes:
            splits: How often the holdout is split and models are trained.
            minimum: Fewest rows with a target to train or test on.
            most: Most rows to train or test on.
            group: Fewest test rows of a group that is audited.
            positives: Fewest positives among them.
            parts: Groups of a number column, cut at quantiles of the training rows.
            categories: Groups of a code column that are looked at one by one; the rarer ones are pooled.
            trees: The learner.
        """

        splits: PositiveInt = 5
        minimum: PositiveInt = 50
        most: PositiveInt = 10_000
        group: PositiveInt = 30
        positives: PositiveInt = 20
        parts: int = Field(default=4, ge=2)
        categories: PositiveInt = 100
        trees: Trees = Trees()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Train on synthetic and on real rows, and compare true positive rates of groups of other real rows."""
        settings = self.config
        target = evidence.holdout.schema.target
        if target is None or not target.is_code or len(target.categories) != 2:
            raise NotComputable("the schema declares no target with two classes")
        sensitive = [
            each for each in evidence.holdout.schema.sensitive if each.is_modelled and each.name != target.name
        ]
        if not sensitive:
            raise NotComputable("the schema declares no sensitive column that is modelled, other than the target")
        tried = [
            trial(evidence, target, settings.trees, rng, settings.minimum, settings.most)
            for _ in range(settings.splits)
        ]
        _demand_found(tried)
        rates = [self._rates(column, tried, evidence) for column in sensitive]
        differences = np.stack([difference(each.found) for each in rates], axis=2)
        known = np.flatnonzero(~np.isnan(differences).any(axis=(0, 1)))
        if not len(known):
            raise NotComputable(
                f"no sensitive column has two groups of {settings.group} test rows with {settings.positives} positives"
            )
        gaps = (differences[0] - differences[1]).mean(axis=0)
        synthetic, real = differences[:, :, known[np.argmax(gaps[known])]]
        return Estimate(
            value=float(synthetic.mean()),
            interval=half_samples(synthetic, 0, 1),
            reference=float(real.mean()),
            reference_interval=half_samples(real, 0, 1),
            detail=(*_columns(rates, differences), *_groups(rates))[:DETAIL_ROWS],
            rows=tried[0].trained,
        )

    def _rates(self, column: Column, tried: list[Trial], evidence: Evidence) -> Rates:
        """Measure one sensitive column's true positive rates in every split."""
        sides: list[list[NDArray[np.float64]]] = [[], []]
        counts: list[list[NDArray[np.int64]]] = [[], []]
        for each in tried:
            coded = bins(column, evidence.train, (each.test,), self.config.parts, self.config.categories)
            positive = each.truth == 1
            rows = np.bincount(coded.codes[0], minlength=coded.size)
            positives = np.bincount(coded.codes[0][positive], minlength=coded.size)
            enough = (rows >= self.config.group) & (positives >= self.config.positives)
            counts[0].append(rows)
            counts[1].append(positives)
            for side, answer in zip(sides, (each.synthetic, each.real), strict=True):
                found = true_positive_rates(coded.codes[0], answer[:, 1] > 0.5, positive, coded.size)
                side.append(np.where(enough, found, np.nan))
        return Rates(column.name, coded.names, np.mean(counts[0], axis=0), np.mean(counts[1], axis=0), np.array(sides))


def true_positive_rates(
    codes: Codes, chosen: NDArray[np.bool_], positive: NDArray[np.bool_], size: int
) -> NDArray[np.float64]:
    """Return the share of each group's positives that were chosen.

    Args:
        codes: Group of each row, shape (n,), in [0, size).
        chosen: Whether a row was predicted positive, shape (n,).
        positive: Whether a row's target is positive, shape (n,).
        size: Number of groups.

    Returns:
        Rates, shape (size,); NaN for a group without positives.
    """
    total = np.bincount(codes[positive], minlength=size)
    found = np.bincount(codes[positive & chosen], minlength=size)
    return np.where(total > 0, found / np.maximum(total, 1), np.nan)


def difference(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest minus the smallest rate along the last axis; NaN where fewer than two are known."""
    known = ~np.isnan(rates)
    gap = np.where(known, rates, -np.inf).max(axis=-1) - np.where(known, rates, np.inf).min(axis=-1)
    return np.where(known.sum(axis=-1) >= 2, gap, np.nan)


def _demand_found(tried: list[Trial]) -> None:
    """Demand that the models trained on synthetic rows find some of the positives.

    Raises:
        NotComputable: If in a split there are positives and the model finds none of them.
    """
    none = sum(bool((each.truth == 1).any() and not (each.synthetic[each.truth == 1, 1] > 0.5).any()) for each in tried)
    if none:
        where = "" if none == len(tried) else f"in {none} of {len(tried)} splits "
        raise NotComputable(
            f"{where}the model trained on synthetic rows finds no positive at all; equal rates of 0 say nothing"
        )


def _columns(rates: list[Rates], differences: NDArray[np.float64]) -> list[Row]:
    """Return one row per sensitive column: both differences and their gap with its paired interval."""
    rows: list[Row] = []
    for place, each in enumerate(rates):
        if np.isnan(differences[:, :, place]).any():
            rows.append({"column": each.column, "note": "too small to audit"})
            continue
        synthetic, real = differences[:, :, place]
        gap = half_samples(synthetic - real, -1, 1)
        means = {"difference": float(synthetic.mean()), "reference": float(real.mean())}
        rows.append({"column": each.column, **means, "gap_low": gap.low, "gap_high": gap.high})
    return rows


def _groups(rates: list[Rates]) -> list[Row]:
    """Return one row per group with both true positive rates, the large groups first."""
    rows: list[tuple[float, Row]] = []
    for each in rates:
        for place in np.flatnonzero(each.rows):
            row: Row = {
                "column": each.column,
                "group": each.names[place],
                "rows": round(float(each.rows[place])),
                "positives": round(float(each.positives[place])),
            }
            found = each.found[:, :, place]
            if np.isnan(found).any():
                row |= {"note": "too small to audit"}
            else:
                row |= {"rate": float(found[0].mean()), "reference": float(found[1].mean())}
            rows.append((float(each.rows[place]), row))
    return [row for _, row in sorted(rows, key=lambda each: -each[0])]
