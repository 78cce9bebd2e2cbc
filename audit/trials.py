"""Trials: a learner trained on synthetic and on real rows, several times each, and tested on the same unseen rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt
from scipy.stats import t

from audit.core import Evidence, Interval, NotComputable
from audit.goals import Goal
from audit.intervals import LEVEL
from audit.learner import LARGEST_SEED, Learner, inputs, predict
from audit.reference import Rows, need, units
from tabular.table import Table

Array = NDArray[np.float64]
TINY = 1e-300
MANY = 1e6
TELLS = 0.1
POOL = 4


class Draws(BaseModel, frozen=True, extra="forbid"):
    """How often and on how many rows a learner is trained and tested.

    Attributes:
        count: Draws of training rows, and models, on either side.
        minimum: Fewest rows with a target to train on, and fewest privacy units to test on.
        most: Most rows to train on; they are drawn from at most four times as many, to bound the memory.
        tested: Most rows to test on.
        replicates: Bootstrap replicates of the test rows.
    """

    count: int = Field(default=8, ge=2)
    minimum: PositiveInt = 50
    most: PositiveInt = 15_000
    tested: PositiveInt = 20_000
    replicates: int = Field(default=200, ge=2)


class Trials(NamedTuple):
    """What models trained on synthetic rows, and as many on real rows, answer on the same n test rows.

    Attributes:
        test: The test rows: those of the holdout with a target, or a random part of them.
        truth: Their target as it is predicted: positions in the categories, or numbers, shape (n,).
        synthetic: Answers of the K models trained on synthetic rows, shape (K, n, C) of probabilities or (K, n).
        real: Answers of the K models trained on real rows, same shape.
        unit: Privacy unit of each test row, 0, 1, ..., shape (n,).
        weights: How often each bootstrap replicate drew each test row, shape (n, B).
        trained: How many rows each model was trained on.
    """

    test: Table
    truth: Array
    synthetic: Array
    real: Array
    unit: Rows
    weights: Array
    trained: int


def trials(evidence: Evidence, goal: Goal, learner: Learner, draws: Draws) -> Trials:
    """Train a learner on random rows of the synthetic and of the training table, and test it on the whole holdout.

    Each model is trained on as many rows, at most half of either table, so that draws differ as tables do; rows of
    one privacy unit are drawn together. All models of both sides answer the same test rows. Made once for an evidence
    and these settings (`Evidence.shared`).

    Raises:
        NotComputable: If rows are too few, or there is no feature or nothing to predict.
    """
    settings = f"{type(learner).__name__} {learner.model_dump_json()}, {draws.model_dump_json()}"
    key = f"trials of {goal.said or repr(goal.target.name)}: {settings}"
    return evidence.shared(key, lambda rng: _trials(evidence, goal, learner, draws, rng))


def margin(tested: Array | float, fits: Sequence[Array], comparisons: int = 1, others: bool = False) -> Array:
    """Return how far a mean over models may lie from the truth about these two tables, shape (...).

    The variance of the mean is that which the test rows give, and that between models over their number; the quantile
    is Student's, its degrees of freedom after Welch & Satterthwaite. Between random halves of a table a statistic
    varies as it does between tables (McCarthy 1969, see `audit.intervals.half_samples`): with `others`, that is added.

    Args:
        tested: Variance that the test rows give, shape (...).
        fits: The statistic of each of the K models, one array of shape (K, ...) per side that takes part.
        comparisons: Among how many such statistics the worst is looked for (Bonferroni).
        others: Whether the truth is that about other tables of the same world and size, not about these two.
    """
    parts = [each.var(axis=0, ddof=1) * (1 / len(each) + others) for each in fits]
    whole = np.asarray(tested + sum(parts), dtype=np.float64)
    doubt = sum(part**2 / (len(each) - 1) for part, each in zip(parts, fits, strict=True))
    freedom = np.minimum(whole**2 / np.maximum(doubt, TINY), MANY)
    return np.asarray(t.ppf(1 - (1 - LEVEL) / (2 * comparisons), np.maximum(freedom, 1)) * np.sqrt(whole))


def around(value: float, half: float, low: float = -np.inf, high: float = np.inf) -> Interval:
    """Return value ± half, cut at what is possible."""
    return Interval(low=min(max(value - half, low), value), high=max(min(value + half, high), value), level=LEVEL)


def useful(tried: Trials) -> NDArray[np.bool_]:
    """Return which test rows are positive, shape (n,).

    Raises:
        NotComputable: If models tell nothing (`demand_useful`).
    """
    positive: NDArray[np.bool_] = tried.truth == 1
    demand_useful(called(tried, None), positive)
    return positive


def called(tried: Trials, threshold: float | None) -> Array:
    """Return how each model of either side calls each test row, in [0, 1], 1 for positive, shape (2, K, n)."""
    chance = np.stack([tried.synthetic[:, :, 1], tried.real[:, :, 1]])
    return chance if threshold is None else (chance > threshold).astype(np.float64)


def demand_useful(chosen: Array, positive: NDArray[np.bool_]) -> None:
    """Demand that models tell positives from negatives: equal rates of one that does not are no sign of fairness.

    Models tell nothing where their true minus their false positive rate is not above a tenth of what it is with real
    training rows, on average over models.

    Args:
        chosen: How each model of either side calls each test row, shape (2, K, n).
        positive: Whether a row's target is positive, shape (n,).

    Raises:
        NotComputable: If the models trained on synthetic rows tell nothing, or those trained on real rows do.
    """
    if not positive.any() or positive.all():
        raise NotComputable("the holdout has one value only of the target")
    told = chosen[:, :, positive].mean(axis=2) - chosen[:, :, ~positive].mean(axis=2)
    usual = float(told[1].mean())
    if usual <= 0:
        raise NotComputable("the model trained on real rows tells no positive from a negative; there is no reference")
    if told[0].mean() > TELLS * usual:
        return
    why = "hardly tells positives from negatives; equal rates of it say nothing"
    if not chosen[0][:, positive].any():
        why = "finds no positive at all; equal rates of 0 say nothing"
    elif (chosen[0] == 1).all():
        why = "calls every row positive; equal rates of 1 say nothing"
    raise NotComputable(f"the model trained on synthetic rows {why}")


def _trials(evidence: Evidence, goal: Goal, learner: Learner, draws: Draws, rng: np.random.Generator) -> Trials:
    columns = [column for column in evidence.holdout.schema.modelled if column.name != goal.target.name]
    if not columns:
        raise NotComputable("the table has no column but the target; there is nothing to predict it from")
    named = {"holdout": evidence.holdout, "synthetic table": evidence.synthetic, "training table": evidence.train}
    test, synthetic, real = (_labelled(table, goal, draws.minimum, where) for where, table in named.items())
    unit = units(test)
    chosen = np.sort(_by_unit(unit, draws.tested, rng))
    test, unit = test.take(chosen), np.unique(unit[chosen], return_inverse=True)[1]
    people = int(unit.max()) + 1
    if people < draws.minimum:
        raise NotComputable(
            f"the holdout has {people} privacy units with a target; this needs at least {draws.minimum}"
        )
    truth = goal.answers(test)
    for table, where in ((test, "holdout"), (real, "training table")):
        if len(np.unique(goal.answers(table))) < 2:
            raise NotComputable(
                f"the target {goal.target.name!r} has one value only in the {where}; there is nothing to predict"
            )
    synthetic, real = (
        table.take(np.sort(_by_unit(units(table), POOL * draws.most, rng))) for table in (synthetic, real)
    )
    size = min(len(synthetic) // 2, len(real) // 2, draws.most)
    need(size, draws.minimum, "half of the smaller of training and synthetic table")
    read = inputs(learner, real, (test, synthetic, real), columns)
    found = []
    for place, table in enumerate((synthetic, real), start=1):
        truths, drawn = goal.answers(table), units(table)
        models = []
        for _ in range(draws.count):
            rows = _by_unit(drawn, size, rng)
            seed = int(rng.integers(LARGEST_SEED))
            models.append(predict(learner, read.matrices[place][rows], truths[rows], read, goal.learned, seed))
        found.append(np.stack(models))
    weights = _weights(unit, people, draws.replicates, rng)
    return Trials(test, truth, found[0], found[1], unit, weights, size)


def _labelled(table: Table, goal: Goal, minimum: int, where: str) -> Table:
    labelled = table.take(np.flatnonzero(~np.isnan(goal.answers(table))))
    if len(labelled) < minimum:
        raise NotComputable(
            f"the {where} has {len(labelled)} rows with a value of the target {goal.target.name!r}; "
            f"this metric needs at least {minimum}"
        )
    return labelled


def _by_unit(unit: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Return at most so many rows, all rows of one privacy unit after another, the units in random order."""
    place = rng.permutation(int(unit.max()) + 1)
    return np.argsort(place[unit], kind="stable")[:most]


def _weights(unit: Rows, people: int, replicates: int, rng: np.random.Generator) -> Array:
    """Return how often each of the replicates draws each row, shape (n, B): privacy units with replacement."""
    drawn = rng.integers(people, size=(replicates, people))
    counts = np.bincount((drawn + people * np.arange(replicates)[:, None]).ravel(), minlength=replicates * people)
    return np.asarray(counts.reshape(replicates, people).T[unit], dtype=np.float64)
