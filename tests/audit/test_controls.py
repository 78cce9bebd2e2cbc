"""Rows whose faults are known: they are what they say, and nothing of the audit's own rows changes for them."""

import numpy as np
import pandas as pd
import pytest

from audit.controls import CONTROLS, OF_MODELS, OF_ROWS, PASTED, Make, copy, dealt, fresh, paste, shuffled
from audit.core import QUESTIONS, Declared, Evidence, NotComputable
from pipeline.registry import metrics
from tests.audit.conftest import Real, with_units


def keys(table) -> np.ndarray:
    return pd.util.hash_pandas_object(table.frame, index=False).to_numpy()


def test_the_fresh_control_uses_every_real_row_once(real: Real, rng: np.random.Generator) -> None:
    before = real.evidence(real.fresh)
    made = fresh(before, rng)
    whole = np.sort(np.concatenate([keys(real.train), keys(real.holdout)]))
    found = np.sort(np.concatenate([keys(made.train), keys(made.holdout), keys(made.synthetic)]))
    assert (whole == found).all()
    assert np.isin(keys(made.synthetic), keys(real.holdout)).all()
    assert len(made.synthetic) == pytest.approx(len(real.holdout) / 2, abs=1)
    assert len(made.holdout) == pytest.approx(len(real.holdout) * 5 / 6, rel=0.01)


@pytest.mark.parametrize("make", [fresh, dealt])
def test_persons_stay_on_one_side_of_the_fresh_control(make: Make, real: Real, rng: np.random.Generator) -> None:
    tables = [with_units(table, 8, 10_000 * place) for place, table in enumerate((real.train, real.holdout))]
    made = make(Evidence(*tables, tables[1]), rng)
    persons = [set(table.frame["person"]) for table in (made.train, made.holdout, made.synthetic)]
    assert not (persons[0] & persons[1]) and not (persons[0] & persons[2]) and not (persons[1] & persons[2])


def test_models_learn_from_a_third_of_all_real_rows_as_if_synthetic(real: Real, rng: np.random.Generator) -> None:
    made = dealt(real.evidence(real.fresh), rng)
    whole = np.sort(np.concatenate([keys(real.train), keys(real.holdout)]))
    tables = (made.train, made.holdout, made.synthetic)
    assert (np.sort(np.concatenate([keys(table) for table in tables])) == whole).all()
    assert [len(table) for table in tables] == pytest.approx([len(whole) / 3] * 3, abs=1)
    for table in tables:
        assert np.isin(keys(table), keys(real.train)).mean() == pytest.approx(0.5, abs=0.05)


def test_only_what_models_learn_from_is_dealt_anew(real: Real) -> None:
    made = {name: {kind.name: kind.rows(name)[1] for kind in CONTROLS} for name in metrics()}
    assert set(OF_ROWS) <= set(made)
    assert set(OF_MODELS) <= set(QUESTIONS)
    for name, kinds in made.items():
        learns = name.split(".")[0] in OF_MODELS and name not in OF_ROWS
        assert kinds["fresh"] is (dealt if learns else fresh), name
    assert all(kinds["copy"] is copy for kinds in made.values())


def test_a_copy_is_the_training_rows(real: Real, rng: np.random.Generator) -> None:
    made = copy(real.evidence(real.fresh), rng)
    assert (np.sort(keys(made.synthetic)) == np.sort(keys(real.train))).all()
    assert (keys(made.synthetic) != keys(real.train)).any()


def test_a_paste_changes_one_row_in_twenty(real: Real, rng: np.random.Generator) -> None:
    made = paste(real.evidence(real.fresh), rng)
    assert len(made.synthetic) == len(real.fresh)
    pasted = np.isin(keys(made.synthetic), keys(real.train))
    assert pasted.mean() == pytest.approx(PASTED)
    assert np.isin(keys(made.synthetic)[~pasted], keys(real.fresh)).all()


def test_shuffling_keeps_each_column_and_no_row(real: Real, rng: np.random.Generator) -> None:
    made = shuffled(real.evidence(real.fresh), rng)
    for name in real.train.schema.names:
        assert made.synthetic.frame[name].value_counts().equals(
            real.train.frame[name].value_counts()
        ) or made.synthetic.frame[name].sort_values(ignore_index=True).equals(
            real.train.frame[name].sort_values(ignore_index=True)
        )
    assert np.isin(keys(made.synthetic), keys(real.train)).mean() < 0.01


@pytest.mark.parametrize("kind", CONTROLS, ids=lambda kind: kind.name)
def test_controls_are_seeded_and_keep_what_was_declared(kind, real: Real) -> None:
    evidence = Evidence(real.train, real.holdout, real.fresh, declared=Declared(secrets=("sex",)), seed=5)
    first, again = (kind.make(evidence, np.random.default_rng(3)) for _ in range(2))
    assert first.synthetic.frame.equals(again.synthetic.frame)
    assert (first.declared, first.seed, len(evidence.synthetic)) == (evidence.declared, 5, len(real.fresh))


def test_too_few_rows_say_so(real: Real, rng: np.random.Generator) -> None:
    with pytest.raises(NotComputable, match="too few"):
        fresh(Evidence(real.train, real.holdout.take(np.arange(1)), real.fresh), rng)
    with pytest.raises(NotComputable, match="too few"):
        dealt(Evidence(real.train.take(np.arange(1)), real.holdout.take(np.arange(1)), real.fresh), rng)
