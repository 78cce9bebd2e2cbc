"""The releases of the known-answer suite are what they say they are."""

import numpy as np
import pandas as pd
import pytest

from audit.core import QUESTIONS
from tabular.table import Table
from tests.audit.generators import (
    Generator,
    bootstrap,
    canaries,
    cart,
    copula,
    duplicated,
    network,
    pasted,
    planted,
    resampled,
    shuffled,
    smote,
    where,
)
from tests.audit.releases import CASES, REAL, coarse, contaminated, missing_column, overlapping, real_world
from tests.tables import needs_adult

GENERATORS: dict[str, Generator] = {
    "trees": cart(20),
    "smote": smote(),
    "network": network(),
    "noisy network": network(1.0),
    "copula": copula,
    "shuffled": shuffled,
    "bootstrap": bootstrap,
}
TABLES = ["world", pytest.param("adult", marks=needs_adult)]


def rows_of(table: Table) -> list[tuple[object, ...]]:
    return list(map(tuple, table.frame.astype(str).to_numpy()))


def shared(table: Table, other: Table) -> float:
    known = set(rows_of(other))
    return float(np.mean([row in known for row in rows_of(table)]))


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("which", TABLES)
def test_generators_keep_the_schema_and_the_number_of_rows(which: str, name: str, rng: np.random.Generator) -> None:
    train = REAL[which]().train.take(np.arange(1_000))
    made = GENERATORS[name](train, 700, rng)
    assert len(made) == 700
    pd.testing.assert_frame_equal(Table.conform(train.schema, made.frame).frame, made.frame)


@pytest.mark.parametrize("which", TABLES)
def test_real_rows_are_disjoint_and_keep_their_rules(which: str) -> None:
    real = REAL[which]()
    assert shared(real.holdout, real.train) < 0.002 and shared(real.fresh, real.train) < 0.002
    for table in (real.train, real.holdout, real.fresh):
        assert not any(rule.broken(table).any() for rule in real.declared.rules)


@pytest.mark.parametrize("which", TABLES)
def test_one_row_in_a_hundred_breaks_a_rule(which: str, rng: np.random.Generator) -> None:
    real = REAL[which]()
    made = CASES["rule broken in one row of a hundred"].make(real, rng)
    assert isinstance(made, Table)
    broken = np.any([rule.broken(made) for rule in real.declared.rules], axis=0)
    assert broken.mean() == pytest.approx(0.01, abs=0.0005)


def test_trees_with_leaves_of_one_row_print_their_rows_and_larger_ones_do_not(rng: np.random.Generator) -> None:
    train = real_world().train.take(np.arange(2_000))
    assert shared(cart(1)(train, 2_000, rng), train) > 0.95
    assert shared(cart(50)(train, 2_000, rng), train) < 0.01


def test_shares_are_those_asked_for(rng: np.random.Generator) -> None:
    real = real_world()
    assert shared(pasted(real.fresh, real.train, 0.05, rng), real.train) == pytest.approx(0.05, abs=1e-9)
    assert duplicated(real.fresh, 0.2, rng).frame.duplicated().mean() == pytest.approx(0.2, abs=1e-9)
    redrawn = resampled(real.train, 0.3, rng).frame["income"] != real.train.frame["income"]
    assert redrawn.mean() == pytest.approx(0.3, abs=0.02)
    for name in real.train.schema.names:
        before, after = (
            table.frame[name].value_counts(dropna=False).sort_index()
            for table in (real.train, shuffled(real.train, len(real.train), rng))
        )
        pd.testing.assert_series_equal(before, after)


def test_a_network_without_noise_keeps_pairs_that_depend_and_noise_breaks_them(rng: np.random.Generator) -> None:
    real = real_world()
    rules = real.declared.rules

    def broken(made: Table) -> float:
        return float(np.any([rule.broken(made) for rule in rules], axis=0).mean())

    assert broken(network()(real.train, 5_000, rng)) < 0.001
    assert broken(network(1.0)(real.train, 5_000, rng)) > 0.01


def test_canaries_stand_there_as_often_as_planted(rng: np.random.Generator) -> None:
    train = real_world().train
    birds = canaries(train, 20, rng)
    assert shared(birds, train) == 0
    among = planted(train, birds, 5)
    assert len(among) == len(train)
    known = set(rows_of(birds))
    assert sum(row in known for row in rows_of(among)) == 100


def test_cases_name_questions_and_verdicts(rng: np.random.Generator) -> None:
    words = {"passed", "failed", "inconclusive"}
    for case in CASES.values():
        for table in REAL:
            answers = case.answers(table)
            assert set(answers) <= set(QUESTIONS) and answers
            assert all(allowed and allowed <= words for allowed in answers.values())
    assert {case.number for case in CASES.values()} == set(range(1, 16))


@pytest.mark.parametrize("which", TABLES)
def test_groups_are_wronged_and_dropped(which: str, rng: np.random.Generator) -> None:
    real = REAL[which]()
    name, positive, _ = real.target
    group = where(real.fresh, *real.wronged)
    unjust = CASES["positives of one group turned"].make(real, rng)
    assert isinstance(unjust, Table)
    before, after = (where(table, name, positive) for table in (real.fresh, unjust))
    assert after[group].sum() / before[group].sum() == pytest.approx(0.7, abs=0.05)
    assert (after[~group] == before[~group]).all()
    without = CASES["small group dropped"].make(real, rng)
    assert isinstance(without, Table)
    assert not where(without, *real.small).any() and where(real.fresh, *real.small).mean() > 0.01


def test_broken_rows_are_seen_when_they_are_coerced(rng: np.random.Generator) -> None:
    real = real_world()
    for name, share in (
        ("category never heard of", 0.01),
        ("number out of range", 0.01),
        ("column of the wrong type", 1.0),
        ("missing column", 1.0),
    ):
        made = CASES[name].make(real, rng)
        assert isinstance(made, pd.DataFrame)
        _, broken = Table.coerce(real.train.schema, made)
        assert broken.any(axis=1).mean() == pytest.approx(share, abs=0.004)
    assert real.number not in missing_column(real, rng)


@pytest.mark.parametrize("which", TABLES)
def test_contamination_and_coarseness(which: str, rng: np.random.Generator) -> None:
    real = REAL[which]()
    assert shared(contaminated(real, rng), real.holdout) > 0.2
    assert shared(overlapping(real, rng).holdout, real.train) == pytest.approx(1 / 3, abs=0.01)
    few = coarse(real)
    assert 4 <= len(few.train.schema.columns) <= 6
    assert shared(few.fresh, few.train) > 0.5
