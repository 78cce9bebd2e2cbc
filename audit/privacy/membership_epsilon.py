"""Membership inference as a bound: the ε that any differentially private mechanism with this leak must have."""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Curve, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.epsilon import Queries, best_bound
from audit.membership import ATTACKS, LEAK, Attacks, halves, membership, power

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class MembershipEpsilon(Metric):
    """Lower bound at 95 % confidence on ε, by the best of five membership attacks.

    The attacks and their queries are those of membership inference: one row of each privacy unit, half of them members,
    who face all synthetic rows. Attack and threshold are chosen by the bound that they show on 40 % of the queries, and
    judged on the other 60 % by ratios of Clopper-Pearson bounds (`audit.epsilon.lower_bound`). The bound holds for
    training rows drawn at random from the same population as the holdout; it bounds what these attacks prove, not what
    others could. The reference is the same with fresh real rows in the place of synthetic ones.

    The audit's power: members that stood verbatim in the synthetic rows would lie at distance 0; with that distance for
    a share of the members, and non-members' distances to any released or reference row for the others, the bound is
    what the first two attacks would show nine times in ten of a paste of that share into a harmless release. Where even
    all training rows would not lift it above 1, and no leak is shown, none could be, and there is no value.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Privacy loss shown by membership attacks"
    definition: ClassVar[str] = (
        "Lower bound at 95 % confidence on the ε of differential privacy by the best of five membership attacks; 0 (no "
        "leak shown) upward (Jagielski, Ullman & Oprea, 2020, arXiv:2006.07709)."
    )
    spread: ClassVar[Literal["interval", "exact", "bound"]] = "bound"

    class Config(Attacks, frozen=True, extra="forbid"):
        """Sizes of the attacks, see `audit.membership.Attacks`."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Bound ε by the synthetic rows, and by fresh real rows in their place."""
        found = membership(evidence, self.config)
        copied = halves(found.copied, found)
        bounds = {share: best_bound(*copied, share=share) for share in SHARES}
        made, real = halves(found.synthetic, found), halves(found.fresh, found)
        value = best_bound(*made)
        if max(value, bounds[1.0]) <= LEAK:
            raise NotComputable(
                f"the attacks have no power here: with so few or so coarse rows, even all training rows released "
                f"verbatim would show ε ≥ {bounds[1.0]:.2f} only"
            )
        queries = copied[1].members.shape[1]
        return Estimate(
            value=value,
            reference=best_bound(*real),
            detail=(
                *_attacks(made, real),
                {"quantity": "members, and as many non-members, to judge by", "value": queries},
                *(
                    {"quantity": f"ε shown if {share:.3g} of the training rows were pasted", "value": bounds[share]}
                    for share in SHARES
                ),
            ),
            curves=(Curve(name="power", x=SHARES, y=tuple(bounds.values())),),
            power=power(bounds),
            rows=len(evidence.synthetic),
        )


def _attacks(made: tuple[Queries, Queries], real: tuple[Queries, Queries]) -> list[Row]:
    """Return the bound that each attack shows by itself; that the largest of them were chosen is not paid for here."""
    rows: list[Row] = []
    for place, name in enumerate(ATTACKS):
        value, reference = (best_bound(side[0].only(place), side[1].only(place)) for side in (made, real))
        rows.append({"attack": name, "epsilon": value, "reference": reference})
    return rows
