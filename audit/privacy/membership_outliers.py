"""Membership inference where it hurts most: on rows that stand alone, and in each sensitive group."""

from typing import ClassVar, Literal

import numpy as np

from audit.areas import areas
from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.epsilon import best_bound
from audit.intervals import LEVEL, auc_interval
from audit.membership import LEAK, PASTED, Attacks, Membership, halves, membership, power
from audit.subsets import Subset, Subsets, subsets


class MembershipOutliers(Metric):
    """Largest lower bound on ε that five membership attacks show on isolated rows or in one sensitive group.

    The bound of membership epsilon, taken again among the most isolated tenth of all queries, by their mean distance to
    their 5 nearest reference rows (`audit.subsets`), and in each group of each sensitive column: its categories, or
    quarters of its numbers by the reference rows. Of few queries more than a tenth count as isolated, so that some can
    be asked at all; groups with fewer members or non-members than `smallest` are listed and not judged. Attack and
    threshold are chosen in each subset by itself. Each bound holds at 1 - 0.05 / K confidence, K being the number of
    subsets judged (Bonferroni), so that all hold at 95 %. The reference is the same with fresh real rows in the place
    of synthetic ones.

    The audit's power is computed as for membership epsilon, among the isolated rows. Where even all training rows,
    released verbatim, would not show ε > 1 among them, and no leak is shown, none could be, and there is no value.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Privacy loss of isolated rows and groups"
    definition: ClassVar[str] = (
        "Largest lower bound on the ε of differential privacy that five membership attacks show on the most isolated "
        "rows or in one sensitive group, all at 95 % confidence together; 0 (no leak shown) upward (Meeus, Guepin, "
        "Cretu & de Montjoye, Achilles' heels, 2023, arXiv:2306.10308)."
    )
    spread: ClassVar[Literal["interval", "exact", "bound"]] = "bound"

    class Config(Attacks, Subsets, frozen=True, extra="forbid"):
        """Sizes of the attacks, see `audit.membership.Attacks`, and of the subsets, see `audit.subsets.Subsets`."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Bound ε in each subset by the synthetic rows, and by fresh real rows in their place."""
        found = membership(evidence, self.config)
        isolated, groups = subsets(evidence, found.places, self.config)
        judged = [isolated, *(each for each in groups if each.size >= self.config.smallest)][: DETAIL_ROWS // 2]
        level = 1 - (1 - LEVEL) / len(judged)
        copied = halves(found.copied, found, isolated.among)
        bounds = {share: best_bound(*copied, level, share) for share in (*PASTED, 1.0)}
        rows = [_judge(each, found, level) for each in judged]
        value, reference = (max(float(row[key] or 0) for row in rows) for key in ("epsilon", "epsilon_reference"))
        if max(value, bounds[1.0]) <= LEAK:
            raise NotComputable(
                f"the attacks have no power among {isolated.size} isolated members and non-members: even all training "
                f"rows released verbatim would show ε ≥ {bounds[1.0]:.2f} only"
            )
        small = [each for each in groups if each.size < self.config.smallest]
        return Estimate(
            value=value,
            reference=reference,
            detail=(*rows, *(_listed(each) for each in small[: DETAIL_ROWS - len(rows)])),
            power=f"Among isolated rows: {power(bounds)}",
            rows=len(evidence.synthetic),
        )


def _judge(subset: Subset, found: Membership, level: float) -> Row:
    """Return one subset's bound, and the AUC of the attack that was best on its queries to choose by."""
    made, real = (halves(side, found, subset.among) for side in (found.synthetic, found.fresh))
    chosen = int(areas(made[0]).argmax())
    value, reference = (float(areas(side[1])[chosen]) for side in (made, real))
    members, others = (side.shape[1] for side in made[1])
    interval = auc_interval(value, members, others)
    return {
        "column": subset.column,
        "group": subset.group,
        "auc": value,
        "low": interval.low,
        "high": interval.high,
        "reference": reference,
        "epsilon": best_bound(*made, level),
        "epsilon_reference": best_bound(*real, level),
        "epsilon_of_a_full_copy": best_bound(*halves(found.copied, found, subset.among), level, 1.0),
        "members": members,
        "non_members": others,
    }


def _listed(subset: Subset) -> Row:
    members, others = (int(each.sum()) for each in subset.among)
    note = "too small to audit"
    return {"column": subset.column, "group": subset.group, "members": members, "non_members": others, "note": note}
