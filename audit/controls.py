"""Rows whose faults are known, made from the audit's own rows: what the gates say of them audits the audit."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from audit.core import Evidence, NotComputable, Question
from audit.dependence import is_nearly_independent
from audit.reference import parts
from tabular.table import Table

PASTED = 0.05
OF_MODELS: tuple[Question, ...] = ("utility", "bias")
OF_ROWS = ("bias.group_prevalence", "bias.group_shares", "bias.missingness", "bias.subgroup_fidelity")
PRIVACY = ("privacy.exact_copies", "privacy.membership_epsilon")
TRENDS = ("fidelity.pair_trends", "fidelity.worst_pair")
NOTHING_TO_BREAK = (
    "the columns of this table are (nearly) independent of one another, so the shuffled control has nothing to break"
)

Make = Callable[[Evidence, np.random.Generator], Evidence]


class Kind(NamedTuple):
    """One control.

    Attributes:
        name: Name in reports.
        title: What the rows are, in words.
        question: The question that they are put to; None for all.
        expected: What the gates must say of them.
        metrics: The metrics whose gates are asked; None for all that count.
        make: Puts the rows in the place of the synthetic ones.
        of_model: Whether the rows depend on the synthetic ones, so that each model has its own.
        learned: The same for metrics that train models: those of `OF_MODELS` but `OF_ROWS`; None where it is the same.
    """

    name: str
    title: str
    question: Question | None
    expected: Literal["passed", "failed"]
    metrics: tuple[str, ...] | None
    make: Make
    of_model: bool = False
    learned: Make | None = None

    def rows(self, metric: str) -> tuple[tuple[str, ...], Make]:
        """Return the name of the rows that a metric, named `question.name`, is put to, and what puts them there."""
        if self.learned is None or metric.split(".")[0] not in OF_MODELS or metric in OF_ROWS:
            return (self.name,), self.make
        return (self.name, "learned"), self.learned


def fresh(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """Put half of the holdout in the place of synthetic rows.

    As many training rows as the other half of the holdout has, a third of them at most, are set aside and take the
    first half's place: nothing was made from the training rows here, so all real rows are alike, and the gates have
    nearly as many rows to judge by as they have for a model.
    """
    first, second = parts(evidence.holdout, 2, rng)
    pieces = parts(evidence.train, max(round(len(evidence.train) / max(len(first), 1)), 3), rng)
    aside = pieces[0]
    if min(len(first), len(second), len(aside)) == 0:
        raise NotComputable("the real rows are too few to be set aside for a control")
    train = np.sort(np.concatenate(pieces[1:]))
    holdout = evidence.holdout.take(second).joined(evidence.train.take(aside))
    return _of(evidence, evidence.holdout.take(first), evidence.train.take(train), holdout)


def dealt(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """Deal all real rows anew: a third in the place of each of training, holdout and synthetic rows.

    How models of two tables differ depends on the luck of the rows that they are trained on. Half of a holdout is so
    few that luck alone moves the rates of most groups by more than a gate allows, and nothing would be decided of rows
    without a fault. Where training and holdout rows overlap does not show here: that is for privacy to see (`fresh`).
    """
    real = evidence.train.joined(evidence.holdout)
    pieces = parts(real, 3, rng)
    if min(len(each) for each in pieces) == 0:
        raise NotComputable("the real rows are too few to be set aside for a control")
    train, holdout, synthetic = (real.take(each) for each in pieces)
    return _of(evidence, synthetic, train, holdout)


def copy(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """Put the training rows themselves, in random order, in the place of synthetic rows."""
    return _of(evidence, evidence.train.take(rng.permutation(len(evidence.train))))


def paste(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """Put training rows in the place of one in twenty of the synthetic rows."""
    rows = len(evidence.synthetic)
    count = min(round(PASTED * rows), len(evidence.train))
    kept = np.sort(rng.permutation(rows)[count:])
    pasted = evidence.train.take(rng.permutation(len(evidence.train))[:count])
    return _of(evidence, evidence.synthetic.take(kept).joined(pasted))


def shuffled(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """Put the training rows, each column shuffled by itself, in the place of synthetic rows.

    Raises:
        NotComputable: If the columns say so little of one another that shuffling them changes nothing to be seen.
    """
    frame = evidence.train.frame
    columns = {name: frame[name].take(rng.permutation(len(frame))).reset_index(drop=True) for name in frame.columns}
    made = Table(evidence.train.schema, pd.DataFrame(columns, columns=frame.columns))
    if is_nearly_independent(evidence.train, len(evidence.holdout) // 2, rng):
        raise NotComputable(NOTHING_TO_BREAK)
    return _of(evidence, made)


CONTROLS: tuple[Kind, ...] = (
    Kind("fresh", "real rows that no generator saw, as if synthetic", None, "passed", None, fresh, learned=dealt),
    Kind("copy", "the training rows themselves", "privacy", "failed", PRIVACY, copy),
    Kind("paste", "the rows with 5 % training rows pasted in", "privacy", "failed", PRIVACY, paste, of_model=True),
    Kind("shuffled", "training rows, each column shuffled by itself", "fidelity", "failed", TRENDS, shuffled),
)


def _of(evidence: Evidence, synthetic: Table, train: Table | None = None, holdout: Table | None = None) -> Evidence:
    return Evidence(
        train or evidence.train,
        holdout or evidence.holdout,
        synthetic,
        declared=evidence.declared,
        seed=evidence.seed,
        names=() if train else evidence.names,
    )
