"""Attacks on secrets: guesses of training and of unseen rows, from released and from fresh rows, made once for all.

The attacker has the synthetic rows and knows all modelled columns of a person but the secret. The control makes the
same guesses of the same rows from fresh real ones: each half of the holdout is released in turn, and half of the
training rows and the other half of the holdout are guessed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.advantage import Right
from audit.core import Evidence, NotComputable, Row
from audit.guesses import Guess, Guesser, Seen, guess
from audit.reading import modelled
from audit.reference import Rows, need, parts, some, units
from tabular.schema import Column
from tabular.table import Table

Mask = NDArray[np.bool_]


class Inference(Guesser, frozen=True, extra="forbid"):
    """Sizes of the attacks.

    Attributes:
        minimum: Fewest rows of each table, and of half of the holdout.
        most: Most training rows, and most holdout rows, whose secret is guessed.
        secrets: Most secrets that are attacked: of the declared ones the first named; else the target, then the
            sensitive columns in the order of the table. Those beyond are told.
        known: Share of holdout rows missed below which nothing is left to learn of a secret.
    """

    minimum: PositiveInt = 50
    most: PositiveInt = 32_768
    secrets: PositiveInt = 12
    known: float = Field(default=0.02, ge=0, lt=1)


class Asked(NamedTuple):
    """Rows whose secrets are guessed: training rows, then holdout rows.

    Attributes:
        rows: All of them.
        places: Positions of the training rows, and of the holdout rows, in their tables.
        member: Whether a row is a training row, shape (n,).
        half: Which half of the holdout rows is released to guess the row in the control, never its own, shape (n,).
        unit: The privacy unit of each row, shape (n,).
    """

    rows: Table
    places: tuple[Rows, Rows]
    member: Mask
    half: Rows
    unit: Rows

    def sizes(self, of: Mask) -> tuple[float, float]:
        """Return how many independent training and holdout rows some of the rows are worth."""
        members, others = (_independent(self.unit[of & side]) for side in (self.member, ~self.member))
        return members, others


class Try(NamedTuple):
    """One attack on one secret.

    Attributes:
        guess: What was guessed from the synthetic rows.
        control: Whether the same guess from fresh real rows was right, shape (n,).
    """

    guess: Guess
    control: Right


class Inferred(NamedTuple):
    """All attacks on all secrets.

    Attributes:
        asked: Whose secrets were guessed.
        tries: Each attack on each secret.
        left_out: Secrets that were not attacked.
    """

    asked: Asked
    tries: tuple[Try, ...]
    left_out: tuple[str, ...]


def inference(evidence: Evidence, settings: Inference) -> Inferred:
    """Return all guesses, made once for all metrics with the same settings.

    Raises:
        NotComputable: If there is no secret, or rows are too few.
    """
    fixed = settings.model_dump_json(include=set(Inference.model_fields))
    return evidence.shared(f"audit.inference {fixed}", lambda rng: _attack(evidence, settings, rng))


def unattacked(found: Inferred) -> tuple[tuple[Row, ...], str]:
    """Return rows of detail and a sentence that tell which secrets were not attacked; both empty where all were."""
    if not found.left_out:
        return (), ""
    attacked = len({each.guess.secret for each in found.tries})
    rows: tuple[Row, ...] = tuple({"not attacked": name} for name in found.left_out)
    return rows, f" {len(found.left_out)} further secrets were not attacked: at most {attacked} are."


def _attack(evidence: Evidence, settings: Inference, rng: np.random.Generator) -> Inferred:
    modelled(evidence.holdout.schema, 2)
    secrets, left_out = _secrets(evidence, settings.secrets)
    need(len(evidence.train), settings.minimum, "the training table")
    need(len(evidence.synthetic), settings.minimum, "the synthetic table")
    asked = _asked(evidence, settings, rng)
    seen = Seen(evidence.holdout, evidence.train)
    guesses = guess(evidence.synthetic, asked.rows, secrets, seen, settings, rng)
    control = _control(asked, secrets, seen, settings, rng)
    return Inferred(asked, tuple(Try(*each) for each in zip(guesses, control, strict=True)), left_out)


def _secrets(evidence: Evidence, most: int) -> tuple[list[Column], tuple[str, ...]]:
    """Return the secrets that are attacked, and the names of those that are not."""
    columns = {column.name: column for column in evidence.holdout.schema.modelled}
    order = [name for name in dict.fromkeys(evidence.declared.secrets) if name in columns]
    if not evidence.declared.secrets:
        ranked = sorted(columns.values(), key=lambda column: column.role != "target")
        order = [column.name for column in ranked if column.sensitive or column.role == "target"]
    if not order:
        raise NotComputable("no modelled column is declared a secret, and none is sensitive or the target")
    return [columns[name] for name in order[:most]], tuple(order[most:])


def _asked(evidence: Evidence, settings: Inference, rng: np.random.Generator) -> Asked:
    places = [some(np.arange(len(table)), settings.most, rng) for table in (evidence.train, evidence.holdout)]
    tables = evidence.train.take(places[0]), evidence.holdout.take(places[1])
    member = np.arange(len(places[0]) + len(places[1])) < len(places[0])
    half = np.zeros(len(member), dtype=np.int64)
    half[parts(tables[0], 2, rng)[1]] = 1
    of = parts(tables[1], 2, rng)
    need(min(len(each) for each in of), settings.minimum, "half of the holdout")
    half[len(places[0]) + of[0]] = 1
    unit = np.concatenate([units(each) for each in tables])
    return Asked(tables[0].joined(tables[1]), (places[0], places[1]), member, half, unit)


def _control(
    asked: Asked, secrets: Sequence[Column], seen: Seen, settings: Inference, rng: np.random.Generator
) -> list[Right]:
    """Return whether each guess of each row is right when half of the holdout rows is released."""
    right: list[Right] = []
    for half in (0, 1):
        released = asked.rows.take(~asked.member & (asked.half != half))
        those = np.flatnonzero(asked.half == half)
        for place, each in enumerate(guess(released, asked.rows.take(those), secrets, seen, settings, rng)):
            if half == 0:
                right.append(np.zeros(len(asked.half), dtype=bool))
            right[place][those] = each.right
    return right


def _independent(unit: Rows) -> float:
    """Return how many independent rows the rows of these privacy units are worth (`audit.reference.independent`)."""
    sizes = np.unique(unit, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.maximum((sizes**2).sum(), 1.0))
