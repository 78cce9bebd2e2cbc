"""Attribute inference: do the synthetic rows tell a secret better of people who were in the training rows?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np

from audit.advantage import Advantage, advantage, largest
from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.inference import Asked, Inference, Try, inference, unattacked


class Found(NamedTuple):
    """What came of one attack on one secret.

    Attributes:
        tried: What was guessed.
        advantage: The advantage; None where nothing is left to learn.
        floor: The advantage of the control; None where nothing is left to learn.
    """

    tried: Try
    advantage: Advantage | None
    floor: Advantage | None


class AttributeInference(Metric):
    """How much better attackers guess a secret of training rows than of unseen rows, at worst over secrets and attacks.

    The attacker has the synthetic rows and knows all modelled columns of a person but the secret: each declared
    secret, or the target and each sensitive column where none is declared. Two attacks guess (`audit.guesses`): the
    value of a nearest synthetic row, and gradient-boosted trees trained on the synthetic rows. A number is guessed to
    its decile among the training rows. With acc_T and acc_H the shares guessed right of training and of holdout rows,
    r = (acc_T - acc_H) / (1 - acc_H): what can be learned of everybody of the population is no leak.

    The control makes the same guesses of the same rows from fresh real ones: each half of the holdout is released in
    turn, and half of the training rows and the other half of the holdout are guessed. Its advantage is the reference,
    0 but for chance; and since both attacks miss the same hard rows, r is taken less its regression on the chance
    difference of the control (a control variate), which narrows its interval.

    The value is the largest r. Its interval runs from the largest lower bound, corrected for the number of secrets and
    attacks (Bonferroni), to the largest upper bound, which needs no correction (`audit.advantage`); rows count as many
    as their privacy units. A secret that nearly all holdout rows give away is listed and not judged.
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

    class Config(Inference, frozen=True, extra="forbid"):
        """Sizes of the attacks, see `audit.inference.Inference`."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Guess the secrets of training rows and of unseen ones, from the synthetic rows and from fresh real ones."""
        made = inference(evidence, self.config)
        asked = made.asked
        sizes = asked.sizes(np.ones(len(asked.rows), dtype=bool))
        found: list[Found] = []
        for each in made.tries:
            sides = [(each.guess.right, each.control), (each.control, None)]
            both = [advantage(*side, asked.member, sizes, len(made.tries), self.config.known) for side in sides]
            found.append(Found(each, both[0], both[1]))
        values, floors = [one.advantage for one in found if one.advantage], [one.floor for one in found if one.floor]
        if not values or not floors:
            raise NotComputable("nearly every secret of unseen rows can be told; nothing is left to learn of anybody")
        value, interval = largest(values)
        reference, reference_interval = largest(floors)
        visible = max(each.visible for each in values)
        left_out, said = unattacked(made)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=reference_interval,
            detail=(*(_row(each, asked) for each in found), *left_out)[:DETAIL_ROWS],
            power=f"An advantage of {visible:.2g} on any one of the secrets would have been told from none.{said}",
            rows=len(evidence.synthetic),
        )


def _row(found: Found, asked: Asked) -> Row:
    right = [float(found.tried.guess.right[side].mean()) for side in (asked.member, ~asked.member)]
    seen = found.advantage
    return {
        "secret": found.tried.guess.secret,
        "attack": found.tried.guess.attack,
        "advantage": seen.value if seen else None,
        "low": seen.interval.low if seen else None,
        "high": seen.interval.high if seen else None,
        "reference": found.floor.value if found.floor else None,
        "right_of_members": right[0],
        "right_of_others": right[1],
    }
