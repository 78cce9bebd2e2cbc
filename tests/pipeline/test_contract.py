import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.contract import MOST_LISTED, build_suite, run_suite
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
    assert "lie from 0 to 9, but" in broken[("n", "expect_column_values_to_be_between")].sentence


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
