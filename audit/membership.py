"""Five attacks that tell members of the training table from other people by the synthetic rows, fixed beforehand.

The attacker has the synthetic rows S, the schema and reference rows R of the same population, and no access to the
model. The holdout is split in three by privacy unit: R, non-members, and fresh real rows F, which take the place of S
in the control. Members are a training sample as large as the non-members; a query is one row of one privacy unit. All
queries face S and F.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.stats import norm

from audit.areas import areas, gap_error
from audit.core import Estimate, Evidence, Metric, NotComputable, Row
from audit.densities import densities
from audit.epsilon import TUNING, Queries, Values
from audit.neighbours import Points, encode, nearest, reach
from audit.reading import modelled
from audit.reference import Rows, need, one_each, parts, some
from tabular.table import Table

ATTACKS = (
    "a1: nearness of a released row",
    "a2: nearness of a released row against a reference row",
    "a3: released rows within reach of the 10th reference row",
    "a4: density in pairs of columns against reference rows",
    "a5: density in triples of columns against reference rows",
)
REACH = 10
# Fewest privacy units on either side.
FEWEST = 20
# A pair of rows costs about as much as 75 further columns, whatever their number.
OVERHEAD = 75
# Numbers of one part of the released rows, 64 MiB of them.
CELLS = 2**24
# Five attacks may be wrong; each alarm is three standard errors' worth.
CLEAN = float(norm.isf(norm.sf(3) / len(ATTACKS)))
# What a bound on ε must exceed to show a leak, and what it must not exceed to show none, in every policy.
LEAK, NONE = 1.0, 0.2
PASTED = (0.01, 0.02, 0.05, 0.1)
LOWEST, FARTHEST = "lowest attack AUC", "control AUC farthest from 0.5"
Mask = NDArray[np.bool_]


class Attacks(Metric.Config, frozen=True, extra="forbid"):
    """Sizes of the attacks.

    Attributes:
        minimum: Fewest rows in a third of the holdout.
        queries: Most members, and most non-members.
        references: Most reference rows R.
        synthetic: Most synthetic rows; more cannot be judged.
        work: Most terms of distances to synthetic rows, roughly; 25 billion are about a second.
        smooth: What a2 adds to both distances, as a share of the mean distance to the reference rows.
        categories: Categories of a column that distances tell apart; the others count as one.
        marginals: Most pairs, and most triples, of columns; drawn at random where there are more.
        counted: Most released rows that densities are counted on.
    """

    minimum: PositiveInt = 50
    queries: PositiveInt = 5_000
    references: PositiveInt = 10_000
    synthetic: PositiveInt = 1_000_000
    work: PositiveInt = 700_000_000_000
    smooth: PositiveFloat = 0.05
    categories: PositiveInt = 50
    marginals: PositiveInt = Field(default=364, le=10_000)
    counted: PositiveInt = 200_000


class Membership(NamedTuple):
    """What the attacks say of the same queries by synthetic and by fresh real rows.

    Attributes:
        synthetic: Scores by the synthetic rows S, one row for each of `ATTACKS`.
        fresh: Scores by the fresh real rows F.
        copied: Scores of a1 and a2 that the members would have if they stood in S, and the others', whose nearest
            released row is as near as that of S, F or R: a coarse table hides copies, whatever S is.
        tuning: Whether a member, and whether a non-member, is for choosing only, shapes (n,) and (m,).
        places: Positions of the members among the training rows, and of the non-members among the holdout rows.
        asked: The members' and the non-members' rows.
        known: The reference rows.
        released: Number of rows of S and of F.
    """

    synthetic: Queries
    fresh: Queries
    copied: Queries
    tuning: tuple[Mask, Mask]
    places: tuple[Rows, Rows]
    asked: tuple[Table, Table]
    known: Table
    released: tuple[int, int]


def membership(evidence: Evidence, settings: Attacks) -> Membership:
    """Return the attacks' scores, computed once for all metrics with the same settings.

    Raises:
        NotComputable: If rows are too few, or the synthetic ones too many to search.
    """
    fixed = settings.model_dump_json(include=set(Attacks.model_fields))
    return evidence.shared(f"membership {fixed}", lambda rng: _attack(evidence, settings, rng))


def halves(queries: Queries, found: Membership, among: tuple[Mask, Mask] | None = None) -> tuple[Queries, Queries]:
    """Part scores in those to choose by and those to judge by, all or those of the rows given."""
    both = among or (np.ones(len(found.tuning[0]), dtype=bool), np.ones(len(found.tuning[1]), dtype=bool))
    tuning, judging = (
        Queries(
            *(side[:, keep & (mask == wanted)] for side, keep, mask in zip(queries, both, found.tuning, strict=True))
        )
        for wanted in (True, False)
    )
    return tuning, judging


def power(bounds: Mapping[float, float]) -> str:
    """Say which shares of training rows, pasted into a release that leaks nothing else, would have been seen.

    Args:
        bounds: By share, the bound on ε that it would have shown; with the share 1.
    """
    said = []
    for limit in (LEAK, NONE):
        seen = [share for share in PASTED if bounds[share] > limit]
        least = f"{min(seen):.0%} of the training rows" if seen else f"no share up to {max(PASTED):.0%}"
        said.append(f"{least} would have shown ε > {limit:g}")
    told = " and ".join(said)
    return f"Pasted into a release with no other leak, {told} nine times in ten; all of them ε ≥ {bounds[1.0]:.1f}."


def cleanness(found: Membership) -> tuple[Row, Row]:
    """Return how clean the control is, as two rows of detail: what lies farthest towards or beyond its limit.

    Rows of nobody do not look less like members than training rows do, unless some of them were released: no AUC by the
    synthetic rows lies many standard errors below 0.5, nor below what the same queries score by fresh real rows
    (paired). And by fresh real rows no AUC lies far from 0.5, unless some of them were trained on or training rows are
    of another population. Limits are such that one in 740 harmless releases crosses each. All queries count, for
    nothing is chosen.
    """
    made, real = areas(found.synthetic), areas(found.fresh)
    n, m = (len(each) for each in found.tuning)
    wide = CLEAN * float(np.sqrt((n + m + 1) / (12 * n * m)))
    limits = np.minimum(0.5 - wide, real - CLEAN * gap_error(found.synthetic, found.fresh))
    low, far = int((made - limits).argmin()), int(np.abs(real - 0.5).argmax())
    side = 0.5 + float(np.copysign(wide, real[far] - 0.5))
    return (
        {"quantity": LOWEST, "value": float(made[low]), "limit": float(limits[low]), "attack": ATTACKS[low]},
        {"quantity": FARTHEST, "value": float(real[far]), "limit": side, "attack": ATTACKS[far]},
    )


def contaminated(estimate: Estimate) -> str | None:
    """Say what is wrong with the control, by the estimate of membership inference; None where nothing is.

    Without a control that is nobody's data, no figure of an attack means anything, low ones least.
    """
    for row in estimate.detail:
        value, limit, quantity = row.get("value"), row.get("limit"), row.get("quantity")
        if not isinstance(value, float) or not isinstance(limit, float):
            continue
        if quantity == LOWEST and value < limit:
            return (
                f"holdout rows look more like members than training rows do: an attack's AUC is {value:.3f}, below "
                f"{limit:.3f}; some of them were released, or the generator keeps away from its training rows"
            )
        if quantity == FARTHEST and abs(value - 0.5) > abs(limit - 0.5):
            return (
                f"fresh real rows tell training rows from holdout rows: an attack's AUC is {value:.3f}, beyond "
                f"{limit:.3f}; holdout and training rows overlap, or are not of one population"
            )
    return None


def _attack(evidence: Evidence, settings: Attacks, rng: np.random.Generator) -> Membership:
    modelled(evidence.holdout.schema)
    holdout, train, synthetic = evidence.holdout, evidence.train, evidence.synthetic
    thirds = parts(holdout, 3, rng)
    need(min(len(third) for third in thirds), settings.minimum, "a third of the holdout")
    need(len(train), settings.minimum, "the training table")
    need(len(synthetic), settings.minimum, "the synthetic table")
    known = holdout.take(some(thirds[0], settings.references, rng))
    fresh = holdout.take(some(thirds[2], len(synthetic), rng))
    nobody = holdout.take(thirds[1])
    lone = [rng.permutation(one_each(each, rng)) for each in (train, nobody)]
    for rows, where in zip(lone, ("the training table", "a third of the holdout"), strict=True):
        need(len(rows), FEWEST, f"without the further rows of one privacy unit, {where}")
    size = min(len(lone[0]), len(lone[1]), _affordable(settings, known, len(synthetic)))
    places = lone[0][:size], thirds[1][lone[1][:size]]
    asked = train.take(places[0]), holdout.take(places[1])
    near, copied = _near(settings, known, asked, (synthetic, fresh))
    dense = densities(known, asked, (synthetic, fresh), (2, 3), (settings.marginals, settings.counted), rng)
    scores = [np.stack([*each, *(order[side] for order in dense)]) for side, each in enumerate(near)]
    made, real = (Queries(each[:, :size], each[:, size:]) for each in scores)
    stood, passed = copied
    tuning = np.arange(size) < round(TUNING * size)
    return Membership(
        made,
        real,
        Queries(stood[:, :size], passed[:, size:]),
        (tuning, tuning),
        places,
        asked,
        known,
        (len(synthetic), len(fresh)),
    )


def _affordable(settings: Attacks, known: Table, rows: int) -> int:
    """Return how many members can be looked up among so many synthetic rows.

    Raises:
        NotComputable: If the rows are too many.
    """
    if rows > settings.synthetic:
        raise NotComputable(
            f"the synthetic table has {rows:,} rows; this attack searches at most {settings.synthetic:,}, "
            f"and a part of the rows would hide most copies"
        )
    terms: int = OVERHEAD + encode(known, known.take(np.arange(1)), settings.categories).shape[1]
    return min(settings.queries, max(settings.work // (2 * rows * terms), settings.minimum))


def _near(
    settings: Attacks, known: Table, asked: tuple[Table, Table], released: tuple[Table, Table]
) -> tuple[list[Values], tuple[Values, Values]]:
    """Return a1 to a3 by each released table, and a1 and a2 of rows that stand and do not stand there."""
    queries = np.concatenate([encode(known, table, settings.categories) for table in asked])
    to_known = nearest(queries, encode(known, known, settings.categories), REACH)
    closest, radii = to_known[:, 0], to_known[:, -1]
    s = settings.smooth * (float(closest.mean()) or 1.0)
    scores, any_row = [], closest
    for table in released:
        distance, within = _reach(settings, known, table, queries, radii)
        scores.append(np.stack([-distance, np.log((closest + s) / (distance + s)), within]))
        any_row = np.minimum(any_row, distance)
    stood, passed = (np.stack([-each, np.log((closest + s) / (each + s))]) for each in (0 * any_row, any_row))
    return scores, (stood, passed)


def _reach(
    settings: Attacks, known: Table, table: Table, queries: Points, radii: Values
) -> tuple[Values, NDArray[np.int64]]:
    """Search a released table of any length part by part."""
    step = max(CELLS // queries.shape[1], 1)
    closest, within = np.full(len(queries), np.inf), np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(table), step):
        part = table.take(np.arange(start, min(start + step, len(table))))
        distance, count = reach(queries, encode(known, part, settings.categories), radii)
        closest, within = np.minimum(closest, distance), within + count
    return closest, within
