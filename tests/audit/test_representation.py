"""A latent space laid out and probed: known answers, and a page that says what it is and asks nobody."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from audit.core import NotComputable
from audit.report.representation import explained, render
from audit.representation import FEWEST_ROWS, looked_at, represent
from tabular.schema import Column, Schema
from tabular.table import Table

ROWS = 1_500
SEXES, TOWNS = ("female", "male"), ("Bern", "Basel", "Zug")


def table(n=ROWS, name="pay", unit=None):
    """Pay follows age; sex and town follow nothing; planet is always the same; some pay is missing."""
    rng = np.random.default_rng(0)
    age = rng.normal(40, 10, n)
    frame = pd.DataFrame({"age": age, name: np.where(rng.random(n) < 0.1, np.nan, 3 * age + rng.normal(0, 10, n))})
    columns = [
        Column(name="age", kind="continuous", physical="real"),
        Column(name=name, kind="continuous", physical="real", nullable=True),
    ]
    for each, kinds in (("sex", SEXES), ("town", TOWNS), ("planet", ("Earth",))):
        frame[each] = pd.Categorical(rng.choice(kinds, n), categories=kinds)
        columns.append(Column(name=each, kind="categorical", physical="text", categories=kinds))
    if unit is not None:
        frame["person"] = unit
        columns.append(Column(name="person", kind="identifier", physical="integer", role="unit"))
    return Table.conform(Schema(columns=tuple(columns)), frame)


def found(rows, z, colour="sex"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return represent(
            z.astype(np.float32), rows, rows.schema[colour], np.random.default_rng(1), lambda done, said: None
        )


def features(rows):
    """What a perfect latent space could hold: every column but the pay, mixed by a rotation."""
    parts = [rows.numbers("age") / 10, rows.codes("sex"), *(rows.codes("town") == code for code in range(3))]
    mixing = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    return np.stack(parts, axis=1) @ mixing


@pytest.fixture(scope="module")
def perfect():
    rows = table()
    return found(rows, features(rows))


def by_column(representation):
    return {probe.column: probe for probe in representation.probes}


def test_what_the_codes_hold_is_read_off_them(perfect):
    probes = by_column(perfect)
    assert {name: probe.measure for name, probe in probes.items()} == {
        "age": "R²",
        "pay": "R²",
        "sex": "AUC",
        "town": "accuracy",
    }
    assert perfect.left_out == ("planet",)
    assert probes["age"].codes.value > 0.99
    assert probes["sex"].codes.value > 0.999
    assert probes["town"].codes.value > 0.99
    # Pay is three times the age and noise of deviation 10: corr² = 900 / 1000.
    for figure in (probes["pay"].codes, probes["pay"].others):
        assert abs(figure.value - 0.9) < 0.03
        assert figure.interval.low < figure.value < figure.interval.high < figure.interval.low + 0.06


def test_what_nothing_tells_is_a_guess(perfect):
    rows = table()
    empty = by_column(found(rows, np.random.default_rng(3).normal(size=(ROWS, 4))))
    for name in ("age", "pay"):
        assert abs(empty[name].codes.value) < 0.02
        assert empty[name].constant == 0
    for figure in (empty["sex"].codes, by_column(perfect)["sex"].others):
        assert figure.interval.low < 0.5 < figure.interval.high
    town = empty["town"]
    assert abs(town.constant - 1 / 3) < 0.04
    assert town.codes.interval.low - 0.02 < 1 / 3 < town.codes.interval.high + 0.02
    assert empty["pay"].others.value > 0.87
    assert empty["pay"].rows == int(np.isfinite(rows.numbers("pay")).sum())


def test_the_two_dimensions_are_the_principal_components(perfect):
    z = features(table()).astype(np.float32).astype(np.float64)
    u, s, _ = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    want = u[:, :2] * s[:2]
    signs = np.sign((want * perfect.places).sum(axis=0))
    assert np.abs(want * signs - perfect.places).max() < 1e-9
    assert np.allclose(perfect.shares, s[:2] ** 2 / (s**2).sum(), atol=1e-9)


def test_the_colours_share_of_the_spread_is_that_of_the_analysis_of_variance():
    rows = table()
    codes = rows.codes("sex")
    z = np.stack([codes * 1.0, np.zeros(ROWS)], axis=1)
    assert abs(explained(found(rows, z)) - 1) < 1e-6
    assert explained(found(rows, np.random.default_rng(0).normal(size=(ROWS, 2)))) < 0.01


@pytest.mark.parametrize("width", [1, 2])
def test_codes_that_are_all_alike_or_of_one_number_are_drawn(width):
    rows = table(200)
    constant = found(rows, np.ones((200, width)))
    assert constant.shares == (0.0, 0.0)
    line = found(rows, features(rows)[:, :1])
    assert np.allclose(line.shares, (1, 0))
    assert (line.places[:, 1] == 0).all()
    assert "nan" not in render(constant, "vae", "toy/r").lower()


def test_rows_of_one_person_are_no_two_witnesses():
    person = np.repeat(np.arange(150), 10)
    noise = np.random.default_rng(4).normal(size=(150, 40))[person]
    rows = table(1_500, unit=person)
    frame = rows.frame.assign(sex=pd.Categorical(np.array(SEXES)[person % 2], categories=SEXES))
    rows = Table(rows.schema, frame)
    alone, lone = by_column(found(rows, noise))["sex"].codes, by_column(found(table(), features(table())))["sex"].others
    # Codes that name the person tell the person's sex only if the person's other rows are learned from.
    assert alone.value < 0.65
    width = alone.interval.high - alone.interval.low
    assert width > 2 * (lone.interval.high - lone.interval.low)


def test_one_column_alone_has_no_others():
    rows = table(100)
    schema = Schema(columns=rows.schema.columns[:1])
    alone = found(Table(schema, rows.frame[["age"]]), features(rows), "age")
    assert [probe.others for probe in alone.probes] == [None]
    assert "–" in render(alone, "vae", "toy/r")


def test_few_rows_are_refused_and_many_are_thinned():
    with pytest.raises(NotComputable, match="12 rows"):
        looked_at(table(12), np.random.default_rng(0))
    assert len(looked_at(table(FEWEST_ROWS), np.random.default_rng(0))) == FEWEST_ROWS
    assert len(looked_at(table(9_000), np.random.default_rng(0))) == 4_000


def test_the_page_asks_nobody_says_what_it_is_and_has_words_for_its_pictures(perfect):
    page = render(perfect, "vae", "toy/r")
    assert page == render(perfect, "vae", "toy/r")
    assert not re.findall(r"https?:|<script|@import|url\(", page)
    assert "do not publish" in page
    assert page.startswith("<!doctype html>")
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    assert page.count("<use ") == ROWS
    for picture in re.findall(r"<svg[^>]*>", page):
        assert "aria-hidden" in picture or re.search(r'role="img" aria-label="[^"]{20,}"', picture), picture


def test_a_column_with_a_hostile_name_is_only_text():
    rows = table(100, name="<script>alert(1)</script>")
    page = render(found(rows, features(rows), "<script>alert(1)</script>"), "vae", "toy/r")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_same_seed_gives_the_same_figures(perfect):
    rows = table()
    assert found(rows, features(rows)).probes == perfect.probes
