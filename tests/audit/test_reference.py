"""Parts of the holdout, intervals and distances: the laws that every metric leans on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core import Evidence, NotComputable
from audit.intervals import auc, auc_interval, half_samples
from audit.neighbours import encode, nearest
from audit.reading import bins, levels
from audit.reference import match, parts, units
from tabular.table import Table
from tests.audit.conftest import Real, with_units, world


@given(st.integers(1, 9), st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_parts_hold_every_row_once_and_split_no_person(repeats: int, count: int, seed: int) -> None:
    table = with_units(_small(), repeats, 0)
    found = parts(table, count, np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.concatenate(found)), np.arange(len(table)))
    persons = [set(units(table)[part]) for part in found]
    assert sum(len(each) for each in persons) == len(set.union(*persons))
    assert max(len(part) for part in found) - min(len(part) for part in found) <= 2 * repeats


def test_rows_without_a_person_are_persons_of_their_own() -> None:
    table = with_units(_small(), 3, 0)
    nobody = Table(table.schema, table.frame.assign(person=pd.array([None] * len(table), dtype="Int64")))
    assert len(np.unique(units(nobody))) == len(nobody)


@pytest.mark.parametrize("rows", [700, 3_000, 4_000])
def test_matched_rows_are_as_many_on_both_sides_and_half_the_synthetic_ones_at_most(
    real: Real, rng: np.random.Generator, rows: int
) -> None:
    evidence = Evidence(real.train, real.holdout, real.fresh.take(np.arange(rows)))
    split, again = match(evidence, rng, 50), match(evidence, rng, 50)
    assert len(split.real) == 2_000
    assert len(split.fresh) == len(split.synthetic) == rows // 2
    assert not set(split.real) & set(split.fresh)
    assert set(split.synthetic) != set(again.synthetic)
    assert len(match(evidence, rng, 50, 100).synthetic) == 100


def test_too_few_rows_to_split_are_refused(real: Real, rng: np.random.Generator) -> None:
    few = Evidence(real.train, real.holdout, real.fresh.take(np.arange(99)))
    with pytest.raises(NotComputable, match="half of the synthetic table has 49 rows"):
        match(few, rng, 50)
    with pytest.raises(NotComputable, match="half of the holdout has 20 rows"):
        match(Evidence(real.train, real.holdout.take(np.arange(40)), real.fresh), rng, 50)


def test_half_samples_cover_the_truth_as_often_as_they_say(rng: np.random.Generator) -> None:
    covered = 0
    for _ in range(400):
        x = rng.normal(size=300)
        means = [x[rng.permutation(300)[:150]].mean() for _ in range(10)]
        found = half_samples(means)
        covered += found.low <= 0 <= found.high
    assert 0.91 < covered / 400 < 0.99


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_intervals_of_an_auc_cover_the_truth_as_often_as_they_say(shift: float, rng: np.random.Generator) -> None:
    labels = np.arange(160) < 80
    truth = float((rng.normal(shift, size=400_000) > rng.normal(size=400_000)).mean())
    covered = 0
    for _ in range(300):
        found = auc_interval(auc(rng.normal(size=160) + shift * labels, labels), 80, 80)
        covered += found.low <= truth <= found.high
    assert covered / 300 > 0.92


@pytest.mark.parametrize("value", [0.0, 0.5, 0.987, 1.0])
def test_the_interval_of_an_auc_has_a_width_even_at_its_ends(value: float) -> None:
    found = auc_interval(value, 50, 50)
    assert 0 <= found.low <= value <= found.high <= 1
    assert found.high - found.low > 0.01


def test_half_samples_of_few_synthetic_rows_cover_the_truth(real: Real, rng: np.random.Generator) -> None:
    few = Evidence(real.train, real.holdout, real.fresh.take(np.arange(200)))
    covered = 0
    for _ in range(200):
        x = rng.normal(size=200)
        found = half_samples([x[match(few, rng, 50).synthetic].mean() for _ in range(10)])
        covered += found.low <= 0 <= found.high
    assert covered / 200 > 0.9


def test_missing_is_the_last_code(real: Real) -> None:
    for column in real.train.schema.modelled:
        missing = real.train.frame[column.name].isna().to_numpy()
        (exact,), size = levels(column, (real.train,))
        coarse = bins(column, real.train, (real.train,))
        for codes, last in ((exact, size - 1), (coarse.codes[0], coarse.size - 1)):
            assert codes.min() >= 0 and codes.max() <= last
            assert np.array_equal(codes == last, missing)
        assert len(coarse.names) == coarse.size


def test_bins_hold_like_shares_and_a_spike_alone(real: Real) -> None:
    income = bins(real.train.schema["income"], real.train, (real.train,), widest=8).codes[0]
    assert np.bincount(income, minlength=9)[:8] == pytest.approx(len(real.train) / 8, abs=1)
    savings = real.train.numbers("savings")
    first = bins(real.train.schema["savings"], real.train, (real.train,)).codes[0] == 0
    assert np.array_equal(first, savings == 0)


def test_unequal_categories_lie_at_distance_one(real: Real) -> None:
    rows = real.train.take(np.array([0, 0]))
    frame = rows.frame.copy()
    frame.loc[1, "region"] = "north" if frame.loc[0, "region"] != "north" else "south"
    points = encode(real.holdout, Table.conform(rows.schema, frame), categories=50)
    assert np.linalg.norm(points[0] - points[1]) == pytest.approx(1, abs=1e-6)
    frame.loc[1, "savings"] = None if pd.notna(frame.loc[0, "savings"]) else 0.0
    points = encode(real.holdout, Table.conform(rows.schema, frame), categories=50)
    assert np.linalg.norm(points[0] - points[1]) >= np.sqrt(2) - 1e-6


def test_the_nearest_row_is_the_nearest_row(rng: np.random.Generator) -> None:
    queries, rows = (rng.normal(size=(size, 5)).astype(np.float32) for size in (30, 40))
    brute = np.linalg.norm(queries[:, None] - rows[None], axis=2).min(axis=1)
    assert nearest(queries, rows)[:, 0] == pytest.approx(brute, abs=1e-4)


def _small() -> Table:
    return world(90, np.random.default_rng(1))
