"""Membership attacks: what they must find, what they must not, and when they must say that they cannot."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from audit.areas import areas, gap_error
from audit.core import Estimate, Evidence
from audit.densities import densities
from audit.epsilon import Queries
from audit.membership import ATTACKS, Attacks, contaminated, membership
from audit.neighbours import encode, nearest, reach
from audit.privacy.membership_epsilon import MembershipEpsilon
from audit.privacy.membership_inference import MembershipInference, found_at
from audit.privacy.membership_outliers import MembershipOutliers
from audit.reading import bins
from tabular.schema import Schema
from tabular.table import Table
from tests.audit.conftest import with_units, world

ROWS = 6_000
TOLD = (MembershipInference, MembershipEpsilon, MembershipOutliers)
NEAREST, DENSE = (0, 1), (3, 4)


@cache
def tables() -> tuple[Table, Table, Table]:
    rng = np.random.default_rng(3)
    train, holdout, fresh = (world(ROWS, rng) for _ in range(3))
    return train, holdout, fresh


def pasted(share: float) -> Table:
    """Put the first training rows in the place of a share of fresh real rows."""
    train, _, fresh = tables()
    rows = round(share * ROWS)
    return train.take(np.arange(rows)).joined(fresh.take(np.arange(rows, ROWS)))


@cache
def release(share: float) -> Evidence:
    train, holdout, _ = tables()
    return Evidence(train, holdout, pasted(share))


@cache
def look(kind: type[MembershipInference | MembershipEpsilon | MembershipOutliers], share: float) -> Estimate:
    return kind(kind.Config())(release(share), np.random.default_rng(1))


def asked(evidence: Evidence) -> list[Estimate]:
    return [kind(kind.Config())(evidence, np.random.default_rng(1)) for kind in TOLD]


def value(estimate: Estimate) -> float:
    assert estimate.value is not None, estimate.not_computed
    return estimate.value


def test_a_copy_gives_everybody_away() -> None:
    area = look(MembershipInference, 1.0)
    assert value(area) > 0.98
    assert area.gap_interval is not None and area.gap_interval.low > 0.4
    assert value(look(MembershipEpsilon, 1.0)) > 3
    assert value(look(MembershipOutliers, 1.0)) > 3
    assert all(look(kind, 1.0).reference is not None for kind in TOLD)
    assert look(MembershipEpsilon, 1.0).reference == look(MembershipOutliers, 1.0).reference == 0


def test_five_in_a_hundred_rows_are_seen_by_the_bound_and_hardly_by_the_area() -> None:
    assert value(look(MembershipInference, 0.05)) < 0.6
    assert value(look(MembershipEpsilon, 0.05)) > 1


def test_the_more_is_pasted_the_more_is_shown() -> None:
    shares = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
    for kind in (MembershipEpsilon, MembershipOutliers):
        bounds = np.array([value(look(kind, share)) for share in shares])
        assert (np.diff(bounds) > -0.05).all(), bounds
        assert bounds[0] == 0 and bounds[-1] > 3


def test_what_is_said_to_be_seen_is_seen() -> None:
    told = look(MembershipEpsilon, 0.0)
    (curve,) = told.curves
    promised = dict(zip(curve.x, curve.y, strict=True))
    assert (np.diff(curve.y) >= 0).all()
    for share in (0.05, 0.1, 0.5, 1.0):
        assert value(look(MembershipEpsilon, share)) > promised[share] - 0.4
    assert promised[1.0] == pytest.approx(value(look(MembershipEpsilon, 1.0)), abs=0.8)
    assert "5% of the training rows would have shown ε > 1" in (told.power or "") or promised[0.02] > 1


@pytest.mark.parametrize("seed", range(6))
def test_fresh_rows_show_nothing_and_a_clean_control(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    train, holdout, fresh = (world(2_400, rng) for _ in range(3))
    area, bound, outliers = asked(Evidence(train, holdout, fresh, seed=seed))
    assert abs(value(area) - 0.5) < 0.1
    assert value(bound) <= 0.2 and value(outliers) <= 0.2
    assert contaminated(area) is None


def test_a_release_of_the_rows_of_nobody_voids_the_control() -> None:
    train, holdout, fresh = tables()
    half = holdout.take(np.arange(ROWS // 2))
    spoilt = Evidence(train, holdout, half.joined(fresh.take(np.arange(ROWS // 2))))
    area, *_ = asked(spoilt)
    assert "more like members than training rows" in (contaminated(area) or "")
    assert contaminated(look(MembershipInference, 1.0)) is None


def test_a_holdout_of_training_rows_voids_the_control() -> None:
    train, holdout, fresh = tables()
    overlap = train.take(np.arange(ROWS // 2)).joined(holdout.take(np.arange(ROWS // 2)))
    area, *_ = asked(Evidence(train, overlap, fresh))
    assert contaminated(area) is not None


def net(train: Table, donors: Table, rows: int, rng: np.random.Generator) -> Table:
    """Draw from a chain of column pairs without noise; numbers come from others' rows in the same bin."""
    columns = train.schema.columns
    coded = [bins(column, donors, (train, donors)) for column in columns]
    drawn = np.zeros((rows, len(columns)), dtype=np.int64)
    frame = {}
    for place, column in enumerate(columns):
        own, donor = coded[place].codes
        key, made = (coded[place - 1].codes[0], drawn[:, place - 1]) if place else (0 * own, drawn[:, 0])
        for cell in np.unique(made):
            those, like = np.flatnonzero(made == cell), np.flatnonzero(key == cell)
            drawn[those, place] = rng.choice(own[like if len(like) else slice(None)], len(those))
        chosen = np.zeros(rows, dtype=np.int64)
        for code in np.unique(drawn[:, place]):
            those = np.flatnonzero(drawn[:, place] == code)
            chosen[those] = rng.choice(np.flatnonzero(donor == code), len(those))
        frame[column.name] = donors.frame[column.name].take(chosen).reset_index(drop=True)
    return Table.conform(train.schema, pd.DataFrame(frame))


def test_a_generator_of_marginals_is_caught_by_densities_and_not_by_distances() -> None:
    rng = np.random.default_rng(8)
    _, holdout, donors = tables()
    near, dense = [], []
    for _ in range(6):
        train = world(500, rng)
        found = membership(Evidence(train, holdout, net(train, donors, 500, rng)), Attacks())
        by = areas(found.synthetic)
        near.append(by[list(NEAREST)].max())
        dense.append(by[list(DENSE)].max())
    error = np.sqrt(1_001 / (12 * 500**2) / len(near))
    assert np.mean(dense) > 0.5 + 6 * error
    assert np.mean(near) < 0.5 + 4 * error
    assert (np.array(dense) > near).all()


def test_a_coarse_table_has_no_value_and_never_passes() -> None:
    names = ("sex", "region", "approved")
    train, holdout, fresh = (_only(table, names) for table in tables())
    for synthetic in (train, fresh):
        _, bound, outliers = asked(Evidence(train, holdout, synthetic))
        assert bound.value is None and "no power" in (bound.not_computed or "")
        assert outliers.value is None and "no power" in (outliers.not_computed or "")


def test_too_few_rows_have_no_value() -> None:
    train, holdout, fresh = (table.take(np.arange(151)) for table in tables())
    one = _only(train, ("sex",)), _only(holdout, ("sex",)), _only(fresh, ("sex",))
    assert [each.value for each in asked(Evidence(*one))[1:]] == [None, None]


def test_a_leak_of_isolated_rows_only_is_seen_among_them() -> None:
    train, holdout, fresh = tables()
    found = membership(release(0.0), Attacks())
    known = encode(found.known, found.known, 50)
    alone = nearest(encode(found.known, train, 50), known, 5).mean(axis=1)
    rows = np.flatnonzero(alone >= np.quantile(alone, 0.96))
    synthetic = train.take(rows).joined(fresh.take(np.arange(len(rows), ROWS)))
    outliers = asked(Evidence(train, holdout, synthetic))[2]
    by = {(row["column"], row["group"]): row for row in outliers.detail}
    worst = by[("isolation", "the 10 % farthest from others")]
    assert value(outliers) > 1
    assert worst["epsilon"] == outliers.value
    assert float(worst["auc"] or 0) > 0.6


def test_every_group_is_judged_or_listed() -> None:
    estimate = look(MembershipOutliers, 0.0)
    sexes = {row["group"] for row in estimate.detail if row["column"] == "sex"}
    assert sexes == {"female", "male"}
    few = MembershipOutliers(MembershipOutliers.Config(smallest=2_000))(release(0.0), np.random.default_rng(1))
    assert {row["note"] for row in few.detail if row["column"] == "sex"} == {"too small to audit"}
    assert value(few) == 0


def test_one_computation_serves_the_three_metrics() -> None:
    evidence = release(0.05)
    found = membership(evidence, Attacks())
    assert membership(evidence, MembershipOutliers.Config(smallest=7)) is found
    assert membership(evidence, Attacks(queries=99)) is not found


def test_figures_come_from_queries_that_nothing_was_chosen_by() -> None:
    found = membership(release(0.05), Attacks())
    members, others = (~mask for mask in found.tuning)
    estimate = look(MembershipInference, 0.05)
    for place, row in enumerate(estimate.detail[: len(ATTACKS)]):
        scores = np.concatenate([found.synthetic.members[place][members], found.synthetic.others[place][others]])
        labels = np.arange(len(scores)) < members.sum()
        assert row["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    (chosen,) = [row for row in estimate.detail if str(row.get("note")).startswith("chosen")]
    assert estimate.value == chosen["auc"] and estimate.reference == chosen["reference"]


def test_rates_are_given_only_where_non_members_are_enough() -> None:
    estimate = look(MembershipInference, 1.0)
    row = estimate.detail[0]
    assert "found at 1 % false positives" in row and "found at 0.1 % false positives" not in row
    assert "too few for 0.3 %, 0.1 % false positives" in str(row["note"])
    for curve in estimate.curves:
        assert len(curve.x) <= 60 and (np.diff(curve.x) > 0).all() and (np.diff(curve.y) >= 0).all()
    low, high = (np.array(curve.y) for curve in estimate.curves[2:])
    fresh = np.array(estimate.curves[1].y)
    assert ((low <= fresh) & (fresh <= high)).mean() > 0.7


def test_curves_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    members, others = rng.normal(0.7, 1, 400), rng.normal(0, 1, 300)
    wrong, found, _ = roc_curve(np.arange(700) < 400, np.concatenate([members, others]), drop_intermediate=False)
    for rate in (1 / 300, 0.1, 0.5, 1.0):
        best = found[wrong <= rate + 1e-12].max()
        assert found_at(members, others, np.array([rate]))[0] == pytest.approx(best, abs=1e-12)
    tied = found_at(np.ones(50), np.ones(50), np.array([0.2, 0.9]))
    assert tied == pytest.approx([0.2, 0.9])


def test_the_error_of_a_difference_is_what_it_varies_by(rng: np.random.Generator) -> None:
    gaps, errors = [], []
    for _ in range(300):
        base = rng.normal(size=(2, 1, 200))
        first, second = (Queries(*(base + rng.normal(size=base.shape) + [[[shift]], [[0]]])) for shift in (0.8, 0.3))
        gaps.append(float(areas(first)[0] - areas(second)[0]))
        errors.append(float(gap_error(first, second)[0]))
    assert np.mean(errors) == pytest.approx(np.std(gaps), rel=0.12)


def test_densities_are_mean_log_ratios_of_counts(rng: np.random.Generator) -> None:
    names = ("sex", "region", "schooling")
    known, queries, released = (_only(world(rows, rng), names) for rows in (300, 5, 400))
    pairs, triples = densities(known, (queries,), (released,), (2, 3), (9, 1_000), rng)
    assert pairs.shape == triples.shape == (1, 5)
    for order, found in ((("sex", "region"), pairs), (names, triples)):
        sets = [order] if len(order) == 3 else [("sex", "region"), ("sex", "schooling"), ("region", "schooling")]
        for place in range(5):
            ratios = []
            for columns in sets:
                wanted = queries.frame.iloc[place][list(columns)].tolist()
                s, r = ((table.frame[list(columns)] == wanted).all(axis=1).sum() for table in (released, known))
                ratios.append(np.log((s + 0.5) / 400.5) - np.log((r + 0.5) / 300.5))
            assert found[0, place] == pytest.approx(np.mean(ratios), abs=1e-12)


def test_scores_of_a_row_that_stands_in_the_release_are_foreseen() -> None:
    """Members that are in the release score as was said beforehand; the others no lower than they do."""
    before, after = (membership(release(share), Attacks()) for share in (0.0, 1.0))
    for found in (before, after):
        assert (found.copied.others >= found.synthetic.others[:2]).all()
        assert found.copied.members[0] == pytest.approx(0, abs=1e-12)
    assert after.synthetic.members[0] == pytest.approx(0, abs=1e-6)
    assert after.synthetic.members[1] == pytest.approx(after.copied.members[1], abs=1e-6)


def test_neighbours_are_those_of_all_distances_near_and_far_out(rng: np.random.Generator) -> None:
    queries, rows = (rng.normal(size=(size, 7)).astype(np.float32) for size in (40, 5_000))
    queries[:5] = rows[4_990:4_995]
    queries[5:8] *= 1_000
    rows[17] = queries[6]
    every = np.linalg.norm(queries[:, None].astype(np.float64) - rows[None], axis=2)
    assert nearest(queries, rows, 6) == pytest.approx(np.sort(every, axis=1)[:, :6], abs=1e-5)
    radii = np.sort(every, axis=1)[:, 20:22].mean(axis=1)
    distance, within = reach(queries, rows, radii)
    assert distance == pytest.approx(every.min(axis=1), abs=1e-5)
    assert (within == 21).all()
    assert np.isinf(nearest(queries, rows[:2], 3)[:, 2]).all()
    assert np.isinf(nearest(queries, rows[:0])).all()


def test_a_person_is_one_query(rng: np.random.Generator) -> None:
    people = [with_units(world(2_000, rng), 4, 10_000 * place) for place in range(3)]
    found = membership(Evidence(*people), Attacks())
    for table in found.asked:
        assert table.frame["person"].is_unique
    assert not set(found.known.frame["person"]) & set(found.asked[1].frame["person"])
    bound = MembershipEpsilon(MembershipEpsilon.Config())(Evidence(*people), rng)
    assert value(bound) == 0


def _only(table: Table, names: tuple[str, ...]) -> Table:
    schema = Schema(columns=tuple(table.schema[name] for name in names))
    return Table(schema, table.frame[list(names)])
