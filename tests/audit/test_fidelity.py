"""Columns, pairs, triples, coverage and repeats: closed forms, planted faults, and fresh rows that pass."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence
from audit.fidelity.coverage import spanned
from audit.fidelity.duplicate_rows import same
from audit.fidelity.pair_trends import PairTrends
from audit.fidelity.subsample_equivalence import share_at, subsampled
from audit.fidelity.worst_pair import WorstPair
from audit.intervals import wilson
from audit.shape import PairLook, binned, chosen, pairs
from pipeline.registry import metric
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import CITIES, Real, shuffled, with_units, world, world_schema

MEASURED = ("column_shapes", "worst_column", "pair_trends", "worst_pair", "triple_trends", "subsample_equivalence")
EVERY = (*MEASURED, "coverage", "duplicate_rows")


@cache
def worlds() -> Real:
    rng = np.random.default_rng(7)
    return Real(*(world(4_000, rng) for _ in range(3)))


def look(name: str, evidence: Evidence, **settings: object) -> Estimate:
    kind = metric(f"fidelity.{name}")
    return kind(kind.Config.model_validate(settings))(evidence, np.random.default_rng(1))


@cache
def estimate(name: str, release: str) -> Estimate:
    real, rng = worlds(), np.random.default_rng(13)
    made = real.fresh if release == "fresh" else shuffled(real.train, rng)
    return look(name, real.evidence(made))


def bits(values: np.ndarray) -> Table:
    names = ("a", "b", "c")
    columns = [Column(name=name, kind="categorical", physical="integer", categories=(0, 1)) for name in names]
    return Table.conform(Schema(columns=tuple(columns)), pd.DataFrame(values, columns=list(names)))


def low(found: Estimate) -> float:
    assert found.interval is not None
    return found.interval.low


def high(found: Estimate) -> float:
    assert found.interval is not None
    return found.interval.high


def test_shuffled_columns_are_many_noise_floors_away_and_fresh_rows_are_not() -> None:
    assert low(estimate("worst_pair", "shuffled")) > 5
    assert high(estimate("worst_pair", "fresh")) < 3
    for name, times in (("pair_trends", 1.3), ("triple_trends", 1.3)):
        fresh, wrong = estimate(name, "fresh"), estimate(name, "shuffled")
        assert high(fresh) < 2 * (fresh.reference or 0), name
        assert low(wrong) > times * (wrong.reference or 0), name
    assert high(estimate("subsample_equivalence", "shuffled")) < 0.5
    assert estimate("subsample_equivalence", "fresh").value == pytest.approx(1, abs=0.3)
    assert high(estimate("worst_column", "shuffled")) < 1


@pytest.mark.parametrize(("rows", "enough"), [(400, False), (16_000, True)])
def test_fresh_rows_never_fail_for_a_column_and_pass_where_they_are_enough(rows: int, enough: bool) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = look("worst_column", Evidence(*(world(rows, rng) for _ in range(3))))
        assert low(found) < 1
        assert high(found) < 1 or not enough


def test_a_single_wrong_column_is_named_and_beyond_its_limit() -> None:
    real = worlds()
    older = np.clip(real.fresh.frame["age"] + 10, 18, 90)
    found = look("worst_column", real.evidence(Table.conform(world_schema(), real.fresh.frame.assign(age=older))))
    assert low(found) > 1
    assert found.detail[0]["column"] == "age"
    rest = found.detail[1]["of the limit"]
    assert isinstance(rest, float) and rest < 1


def test_the_grid_holds_every_pair_worst_first_and_its_worst_is_the_worst_pair() -> None:
    found = estimate("pair_trends", "shuffled")
    assert len(found.detail) == 10 * 9 // 2
    assert set(found.detail[0]) == {"first", "second", "distance", "reference", "ratio"}
    excess = [float(row["distance"] or 0) - float(row["reference"] or 0) for row in found.detail]
    assert excess == sorted(excess, reverse=True)
    for row in found.detail:
        assert float(row["ratio"] or 0) == pytest.approx(float(row["distance"] or 0) / float(row["reference"] or 1))
    worst = estimate("worst_pair", "shuffled")
    assert {worst.detail[0]["first"], worst.detail[0]["second"]} == {"city", "region"}
    assert worst.value == pytest.approx(worst.detail[0]["ratio"])
    floors = np.array([max(float(row["reference"] or 0), WorstPair.Config().least) for row in found.detail])
    assert worst.value == pytest.approx((np.array([row["distance"] for row in found.detail]) / floors).max())


def test_pairs_are_measured_once_for_all_who_ask_alike() -> None:
    evidence = worlds().evidence(worlds().fresh)
    first = pairs(evidence, PairTrends.Config())
    assert all(pairs(evidence, metric(f"fidelity.{name}").Config()) is first for name in ("worst_pair", "pair_trends"))
    assert pairs(evidence, PairLook(bins=4)) is not first


def test_what_only_three_columns_show_is_seen_by_triples_alone() -> None:
    rng = np.random.default_rng(2)
    tables = []
    for tied in (True, True, False):
        values = rng.integers(2, size=(6_000, 3))
        if tied:
            values[:, 2] = values[:, 0] ^ values[:, 1]
        tables.append(bits(values))
    evidence = Evidence(*tables)
    assert high(look("worst_pair", evidence)) < 3
    triple = look("triple_trends", evidence)
    assert triple.value == pytest.approx(0.5, abs=0.02)
    assert triple.reference == pytest.approx(0, abs=0.03)


def test_sets_of_columns_do_not_depend_on_the_order_of_columns() -> None:
    columns = [Column(name=f"x{place:03d}", kind="continuous", physical="real") for place in range(120)]
    for count, most in ((2, 100), (3, 200)):
        named = [
            {
                frozenset(order[place].name for place in each)
                for each in chosen(order, count, most, np.random.default_rng(1))
            }
            for order in (columns, columns[::-1])
        ]
        assert named[0] == named[1]
        assert len(named[0]) <= most and {len(each) for each in named[0]} == {count}


def test_a_share_is_read_off_a_power_law_exactly() -> None:
    shares = 2.0 ** -np.arange(8)[::-1]
    curve = shares**-0.5
    for share in (1.0, 0.7, 0.1, shares[0]):
        assert share_at(float(np.log(share**-0.5)), shares, curve) == pytest.approx(share)
    assert share_at(-1.0, shares, curve) == 1
    assert share_at(50.0, shares, curve) == pytest.approx(shares[0])
    assert share_at(0.0, np.ones(1), np.zeros(1)) == 1


def test_a_release_made_of_few_rows_is_worth_so_many_rows() -> None:
    real = worlds()
    few = np.random.default_rng(4).integers(250, size=4_000)
    found = look("subsample_equivalence", real.evidence(real.fresh.take(few)))
    worth = 1 / (1 / 250 + 1 / 2_000) / 2_000
    assert worth / 2 < low(found) <= worth * 1.3 and worth / 1.3 < high(found) < worth * 2
    assert found.reference == 1
    assert [curve.name for curve in found.curves] == ["fresh real rows", "synthetic rows"]
    floor = found.curves[0]
    assert list(floor.x) == sorted(floor.x) and list(floor.y) == sorted(floor.y, reverse=True)


def test_the_whole_of_the_fresh_rows_is_the_noise_floor_of_pair_trends() -> None:
    evidence, config = worlds().evidence(worlds().fresh), PairTrends.Config()
    read, seen = binned(evidence, config, config.bins, config.categories), pairs(evidence, config)
    whole = subsampled(read, seen.sets, [100, len(read.splits[0].fresh)])[:, -1]
    assert whole == pytest.approx(seen.found[1].mean(axis=1), abs=1e-12)


def test_what_is_not_covered_is_named_and_counted() -> None:
    real = worlds()
    frame = real.fresh.frame.copy()
    frame["city"] = frame["city"].where(frame["city"] != CITIES[3], CITIES[4])
    frame["age"] = frame["age"].clip(30, 90)
    found = look("coverage", real.evidence(Table.conform(world_schema(), frame)))
    by_column = {row["column"]: row for row in found.detail}
    assert by_column["city"]["covered"] == pytest.approx(11 / 12)
    assert by_column["city"]["lacking"] == CITIES[3]
    first, last = np.quantile(real.holdout.numbers("age"), [0.01, 0.99])
    assert by_column["age"]["covered"] == pytest.approx((last - 30) / (last - first), abs=0.03)
    assert by_column["age"]["lacking"] == "low end"
    assert found.reference == 1
    assert high(found) < 0.98
    assert estimate("coverage", "fresh").value == 1


def test_spans_have_a_closed_form() -> None:
    line = np.arange(101.0)
    assert spanned(line, line, 0.0) == 1
    assert spanned(line, np.array([25.0, 75.0]), 0.0) == 0.5
    assert spanned(line, np.array([-50.0, 10.0, np.nan]), 0.0) == 0.1
    assert spanned(line, np.array([200.0, 300.0]), 0.0) == 0
    assert spanned(np.ones(5), np.ones(2), 0.01) == 1
    assert spanned(np.ones(5), np.zeros(2), 0.01) == 0
    assert spanned(line, np.array([np.nan]), 0.0) == 0
    assert np.isnan(spanned(np.array([np.nan]), line, 0.0))


def test_duplicated_rows_are_counted_and_fresh_rows_pass() -> None:
    real = worlds()
    rows = np.append(np.arange(3_200), np.arange(800))
    found = look("duplicate_rows", real.evidence(real.fresh.take(rows)))
    assert found.value == pytest.approx(0.2)
    assert found.gap_interval is not None and found.gap_interval.low > 0.02
    fresh = estimate("duplicate_rows", "fresh")
    assert fresh.value == fresh.reference == 0
    assert fresh.gap_interval is not None and fresh.gap_interval.high <= 0.005


def test_repeats_are_compared_at_the_same_number_of_rows_and_persons() -> None:
    real, rng = worlds(), np.random.default_rng(3)
    coarse = Schema(columns=tuple(world_schema()[name] for name in ("city", "schooling", "age")))
    tables = [Table(coarse, world(rows, rng).frame[list(coarse.names)]) for rows in (100, 1_000, 8_000)]
    found = look("duplicate_rows", Evidence(*tables))
    assert found.rows == 1_000
    assert found.value == pytest.approx(found.reference, abs=0.05)
    assert (found.value or 0) > 0.1
    people = Evidence(*(with_units(table, 4, 9_000 * place) for place, table in enumerate(vars(real).values())))
    assert look("duplicate_rows", people).value == 0


def test_rows_that_are_the_same_in_every_column_share_a_code() -> None:
    rng = np.random.default_rng(1)
    tables = tuple(world(300, rng).take(rng.integers(40, size=90)) for _ in range(2))
    codes = np.concatenate(same(tables))
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    groups = frame.groupby(list(frame.columns), dropna=False, sort=False, observed=True).ngroup().to_numpy()
    assert np.array_equal(codes[:, None] == codes, groups[:, None] == groups)


def test_intervals_of_repeats_cover_their_mean() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([1 - len(np.unique(rng.integers(20_000, size=2_000))) / 2_000 for _ in range(400)])
    intervals = [wilson(share * 2_000, 2_000) for share in shares]
    assert np.mean([each.low <= shares.mean() <= each.high for each in intervals]) > 0.92


@pytest.mark.parametrize("name", EVERY)
def test_neither_units_of_measure_nor_the_order_of_columns_and_categories_matter(name: str) -> None:
    def changed(table: Table) -> Table:
        columns = [
            column.model_copy(update={"categories": column.categories[::-1]})
            if column.kind == "categorical"
            else column.model_copy(update={"minimum": None, "maximum": None})
            for column in table.schema.columns[::-1]
        ]
        frame = table.frame.assign(income=table.frame["income"] * 1024)
        return Table.conform(table.schema.model_copy(update={"columns": tuple(columns)}), frame)

    real = worlds()
    tables = (real.train, real.holdout, shuffled(real.fresh, np.random.default_rng(6)))
    few = {"triples": 50} if name == "triple_trends" else {"pairs": 20} if "pair" in name or "sub" in name else {}
    before = look(name, Evidence(*tables), **few)
    after = look(name, Evidence(*(changed(table) for table in tables)), **few)
    assert after.value == pytest.approx(before.value, abs=1e-9)
    assert after.reference == pytest.approx(before.reference, abs=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_of_a_large_table_no_more_rows_are_read_than_said(name: str) -> None:
    found = look(name, worlds().evidence(worlds().fresh), most=200)
    assert found.rows == 200
    assert found.value is not None
