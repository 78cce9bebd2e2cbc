"""Laws of the copy detector: what was pasted is what is found, chance is taken off, and a coarse table is no pass."""

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence
from audit.privacy.exact_copies import ExactCopies, hashes
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import Real, with_units, world, world_schema

FAILS_BEYOND, AT_MOST = 0.002, 0.005


def copies(train: Table, holdout: Table, synthetic: Table) -> Estimate:
    return ExactCopies(ExactCopies.Config())(Evidence(train, holdout, synthetic), np.random.default_rng(3))


def pasted(train: Table, fresh: Table, share: float) -> Table:
    rows = round(share * len(fresh))
    return train.take(np.arange(rows)).joined(fresh.take(np.arange(rows, len(fresh))))


def only(table: Table, *names: str) -> Table:
    schema = table.schema.model_copy(update={"columns": tuple(table.schema[name] for name in names)})
    return Table(schema, table.frame[list(names)])


def fails(found: Estimate) -> bool:
    assert found.interval is not None
    return found.interval.low > FAILS_BEYOND


def passes(found: Estimate) -> bool:
    assert found.interval is not None
    return found.interval.high <= AT_MOST


@pytest.fixture(scope="module")
def large() -> Real:
    rng = np.random.default_rng(23)
    return Real(*(world(8_000, rng) for _ in range(3)))


def test_one_pasted_row_in_a_hundred_fails_and_fresh_rows_pass(large: Real) -> None:
    assert fails(copies(large.train, large.holdout, pasted(large.train, large.fresh, 0.01)))
    assert passes(copies(large.train, large.holdout, large.fresh))


@pytest.mark.parametrize("seed", range(5))
def test_five_in_a_hundred_fail_from_a_thousand_rows_and_fresh_rows_pass_from_two_thousand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, holdout, fresh = (world(1_000, rng) for _ in range(3))
    assert fails(copies(train, holdout, pasted(train, fresh, 0.05)))
    assert not fails(copies(train, holdout, fresh))
    train, holdout, fresh = (world(2_000, rng) for _ in range(3))
    assert passes(copies(train, holdout, fresh))


def test_the_share_found_rises_with_the_share_pasted(large: Real) -> None:
    shares = (0.0, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0)
    found = [copies(large.train, large.holdout, pasted(large.train, large.fresh, share)) for share in shares]
    values = [each.value or 0.0 for each in found]
    assert values == sorted(values)
    assert values == pytest.approx(shares, abs=0.002)
    for each, share in zip(found, shares, strict=True):
        assert each.interval is not None and each.interval.low <= share <= each.interval.high


def test_a_bootstrap_and_perturbed_rows_fail(large: Real, rng: np.random.Generator) -> None:
    drawn = copies(large.train, large.holdout, large.train.take(rng.integers(8_000, size=8_000)))
    assert fails(drawn) and (drawn.value or 0) > 0.99
    cells = {
        name: large.train.frame[name]
        .take(np.where(rng.random(8_000) < 0.3, rng.permutation(8_000), np.arange(8_000)))
        .to_numpy()
        for name in large.train.schema.names
    }
    frame = pd.DataFrame(cells).astype(large.train.frame.dtypes.to_dict())
    found = copies(large.train, large.holdout, Table.conform(large.train.schema, frame))
    assert fails(found)
    assert 0.5 * 0.7**10 < (found.value or 0) < 0.2


def test_rows_duplicated_within_the_release_are_no_leak(large: Real) -> None:
    fresh = large.fresh.take(np.arange(8_000) % 6_400)
    assert passes(copies(large.train, large.holdout, fresh))


def test_common_combinations_do_not_hide_a_paste_nor_make_one_up() -> None:
    rng = np.random.default_rng(9)
    names = ("sex", "region", "schooling", "age", "married", "approved", "city")
    train, holdout, fresh = (only(world(8_000, rng), *names) for _ in range(3))
    assert not fails(copies(train, holdout, fresh))
    found = copies(train, holdout, pasted(train, fresh, 0.2))
    assert fails(found)
    assert found.interval is not None and found.interval.low <= 0.2 <= found.interval.high
    rows = {str(row["rows"]): row for row in found.detail}
    assert float(rows["training rows that are lone"]["in_train"] or 1) < 0.5
    assert float(rows["synthetic, against all real rows"]["in_control"] or 0) > 0.1


def test_a_table_too_coarse_to_show_a_copy_is_never_passed(real: Real) -> None:
    coarse = [only(table, "sex", "region", "schooling") for table in (real.train, real.holdout)]
    for synthetic in (coarse[0], coarse[1]):
        found = copies(*coarse, synthetic)
        assert found.value is None
        assert "even a verbatim copy" in (found.not_computed or "")


def test_rows_of_one_person_are_one_witness(real: Real) -> None:
    train, holdout = with_units(real.train, 8, 0), with_units(real.holdout, 8, 10_000)
    fresh = with_units(real.fresh, 8, 20_000)
    copied = copies(train, holdout, train)
    assert copied.value == 1.0
    once = copies(real.train, real.holdout, real.train)
    assert copied.interval is not None and once.interval is not None
    assert copied.interval.low < once.interval.low
    assert not fails(copies(train, holdout, fresh))


def test_the_power_told_is_the_power_there_is(large: Real) -> None:
    told = copies(large.train, large.holdout, large.fresh).power
    assert told == "Had 1% of these rows been copied from the training rows, it would have been found."
    small = [table.take(np.arange(200)) for table in (large.train, large.holdout, large.fresh)]
    said = copies(*small).power or ""
    for share in (0.01, 0.02, 0.05, 0.1):
        found = fails(copies(small[0], small[1], pasted(small[0], small[2], share)))
        assert found == (share >= float(said.split("%")[0].split()[-1]) / 100)


def test_the_order_of_rows_and_columns_changes_nothing(real: Real, rng: np.random.Generator) -> None:
    synthetic = pasted(real.train, real.fresh, 0.1)
    before = copies(real.train, real.holdout, synthetic)
    tables = [table.take(rng.permutation(len(table))) for table in (real.train, real.holdout, synthetic)]
    turned = tuple(reversed(world_schema().names))
    train, holdout, synthetic = (only(table, *turned) for table in tables)
    after = copies(train, holdout, synthetic)
    assert (after.value, after.interval) == (before.value, before.interval)


def test_equal_rows_have_equal_hashes_whatever_the_sign_of_zero() -> None:
    schema = Schema(columns=(Column(name="x", kind="continuous", physical="real", nullable=True),))
    table = Table.conform(schema, pd.DataFrame({"x": [0.0, -0.0, np.nan, np.nan, 1.0]}))
    found = hashes(table)
    assert found[0] == found[1] and found[2] == found[3]
    assert len(np.unique(found)) == 3
