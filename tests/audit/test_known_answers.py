"""Releases whose faults are known: each metric must find what is wrong, and nothing in real rows."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence, Metric
from pipeline.registry import metric, metrics
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import Real, shuffled, with_units, world, world_schema

WORST = ("fidelity.worst_pair",)


def flipped(table: Table, rng: np.random.Generator) -> Table:
    """Turn six in ten approvals of women into refusals."""
    frame = table.frame.copy()
    wronged = (frame["sex"] == "female") & (frame["approved"] == "yes") & (rng.random(len(frame)) < 0.6)
    frame.loc[wronged, "approved"] = "no"
    return Table.conform(table.schema, frame)


def dropped(table: Table, rng: np.random.Generator) -> Table:
    """Leave the women out, and fill up with men."""
    men = np.flatnonzero(table.frame["sex"] == "male")
    return table.take(rng.choice(men, len(table)))


@cache
def worlds() -> Real:
    rng = np.random.default_rng(7)
    return Real(*(world(4_000, rng) for _ in range(3)))


@cache
def estimate(name: str, release: str) -> Estimate:
    real, rng = worlds(), np.random.default_rng(13)
    made = {
        "fresh": lambda: real.fresh,
        "copy": lambda: real.train.take(rng.permutation(len(real.train))),
        "shuffled": lambda: shuffled(real.train, rng),
        "flipped": lambda: flipped(real.fresh, rng),
        "dropped": lambda: dropped(real.fresh, rng),
    }[release]()
    return default(name)(real.evidence(made), np.random.default_rng(1))


def default(name: str) -> Metric:
    """Return a metric with its defaults, but for smaller forests: what is known here needs no large ones."""
    kind = metric(name)
    few = {"trees": {"rounds": 30}} if "trees" in kind.Config.model_fields else {}
    return kind(kind.Config.model_validate(few))


def worse(found: Estimate) -> bool:
    """Say whether an estimate where lower is better is beyond all doubt above its reference."""
    assert found.interval is not None and found.reference_interval is not None
    return found.interval.low > found.reference_interval.high


def alike(found: Estimate) -> bool:
    assert found.value is not None
    if found.reference_interval is None:
        return found.value == found.reference
    return found.reference_interval.low <= found.value <= found.reference_interval.high


@pytest.mark.parametrize("name", [name for name in metrics() if "refit" not in metric(name).needs])
def test_fresh_real_rows_lie_within_the_reference(name: str) -> None:
    found = estimate(name, "fresh")
    if name in WORST:
        # The reference is 1 by definition: the largest of many ratios of synthetic rows lies above it by chance.
        assert found.interval is not None and found.interval.low < 1.5
    else:
        assert alike(found)


def test_a_verbatim_copy_is_faithful_and_gives_everybody_away() -> None:
    assert (estimate("privacy.exact_copies", "copy").value or 0) > 0.99
    attack = estimate("privacy.membership_inference", "copy")
    assert (attack.value or 0) > 0.98
    assert max(float(row.get("found at 3 % false positives") or 0) for row in attack.detail) > 0.8
    assert (estimate("privacy.membership_epsilon", "copy").value or 0) > 3
    assert alike(estimate("fidelity.column_shapes", "copy"))
    assert alike(estimate("utility.train_synthetic_test_real", "copy"))


def test_shuffled_columns_have_the_right_shapes_and_no_trends() -> None:
    assert alike(estimate("fidelity.column_shapes", "shuffled"))
    assert worse(estimate("fidelity.pair_trends", "shuffled"))
    assert worse(estimate("fidelity.detection", "shuffled"))
    assert worse(estimate("validity.unseen_combinations", "shuffled"))
    assert worse(estimate("bias.group_prevalence", "shuffled"))
    assert alike(estimate("privacy.exact_copies", "shuffled"))
    assert alike(estimate("privacy.membership_inference", "shuffled"))
    useless = estimate("utility.train_synthetic_test_real", "shuffled")
    assert useless.interval is not None and useless.reference_interval is not None
    assert useless.interval.high < useless.reference_interval.low
    assert (estimate("fidelity.sdmetrics_quality", "shuffled").value or 1) < 0.9


def test_the_worst_pair_and_the_giveaway_are_named() -> None:
    assert {"city", "region"} == {
        estimate("fidelity.pair_trends", "shuffled").detail[0][side] for side in ("first", "second")
    }
    told = [row["column"] for row in estimate("fidelity.detection", "shuffled").detail[:2]]
    assert {"city", "region"} == set(told)
    pair = estimate("validity.unseen_combinations", "shuffled").detail[0]
    assert str(pair["first"]).startswith("city = ") and str(pair["second"]).startswith("region = ")


def test_refused_women_move_the_bias_metrics_and_not_detection() -> None:
    prevalence = estimate("bias.group_prevalence", "flipped")
    assert worse(prevalence)
    assert (prevalence.detail[0]["column"], prevalence.detail[0]["group"]) == ("sex", "female")
    opportunity = estimate("bias.equal_opportunity", "flipped")
    assert (opportunity.value or 0) > 0.4
    by_column = {row["column"]: row for row in opportunity.detail[:2]}
    assert opportunity.value == by_column["sex"]["difference"]
    assert float(by_column["sex"]["gap_low"] or 0) > 0
    assert (estimate("fidelity.detection", "flipped").value or 1) < 0.6


def test_a_vanished_group_is_seen() -> None:
    missing = estimate("bias.group_shares", "dropped")
    assert worse(missing)
    assert missing.value == 100
    assert (missing.detail[0]["column"], missing.detail[0]["group"]) == ("sex", "female")
    unknown = estimate("bias.group_prevalence", "dropped").interval
    assert unknown is not None and unknown.high == 100


def test_every_broken_row_is_counted(real: Real, rng: np.random.Generator) -> None:
    frame = real.fresh.frame.astype({"age": "float64"})
    frame.loc[:39, "age"] = 300.0
    frame["schooling"] = frame["schooling"].astype(object)
    frame.loc[20:59, "schooling"] = "kindergarten"
    table, broken = Table.coerce(world_schema(), frame)
    evidence = Evidence(real.train, real.holdout, table, broken.any(axis=1).to_numpy())
    found = default("validity.schema_violations")(evidence, rng)
    assert found.value == 60 / len(table)
    assert found.reference == 0
    rows = {row["column"]: row["rows"] for row in found.detail}
    assert rows == {"any, before coercion": 60, "age": 40, "schooling": 40}


def test_a_table_from_elsewhere_needs_no_keys(real: Real, rng: np.random.Generator) -> None:
    train, holdout, fresh = (with_units(table, 1, 0) for table in (real.train, real.holdout, real.fresh))
    frame = fresh.frame.drop(columns="person").astype({"age": "float64"})
    frame.loc[:39, "age"] = 300.0
    table, _ = Table.coerce(train.schema, frame)
    found = default("validity.schema_violations")(Evidence(train, holdout, table), rng)
    assert found.value == 40 / len(table)
    assert {row["column"]: row["rows"] for row in found.detail} == {"any, before coercion": 0, "age": 40}


def test_a_model_that_finds_no_positive_is_not_called_fair(real: Real, rng: np.random.Generator) -> None:
    nobody = Table.conform(real.fresh.schema, real.fresh.frame.assign(approved="no"))
    found = default("bias.equal_opportunity")(real.evidence(nobody), rng)
    assert found.value is None
    reason = "the model trained on synthetic rows finds no positive at all; equal rates of 0 say nothing"
    assert found.not_computed == reason


def test_near_copies_are_found_in_a_large_table_and_a_table_too_large_is_not_judged() -> None:
    rng = np.random.default_rng(5)
    names = ("a", "b", "c")
    schema = Schema(columns=tuple(Column(name=name, kind="continuous", physical="real") for name in names))
    train, holdout = rng.normal(size=(60_000, 3)), rng.normal(size=(6_000, 3))
    made = (train, holdout, train + rng.normal(0, 1e-4, train.shape))
    evidence = Evidence(*(Table.conform(schema, pd.DataFrame(rows, columns=list(names))) for rows in made))
    attack = metric("privacy.membership_inference")
    found = default("privacy.membership_inference")(evidence, rng)
    assert (found.value or 0) > 0.95
    assert 0.45 < (found.reference or 0) < 0.55
    assert found.rows == 60_000
    fewer = attack(attack.Config.model_validate({"work": 60_000 * 2 * 300 * 81}))(evidence, rng)
    assert {row.get("quantity"): row.get("value") for row in fewer.detail}["members, and as many non-members"] == 300
    assert (fewer.value or 0) > 0.95
    over = attack(attack.Config.model_validate({"synthetic": 59_999}))(evidence, rng)
    assert over.value is None
    assert "has 60,000 rows; this attack searches at most 59,999" in (over.not_computed or "")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("controls", [4_000, 1_000])
def test_the_share_of_pasted_rows_is_found_whatever_the_size_of_the_holdout(
    real: Real, rng: np.random.Generator, share: float, controls: int
) -> None:
    rows = int(share * len(real.train))
    frames = [real.train.frame[:rows], real.fresh.frame[rows:]]
    synthetic = Table.conform(real.train.schema, pd.concat(frames, ignore_index=True))
    evidence = Evidence(real.train, real.holdout.take(np.arange(controls)), synthetic)
    found = default("privacy.exact_copies")(evidence, rng)
    assert found.value == pytest.approx(share, abs=0.005)
    assert found.interval is not None and found.interval.low <= share <= found.interval.high


def test_a_coarse_table_is_no_evidence_of_copying_either_way(real: Real, rng: np.random.Generator) -> None:
    schema = world_schema()
    coarse = schema.model_copy(update={"columns": tuple(schema[name] for name in ("sex", "region", "schooling"))})
    tables = [Table(coarse, table.frame[list(coarse.names)]) for table in (real.train, real.holdout, real.train)]
    found = default("privacy.exact_copies")(Evidence(*tables), rng)
    assert found.value is None and "even a verbatim copy" in (found.not_computed or "")


def test_rows_of_one_person_do_not_give_real_rows_away(real: Real, rng: np.random.Generator) -> None:
    tables = [
        with_units(table, 8, 10_000 * place) for place, table in enumerate((real.train, real.holdout, real.fresh))
    ]
    for name in ("fidelity.detection", "privacy.membership_inference", "utility.train_synthetic_test_real"):
        found = default(name)(Evidence(*tables), rng)
        assert found.reference is not None and found.reference < 0.85, name
        if not name.startswith("utility"):
            assert 0.4 < found.reference < 0.6, name


@pytest.mark.parametrize("name", ["fidelity.column_shapes", "fidelity.pair_trends"])
def test_neither_units_of_measure_nor_the_order_of_columns_and_categories_matter(name: str, real: Real) -> None:
    def changed(table: Table) -> Table:
        columns = [
            column.model_copy(update={"categories": column.categories[::-1]})
            if column.kind == "categorical"
            else column.model_copy(update={"minimum": None, "maximum": None})
            for column in table.schema.columns[::-1]
        ]
        frame = table.frame.assign(income=table.frame["income"] * 1024)
        return Table.conform(table.schema.model_copy(update={"columns": tuple(columns)}), frame)

    tables = (real.train, real.holdout, real.fresh)
    before = default(name)(Evidence(*tables), np.random.default_rng(2))
    after = default(name)(Evidence(*(changed(table) for table in tables)), np.random.default_rng(2))
    assert after.value == pytest.approx(before.value, abs=1e-12)
    assert after.reference == pytest.approx(before.reference, abs=1e-12)


@pytest.mark.parametrize("name", ["fidelity.column_shapes", "fidelity.pair_trends", "privacy.exact_copies"])
def test_the_order_of_rows_matters_less_than_the_interval(name: str, real: Real, rng: np.random.Generator) -> None:
    before = default(name)(real.evidence(real.fresh), rng)
    tables = (table.take(rng.permutation(len(table))) for table in (real.train, real.holdout, real.fresh))
    after = default(name)(Evidence(*tables), rng)
    assert before.interval is not None and after.value is not None
    assert before.interval.low <= after.value <= before.interval.high
