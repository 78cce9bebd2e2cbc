"""The kinds found in raw columns, and what a person may say of them."""

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.infer import Override, infer_schema
from tabular.schema import Column
from tabular.table import Table

RNG = np.random.default_rng(0)
N = 400
WORDS = ["red", "green", "blue", "yellow"]


def infer(values: object, name: str = "x") -> Column:
    frame = pd.DataFrame({name: values})
    schema = infer_schema(frame, {})
    Table.conform(schema, frame)
    return schema[name]


@pytest.mark.parametrize(
    ("kind", "physical", "values"),
    [
        ("continuous", "real", RNG.normal(size=N)),
        ("continuous", "real", [str(value) for value in RNG.normal(size=N).round(3)]),
        ("continuous", "real", [Decimal("1.5"), Decimal("2.25"), Decimal("3.125")] * 5),
        ("integer", "integer", RNG.integers(0, 1000, size=N)),
        ("integer", "integer", [str(value) for value in RNG.integers(0, 1000, size=N)]),
        ("integer", "integer", np.where(RNG.random(N) < 0.1, np.nan, RNG.integers(0, 1000, size=N))),
        ("integer", "real", RNG.integers(0, 1000, size=N).astype(float)),
        ("integer", "integer", pd.array([*RNG.integers(0, 1000, size=N), None], dtype="UInt16")),
        ("integer", "integer", RNG.poisson(3, size=N)),
        ("integer", "integer", RNG.geometric(0.5, size=N) - 1),
        ("semicontinuous", "real", np.where(RNG.random(N) < 0.4, 0, RNG.lognormal(size=N))),
        ("semicontinuous", "integer", np.where(RNG.random(N) < 0.4, 0, RNG.integers(1, 10**6, size=N))),
        ("categorical", "text", RNG.choice(WORDS, size=N)),
        ("categorical", "text", pd.Categorical(RNG.choice(WORDS, size=N))),
        ("categorical", "text", pd.array(RNG.choice(WORDS, size=N), dtype=pd.ArrowDtype(pa.string()))),
        ("categorical", "text", RNG.choice(["00501", "01001", "94105"], size=N)),
        ("categorical", "text", RNG.choice(["yes", "no"], size=N)),
        ("categorical", "text", RNG.choice(["2024-02-30", "2024-02-28"], size=N)),
        ("categorical", "text", RNG.choice([f"c{i}" for i in range(10_000)], size=30_000)),
        ("categorical", "integer", RNG.choice([1, 2], size=N)),
        ("categorical", "integer", RNG.choice([10, 20, 70], size=N)),
        ("categorical", "integer", ["x", None] * 5 and [4, None] * 5),
        ("categorical", "text", ["x", None] * 5),
        ("boolean", "boolean", RNG.random(N) < 0.5),
        ("boolean", "boolean", pd.array([True, None, False] * 5, dtype="boolean")),
        ("boolean", "boolean", [True, None, False] * 5),
        ("boolean", "boolean", ["TRUE", "False", None] * 5),
        ("boolean", "boolean", [True, None] * 5),
        ("ordinal", "text", pd.Categorical(["lo", "hi"] * 5, categories=["lo", "mid", "hi"], ordered=True)),
        ("datetime", "timestamp", pd.date_range("1960-01-01", periods=N, freq="97min")),
        ("datetime", "timestamp_utc", pd.date_range("2024-01-01", periods=N, freq="h", tz="Asia/Tokyo")),
        ("datetime", "timestamp", ["2024-01-01 12:00", "2024-01-02T13:14:15.5", None]),
        ("datetime", "timestamp_utc", ["2024-01-01T12:00Z", "2024-01-02T13:14+02:00"]),
        ("datetime", "timestamp", [dt.datetime(2024, 1, 1, 5), dt.datetime(9999, 12, 31)]),
        ("date", "date", ["2024-01-01", "9999-12-31", "0001-01-01"]),
        ("date", "date", [dt.date(1900, 1, 1), None, dt.date(2000, 2, 29)]),
        ("date", "date", pd.date_range("2024-01-01", periods=5)),
        ("duration", "duration", pd.to_timedelta(RNG.integers(0, 10**6, size=N), unit="s")),
        ("duration", "duration", [dt.timedelta(days=1), None]),
        ("identifier", "integer", np.arange(1, N + 1)),
        ("identifier", "text", [f"AB-{i:05d}" for i in range(N)]),
        ("identifier", "text", [f"{i * 7919 % 65521:04x}-{i:04x}" for i in range(N)]),
        ("text", "text", [f"the customer said {i} words" for i in range(N)]),
        ("text", "text", [f"u{i % 300}" for i in range(N)]),
        ("text", "text", [f"w{i % 10_001}" for i in range(30_003)]),
        ("text", "text", [f"Ann Lee {i % 1000}" for i in range(2000)]),
        ("text", "text", [f"ann{i % 1000}@example.org" for i in range(2000)]),
        ("categorical", "text", [f"Ann Lee {i % 300}" for i in range(2000)]),
        ("categorical", "text", [f"c{i % 1000:05d}" for i in range(2000)]),
        ("constant", "text", ["x"] * N),
        ("constant", "integer", [7] * N),
        ("constant", "real", [0.5] * N),
        ("constant", "text", [None] * N),
        ("constant", "real", [np.nan] * N),
        ("constant", "timestamp", pd.to_datetime([None, None])),
        ("constant", "boolean", [True] * N),
        ("date", "date", pd.to_datetime(["2024-01-01"] * N)),
        ("categorical", "text", [1, "a", None, 2.5, True] * 10),
    ],
)
def test_the_kind_found_is_what_a_person_would_say(kind: str, physical: str, values: object):
    column = infer(values)
    if (kind, physical) == ("constant", "boolean"):
        kind = "boolean"
    assert (column.kind, column.physical) == (kind, physical), column.note
    assert column.note
    assert column.nullable == bool(pd.Series(values).isna().any())


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("ID", RNG.permutation(N) * 3, "identifier"),
        ("customerId", RNG.permutation(N) * 3, "identifier"),
        ("No", np.arange(N), "identifier"),
        ("paid", RNG.permutation(N) * 3, "integer"),
        ("year", np.arange(1900, 2000), "integer"),
        ("account_id", RNG.integers(0, 300, size=4 * N) * 11, "identifier"),
        ("patient_id", [f"p{i % 400}" for i in range(2000)], "identifier"),
        ("eMail", [f"ann{i % 100}@example.org" for i in range(2000)], "identifier"),
        ("product_id", [f"p{i % 50}" for i in range(2000)], "categorical"),
        ("month", RNG.integers(1, 13, size=N), "integer"),
        ("num_rooms", RNG.choice([1, 2, 3], size=N), "integer"),
        ("sex", RNG.choice([1, 2, 3], p=[0.3, 0.5, 0.2], size=N), "categorical"),
    ],
)
def test_a_name_decides_where_values_leave_it_open(name: str, values: object, kind: str):
    assert infer(values, name).kind == kind


def test_what_is_found_beside_the_kind():
    spent = infer(np.where(RNG.random(N) < 0.4, 0.0, RNG.lognormal(size=N).round(2) + 0.01))
    assert spent.spikes == (0.0,)
    assert spent.decimals == 2
    assert spent.minimum == 0.0
    assert infer(RNG.normal(size=N)).decimals is None
    assert infer([0.999999999, 1.0, 0.123456789] * 9).decimals == 9
    assert infer(RNG.integers(-5, 500, size=N)).decimals == 0
    assert infer(np.float32([0.1, 0.2, 0.7]).astype(float)).decimals == 1
    born = infer(["1969-12-31", "1970-01-02"])
    assert (born.minimum, born.maximum) == (-86_400e6, 86_400e6)
    grade = infer(pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"], ordered=True))
    assert grade.categories == ("lo", "mid", "hi")
    assert infer([3, 1, 3, 1]).categories == (1, 3)
    assert infer(["b", "a", "b", "a"]).categories == ("a", "b")
    assert infer([None, None]).categories == ()
    assert "several types" in infer([1, "a"] * 10).note
    assert "numbers written as text" in infer([str(i * 37 % 500) for i in range(N)]).note


def test_heaps_that_neighbours_share_are_no_spikes():
    assert infer(RNG.poisson(3, size=2000)).kind == "integer"
    assert infer(RNG.integers(0, 15, size=2000).astype(float) / 2).spikes == ()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame(), "the table has no columns"),
        (pd.DataFrame({"x": []}), "the table has no rows"),
        (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "columns appear twice: 'a'"),
        (pd.DataFrame([[1, 2]]), "column names that are not text: 0, 1"),
    ],
)
def test_a_table_that_is_none_is_refused(frame: pd.DataFrame, words: str):
    with pytest.raises(ValueError, match=words):
        infer_schema(frame, {})


def test_complaints_come_all_at_once_and_unknown_columns_are_named():
    frame = pd.DataFrame({"a": ["x", "y"], "b": [np.inf, 1.0]})
    with pytest.raises(ValueError, match="column 'a': .*; column 'b': "):
        infer_schema(frame, {"a": Override(kind="integer")})
    with pytest.raises(ValueError, match="there is no column 'c'; the table has 'a', 'b'"):
        infer_schema(frame, {"c": Override()})
    with pytest.raises(ValueError, match="colour"):
        Override.model_validate({"colour": "red"})


@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**70), 2**70),
            st.floats(allow_infinity=False),
            st.text(),
            st.booleans(),
            st.dates(),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=80, deadline=None)
def test_any_column_has_a_kind_and_conforms_to_it(values: list[object]):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    schema = infer_schema(frame, {})
    table = Table.conform(schema, frame)
    assert np.array_equal(table.frame["x"].isna(), frame["x"].isna())
    assert infer_schema(table.frame, {})["x"].kind == schema["x"].kind or schema["x"].kind == "ordinal"


@pytest.mark.parametrize("kind", ["integers", "floats", "texts", "moments"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_column_of_one_type_conforms(kind: str, data: st.DataObject):
    value = {
        "integers": st.integers(-(2**63), 2**63 - 1),
        "floats": st.floats(allow_nan=False, allow_infinity=False),
        "texts": st.from_regex(r"[+-]?[0-9]{1,4}(\.[0-9]{0,3})?([eE][+-]?[0-9])?", fullmatch=True),
        "moments": st.datetimes(),
    }[kind]
    values = data.draw(st.lists(st.one_of(st.none(), value), min_size=1, max_size=40))
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    table = Table.conform(infer_schema(frame, {}), frame)
    assert np.array_equal(table.frame["x"].isna(), frame["x"].isna())


KINDS = {
    "adult/train": {
        "age": "integer",
        "workclass": "categorical",
        "fnlwgt": "integer",
        "education-num": "integer",
        "capital-gain": "semicontinuous",
        "capital-loss": "semicontinuous",
        "income": "categorical",
    },
    "default/default": {
        "ID": "identifier",
        "SEX": "categorical",
        "MARRIAGE": "categorical",
        "AGE": "integer",
        "BILL_AMT1": "semicontinuous",
    },
    "shoppers/shoppers": {
        "Administrative": "integer",
        "Informational": "integer",
        "PageValues": "semicontinuous",
        "Region": "categorical",
        "TrafficType": "categorical",
        "Month": "categorical",
        "Weekend": "boolean",
        "Revenue": "boolean",
    },
    "magic/magic": {"fLength": "continuous", "class": "categorical"},
    "beijing/beijing": {
        "No": "identifier",
        "month": "integer",
        "hour": "integer",
        "pm2.5": "integer",
        "cbwd": "categorical",
        "Ir": "semicontinuous",
    },
    "german_credit/german_credit": {"credit_amount": "integer", "age": "integer", "class": "categorical"},
    "storms/storms": {
        "name": "categorical",
        "lat": "continuous",
        "wind": "integer",
        "tropicalstorm_force_diameter": "semicontinuous",
    },
    "randhie/randhie": {"meddol": "semicontinuous", "mdvis": "integer", "plan": "categorical", "female": "categorical"},
}


@pytest.mark.parametrize("path", KINDS)
def test_real_tables(shared_data: Path, path: str):
    frame = pd.read_parquet(shared_data / f"{path}.parquet")
    schema = infer_schema(frame, {})
    found = {name: schema[name].kind for name in KINDS[path]}
    assert found == KINDS[path]
    start = time.process_time()
    table = Table.conform(schema, frame)
    assert time.process_time() - start < 0.5
    pd.testing.assert_frame_equal(Table.from_arrow(schema, table.to_arrow()).frame, table.frame)
    head = frame.head(3000)
    texts = head.astype(object).where(head.notna(), None).map(str, na_action="ignore")
    kinds = [{column.name: column.kind for column in infer_schema(rows, {}).columns} for rows in (head, texts)]
    assert kinds[0] == kinds[1]
