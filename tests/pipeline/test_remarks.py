"""A specification is shared: no comment of it tells what only few rows hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.profile import profile
from pipeline.remarks import extent, is_told, spoken
from pipeline.sources import load
from pipeline.spec import Source, Spec
from tabular.infer import infer_schema
from tabular.schema import Column

SECRET = "Xanthippe-of-Athens-4711"
ROWS = 400


def people() -> pd.DataFrame:
    """Return rows of which the seventh alone holds the secrets."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "town": rng.choice(["Bern", "Basel"], ROWS),
            "pay": np.round(rng.normal(5_000, 900, ROWS), 2),
            "age": rng.integers(18, 90, ROWS),
            "children": rng.choice([0, 1, 2, 3], ROWS, p=[0.5, 0.3, 0.15, 0.05]),
            "born": pd.Timestamp("1950-03-01") + pd.to_timedelta(rng.integers(0, 9_000, ROWS), "D"),
            "stay": pd.to_timedelta(rng.integers(60, 9_000, ROWS), "min"),
            "rank": pd.Categorical(rng.choice(["low", "high"], ROWS), ["low", "high", SECRET], ordered=True),
            "spent": np.where(rng.random(ROWS) < 0.5, 0, rng.gamma(2, 50, ROWS).round(2)),
        }
    )
    seventh = {
        "town": SECRET,
        "pay": 98_765.43,
        "age": 117,
        "children": 13,
        "rank": SECRET,
        "spent": 7_654.32,
        "born": pd.Timestamp("1903-11-17 06:41"),
        "stay": pd.Timedelta("123 days 04:05:06"),
    }
    for name, value in seventh.items():
        frame.loc[7, name] = value
    return frame


PLANTED = (SECRET, "Xanthippe", "98765", "98,765", "117", "13", "1903", "11-17", "123 days", "04:05", "7654", "7,654")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_planted_secret_is_nowhere_in_the_specification(tmp_path: Path, kind: str) -> None:
    frame = people()
    if kind == "csv":
        frame.to_csv(tmp_path / "people.csv", index=False)
    else:
        frame.to_parquet(tmp_path / "people.parquet", index=False)
    text = profile(Source(path=f"people.{kind}"), "toy", tmp_path)
    comments = "\n".join(line for line in text.splitlines() if "sha256" not in line)
    for planted in PLANTED:
        assert planted not in comments, planted
    assert "Bern " in comments and "between 0 and 100000" in comments and "between 10 and 120" in comments
    path = tmp_path / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    found = infer_schema(load(Source(path=f"people.{kind}"), tmp_path).frame, {})
    assert {name: said.kind for name, said in Spec.load(path).columns.items()} == {
        column.name: column.kind for column in found.columns
    }


def test_what_is_said_of_the_comments_is_said_in_them(tmp_path: Path) -> None:
    people().to_parquet(tmp_path / "people.parquet", index=False)
    head = profile(Source(path="people.parquet"), "toy", tmp_path).split("\nname:")[0]
    assert "ranges are rounded outwards" in head and "10 rows or more" in head


def test_categories_are_told_where_many_hold_each() -> None:
    rank = people()["rank"]
    assert not is_told(rank)
    assert is_told(rank.drop(index=7))


def test_a_word_among_numbers_is_named_where_many_hold_it(tmp_path: Path) -> None:
    numbers = [f"{place / 7:.2f}" for place in range(ROWS)]
    for count, named in ((3, False), (12, True)):
        cells = ["withheld-by-Dana"] * count + numbers[count:]
        (tmp_path / "a.csv").write_text("\n".join(["pay,b", *(f"{cell},{k % 7}" for k, cell in enumerate(cells))]))
        text = profile(Source(path="a.csv"), "toy", tmp_path)
        assert "is numbers but for" in text
        assert ("Dana" in text) == named


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"kind": "integer", "physical": "integer", "minimum": 17, "maximum": 90, "decimals": 0}, "between 10 and 90"),
        ({"kind": "integer", "physical": "integer", "minimum": 0, "maximum": 7, "decimals": 0}, "between 0 and 10"),
        ({"kind": "continuous", "physical": "real", "minimum": -3.21, "maximum": 4.4}, "between -4 and 5"),
        ({"kind": "continuous", "physical": "real", "minimum": 0.1, "maximum": 0.9, "decimals": 1}, "between 0 and 1"),
        ({"kind": "continuous", "physical": "real", "minimum": 5.0, "maximum": 5.0}, ""),
        ({"kind": "duration", "physical": "duration", "minimum": 1, "maximum": 9}, ""),
        ({"kind": "categorical", "physical": "text", "categories": ("a",)}, ""),
    ],
)
def test_ranges(given_: dict[str, object], told: str) -> None:
    assert extent(Column.model_validate({"name": "x", **given_})) == told


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9))
def test_a_range_holds_both_ends_and_hides_them_among_ten(low: int, width: int) -> None:
    column = Column(name="x", kind="integer", physical="integer", minimum=low, maximum=low + width)
    _, first, _, last = extent(column).split()
    assert float(first) <= low and low + width <= float(last)
    assert float(first) % 10 == 0 and float(last) % 10 == 0
    assert float(last) - float(first) <= 1.5 * width + 20


def test_years_are_told_of_times() -> None:
    ends = [np.datetime64(each, "us").astype(np.int64).item() for each in ("1903-11-17", "1974-08-02")]
    column = Column(name="x", kind="date", physical="date", minimum=ends[0], maximum=ends[1])
    assert extent(column) == "between 1900 and 1980"


def test_a_note_keeps_names_and_common_values_only() -> None:
    frame = pd.DataFrame({"pay": ["n/a"] * 12 + ["it's Dana"] * 3 + ["1"] * 30})
    note = "column 'pay' is numbers but for 'n/a', \"it's Dana\" (15 rows)"
    assert spoken(note, frame) == "column 'pay' is numbers but for 'n/a', (a value of few rows) (15 rows)"
    assert spoken("the text is not UTF-8", frame) == "the text is not UTF-8"
