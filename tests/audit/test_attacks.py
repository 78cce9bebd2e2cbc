"""Laws of the attacks: nothing found on fresh real rows, everything on a copy, and intervals that cover."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, norm
from sklearn.neighbors import NearestNeighbors

from audit.advantage import advantage
from audit.core import Declared, Estimate, Evidence, Metric
from audit.lookup import closest
from audit.neighbours import encode
from audit.privacy.data_copying import shift
from pipeline.registry import metric
from tabular.table import Table
from tests.audit.conftest import Real, shuffled, with_units, world
from tests.audit.test_contract import many_categories, without

AT_MOST = 0.09
ROWS = 6_000
REPORTED = ("singling_out", "linkability", "data_copying", "distance_to_closest_record", "detection_against_train")


@cache
def worlds() -> Real:
    """Draw narrower worlds: copies of rows of fewer columns are harder to tell from chance."""
    rng = np.random.default_rng(31)
    return Real(*(without(world(ROWS, rng), "joined", "married") for _ in range(3)))


def interpolated(table: Table, rng: np.random.Generator) -> Table:
    """Put each row between itself and one of its five nearest others, as SMOTE does."""
    points = encode(table, table, 50)
    near = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points).kneighbors(points, return_distance=False)
    rows = np.arange(len(table))
    other, weight = near[rows, rng.integers(1, 6, len(rows))], rng.random(len(rows))
    columns: dict[str, object] = {}
    for column in table.schema.columns:
        if column.is_number:
            values = table.numbers(column.name)
            mixed = (1 - weight) * values + weight * values[other]
            columns[column.name] = np.round(mixed) if column.physical == "integer" else mixed
        else:
            columns[column.name] = table.frame[column.name].take(np.where(rng.random(len(rows)) < 0.5, rows, other))
            columns[column.name] = np.asarray(columns[column.name])
    return Table.conform(table.schema, pd.DataFrame(columns))


RELEASES: dict[str, Callable[[Real, np.random.Generator], Table]] = {
    "fresh": lambda real, rng: real.fresh,
    "copy": lambda real, rng: real.train.take(rng.permutation(len(real.train))),
    "bootstrap": lambda real, rng: real.train.take(rng.integers(len(real.train), size=len(real.train))),
    "interpolated": lambda real, rng: interpolated(real.train, rng),
    "shuffled": lambda real, rng: shuffled(real.train, rng),
    "pasted": lambda real, rng: real.train.take(np.arange(600)).joined(real.fresh.take(np.arange(600, ROWS))),
}


@cache
def look(name: str, release: str) -> Estimate:
    real = worlds()
    return plain(name)(real.evidence(RELEASES[release](real, np.random.default_rng(2))), np.random.default_rng(1))


def plain(name: str) -> Metric:
    """Return a metric with its defaults, but for a smaller forest that tells real from synthetic."""
    kind = metric(f"privacy.{name}")
    few = {"trees": {"rounds": 20}, "most": 3_000} if name == "detection_against_train" else {}
    return kind(kind.Config.model_validate(few))


def bounds(found: Estimate) -> tuple[float, float, float]:
    assert found.value is not None and found.interval is not None
    return found.interval.low, found.value, found.interval.high


def floor(found: Estimate) -> tuple[float, float]:
    assert found.reference_interval is not None
    return found.reference_interval.low, found.reference_interval.high


def told(found: Estimate, attack: str) -> dict[str, float]:
    return {str(row["secret"]): float(row["advantage"] or 0) for row in found.detail if row["attack"] == attack}


# --- secrets -------------------------------------------------------------------------------------------------------


def test_a_copy_tells_every_secret_and_the_nearest_row_does_it() -> None:
    found = look("attribute_inference", "copy")
    by_row = told(found, "nearest row")
    assert set(by_row) == {"sex", "age", "approved"}
    assert min(by_row.values()) > 0.98
    assert bounds(found)[0] > AT_MOST


def test_rows_between_neighbours_tell_about_half_of_the_secrets() -> None:
    found = look("attribute_inference", "interpolated")
    assert 0.3 < bounds(found)[1] < 0.8
    assert bounds(found)[0] > AT_MOST


@pytest.mark.parametrize("release", ["fresh", "shuffled"])
def test_rows_made_from_nobody_tell_nothing(release: str) -> None:
    low, value, _ = bounds(look("attribute_inference", release))
    assert low <= 0 and abs(value) < 0.08


def test_a_paste_of_one_row_in_ten_is_told_from_none() -> None:
    assert bounds(look("attribute_inference", "pasted"))[0] > 0


@pytest.mark.parametrize("seed", range(4))
def test_fresh_rows_never_fail(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    tables = [without(world(1_500, rng), "joined", "married", "city") for _ in range(3)]
    found = plain("attribute_inference")(Evidence(*tables), rng)
    assert bounds(found)[0] <= AT_MOST


def test_declared_secrets_are_the_ones_attacked() -> None:
    real = worlds()
    declared = Declared(secrets=("income", "region"))
    found = plain("attribute_inference")(
        Evidence(real.train, real.holdout, real.fresh, declared=declared), np.random.default_rng(1)
    )
    rows = found.detail
    assert {str(row["secret"]) for row in rows} == {"income", "region"}
    region = [row for row in rows if row["secret"] == "region" and row["attack"] == "trees"]
    assert region[0]["advantage"] is None and float(region[0]["right_of_others"] or 0) > 0.98


def test_a_secret_of_ten_thousand_values_is_guessed_by_the_nearest_row_alone() -> None:
    change = many_categories("feature")
    rng = np.random.default_rng(4)
    tables = [change(without(world(rows, rng), "city", "married", "joined")) for rows in (801, 802, 803)]
    declared = Declared(secrets=("many",))
    found = plain("attribute_inference")(Evidence(*tables, declared=declared), rng)
    assert {row["attack"] for row in found.detail} == {"nearest row"}
    copied = plain("attribute_inference")(Evidence(tables[0], tables[1], tables[0], declared=declared), rng)
    assert bounds(copied)[0] > 0.9


def test_rows_of_one_person_count_once() -> None:
    real = worlds_of_persons()
    found = plain("attribute_inference")(real.evidence(real.fresh), np.random.default_rng(1))
    alone = look("attribute_inference", "fresh")
    assert bounds(found)[0] <= 0
    assert bounds(found)[2] - bounds(found)[0] > bounds(alone)[2] - bounds(alone)[0]


@cache
def worlds_of_persons() -> Real:
    rng = np.random.default_rng(8)
    tables = [with_units(world(4_000, rng), 4, 10_000 * place) for place in range(3)]
    return Real(*tables)


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_the_interval_of_an_advantage_covers_and_the_control_narrows_it(leak: float, shared: float) -> None:
    rng = np.random.default_rng(6)
    n, m, missed = 1_500, 1_000, 0.25
    member = np.arange(n + m) < n
    covered, widths, values = 0, [], []
    for _ in range(600):
        control = rng.random(n + m) > missed
        right = np.where(rng.random(n + m) < shared, control, rng.random(n + m) > missed)
        right |= member & (rng.random(n + m) < leak)
        found = advantage(right, control, member, (n, m), 1, 0.02)
        assert found is not None
        covered += found.interval.low <= leak <= found.interval.high
        widths.append(found.interval.high - found.interval.low)
        values.append(found.value)
    assert 0.925 < covered / 600 < 0.98
    assert np.mean(values) == pytest.approx(leak, abs=0.01)
    alone = advantage(right, None, member, (n, m), 1, 0.02)
    assert alone is not None
    width = alone.interval.high - alone.interval.low
    assert np.mean(widths) < (0.8 if shared else 1.05) * width


def test_an_advantage_has_the_bounds_of_a_ratio_of_shares() -> None:
    right = np.concatenate([np.arange(4_000) >= 400, np.arange(3_000) >= 900])
    member = np.arange(7_000) < 4_000
    found = advantage(right, None, member, (4_000, 3_000), 1, 0.02)
    assert found is not None
    assert found.value == pytest.approx(1 - 0.1 / 0.3)
    error = np.sqrt(0.9 / 400 + 0.7 / 900)
    expected = 1 - np.exp(np.log(1 / 3) + np.array([1, -1]) * norm.ppf(0.975) * error)
    assert (found.interval.low, found.interval.high) == pytest.approx(expected, abs=0.003)
    many = advantage(right, None, member, (4_000, 3_000), 20, 0.02)
    assert many is not None and many.surely < found.surely == pytest.approx(found.interval.low)


def test_nothing_is_said_where_nothing_is_left_to_learn() -> None:
    member = np.arange(2_000) < 1_000
    assert advantage(np.ones(2_000, dtype=bool), None, member, (1_000, 1_000), 1, 0.02) is None
    all_told = advantage(member | (np.arange(2_000) % 2 == 0), None, member, (1_000, 1_000), 1, 0.02)
    assert all_told is not None and all_told.value == 1.0 and 0.98 < all_told.interval.low < 1


# --- the search ----------------------------------------------------------------------------------------------------


def test_the_search_finds_each_row_itself_and_nearly_always_the_nearest_one() -> None:
    real = worlds()
    rows, queries = (encode(real.holdout, table, 50) for table in (real.train, real.fresh))
    itself = closest(rows, rows, np.random.default_rng(1))
    # Float32 hardly tells rows apart that lie a few thousandths from one another.
    assert np.linalg.norm(rows[itself.row[0]] - rows, axis=1).max() < 0.01
    assert (rows[itself.row[0]] == rows).all(axis=1).mean() > 0.999
    found = closest(queries, rows, np.random.default_rng(1)).row[0]
    exact = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows).kneighbors(queries)[0][:, 0]
    distances = np.linalg.norm(queries - rows[found], axis=1)
    assert (distances <= exact + 1e-3).mean() > 0.8
    assert distances.mean() < 1.1 * exact.mean()


def test_the_search_among_few_rows_is_exact_and_leaves_out_what_is_hidden() -> None:
    rng = np.random.default_rng(3)
    rows, queries = rng.normal(size=(200, 6)).astype(np.float32), rng.normal(size=(50, 6)).astype(np.float32)
    hidden = (slice(0, 0), slice(0, 2), slice(5, 6))
    found = closest(queries, rows, rng, hidden)
    for each, part in enumerate(hidden):
        kept = np.setdiff1d(np.arange(6), np.arange(6)[part])
        exact = np.linalg.norm(queries[:, None, kept] - rows[None][:, :, kept], axis=2).argmin(axis=1)
        assert (found.row[each] == exact).all()


def test_rows_that_are_all_alike_are_searched_in_parts() -> None:
    rows = np.zeros((5_000, 3), dtype=np.float32)
    found = closest(rows[:100], rows, np.random.default_rng(3))
    assert len(np.unique(found.row)) > 0 and (found.rank == 0).all()


# --- what is reported and not judged -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTED)
def test_fresh_rows_look_like_fresh_rows(name: str) -> None:
    found = look(name, "fresh")
    low, high = floor(found)
    assert bounds(found)[0] <= high and low <= bounds(found)[2]


@pytest.mark.parametrize("release", ["copy", "bootstrap", "interpolated"])
def test_rows_made_from_single_training_rows_are_seen(release: str) -> None:
    assert bounds(look("singling_out", release))[0] > 0
    assert bounds(look("linkability", release))[0] > floor(look("linkability", release))[1]
    found = look("distance_to_closest_record", release)
    assert bounds(found)[0] > floor(found)[1]
    assert (look("data_copying", release).value or 0) < -3


def test_nearly_every_description_of_a_copied_row_singles_its_owner_out() -> None:
    assert (look("singling_out", "copy").value or 0) > 0.9
    # A training row that was not drawn may fit the description of a drawn one, which then singles out nobody.
    assert 0.4 < (look("singling_out", "bootstrap").value or 0) < 0.8
    low, _, high = bounds(look("singling_out", "shuffled"))
    assert low <= 0.05 and high >= -0.05


def test_only_repeated_training_rows_raise_the_alarm_of_the_classifier() -> None:
    releases = ("fresh", "copy", "bootstrap", "shuffled")
    alarms = {release: look("detection_against_train", release).detail[0]["alarm"] for release in releases}
    assert alarms["copy"] == alarms["bootstrap"] == "yes"
    assert alarms["fresh"] == alarms["shuffled"] == "no"
    assert (look("detection_against_train", "copy").value or 1) < 0.3


def test_the_usual_numbers_are_not_for_gates() -> None:
    for name in ("data_copying", "distance_to_closest_record", "detection_against_train"):
        assert metric(f"privacy.{name}").better == "none"


def test_copies_among_distant_rows_leave_the_mean_distance_high() -> None:
    real = worlds()
    rng = np.random.default_rng(5)
    mixed = real.train.take(np.arange(900)).joined(shuffled(real.train, rng).take(np.arange(900, ROWS)))
    assert (plain("data_copying")(real.evidence(mixed), rng).value or 0) > 3
    assert (plain("exact_copies")(real.evidence(mixed), rng).value or 0) == pytest.approx(0.15, abs=0.02)


def test_the_shift_of_distances_is_the_rank_test_of_scipy() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.integers(30, size=400) / 10, rng.integers(2, 32, size=300) / 10
    exact = mannwhitneyu(first, second, use_continuity=False, method="asymptotic")
    z = shift(first, second, 400, 300)
    assert 2 * norm.sf(abs(z)) == pytest.approx(exact.pvalue, rel=1e-6)
    assert z < 0
    assert shift(np.ones(9), np.ones(7), 9, 7) == 0


@pytest.mark.parametrize("name", ("attribute_inference", *REPORTED))
def test_the_order_of_rows_matters_less_than_the_interval(name: str, rng: np.random.Generator) -> None:
    real = worlds()
    tables = (table.take(rng.permutation(ROWS)) for table in (real.train, real.holdout, real.fresh))
    after = plain(name)(Evidence(*tables), rng)
    low, high = floor(look(name, "fresh"))
    assert bounds(after)[0] <= high and low <= bounds(after)[2]
