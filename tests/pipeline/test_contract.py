import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contract import MOST_LISTED, build_suite, hold, run_suite
from pipeline.sources import load
from pipeline.spec import Source
from tabular.infer import Override, infer_schema
from tabular.schema import Column, Schema
from tabular.table import Table

TABLES = [
    "adult/train",
    "default/default",
    "shoppers/shoppers",
    "magic/magic",
    "beijing/beijing",
    "german_credit/german_credit",
    "storms/storms",
    "randhie/randhie",
]
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "id": [f"r{n}" for n in range(60)],
        "whole": pd.array([None, *range(59)], "Int64"),
        "real": RNG.normal(size=60),
        "word": RNG.choice(["a", "b"], 60),
        "code": RNG.choice([1, 2], 60),
        "truth": RNG.choice([True, False], 60),
        "day": pd.date_range("2020-01-01", periods=60),
        "moment": pd.date_range("1650-01-01 12:00", periods=60, freq="h", unit="us"),
        "zoned": pd.date_range("2020-01-01 12:00", periods=60, freq="h", tz="UTC"),
        "took": pd.to_timedelta(np.arange(60), unit="min"),
        "same": "x",
        "nothing": pd.Series([None] * 60, dtype=object),
    }
)


def conform(frame: pd.DataFrame) -> Table:
    return Table.conform(infer_schema(frame, {}), frame)


@pytest.mark.parametrize("name", TABLES)
def test_real_rows_keep_the_contract_of_their_own_schema(shared_data: Path, name: str) -> None:
    table = conform(load(Source(path=str(shared_data / f"{name}.parquet")), shared_data).frame)
    suite = json.loads(json.dumps(build_suite(table.schema)))
    assert [check.sentence for check in run_suite(suite, table) if not check.success] == []


def test_every_kind_is_kept_and_asked_for() -> None:
    table = conform(FRAME)
    checks = run_suite(build_suite(table.schema), table)
    assert [check.sentence for check in checks if not check.success] == []
    asked = {(check.column, check.expectation.removeprefix("expect_column_values_to_")) for check in checks}
    assert asked >= {
        ("id", "be_unique"),
        ("whole", "be_between"),
        ("real", "not_be_null"),
        ("word", "be_in_set"),
        ("code", "be_in_set"),
        ("truth", "be_in_set"),
        ("day", "be_between"),
        ("moment", "be_between"),
        ("zoned", "be_between"),
        ("took", "be_between"),
    }
    assert ("whole", "not_be_null") not in asked


def test_the_suite_is_one_that_great_expectations_reads_back() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        suite = build_suite(infer_schema(FRAME, {}))
        read = gx.ExpectationSuite(**suite).to_json_dict()
    given = [(each["type"], each["kwargs"]) for each in suite["expectations"]]
    assert [(each["type"], each["kwargs"]) for each in read["expectations"]] == given


def test_what_breaks_is_named_with_its_share() -> None:
    schema = Schema(
        columns=(
            Column(name="n", kind="integer", physical="integer", minimum=0, maximum=9),
            Column(name="w", kind="categorical", physical="text", categories=("a",)),
            Column(name="i", kind="identifier", physical="integer", unique=True),
            Column(name="d", kind="datetime", physical="timestamp", minimum=0, maximum=86_400_000_000),
        )
    )
    frame = pd.DataFrame(
        {
            "n": pd.array([1, 99, None, 4], "Int64"),
            "w": pd.Categorical(["a", "b", "a", "a"]),
            "i": pd.array([1, 1, 2, 3], "Int64"),
            "d": pd.to_datetime(["1970-01-01", "1970-01-02", "2020-01-01", "1970-01-01"]).astype("datetime64[us]"),
        }
    )
    broken = {
        (check.column, check.expectation): check
        for check in run_suite(build_suite(schema), Table(schema, frame))
        if not check.success
    }
    assert {key: check.unexpected for key, check in broken.items()} == {
        ("n", "expect_column_values_to_not_be_null"): 0.25,
        ("n", "expect_column_values_to_be_between"): pytest.approx(1 / 3),
        ("w", "expect_column_values_to_be_in_set"): 0.25,
        ("i", "expect_column_values_to_be_unique"): 0.5,
        ("d", "expect_column_values_to_be_between"): 0.25,
    }
    assert broken[("d", "expect_column_values_to_be_between")].sentence.startswith(
        "column 'd': values must lie from 19"
    )


def test_no_rows_and_columns_in_another_order_are_seen() -> None:
    table = conform(FRAME[["word", "real"]])
    suite = build_suite(Schema(columns=table.schema.columns[::-1]))
    broken = [
        check.expectation for check in run_suite(suite, table.take(np.zeros(0, dtype=np.int64))) if not check.success
    ]
    assert broken == ["expect_table_columns_to_match_ordered_list", "expect_table_row_count_to_be_between"]


def test_a_long_list_of_categories_is_counted_instead() -> None:
    many = 10 * MOST_LISTED
    frame = pd.DataFrame({"w": [f"c{n % many}" for n in range(3 * many)], "x": 1.5})
    table = Table.conform(infer_schema(frame, {"w": Override(kind="categorical")}), frame)
    suite = build_suite(table.schema)
    assert len(json.dumps(suite)) < 5000
    checks = {check.expectation: check for check in run_suite(suite, table)}
    assert checks["expect_column_unique_value_count_to_be_between"].success


def test_an_identifier_that_repeats_is_not_asked_to_be_unique() -> None:
    frame = pd.DataFrame({"customer_id": np.repeat(np.arange(300), 3), "x": np.arange(900) / 7})
    table = conform(frame)
    assert table.schema["customer_id"].kind == "identifier"
    assert all(check.success for check in run_suite(build_suite(table.schema), table))


HELD = Schema(
    columns=(
        Column(name="n", kind="integer", physical="integer", minimum=0, maximum=9),
        Column(name="r", kind="continuous", physical="real", minimum=0, nullable=True),
        Column(name="w", kind="categorical", physical="text", categories=("a", "b")),
        Column(name="i", kind="identifier", physical="integer", unique=True),
        Column(name="d", kind="date", physical="date", minimum=0, maximum=86_400_000_000),
        Column(name="t", kind="boolean", physical="boolean", categories=(False, True), nullable=True),
    )
)
WELL = pd.DataFrame(
    {
        "n": [0, 9, 4, 5],
        "r": [0.0, 1e9, np.nan, 2.5],
        "w": ["a", "b", "b", "a"],
        "i": [1, 2, 3, 4],
        "d": pd.to_datetime(["1970-01-01", "1970-01-02"] * 2),
        "t": [True, None, False, True],
    }
)


def said(frame: pd.DataFrame, schema: Schema = HELD) -> list[str]:
    return [check.sentence for check in hold(schema, frame) if not check.success]


def with_cell(name: str, value: object) -> pd.DataFrame:
    frame = WELL.astype(object)
    frame.loc[1, name] = value
    return frame


def test_rows_that_keep_the_contract_are_told_so() -> None:
    assert said(WELL) == []
    assert "column 'n': values must lie from 0 to 9" in [check.sentence for check in hold(HELD, WELL)]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("n", 99, "column 'n': values must lie from 0 to 9, but 25.000% of them lie outside"),
        ("n", -1, "column 'n': values must lie from 0 to 9, but 25.000% of them lie outside"),
        ("r", -1, "column 'r': values must lie from 0, but 33.333% of them lie outside"),
        ("d", "1969-12-31", "column 'd': values must lie from 1970-01-01 to 1970-01-02, "
         "but 25.000% of them lie outside"),
        ("w", "c", "column 'w': values must be one of 'a', 'b', but 25.000% of them are not"),
        ("n", None, "column 'n': values must not be missing, but 25.000% of them are"),
        ("w", None, "column 'w': values must not be missing, but 25.000% of them are"),
        ("n", "nine", "column 'n': values must be whole numbers, but 25.000% of them are not"),
        ("n", 3.5, "column 'n': values must be whole numbers, but 25.000% of them are not"),
        ("r", "much", "column 'r': values must be numbers, but 33.333% of them are not"),
        ("d", "soon", "column 'd': values must be days, but 25.000% of them are not"),
        ("t", "perhaps", "column 't': values must be true or false, but 25.000% of them are not"),
        ("i", 3, "column 'i': values must not repeat, but 50.000% of them do"),
    ],
)  # fmt: skip
def test_each_fault_has_its_own_sentence_and_no_other(name: str, value: object, sentence: str) -> None:
    assert said(with_cell(name, value)) == [sentence]


def test_two_faults_of_one_column_are_told_apart() -> None:
    frame = WELL.astype(object).assign(n=[None, 99, "nine", 5])
    assert said(frame) == [
        "column 'n': values must be whole numbers, but 33.333% of them are not",
        "column 'n': values must not be missing, but 25.000% of them are",
        "column 'n': values must lie from 0 to 9, but 50.000% of them lie outside",
    ]


def test_too_many_categories_and_no_rows_have_their_sentences() -> None:
    names = tuple(f"c{place}" for place in range(MOST_LISTED + 1))
    schema = Schema(columns=(Column(name="w", kind="categorical", physical="text", categories=names),))
    assert said(pd.DataFrame({"w": [*names, "new"]}), schema) == [
        f"column 'w': values must be of at most {len(names)} categories, but there are more"
    ]
    assert said(pd.DataFrame({"w": pd.Series([], dtype=object)}), schema) == ["there are no rows"]


def test_a_column_that_is_not_there_is_said_once() -> None:
    assert said(WELL.drop(columns=["n", "t"])) == ["columns are not there: 'n', 't'"]
