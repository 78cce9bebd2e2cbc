"""Scores of models on unseen real rows, with what each test row adds to them: after synthetic and after real rows."""

import numpy as np
from numpy.typing import NDArray

from audit.core import Estimate, Evidence, Interval, NotComputable, Row
from audit.goals import Goal, frequent
from audit.intervals import auc
from audit.learner import Learner
from audit.trials import Array, Draws, Trials, around, margin, trials
from tabular.schema import Column


def transfer(evidence: Evidence, learner: Learner, draws: Draws, classes: int, of_class: int) -> Estimate:
    """Return the score of a learner trained on synthetic rows, and as reference of the same trained on real ones.

    Args:
        evidence: What is looked at.
        learner: The learner.
        draws: How often and on how many rows it is trained and tested.
        classes: Most classes of a code target that are told apart; the rarer ones are one more.
        of_class: Fewest test rows of a class, and of the rest, for the class to count.

    Raises:
        NotComputable: If there is no target to predict, or the trials cannot be made.
    """
    goal = frequent(evidence, classes)
    tried = trials(evidence, goal, learner, draws)
    scored = _classes(tried.truth, goal.learned, of_class)
    fits, parts = _scores(tried, scored)
    people = int(tried.unit.max()) + 1
    parts = np.stack([np.bincount(tried.unit, each, minlength=people) for each in (*parts, parts[0] - parts[1])])
    tested = (parts**2).sum(axis=1) * people / max(people - 1, 1)
    value, reference = (float(each.mean()) for each in fits)
    low = 0.0 if scored else -np.inf
    gap = around(value - reference, float(margin(tested[2], (fits[0], fits[1]), others=True)))
    return Estimate(
        value=value,
        interval=around(value, float(margin(tested[0], (fits[0],), others=True)), low, 1),
        reference=reference,
        reference_interval=around(reference, float(margin(tested[1], (fits[1],), others=True)), low, 1),
        gap=value - reference,
        gap_interval=gap,
        detail=(_row(goal, value, reference, gap),),
        rows=tried.trained,
    )


def r_squared(truth: Array, guess: Array) -> float:
    """Return 1 - Σ(y - ŷ)² / Σ(y - ȳ)², both of shape (n,); the truth varies."""
    return 1 - float(((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def auc_parts(scores: Array, positive: NDArray[np.bool_]) -> Array:
    """Return what each row adds to the AUC's error, shape (n,): drawn w times, it moves the AUC by w - 1 times that.

    For a positive, the share of negatives that it scores above, minus the AUC, over the number of positives; for a
    negative likewise (DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595).
    """
    _, level = np.unique(scores, return_inverse=True)
    wins, losses = np.bincount(level, positive), np.bincount(level, ~positive)
    below = (np.cumsum(losses) - losses / 2) / losses.sum()
    above = 1 - (np.cumsum(wins) - wins / 2) / wins.sum()
    middle = float((wins * below).sum() / wins.sum())
    placed = np.where(positive, (below[level] - middle) / wins.sum(), (above[level] - middle) / losses.sum())
    return np.asarray(placed, dtype=np.float64)


def r_squared_parts(truth: Array, guess: Array) -> Array:
    """Return what each row adds to the error of R², shape (n,): drawn w times, it moves R² by w - 1 times that."""
    errors, spread = (truth - guess) ** 2, (truth - truth.mean()) ** 2
    return np.asarray((errors.sum() / spread.sum() * spread - errors) / spread.sum(), dtype=np.float64)


def _scores(tried: Trials, classes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the score of each model, shape (2, K), and what each test row adds to their mean's error, (2, n)."""
    sides = (tried.synthetic, tried.real)
    count, rows = len(tried.real), len(tried.truth)
    fits, parts = np.zeros((2, count)), np.zeros((2, rows))
    for side, answers in enumerate(sides):
        for turn, answer in enumerate(answers):
            if not classes:
                fits[side, turn] = r_squared(tried.truth, answer)
                parts[side] += r_squared_parts(tried.truth, answer) / count
            for code in classes:
                positive = tried.truth == code
                fits[side, turn] += auc(answer[:, code], positive) / len(classes)
                parts[side] += auc_parts(answer[:, code], positive) / (count * len(classes))
    return fits, parts


def _classes(truth: Array, target: Column, of_class: int) -> tuple[int, ...]:
    """Return the classes that are scored, none for a number target.

    Raises:
        NotComputable: If no class has enough test rows.
    """
    if target.is_number:
        return ()
    counts = np.bincount(truth.astype(np.int64), minlength=len(target.categories))
    enough = (counts >= of_class) & (len(truth) - counts >= of_class)
    if not enough.any():
        raise NotComputable(f"no class of the target {target.name!r} has {of_class} test rows with as many of the rest")
    return tuple(int(each) for each in np.flatnonzero(enough))


def _row(goal: Goal, value: float, reference: float, gap: Interval) -> Row:
    score = "R²" if goal.target.is_number else "ROC AUC" if goal.classes is None else "ROC AUC, rare classes as one"
    row: Row = {"score": score, "target": goal.target.name, "gap": value - reference}
    return {**row, "gap_low": gap.low, "gap_high": gap.high}
