"""Membership inference: can an attacker with the synthetic rows tell who was in the training table?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import LEVEL, auc, auc_interval, clopper_pearson
from audit.learner import THREADS
from audit.reading import bins, modelled
from audit.reference import independent, need, one_each, parts, some
from tabular.schema import Column
from tabular.table import Table

FALSE_POSITIVE_RATES = (0.01, 0.1)
# A pair of rows costs about as much as 75 further columns, whatever their number.
OVERHEAD = 75
# Numbers of one part of the synthetic rows, 64 MiB of them.
CELLS = 2**24
Points = NDArray[np.float32]


class Attack(NamedTuple):
    """Scores of the attack, high for rows that look like members.

    Attributes:
        members: Scores of training rows, shape (n,).
        others: Scores of rows that nobody trained on, shape (m,).
    """

    members: NDArray[np.float64]
    others: NDArray[np.float64]


class MembershipInference(Metric):
    """ROC AUC of a nearest-neighbour attack that tells training rows from unseen real rows by the synthetic rows.

    The attacker has the synthetic rows S, the schema and reference rows R of the same population, not the model. The
    score is log[(d(x, R) + s) / (d(x, S) + s)] with d the distance to the nearest row: numbers over their 5-95 %
    range in R, unequal categories at distance 1, missing a category; s is small beside the mean of d(x, R). The
    holdout is split in three by privacy unit: R, non-members, and fresh rows F. Members are a training sample as large
    as the non-members; both face the same S and R. The reference is the same attack with F in place of S. All of S is
    searched, for a part of it would hide most copies; the larger S, the fewer queries.

    Interval: analytic (`audit.intervals.auc_interval`); queries count as many as their privacy units
    (`audit.reference.independent`). Detail: true positive rate at low false positive rates, and a lower bound on ε
    from one query of each unit: log of the ratio of Clopper-Pearson bounds, the threshold chosen on one half of the
    queries and judged on the other (Jagielski, Ullman & Oprea 2020, arXiv:2006.07709). One attack that finds nothing
    proves nothing.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Membership inference"
    definition: ClassVar[str] = (
        "ROC AUC of a nearest-neighbour distance-ratio attack on training rows against unseen real rows; 0.5 (no leak "
        "found) to 1 (everybody found) (density ratio: van Breugel et al., DOMIAS, 2023, arXiv:2302.12580)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes of the attack.

        Attributes:
            minimum: Fewest rows in a third of the holdout.
            queries: Most members, and most non-members.
            references: Most reference rows R, and most fresh rows F.
            synthetic: Most synthetic rows; more cannot be judged.
            work: Most terms of distances to synthetic rows, roughly; 25 billion are about a second.
            smooth: The s of the score, as a share of the mean distance to the reference rows.
            categories: Categories of a column that are told apart; the others count as one.
        """

        minimum: PositiveInt = 50
        queries: PositiveInt = 4_000
        references: PositiveInt = 10_000
        synthetic: PositiveInt = 1_000_000
        work: PositiveInt = 700_000_000_000
        smooth: PositiveFloat = 0.05
        categories: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Attack the synthetic rows, and fresh real rows in their place."""
        settings = self.config
        modelled(evidence.holdout.schema)
        thirds = parts(evidence.holdout, 3, rng)
        need(min(len(third) for third in thirds), settings.minimum, "a third of the holdout")
        need(len(evidence.train), settings.minimum, "the training table")
        need(len(evidence.synthetic), settings.minimum, "the synthetic table")
        known, fresh = (evidence.holdout.take(some(thirds[each], settings.references, rng)) for each in (0, 2))
        size = min(len(thirds[1]), len(evidence.train), self._affordable(known, len(evidence.synthetic)))
        others = evidence.holdout.take(some(thirds[1], size, rng))
        members = evidence.train.take(some(np.arange(len(evidence.train)), size, rng))
        attack, control = self._attacks(known, (members, others), (evidence.synthetic, fresh))
        value, reference = (_auc(each) for each in (attack, control))
        sizes = (independent(members), independent(others))
        lone = (one_each(members, rng), one_each(others, rng))
        bounds = [epsilon(Attack(*(s[i] for s, i in zip(side, lone, strict=True))), rng) for side in (attack, control)]
        return Estimate(
            value=value,
            interval=auc_interval(value, *sizes),
            reference=reference,
            reference_interval=auc_interval(reference, *sizes),
            detail=(
                *_rates(attack, control),
                {"quantity": "ε lower bound", "value": bounds[0], "reference": bounds[1]},
                {"quantity": "members, and as many non-members", "value": size, "reference": size},
                {"quantity": "rows attacked", "value": len(evidence.synthetic), "reference": len(fresh)},
            ),
            rows=len(evidence.synthetic),
        )

    def _affordable(self, known: Table, rows: int) -> int:
        """Return how many members can be looked up among so many synthetic rows.

        Raises:
            NotComputable: If the rows are too many.
        """
        if rows > self.config.synthetic:
            raise NotComputable(
                f"the synthetic table has {rows:,} rows; this attack searches at most {self.config.synthetic:,}, "
                f"and a part of the rows would hide most copies"
            )
        terms: int = OVERHEAD + encode(known, known.take(np.arange(1)), self.config.categories).shape[1]
        return min(self.config.queries, max(self.config.work // (2 * rows * terms), self.config.minimum))

    def _attacks(self, known: Table, asked: tuple[Table, Table], released: tuple[Table, Table]) -> list[Attack]:
        """Attack each of the released tables with the same members and non-members."""
        queries = np.concatenate([encode(known, table, self.config.categories) for table in asked])
        to_known = self._reach(queries, known, known)
        s = self.config.smooth * (float(to_known.mean()) or 1.0)
        scores = [np.log((to_known + s) / (self._reach(queries, known, table) + s)) for table in released]
        return [Attack(score[: len(asked[0])], score[len(asked[0]) :]) for score in scores]

    def _reach(self, queries: Points, known: Table, table: Table) -> NDArray[np.float64]:
        """Return each query's distance to the nearest row of a table, which is placed and searched part by part."""
        step = max(CELLS // queries.shape[1], 1)
        closest = np.full(len(queries), np.inf)
        for start in range(0, len(table), step):
            part = table.take(np.arange(start, min(start + step, len(table))))
            closest = np.minimum(closest, nearest(queries, encode(known, part, self.config.categories)))
        return closest


def encode(known: Table, table: Table, categories: int) -> Points:
    """Place rows in space by what the reference rows show, shape (n, D).

    A number lies over its 5-95 % range, missing ones at the median with an indicator of weight 1; categories are
    one-hot times √½, so that two unequal ones lie at distance 1.
    """
    blocks: list[Points] = []
    for column in known.schema.modelled:
        if column.is_code:
            coded = bins(column, known, (table,), categories=categories)
            blocks.append((np.eye(coded.size) * np.sqrt(0.5))[coded.codes[0]].astype(np.float32))
        else:
            blocks.append(_place(column, known, table))
    return np.ascontiguousarray(np.concatenate(blocks, axis=1))


def nearest(queries: Points, rows: Points) -> NDArray[np.float64]:
    """Return the Euclidean distance of each query, shape (n, D), to its nearest row, shape (m, D)."""
    with threadpool_limits(THREADS):
        distances, _ = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows).kneighbors(queries)
    return np.asarray(distances[:, 0], dtype=np.float64)


def epsilon(attack: Attack, rng: np.random.Generator) -> float:
    """Return a lower bound, at 95 % confidence, on the ε of any differentially private mechanism that leaks so much.

    Scores are taken as independent: one for each privacy unit. Fewer than two of a kind bound nothing.
    """
    if min(len(each) for each in attack) < 2:
        return 0.0
    halves = [np.array_split(rng.permutation(each), 2) for each in attack]
    tuning, judging = (Attack(*(np.sort(half[side]) for half in halves)) for side in (0, 1))
    thresholds = np.unique(np.concatenate(tuning))
    best = thresholds[np.argmax(_bound(tuning, thresholds))]
    return float(_bound(judging, np.array([best]))[0])


def _bound(attack: Attack, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the bound on ε at each threshold from sorted scores, in both directions; 0 at least."""
    members, others = attack
    alpha = (1 - LEVEL) / 2
    found = len(members) - np.searchsorted(members, thresholds, side="left")
    wrong = len(others) - np.searchsorted(others, thresholds, side="left")
    found_low, _ = clopper_pearson(found, len(members), alpha)
    _, wrong_high = clopper_pearson(wrong, len(others), alpha)
    tiny = np.finfo(np.float64).tiny
    above = np.log(np.maximum(found_low, tiny) / np.maximum(wrong_high, tiny))
    below = np.log(np.maximum(1 - wrong_high, tiny) / np.maximum(1 - found_low, tiny))
    return np.maximum(np.maximum(above, below), 0.0)


def _place(column: Column, known: Table, table: Table) -> Points:
    seen = known.numbers(column.name)
    seen = seen[~np.isnan(seen)]
    low, middle, high = np.quantile(seen, [0.05, 0.5, 0.95]) if len(seen) else (0.0, 0.0, 0.0)
    spread = high - low or (seen.max() - seen.min() if len(seen) else 0.0) or 1.0
    values = table.numbers(column.name)
    missing = np.isnan(values)
    placed = (np.where(missing, middle, values) - middle) / spread
    return np.stack([placed, missing], axis=1).astype(np.float32)


def _auc(attack: Attack) -> float:
    scores = np.concatenate(attack)
    return auc(scores, np.arange(len(scores)) < len(attack.members))


def _rates(attack: Attack, control: Attack) -> list[Row]:
    """Return one row per false positive rate: the share of members found there."""
    return [
        {
            "quantity": f"true positive rate at {rate:.0%} false positives",
            "value": float((attack.members > np.quantile(attack.others, 1 - rate, method="higher")).mean()),
            "reference": float((control.members > np.quantile(control.others, 1 - rate, method="higher")).mean()),
        }
        for rate in FALSE_POSITIVE_RATES
    ]
