"""Rows of one person are no independent evidence: intervals cover the truth as often as they say."""

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence
from audit.intervals import auc, auc_interval, wilson
from audit.reference import independent, one_each, units
from pipeline.registry import metric
from tabular.table import Table
from tests.audit.conftest import with_units, world

PERSONS = 100
REPEATS = 5


@pytest.fixture(scope="module")
def people() -> Table:
    return with_units(world(PERSONS * REPEATS, np.random.default_rng(1)), REPEATS, 0)


def test_persons_are_counted_and_not_their_rows(people: Table, rng: np.random.Generator) -> None:
    assert independent(people) == pytest.approx(PERSONS)
    assert independent(world(50, rng)) == 50
    nobody = Table(people.schema, people.frame.assign(person=pd.array([None] * len(people), dtype="Int64")))
    assert independent(nobody) == len(people)
    uneven = people.take(np.append(np.arange(REPEATS), np.arange(REPEATS, PERSONS * REPEATS, REPEATS)))
    assert PERSONS / 2 < independent(uneven) < PERSONS
    rows = one_each(people, rng)
    assert np.array_equal(np.sort(units(people)[rows]), np.arange(PERSONS))
    assert len(set(rows % REPEATS)) > 1


def test_intervals_of_rows_that_repeat_themselves_cover_the_truth(people: Table, rng: np.random.Generator) -> None:
    size, rows, turns = independent(people), len(people), 300
    members = np.arange(2 * rows) < rows
    covered = np.zeros(4)
    for _ in range(turns):
        area = auc(np.repeat(rng.normal(size=2 * PERSONS), REPEATS), members)
        share = float(np.repeat(rng.random(PERSONS) < 0.3, REPEATS).mean())
        found = (
            (auc_interval(area, size, size), 0.5),
            (wilson(share * size, size), 0.3),
            (auc_interval(area, rows, rows), 0.5),
            (wilson(share * rows, rows), 0.3),
        )
        covered += [each.low <= truth <= each.high for each, truth in found]
    assert (covered[:2] / turns > 0.92).all()
    assert (covered[2:] / turns < 0.75).all()


def look(name: str, seed: int, **settings: object) -> Estimate:
    """Judge new persons of the same world, each with five rows that are the same."""
    rng = np.random.default_rng(seed)
    train, holdout, fresh = (with_units(world(PERSONS * REPEATS, rng), REPEATS, 10_000 * place) for place in range(3))
    kind = metric(name)
    return kind(kind.Config.model_validate(settings))(Evidence(train, holdout, fresh), rng)


def test_an_attack_on_new_persons_finds_nobody() -> None:
    found = [look("privacy.membership_inference", seed) for seed in range(40)]
    intervals = [each for estimate in found for each in (estimate.interval, estimate.reference_interval)]
    assert np.mean([each is not None and each.low <= 0.5 <= each.high for each in intervals]) > 0.85
    bounds = [look("privacy.membership_epsilon", seed) for seed in range(40)]
    assert np.mean([(side or 0) > 0 for each in bounds for side in (each.value, each.reference)]) < 0.05


def test_real_persons_are_not_told_from_real_persons() -> None:
    found = [look("fidelity.detection", seed, trees={"rounds": 5}).reference_interval for seed in range(20)]
    assert np.mean([each is not None and each.low <= 0.5 <= each.high for each in found]) > 0.85
