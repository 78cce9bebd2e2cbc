"""Shares of single columns: what is there is counted, and no small cell is shown."""

import numpy as np
import pandas as pd
import pytest

from audit.core import Evidence
from audit.report.marginals import BINS, CATEGORIES, SMALLEST_CELL, marginals
from tabular.schema import Column, Schema
from tabular.table import Table


def people(rows, rng, rare=0):
    ages = rng.integers(18, 90, rows)
    town = rng.choice(["north", "south"], rows).astype(object)
    town[:rare] = "hermitage"
    spend = np.where(rng.random(rows) < 0.4, 0.0, np.exp(rng.normal(4, 2, rows)))
    born = pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, rows), unit="D")
    return pd.DataFrame(
        {"age": ages, "town": town, "spend": spend, "born": born, "fit": rng.random(rows) < 0.5, "id": town}
    )


PEOPLE = Schema(
    columns=(
        Column(name="age", kind="integer", physical="integer", minimum=0, maximum=120, nullable=True),
        Column(
            name="town", kind="categorical", physical="text", categories=("north", "south", "hermitage"), nullable=True
        ),
        Column(name="spend", kind="semicontinuous", physical="real", spikes=(0.0,)),
        Column(name="born", kind="date", physical="date"),
        Column(name="fit", kind="boolean", physical="boolean", categories=(False, True)),
        Column(name="id", kind="text", physical="text"),
    )
)


def evidence(rare=0, holdout=2000, seed=0):
    rng = np.random.default_rng(seed)
    train, synthetic = (Table.conform(PEOPLE, people(1500, rng)) for _ in range(2))
    return Evidence(train, Table.conform(PEOPLE, people(holdout, rng, rare)), synthetic)


@pytest.mark.parametrize("rare", [0, 1, 9, 10, 300])
@pytest.mark.parametrize("holdout", [400, 2000])
def test_no_cell_tells_of_fewer_than_ten_real_rows(rare, holdout):
    found = evidence(rare, holdout)
    shown = marginals(found)
    assert [one.column for one in shown] == ["age", "town", "spend", "born", "fit"]
    for one in shown:
        rows = np.array(one.real) * holdout
        assert np.all((rows >= SMALLEST_CELL - 0.5) | (rows == 0)), one.column
        assert sum(one.real) == pytest.approx(1, abs=1e-3) and sum(one.synthetic) == pytest.approx(1, abs=1e-3)
        assert len(one.labels) <= max(BINS, CATEGORIES) + 2
    town = shown[1]
    assert ("hermitage" in town.labels) == (rare >= SMALLEST_CELL)


def test_no_edge_is_the_value_of_a_single_row():
    found = evidence()
    frame = found.holdout.frame.copy()
    frame.loc[0, "spend"] = 987_654.321
    frame.loc[0, "age"] = 119
    odd = Evidence(found.train, Table.conform(PEOPLE, frame), found.synthetic)
    labels = " ".join(" ".join(one.labels) for one in marginals(odd))
    assert "987" not in labels and "119" not in labels


def test_marginals_count_what_is_there():
    rng = np.random.default_rng(1)
    schema = Schema(
        columns=(Column(name="k", kind="integer", physical="integer", minimum=0, maximum=3, nullable=True),)
    )
    table = Table.conform(schema, pd.DataFrame({"k": [0] * 40 + [1] * 30 + [3] * 20 + [None] * 10}))
    other = table.take(rng.permutation(100).astype(np.int64))
    (found,) = marginals(Evidence(table, table, other))
    assert found.labels == ("0", "1", "2 to 3", "missing")
    assert found.real == found.synthetic == (0.4, 0.3, 0.2, 0.1)
    assert found.difference == 0


def test_without_a_holdout_the_training_rows_stand_in_and_too_few_rows_show_nothing():
    found = evidence()
    none = found.holdout.take(np.array([], dtype=np.int64))
    assert {one.against for one in marginals(Evidence(found.train, none, found.synthetic))} == {"train"}
    few = found.holdout.take(np.arange(SMALLEST_CELL - 1))
    assert all(one.labels == () for one in marginals(Evidence(found.train, few, found.synthetic)))


def test_a_rare_event_is_told_from_none():
    schema = Schema(columns=(Column(name="k", kind="integer", physical="integer", minimum=0, maximum=27),))
    table = Table.conform(schema, pd.DataFrame({"k": [0] * 2000 + [1] * 20 + [27] * 5}))
    (found,) = marginals(Evidence(table, table, table))
    assert found.labels == ("0", "1 and over")
    assert found.real == pytest.approx((2000 / 2025, 25 / 2025), abs=1e-5)
