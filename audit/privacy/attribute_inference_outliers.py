"""Attribute inference where it hurts most: on rows that stand alone, and in each sensitive group."""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from scipy.stats import norm

from audit.advantage import Advantage, advantage, error, largest, learnable
from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.inference import Asked, Inference, Mask, Try, inference, unattacked
from audit.intervals import LEVEL
from audit.subsets import ISOLATION, Subset, Subsets, subsets

# A release has other rows than the control, and more: what is hardly ever guessed from these may be guessed from those,
# and then varies by more than the control shows.
SELDOM = 0.9


class Look(NamedTuple):
    """One attack on one secret in one subset, by what is known before the synthetic rows are looked at.

    Attributes:
        subset: Whose secret it is.
        tried: The attack.
        of: Whether a row is one of the subset, shape (n,).
        sizes: How many independent training and holdout rows the subset is worth.
        error: Standard error of the advantage by the misses of the control; infinite where hardly any.
    """

    subset: Subset
    tried: Try
    of: Mask
    sizes: tuple[float, float]
    error: float

    @property
    def is_isolated(self) -> bool:
        """Whether the subset is the isolated rows."""
        return self.subset.column == ISOLATION


class Found(NamedTuple):
    """What came of one attack on one secret in one subset.

    Attributes:
        look: Which.
        advantage: The advantage; None where nothing is left to learn.
        floor: The advantage of the control; None where nothing is left to learn.
        held: Whether it is held to the margin; the others are only looked at for failure.
    """

    look: Look
    advantage: Advantage | None
    floor: Advantage | None
    held: bool


class AttributeInferenceOutliers(Metric):
    """How much better attackers guess a secret of training rows than of unseen ones, at worst over isolated and groups.

    The guesses of attribute inference, counted again among the most isolated tenth of all rows asked, by their mean
    distance to their 5 nearest reference rows (`audit.subsets`, as membership inference has it), and in each group of
    each sensitive column. Groups of fewer training or holdout rows than `smallest`, and secrets that even a verbatim
    copy would not show there, are listed and not judged.

    Is any advantage beyond the margin? Lower bounds say so, corrected for the number of subsets, secrets and attacks
    judged (Bonferroni, half of the error going to the isolated rows and half to the groups). Are all within? Own upper
    bounds say so (`audit.advantage`), of those that are measured well enough: as many, the best first, as fresh real
    rows would all show to be within the margin, but for a chance of `missed`. Only rows and misses of the control
    decide which those are, so that a release cannot shrink a group out of sight; where there are none, the best
    measured one is held. The value is the largest advantage of those that are held or beyond the margin.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Attribute inference of isolated rows and groups"
    needs = ("secrets", "pairs")
    definition: ClassVar[str] = (
        "Largest advantage (acc_T - acc_H) / (1 - acc_H) of attribute inference among the most isolated rows or in one "
        "sensitive group, of those with rows enough to show it or beyond the margin; about 0 (none) to 1 (every secret "
        "told) (Giomi et al. 2023, 10.56553/popets-2023-0055; Meeus, Guepin, Cretu & de Montjoye, Achilles' heels, "
        "2023, arXiv:2306.10308)."
    )

    class Config(Inference, Subsets, frozen=True, extra="forbid"):
        """Sizes of the attacks, see `audit.inference.Inference`, and of the subsets, see `audit.subsets.Subsets`.

        Attributes:
            margin: Advantage that counts as none; that of the policies' gate.
            missed: Largest chance that fresh real rows do not show all that are held to be within the margin.
        """

        margin: float = Field(default=0.09, gt=0, lt=1)
        missed: float = Field(default=0.03, gt=0, lt=1)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Count the guesses of attribute inference in each subset."""
        made = inference(evidence, self.config)
        isolated, groups = subsets(evidence, made.asked.places, self.config)
        looks = [look for each in (isolated, *groups) for look in self._looks(each, made.asked, made.tries)]
        alone = sum(look.is_isolated for look in looks)
        among = [2 * (alone if look.is_isolated else len(looks) - alone) for look in looks]
        judged = [each for each in zip(looks, among, strict=True) if _shows_a_copy(*each)]
        if not judged:
            raise NotComputable(
                "even a copy of all training rows would not be seen among isolated rows or in a group: they are too "
                "few, or nearly every secret of unseen rows can be told"
            )
        found = self._found(judged, made.asked.member)
        values = [each.advantage for each in found if each.advantage and (each.held or self._fails(each))]
        floors = [each.floor for each in found if each.floor and each.held]
        if not values or not floors:
            raise NotComputable("nearly every secret of unseen rows can be told; nothing is left to learn of anybody")
        value, interval = largest(values)
        reference, reference_interval = largest(floors)
        left_out, said = unattacked(made)
        small = [each for each in groups if not any(look.subset is each for look, _ in judged)]
        rows = [*(self._row(each, made.asked) for each in self._sorted(found)), *map(_listed, small), *left_out]
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=reference_interval,
            detail=tuple(rows[:DETAIL_ROWS]),
            power=self._power(found) + said,
            rows=len(evidence.synthetic),
        )

    def _looks(self, subset: Subset, asked: Asked, tries: Sequence[Try]) -> list[Look]:
        of = np.concatenate(subset.among)
        sizes = asked.sizes(of)
        if subset.size == 0 or (min(sizes) < self.config.smallest and subset.column != ISOLATION):
            return []
        looks = []
        for tried in tries:
            missed = 1 - float(tried.control[of].mean())
            told = learnable(missed, sizes[1], self.config.known)
            looks.append(Look(subset, tried, of, sizes, error(min(missed, SELDOM), sizes) if told else np.inf))
        return looks

    def _found(self, judged: Sequence[tuple[Look, int]], member: Mask) -> list[Found]:
        errors = np.array([look.error for look, _ in judged])
        missed = norm.sf(self.config.margin / errors - norm.ppf((1 + LEVEL) / 2))
        order = np.argsort(errors, kind="stable")
        held = np.zeros(len(judged), dtype=bool)
        held[order] = np.cumsum(missed[order]) <= self.config.missed
        held[order[0]] = True
        found = []
        for (look, looks), is_held in zip(judged, held.tolist(), strict=True):
            right, control = look.tried.guess.right[look.of], look.tried.control[look.of]
            fixed = member[look.of], look.sizes, looks, self.config.known
            found.append(Found(look, advantage(right, control, *fixed), advantage(control, None, *fixed), is_held))
        return found

    def _fails(self, found: Found) -> bool:
        return found.advantage is not None and found.advantage.surely > self.config.margin

    def _sorted(self, found: Sequence[Found]) -> list[Found]:
        """Return those that fail first, then isolated rows, then those that are held, the largest first."""

        def rank(each: Found) -> tuple[bool, bool, bool, float]:
            value = each.advantage.value if each.advantage else -np.inf
            return not self._fails(each), not each.look.is_isolated, not each.held, -value

        return sorted(found, key=rank)

    def _row(self, found: Found, asked: Asked) -> Row:
        look, seen = found.look, found.advantage
        sides = [look.of & side for side in (asked.member, ~asked.member)]
        members, others = (float(look.tried.guess.right[side].mean()) for side in sides)
        return {
            "column": look.subset.column,
            "group": look.subset.group,
            "secret": look.tried.guess.secret,
            "attack": look.tried.guess.attack,
            "advantage": seen.value if seen else None,
            "low": seen.interval.low if seen else None,
            "high": seen.interval.high if seen else None,
            "reference": found.floor.value if found.floor else None,
            "members": int(sides[0].sum()),
            "non_members": int(sides[1].sum()),
            "right_of_members": members,
            "right_of_others": others,
            "note": "beyond the margin" if self._fails(found) else None if found.held else "too uncertain to show",
        }

    def _power(self, found: Sequence[Found]) -> str:
        visible = [each.advantage.visible for each in found if each.look.is_isolated and each.advantage]
        alone = f"an advantage of {max(visible):.2g} would have been told from none" if visible else "nothing was asked"
        held = sum(each.held for each in found)
        return (
            f"Among isolated rows {alone}. {held} of {len(found)} estimates are held to at most "
            f"{self.config.margin:g}; the others are too uncertain, and fail only where their "
            f"lower bound lies beyond it."
        )


def _shows_a_copy(look: Look, looks: int) -> bool:
    """Return whether a verbatim copy, an advantage of 1, would be told from none."""
    return look.error * float(norm.isf((1 - LEVEL) / 2 / looks)) < 1


def _listed(subset: Subset) -> Row:
    members, others = (int(each.sum()) for each in subset.among)
    note = "too small to audit"
    return {"column": subset.column, "group": subset.group, "members": members, "non_members": others, "note": note}
