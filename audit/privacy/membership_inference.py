"""Membership inference: can an attacker with the synthetic rows tell who was in the training table?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric, Row, reasoned
from audit.intervals import LEVEL, auc, auc_interval, clopper_pearson
from audit.learner import THREADS
from audit.reading import bins, modelled
from audit.reference import need, parts, some
from tabular.schema import Column
from tabular.table import Table

FALSE_POSITIVE_RATES = (0.01, 0.1)
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
    range in R, unequal categories at distance 1, missing a category. The holdout is split in three by privacy unit:
    R, non-members, and fresh rows F. Members are a training sample as large as the non-members. The reference is the
    same attack with F in place of S. S is not cut to the size of R, for that would hide most copies; members and
    non-members face the same S and R.

    Interval: analytic (`audit.intervals.auc_interval`). Detail: true positive rate at low false positive rates, and a
    lower bound on ε: log of the ratio of Clopper-Pearson bounds, the threshold chosen on one half of the queries and
    judged on the other (Jagielski, Ullman & Oprea 2020, arXiv:2006.07709). One attack that finds nothing proves
    nothing.
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
            synthetic: Most synthetic rows.
            smooth: The s of the score.
            categories: Categories of a column that are told apart; the others count as one.
        """

        minimum: PositiveInt = 50
        queries: PositiveInt = 4_000
        references: PositiveInt = 10_000
        synthetic: PositiveInt = 50_000
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
        size = min(len(thirds[1]), len(evidence.train), settings.queries)
        known, others, fresh = (
            evidence.holdout.take(some(third, most, rng))
            for third, most in zip(thirds, (settings.references, size, settings.references), strict=True)
        )
        members = evidence.train.take(some(np.arange(len(evidence.train)), size, rng))
        released = evidence.synthetic.take(some(np.arange(len(evidence.synthetic)), settings.synthetic, rng))
        points = [encode(known, each, settings.categories) for each in (known, members, others, released, fresh)]
        to_known = [nearest(each, points[0]) for each in points[1:3]]
        attack, control = (self._attack(points[1:3], to_known, target) for target in points[3:])
        value, reference = (_auc(each) for each in (attack, control))
        return Estimate(
            value=value,
            interval=auc_interval(value, size, size),
            reference=reference,
            reference_interval=auc_interval(reference, size, size),
            detail=(
                *_rates(attack, control),
                {"quantity": "ε lower bound", "value": epsilon(attack, rng), "reference": epsilon(control, rng)},
                {"quantity": "members, and as many non-members", "value": size, "reference": size},
                {"quantity": "rows attacked", "value": len(released), "reference": len(fresh)},
            ),
            rows=len(released),
        )

    def _attack(self, queries: list[Points], to_known: list[NDArray[np.float64]], released: Points) -> Attack:
        smooth = self.config.smooth
        return Attack(
            *(
                np.log((far + smooth) / (nearest(each, released) + smooth))
                for each, far in zip(queries, to_known, strict=True)
            )
        )


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
    """Return a lower bound, at 95 % confidence, on the ε of any differentially private mechanism that leaks so much."""
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
