"""The whole joint distribution: who tells synthetic rows, by what, and which supports they fill."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence
from audit.detector import Detected, Detector, Scores, detect
from audit.fidelity.detection import Detection
from audit.fidelity.pmse import Pmse, squared
from audit.giveaways import easiest, regions
from audit.neighbours import nearest
from audit.supports import evenness, filled, first_inside, ranks, reach_of
from pipeline.registry import metric
from tabular.table import Table
from tests.audit.conftest import Real, shuffled, with_units, world, world_schema

TREES = {"rounds": 30}


@cache
def worlds() -> Real:
    rng = np.random.default_rng(7)
    return Real(*(world(4_000, rng) for _ in range(3)))


@cache
def release(name: str) -> Table:
    real, rng = worlds(), np.random.default_rng(13)
    if name == "shuffled":
        return shuffled(real.train, rng)
    if name == "old women":
        frame = real.fresh.frame.copy()
        frame.loc[(frame["sex"] == "female") & (rng.random(len(frame)) < 0.5), "age"] = 88
        frame.loc[rng.random(len(frame)) < 0.3, "savings"] = np.nan
        return Table.conform(world_schema(), frame)
    if name == "one city":
        return real.fresh.take(np.flatnonzero(real.fresh.frame["city"] == "city 00"))
    return {"fresh": real.fresh, "holdout": real.holdout}[name]


@cache
def evidence(name: str) -> Evidence:
    return worlds().evidence(release(name))


@cache
def look(name: str, made: str) -> Estimate:
    kind = metric(f"fidelity.{name}")
    few = {"trees": TREES} if "trees" in kind.Config.model_fields else {}
    return kind(kind.Config.model_validate(few))(evidence(made), np.random.default_rng(1))


def seen(name: str) -> Detected:
    return detect(evidence(name), Detector.model_validate({"trees": TREES}))


def holds(condition: str, frame: pd.DataFrame) -> np.ndarray:
    """Say which rows keep a condition of a region's rule, read as a person would read it."""
    if between := re.fullmatch(r"(\S+) < (\S+) <= (\S+)", condition):
        low, name, high = between.groups()
        return holds(f"{name} > {low}", frame) & holds(f"{name} <= {high}", frame)
    name, rest = condition.split(" ", 1)
    values = frame[name]
    if rest in ("missing", "present"):
        return np.asarray(values.isna() == (rest == "missing"))
    words = values.astype("string").fillna("missing")
    if rest.startswith("= "):
        return np.asarray(words == rest[2:])
    if rest.startswith("not "):
        return np.asarray(~words.isin(rest[4:].split(", ")))
    sign, edge = rest.removesuffix(" or missing").split(" ", 1)
    missing = np.asarray(values.isna()) & rest.endswith(" or missing")
    if values.dtype == "category":
        order = [str(category) for category in values.cat.categories]
        place, limit = values.cat.codes.to_numpy(), order.index(edge)
        return missing | ((place <= limit) & (place >= 0) if sign == "<=" else place > limit)
    bound = pd.Timestamp(edge) if name == "joined" else float(edge)
    kept = values <= bound if sign == "<=" else values > bound
    return missing | np.asarray(kept.fillna(False), dtype=bool)


def test_shuffled_rows_are_told_and_fresh_rows_are_not() -> None:
    told, fresh = look("detection", "shuffled"), look("detection", "fresh")
    assert told.interval is not None and told.interval.low > 0.9
    assert fresh.interval is not None and fresh.interval.high < 0.6
    error, null = look("pmse", "shuffled"), look("pmse", "fresh")
    assert error.interval is not None and error.interval.low > 3
    assert null.reference_interval is not None and null.value is not None
    assert null.reference_interval.low <= null.value <= null.reference_interval.high
    assert null.reference == 1


def test_the_classifier_is_fitted_once_for_all_who_ask_alike() -> None:
    first = detect(evidence("fresh"), Detection.Config.model_validate({"trees": TREES}))
    assert detect(evidence("fresh"), Pmse.Config.model_validate({"trees": TREES})) is first
    assert detect(evidence("fresh"), Detector.model_validate({"trees": {"rounds": 5}})) is not first


def test_propensity_errors_have_a_closed_form() -> None:
    other = np.array([False, False, False, True])
    scores = Scores(other, np.array([0.25, 0.25, 0.25, 0.25]), np.zeros(4, dtype=np.int64), 0.5, np.zeros(1))
    assert squared(scores).max() == 0
    sure = scores._replace(chance=other.astype(float))
    assert squared(sure).mean() == pytest.approx(0.25 * 0.75)


@pytest.mark.parametrize("made", ["old women", "shuffled", "fresh"])
def test_the_rules_of_regions_mean_what_they_say(made: str) -> None:
    found = regions(seen(made))
    assert 0 < len(found) <= 5
    for row in found:
        for side, table in (("synthetic", seen(made).synthetic), ("real", seen(made).real)):
            kept = np.logical_and.reduce([holds(each, table.frame) for each in str(row["region"]).split(" and ")])
            assert row[side] == pytest.approx(kept.mean(), abs=0.00051), row["region"]
    for side in ("synthetic", "real"):
        assert sum(float(row[side] or 0) for row in found) < 1.005


def test_a_planted_region_is_found() -> None:
    rules = {str(row["region"]): row for row in look("detection", "old women").detail if "region" in row}
    old = [row for rule, row in rules.items() if "age > " in rule and "sex = female" in rule]
    assert len(old) == 1
    assert float(old[0]["synthetic"] or 0) > 0.1 and float(old[0]["real"] or 1) < 0.02
    assert any("savings missing" in rule for rule in rules)


def test_rows_are_named_that_are_synthetic_and_never_real() -> None:
    rows = [row for row in look("detection", "shuffled").detail if "easiest" in row]
    assert [row["easiest"] for row in rows] == [1, 2, 3, 4, 5]
    scores = [float(row["score"] or 0) for row in rows]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.9
    made = release("shuffled").frame
    for row in rows:
        kept = np.ones(len(made), dtype=bool)
        for word in str(row["row"]).split(", "):
            name, value = word.split(" ", 1)
            if name in ("sex", "city", "region", "schooling", "age", "approved"):
                kept &= np.asarray(made[name].astype("string") == value)
        assert kept.any()
    assert easiest(seen("holdout"), (worlds().train, worlds().holdout)) == ()
    assert easiest(seen("fresh"), (worlds().train, release("fresh"))) == ()
    assert len(easiest(seen("fresh"), (worlds().train, worlds().holdout))) == 5


def test_alpha_precision_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    own, others = (rng.normal(size=(300, 3)).astype(np.float32) * scale for scale in (1, 2))
    centre = own.mean(axis=0, dtype=np.float64)
    radii, asked = (np.linalg.norm(points - centre, axis=1) for points in (own, others))
    for level in (0.01, 0.3, 0.95, 1.0):
        radius = np.quantile(radii, level, method="inverted_cdf")
        assert filled(ranks(own, others), np.array([level]))[0] == (asked <= radius * (1 + 1e-6)).mean()


def test_beta_recall_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(2)
    real = np.round(rng.normal(size=(200, 2)), 1).astype(np.float32)
    made = np.round(rng.normal(0.5, 1.5, size=(150, 2)), 1).astype(np.float32)
    radii = reach_of(real, 3)
    found = first_inside(real, radii, made, ranks(made, made))
    from_centre = np.linalg.norm(made - made.mean(axis=0, dtype=np.float64), axis=1)
    for level in (0.06, 0.5, 0.9, 1.0):
        inside = from_centre <= np.quantile(from_centre, level, method="inverted_cdf") * (1 + 1e-6)
        closest = nearest(real, made[inside])[:, 0]
        assert filled(found, np.array([level]))[0] == (closest <= radii * (1 + 5e-7)).mean()


def test_reach_leaves_the_point_itself_out() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    assert reach_of(line, 1).tolist() == [1, 1, 2, 4]
    assert reach_of(line, 3).tolist() == [7, 6, 4, 7]


def test_evenness_has_a_closed_form() -> None:
    steps = 1_000
    assert evenness(np.arange(1, steps + 1) / steps, steps) == pytest.approx(1, abs=2 / steps)
    assert evenness(np.full(50, 1 / steps), steps) == pytest.approx(0, abs=2 / steps)
    assert evenness(np.full(50, np.inf), steps) == pytest.approx(0, abs=2 / steps)
    assert evenness(np.arange(1, steps + 1) / steps / 2, steps) == pytest.approx(0.5, abs=4 / steps)


def test_fresh_rows_fill_the_supports_as_real_rows_do_and_one_city_does_not() -> None:
    for name in ("alpha_precision", "beta_recall"):
        fresh = look(name, "fresh")
        assert fresh.interval is not None and fresh.reference_interval is not None
        assert fresh.interval.low <= (fresh.reference or 0) <= fresh.interval.high
        whole = fresh.detail[-1]
        assert whole["support"] == 1 and whole["share"] == pytest.approx(whole["reference"], abs=0.03)
    whole = look("beta_recall", "one city").detail[-1]
    assert float(whole["share"] or 0) < 0.5 * float(whole["reference"] or 0)
    inflated = release("fresh").frame.assign(income=release("fresh").frame["income"] * 50)
    kind = metric("fidelity.alpha_precision")
    found = kind(kind.Config())(worlds().evidence(Table.conform(world_schema(), inflated)), np.random.default_rng(1))
    assert found.interval is not None and found.interval.high < 0.5


def test_persons_count_once_in_the_supports() -> None:
    people = Evidence(*(with_units(table, 8, 9_000 * place) for place, table in enumerate(vars(worlds()).values())))
    kind = metric("fidelity.beta_recall")
    found = kind(kind.Config())(people, np.random.default_rng(1))
    assert found.rows == 250
    assert (found.reference or 0) > 0.4
