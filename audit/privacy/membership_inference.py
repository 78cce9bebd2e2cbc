"""Membership inference: can an attacker with the synthetic rows tell who was in the training table?"""

from typing import ClassVar, Literal

import numpy as np
from scipy.stats import beta, norm

from audit.areas import areas, gap_error
from audit.core import Curve, Estimate, Evidence, Interval, Metric, Row, reasoned
from audit.epsilon import Queries, Values
from audit.intervals import LEVEL, auc_interval
from audit.membership import ATTACKS, Attacks, Membership, cleanness, halves, membership

# A rate of false positives, and the fewest non-members that can show it.
RATES = ((0.1, 100), (0.03, 300), (0.01, 1_000), (0.003, 3_000), (0.001, 5_000))
POINTS = 50


class MembershipInference(Metric):
    """ROC AUC of the best of five attacks that tell training rows from unseen real rows by the synthetic rows.

    The attacker has the synthetic rows S, the schema and reference rows R of the same population, not the model. The
    holdout is split in three by privacy unit: R, non-members, and fresh rows F. Members are a training sample as large
    as the non-members, one row of each privacy unit; both face the same S and R. The reference is the same attack with
    F in place of S. All of S is searched, for a part of it would hide most copies; the larger S, the fewer queries.

    With d the distance to the nearest row - numbers over their 5-95 % range in R, unequal categories at distance 1,
    missing a category - the attacks score a row x by a1: -d(x, S); a2: log[(d(x, R) + s) / (d(x, S) + s)], s being
    0.05 of the mean of d(x, R); a3: the number of rows of S within the distance of x's 10th nearest row of R; a4, a5:
    the mean over pairs, and triples, of columns of the log ratio of the shares that S and R have in x's cell
    (`audit.densities`; at most 364 of each).

    The attack is chosen by its AUC on 40 % of the queries; all figures are from the other 60 %, but for the check of
    the control (`audit.membership.cleanness`), which chooses nothing. Intervals: analytic for each AUC
    (`audit.intervals.auc_interval`), DeLong's for the gap to the reference on the same queries. Curves: ROC of the
    chosen attack, and where 95 % of curves of a release without a leak lie at each rate of false positives. Rates of
    true positives are given where non-members are enough to show them. An attack that finds nothing proves nothing.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.5
    title: ClassVar[str] = "Membership inference"
    definition: ClassVar[str] = (
        "ROC AUC, on queries that it was not chosen by, of the best of five attacks by distances and densities on "
        "training rows against unseen real rows; 0.5 (no leak found) to 1 (everybody found) (density ratio: van "
        "Breugel et al., DOMIAS, 2023, arXiv:2302.12580; marginals: Golob et al., MAMA-MIA, 2024, arXiv:2410.05506)."
    )

    class Config(Attacks, frozen=True, extra="forbid"):
        """Sizes of the attacks, see `audit.membership.Attacks`."""

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Attack the synthetic rows, and fresh real rows in their place."""
        found = membership(evidence, self.config)
        (tuning, made), (_, real) = halves(found.synthetic, found), halves(found.fresh, found)
        chosen = int(areas(tuning).argmax())
        values, references, errors = areas(made), areas(real), gap_error(made, real)
        sizes = made.members.shape[1], made.others.shape[1]
        value, reference = float(values[chosen]), float(references[chosen])
        gap, width = value - reference, float(norm.ppf((1 + LEVEL) / 2) * errors[chosen])
        return Estimate(
            value=value,
            interval=auc_interval(value, *sizes),
            reference=reference,
            reference_interval=auc_interval(reference, *sizes),
            gap=gap,
            gap_interval=Interval(low=gap - width, high=gap + width, level=LEVEL),
            detail=(
                *_attacks(made, values, references, chosen),
                *cleanness(found),
                *_sizes(found, sizes),
            ),
            curves=_curves(*(Queries(side.members[chosen], side.others[chosen]) for side in (made, real))),
            rows=len(evidence.synthetic),
        )


def _attacks(made: Queries, values: Values, references: Values, chosen: int) -> list[Row]:
    """Return one row for each attack: its AUC, and the rates of true positives that non-members are enough for."""
    n, m = made.members.shape[1], made.others.shape[1]
    missing = ", ".join(f"{100 * rate:g} %" for rate, least in RATES if m < least)
    few = f"{m:,} non-members are too few for {missing} false positives" if missing else ""
    rates = np.array([rate for rate, least in RATES if m >= least])
    rows: list[Row] = []
    for place, name in enumerate(ATTACKS):
        interval = auc_interval(float(values[place]), n, m)
        row: Row = {"attack": name, "auc": float(values[place]), "low": interval.low, "high": interval.high}
        row["reference"] = float(references[place])
        found = found_at(made.members[place], made.others[place], rates)
        row |= {
            f"found at {100 * rate:g} % false positives": float(tpr) for rate, tpr in zip(rates, found, strict=True)
        }
        row["note"] = "; ".join(["chosen"] * (place == chosen) + [few] * bool(few))
        rows.append(row)
    return rows


def found_at(members: Values, others: Values, rates: Values) -> Values:
    """Return the share of members found at rates of false positives; ties are broken at random."""
    steps = np.unique(np.concatenate([members, others]))[::-1]
    found, wrong = (
        np.append(0.0, 1 - np.searchsorted(np.sort(side), steps, side="left") / len(side)) for side in (members, others)
    )
    at = np.searchsorted(wrong, rates, side="right") - 1
    after = np.minimum(at + 1, len(wrong) - 1)
    width = wrong[after] - wrong[at]
    weight = np.divide(rates - wrong[at], width, out=np.zeros(len(rates)), where=width > 0)
    return np.asarray(found[at] + weight * (found[after] - found[at]), dtype=np.float64)


def _sizes(found: Membership, judged: tuple[int, int]) -> list[Row]:
    made, real = found.released
    return [
        {
            "quantity": "members, and as many non-members",
            "value": len(found.tuning[0]),
            "reference": len(found.tuning[1]),
        },
        {"quantity": "of them to judge by", "value": judged[0], "reference": judged[1]},
        {"quantity": "reference rows", "value": len(found.known), "reference": len(found.known)},
        {"quantity": "rows attacked", "value": made, "reference": real},
    ]


def _curves(made: Queries, real: Queries) -> tuple[Curve, ...]:
    """Return the ROC curves, and the band that curves of a release without a leak lie in, on logarithmic steps."""
    n, m = len(made.members), len(made.others)
    smallest = min([rate for rate, least in RATES if m >= least], default=1 / m)
    rates = np.append(np.geomspace(smallest, 1, POINTS)[:-1], 1.0)
    # The share of members beyond the m-th part of non-members varies as theirs and as its own: moments of a beta.
    worth = n * m / (n + m)
    band = [beta.ppf(tail, rates[:-1] * worth, (1 - rates[:-1]) * worth) for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
    lines = {
        "synthetic rows": found_at(made.members, made.others, rates),
        "fresh real rows": found_at(real.members, real.others, rates),
        "control, low": np.append(band[0], 1.0),
        "control, high": np.append(band[1], 1.0),
    }
    return tuple(Curve(name=name, x=tuple(rates.tolist()), y=tuple(y.tolist())) for name, y in lines.items())
