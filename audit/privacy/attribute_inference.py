"""Attribute inference: do the synthetic rows tell a secret better of people who were in the training rows?"""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from scipy.stats import norm

from audit.core import DETAIL_ROWS, Estimate, Evidence, Interval, Metric, NotComputable, Row, reasoned
from audit.guesses import Guess, Guesser, Seen, guess
from audit.intervals import LEVEL
from audit.reading import bins, modelled
from audit.reference import independent, need, parts, some
from tabular.schema import Column
from tabular.table import Table

FEWEST_MISSES = 10
Right = NDArray[np.bool_]


class Asked(NamedTuple):
    """Rows whose secrets are guessed: training rows, then holdout rows.

    Attributes:
        rows: All of them.
        member: Whether a row is a training row, shape (n,).
        half: Which half of the holdout rows is released to guess the row in the control, never its own, shape (n,).
    """

    rows: Table
    member: NDArray[np.bool_]
    half: NDArray[np.int64]

    def sizes(self, of: NDArray[np.bool_]) -> tuple[float, float]:
        """Return how many independent training and holdout rows some of the rows are worth."""
        members, others = (independent(self.rows.take(of & side)) for side in (self.member, ~self.member))
        return members, others


class Advantage(NamedTuple):
    """The advantage r = (acc_T - acc_H) / (1 - acc_H) = 1 - misses_T / misses_H of one attack on one secret.

    Attributes:
        value: r, less what chance explains.
        interval: Its interval.
        surely: Its lower bound, corrected for the number of advantages looked at.
        visible: The smallest r that would have been told from 0.
    """

    value: float
    interval: Interval
    surely: float
    visible: float


class Found(NamedTuple):
    """What came of one attack on one secret.

    Attributes:
        guess: What was guessed from the synthetic rows.
        control: Whether the same guess from fresh real rows was right, shape (n,).
        advantage: The advantage; None where nothing is left to learn.
        floor: The advantage of the control; None where nothing is left to learn.
    """

    guess: Guess
    control: Right
    advantage: Advantage | None
    floor: Advantage | None


class AttributeInference(Metric):
    """How much better attackers guess a secret of training rows than of unseen rows, at worst over secrets and attacks.

    The attacker has the synthetic rows and knows all modelled columns of a person but the secret: each declared
    secret, or each sensitive column and the target where none is declared. Two attacks guess (`audit.guesses`): the
    value of a nearest synthetic row, and gradient-boosted trees trained on the synthetic rows. A number is guessed to
    its decile among the training rows. With acc_T and acc_H the shares guessed right of training and of holdout rows,
    r = (acc_T - acc_H) / (1 - acc_H): what can be learned of everybody of the population is no leak.

    The control makes the same guesses of the same rows from fresh real ones: each half of the holdout is released in
    turn, and half of the training rows and the other half of the holdout are guessed. Its advantage is the reference,
    0 but for chance; and since both attacks miss the same hard rows, r is taken less its regression on the chance
    difference of the control (a control variate), which narrows its interval.

    The value is the largest r. Its interval runs from the largest lower bound, corrected for the number of secrets and
    attacks (Bonferroni), to the largest upper bound, which needs no correction: it lies above the truth wherever the
    bound of the truly largest does. Bounds are those of a ratio of two shares of misses, by the recovery of variance
    estimates from Wilson's intervals (Donner & Zou 2012, doi:10.1177/0962280210383980); rows count as many as their
    privacy units. A secret that nearly all holdout rows give away is listed and not judged.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Attribute inference"
    needs = ("secrets", "pairs")
    definition: ClassVar[str] = (
        "Largest advantage (acc_T - acc_H) / (1 - acc_H) with which a secret is guessed right of training rows rather "
        "than of unseen ones; about 0 (none) to 1 (every secret told) (control-corrected inference risk: Giomi et al. "
        "2023, 10.56553/popets-2023-0055)."
    )

    class Config(Guesser, frozen=True, extra="forbid"):
        """Sizes of the attacks.

        Attributes:
            minimum: Fewest rows of each table, of half of the holdout, and of a group.
            most: Most training rows, and most holdout rows, whose secret is guessed.
            secrets: Most secrets; the first ones are attacked.
            known: Share of holdout rows missed below which nothing is left to learn of a secret.
        """

        minimum: PositiveInt = 50
        most: PositiveInt = 32_768
        secrets: PositiveInt = 12
        known: float = Field(default=0.02, ge=0, lt=1)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Guess the secrets of training rows and of unseen ones, from the synthetic rows and from fresh real ones."""
        modelled(evidence.holdout.schema, 2)
        secrets = self._secrets(evidence)
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        asked = self._asked(evidence, rng)
        seen = Seen(evidence.holdout, evidence.train)
        guesses = guess(evidence.synthetic, asked.rows, secrets, seen, self.config, rng)
        control = self._control(asked, secrets, seen, rng)
        sizes = asked.sizes(np.ones(len(asked.rows), dtype=bool))
        found: list[Found] = []
        for each, right in zip(guesses, control, strict=True):
            sides = [(each.right, right), (right, None)]
            both = [advantage(*side, asked.member, sizes, len(guesses), self.config.known) for side in sides]
            found.append(Found(each, right, both[0], both[1]))
        values, floors = [one.advantage for one in found if one.advantage], [one.floor for one in found if one.floor]
        if not values or not floors:
            raise NotComputable("nearly every secret of unseen rows can be told; nothing is left to learn of anybody")
        value, interval = _largest(values)
        reference, reference_interval = _largest(floors)
        visible = max(each.visible for each in values)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=reference_interval,
            detail=self._detail(evidence, asked, found),
            power=f"An advantage of {visible:.2g} on any one of the secrets would have been told from none.",
            rows=len(evidence.synthetic),
        )

    def _secrets(self, evidence: Evidence) -> list[Column]:
        declared = set(evidence.declared.secrets)
        columns = [
            column
            for column in evidence.holdout.schema.modelled
            if (column.name in declared if declared else column.sensitive or column.role == "target")
        ]
        if not columns:
            raise NotComputable("no modelled column is declared a secret, and none is sensitive or the target")
        return columns[: self.config.secrets]

    def _asked(self, evidence: Evidence, rng: np.random.Generator) -> Asked:
        tables = [
            table.take(some(np.arange(len(table)), self.config.most, rng))
            for table in (evidence.train, evidence.holdout)
        ]
        member = np.arange(len(tables[0]) + len(tables[1])) < len(tables[0])
        half = np.zeros(len(member), dtype=np.int64)
        half[parts(tables[0], 2, rng)[1]] = 1
        of = parts(tables[1], 2, rng)
        need(min(len(each) for each in of), self.config.minimum, "half of the holdout")
        half[len(tables[0]) + of[0]] = 1
        return Asked(tables[0].joined(tables[1]), member, half)

    def _control(self, asked: Asked, secrets: Sequence[Column], seen: Seen, rng: np.random.Generator) -> list[Right]:
        """Return whether each guess of each row is right when half of the holdout rows is released."""
        right: list[Right] = []
        for half in (0, 1):
            released = asked.rows.take(~asked.member & (asked.half != half))
            those = np.flatnonzero(asked.half == half)
            for place, each in enumerate(guess(released, asked.rows.take(those), secrets, seen, self.config, rng)):
                if half == 0:
                    right.append(np.zeros(len(asked.half), dtype=bool))
                right[place][those] = each.right
        return right

    def _detail(self, evidence: Evidence, asked: Asked, found: Sequence[Found]) -> tuple[Row, ...]:
        """Return each attack on each secret, then the groups of the sensitive columns under the one that told most."""
        everybody = np.ones(len(asked.rows), dtype=bool)
        rows = [_row(each, asked.member, everybody, "all") for each in found]
        worst = max(found, key=lambda each: each.advantage.value if each.advantage else -np.inf)
        groups: list[Row] = []
        for column in evidence.holdout.schema.sensitive:
            if not column.is_modelled:
                continue
            coded = bins(column, evidence.train, [asked.rows], widest=4, categories=6)
            for code, name in enumerate(coded.names):
                of = coded.codes[0] == code
                if min((of & side).sum() for side in (asked.member, ~asked.member)) < self.config.minimum:
                    continue
                sides = worst.guess.right[of], worst.control[of], asked.member[of], asked.sizes(of)
                part = worst._replace(advantage=advantage(*sides, 1, self.config.known), floor=None)
                if part.advantage:
                    groups.append(_row(part, asked.member, of, f"{column.name} = {name}"))
        groups.sort(key=lambda row: -float(row["low"] or 0))
        return (*rows, *groups)[:DETAIL_ROWS]


def advantage(
    right: Right, control: Right | None, member: NDArray[np.bool_], sizes: tuple[float, float], looks: int, known: float
) -> Advantage | None:
    """Return the advantage of guesses that are right or wrong; None where nothing is left to learn.

    Args:
        right: Whether each guess is right, shape (n,).
        control: Whether the guess of the same row is right when nobody's row was trained on, shape (n,).
        member: Whether the row is a training row, shape (n,).
        sizes: How many independent training and holdout rows there are.
        looks: How many such advantages are looked at.
        known: Share of misses of holdout rows below which nothing is left to learn.
    """
    missed = 1 - float(right[member].mean()), 1 - float(right[~member].mean())
    if missed[1] < known or missed[1] * sizes[1] < FEWEST_MISSES:
        return None
    r = 1 - missed[0] / missed[1]
    shift, narrowed = (0.0, 1.0) if control is None else _chance(right, control, member, sizes, r)
    z, strict = (float(norm.ppf(1 - (1 - LEVEL) / 2 / each)) for each in (1, looks))
    low, high = _ratio(missed, sizes, z)
    strictly = _ratio(missed, sizes, strict)[1]
    value = min(r - shift, 1.0)
    bounds = [min(value + narrowed * (1 - each - r), 1.0) for each in (high, low, strictly)]
    visible = narrowed * strict * float(np.sqrt((1 - missed[1]) / missed[1] * (1 / sizes[0] + 1 / sizes[1])))
    return Advantage(value, Interval(low=bounds[0], high=bounds[1], level=LEVEL), bounds[2], visible)


def _chance(
    right: Right, control: Right, member: NDArray[np.bool_], sizes: tuple[float, float], r: float
) -> tuple[float, float]:
    """Return how much of r the control explains by chance, and the factor that its standard error shrinks by."""
    sides = [np.cov(np.stack([right[of], control[of]]).astype(np.float64)) for of in (member, ~member)]
    missed = 1 - float(right[~member].mean())
    weights = 1 / sizes[0] / missed, (1 - r) / sizes[1] / missed
    together = weights[0] * sides[0][0, 1] + weights[1] * sides[1][0, 1]
    own = weights[0] ** 2 * sizes[0] * sides[0][0, 0] + weights[1] ** 2 * sizes[1] * sides[1][0, 0]
    others = sides[0][1, 1] / sizes[0] + sides[1][1, 1] / sizes[1]
    if own * others <= 0:
        return 0.0, 1.0
    gap = float(control[member].mean() - control[~member].mean())
    return gap * together / others, float(np.sqrt(max(1 - together**2 / (own * others), 0.0)))


def _ratio(shares: tuple[float, float], sizes: tuple[float, float], z: float) -> tuple[float, float]:
    """Return the bounds, at so many standard errors each, of the ratio of two shares."""
    (a, low_a, high_a), (b, low_b, high_b) = (_wilson(share, n, z) for share, n in zip(shares, sizes, strict=True))
    upper, lower = high_b * (2 * b - high_b), low_b * (2 * b - low_b)
    # Where the divisor is hardly known, the method has no bound; the extremes of both intervals always are one.
    low = (a * b - np.sqrt(max((a * b) ** 2 - low_a * (2 * a - low_a) * upper, 0))) / upper if upper > 0 else 0.0
    high = (a * b + np.sqrt(max((a * b) ** 2 - high_a * (2 * a - high_a) * lower, 0))) / lower
    return float(max(low, 0.0)), float(high)


def _wilson(share: float, n: float, z: float) -> tuple[float, float, float]:
    middle, half = share + z * z / (2 * n), z * float(np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return share, max(low, 0.0), min(high, 1.0)


def _largest(found: Sequence[Advantage]) -> tuple[float, Interval]:
    """Return the largest advantage and the interval of the largest."""
    value = max(each.value for each in found)
    low, high = max(each.surely for each in found), max(each.interval.high for each in found)
    return value, Interval(low=min(low, value), high=high, level=LEVEL)


def _row(found: Found, member: NDArray[np.bool_], of: NDArray[np.bool_], name: str) -> Row:
    right = [float(found.guess.right[of & side].mean()) for side in (member, ~member)]
    seen = found.advantage
    return {
        "secret": found.guess.secret,
        "attack": found.guess.attack,
        "rows": name,
        "right_of_members": right[0],
        "right_of_others": right[1],
        "advantage": seen.value if seen else None,
        "low": seen.interval.low if seen else None,
        "high": seen.interval.high if seen else None,
        "reference": found.floor.value if found.floor else None,
    }
