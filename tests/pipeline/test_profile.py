import gzip
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import Mistake
from pipeline.guesses import is_sensitive
from pipeline.profile import profile
from pipeline.sources import load
from pipeline.spec import Source, Spec
from pipeline.view import apply
from tabular.infer import infer_schema
from tabular.schema import Column, Schema

TARGETS = {
    "adult/train": ("income", "classification"),
    "default/default": ("default payment next month", "classification"),
    "shoppers/shoppers": ("Revenue", "classification"),
    "magic/magic": ("class", "classification"),
    "beijing/beijing": (None, None),
    "german_credit/german_credit": ("class", "classification"),
    "storms/storms": (None, None),
    "randhie/randhie": (None, None),
}


def written(text: str, folder: Path) -> Spec:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return Spec.load(path)


def found_again(spec: Spec, root: Path) -> tuple[Schema, Schema]:
    """Return the schema without and with what the specification says."""
    frame = load(spec.source, root).frame
    return infer_schema(frame, {}), infer_schema(*apply(spec, frame))


@pytest.mark.parametrize("name", TARGETS)
def test_real_tables(shared_data: Path, tmp_path: Path, name: str) -> None:
    spec = written(profile(Source(path=str(shared_data / f"{name}.parquet")), "toy", tmp_path), tmp_path)
    assert (spec.target, spec.task) == TARGETS[name]
    assert list(spec.models) == ["independent", "bayesian_network", "autoregressive"]
    plain, said = found_again(spec, tmp_path)
    assert [column.kind for column in said.columns] == [column.kind for column in plain.columns]


def test_sensitive_columns_of_adult_are_marked(shared_data: Path, tmp_path: Path) -> None:
    spec = written(profile(Source(path=str(shared_data / "adult/train.parquet")), "adult", tmp_path), tmp_path)
    marked = {name for name, said in spec.columns.items() if said.sensitive}
    assert marked >= {"sex", "race", "age"}
    assert "education" not in marked
    assert (spec.policy, spec.demands) == ("analytics", {})


def test_a_repeating_unit_is_suggested_and_not_set(shared_data: Path, tmp_path: Path) -> None:
    text = profile(Source(path=str(shared_data / "randhie/randhie.parquet")), "toy", tmp_path)
    assert "# Column 'zper' repeats like one: 5,912 values in 20,190 rows" in text
    assert written(text, tmp_path).unit is None


ODD_NAMES = ["yes", "no", "null", "1", "1.5", "~", "a: b", "# x", "ünï", "{a}", "- x", "'", '"', "a\tb", "2020-01-01"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1).map(str.strip).filter(bool),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
@example(names=ODD_NAMES)
@example(
    names=["x" * 3000, "&y", "*z", "!w", "%v", "@u", "`t", "?", "? s", ":", "<<", "=", "on", "0x1f", "1e3", "\u2028a"]
)
def test_odd_names_survive(tmp_path: Path, names: list[str]) -> None:
    frame = pd.DataFrame({name: np.arange(40) % 7 / 3 for name in names})
    frame.to_parquet(tmp_path / "odd.parquet")
    spec = written(profile(Source(path="odd.parquet"), "odd", tmp_path), tmp_path)
    loaded = load(spec.source, tmp_path).frame
    assert list(spec.columns) == list(loaded.columns)
    plain, said = found_again(spec, tmp_path)
    assert [column.kind for column in said.columns] == [column.kind for column in plain.columns]


def test_every_kind_is_written_so_that_it_is_found_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "key": [f"k{place}" for place in range(n)],
            "spend": np.where(rng.random(n) < 0.5, 0, rng.gamma(2, 50, n).round(2)),
            "words": [f"a text number {place} that nobody repeats" for place in range(n)],
            "truth": rng.choice(["true", "false"], n),
            "day": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"),
            "moment": pd.date_range("2020-01-01 10:00", periods=n, freq="h").strftime("%Y-%m-%dT%H:%M:%S"),
            "code": rng.choice(["007", "012"], n),
            "same": "x",
            "nothing": None,
            "label": rng.choice(["# 1", "no", "~"], n),
        }
    )
    frame.to_csv(tmp_path / "all.csv", index=False)
    text = profile(Source(path="all.csv"), "every", tmp_path)
    spec = written(text, tmp_path)
    assert spec.source.path == "all.csv"
    assert spec.target == "label"
    plain, said = found_again(spec, tmp_path)
    assert [column.kind for column in said.columns] == [column.kind for column in plain.columns]
    assert {column.kind for column in said.columns} == {
        *("identifier", "semicontinuous", "text", "boolean", "date", "datetime", "categorical", "constant"),
    }
    assert len(text.splitlines()) > len(yaml.safe_dump(yaml.safe_load(text)).splitlines()) / 2


def test_other_sources_and_their_notes(tmp_path: Path) -> None:
    lines = "".join(f"{n};{n % 9},5\n" for n in range(50))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"prénom;n\n{lines}".encode("cp1252")))
    text = profile(Source(path="a.csv.gz"), "packed", tmp_path)
    assert "# the text is not UTF-8; read as cp1252" in text
    assert written(text, tmp_path).columns["n"].kind is not None
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table sale (n integer, x real)")
        connection.executemany("insert into sale values (?, ?)", [(n, n / 3) for n in range(60)])
    connection.close()
    query = "select *,\n 'it''s: #1' as w from sale"
    spec = written(profile(Source(path="sqlite:///shop.db", query=query), "shop", tmp_path), tmp_path)
    assert spec.source.query == query
    assert spec.source.sha256 is None


def test_paths_inside_the_project_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, other = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (root / "data", other):
        folder.mkdir(parents=True)
        pd.DataFrame({"x": np.arange(30) / 7, "y": np.arange(30) % 2}).to_csv(folder / "rows.csv", index=False)
    assert (
        written(profile(Source(path=str(root / "data" / "rows.csv")), "a", root), root).source.path == "data/rows.csv"
    )
    monkeypatch.chdir(other)
    assert written(profile(Source(path="rows.csv"), "a", root), root).source.path == str(other / "rows.csv")


def test_many_columns_have_few_comments(tmp_path: Path) -> None:
    pd.DataFrame(np.random.default_rng(0).random((30, 400))).add_prefix("c").to_parquet(tmp_path / "wide.parquet")
    text = profile(Source(path="wide.parquet"), "wide", tmp_path)
    assert sum("different numbers" in line for line in text.splitlines()) == 300
    assert len(written(text, tmp_path).columns) == 400


@pytest.mark.parametrize("name", ["Bad Name", "1st", ""])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(Mistake, match="name"):
        profile(Source(path="a.csv"), name, tmp_path)


def test_infinities_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("speed,b\ninf,2\n3,4\n")
    with pytest.raises(Mistake, match="'speed'.*infinite"):
        profile(Source(path="a.csv"), "a", tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sex", True),
        ("age_band", True),
        ("page views", False),
        ("foreign-worker", True),
        ("usage", False),
        ("wages", False),
    ],
)
def test_sensitive_names(name: str, expected: bool) -> None:
    assert is_sensitive(Column(name=name, kind="categorical", physical="text", categories=("a", "b"))) is expected
