"""Laws of tables: every kind survives conforming, Arrow and its reading as numbers or codes."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.coercion import dtype_of
from tabular.schema import Column, Schema
from tabular.table import Table, codes, from_codes, from_numbers, numbers


def column(name: str, kind: str, physical: str, **facts: object) -> Column:
    return Column.model_validate({"name": name, "kind": kind, "physical": physical, "nullable": True} | facts)


COLUMNS = (
    column("whole", "integer", "integer"),
    column("whole_real", "integer", "real", decimals=0),
    column("real", "continuous", "real"),
    column("spent", "semicontinuous", "real", spikes=(0.0,)),
    column("moment", "datetime", "timestamp"),
    column("zoned", "datetime", "timestamp_utc"),
    column("day", "date", "date"),
    column("length", "duration", "duration"),
    column("word", "categorical", "text", categories=("a", "b c", "ü", "", "1.0")),
    column("code", "categorical", "integer", categories=(3, 1, -2)),
    column("share", "categorical", "real", categories=(0.5, 1.0, -1e9)),
    column("flag", "categorical", "boolean", categories=(False, True)),
    column("truth", "boolean", "boolean", categories=(False, True)),
    column("grade", "ordinal", "text", categories=("low", "mid", "high")),
    column("same", "constant", "text", categories=("x",)),
    column("nothing", "constant", "text"),
    column("id", "identifier", "integer"),
    column("key", "identifier", "text"),
    column("prose", "text", "text"),
)
SCHEMA = Schema(columns=COLUMNS)
# Beyond the years 1684 to 2255 float64 no longer tells microseconds apart.
MICROSECONDS = st.integers(-(2**53), 2**53)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "integer": st.integers(-(2**53), 2**53),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "timestamp": MICROSECONDS.map(lambda us: np.datetime64(us, "us").item()),
    "timestamp_utc": MICROSECONDS.map(lambda us: np.datetime64(us, "us").item().replace(tzinfo=dt.UTC)),
    "date": st.dates(),
    "duration": MICROSECONDS.map(lambda us: dt.timedelta(microseconds=us)),
    "text": st.text(),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(0, 5))
    series = {}
    for each in COLUMNS:
        value = st.sampled_from(each.categories) if each.categories else VALUES[each.physical]
        value = VALUES["integer"].map(float) if each.name == "whole_real" else value
        value = st.none() if each.name == "nothing" else value
        values = draw(st.lists(st.one_of(st.none(), value), min_size=n, max_size=n))
        series[each.name] = pd.Series(values, dtype=object)
    return pd.DataFrame(series)


@given(frame=frames())
@settings(max_examples=30, deadline=None)
def test_every_kind_survives_conform_arrow_and_its_reading(frame: pd.DataFrame):
    table = Table.conform(SCHEMA, frame)
    assert list(table.frame.columns) == list(SCHEMA.names)
    assert isinstance(table.frame.index, pd.RangeIndex)
    for each in COLUMNS:
        series = table.frame[each.name]
        assert series.dtype == dtype_of(each)
        assert np.array_equal(series.isna(), frame[each.name].isna())
        if each.is_number:
            again = from_numbers(each, table.numbers(each.name))
        elif each.is_code:
            again = from_codes(each, table.codes(each.name))
        else:
            continue
        pd.testing.assert_series_equal(again, series, check_names=False, check_exact=True)
    pd.testing.assert_frame_equal(Table.conform(SCHEMA, table.frame).frame, table.frame, check_exact=True)
    rows = table.to_arrow()
    assert not any(pa.types.is_dictionary(field.type) for field in rows.schema)
    pd.testing.assert_frame_equal(Table.from_arrow(SCHEMA, rows).frame, table.frame, check_exact=True)


@given(frame=frames())
@settings(max_examples=15, deadline=None)
def test_values_are_those_that_came_in(frame: pd.DataFrame):
    table = Table.conform(SCHEMA, frame)
    for name in ("whole", "real", "word", "code", "share", "flag", "truth", "grade", "key", "prose"):
        given_values = [value for value in frame[name] if value is not None]
        assert table.frame[name].dropna().tolist() == given_values
    moments = [value for value in frame["moment"] if not pd.isna(value)]
    assert table.to_arrow()["moment"].drop_null().to_pylist() == [pd.Timestamp(m).to_pydatetime() for m in moments]
    days = [value for value in frame["day"] if value is not None]
    assert table.to_arrow()["day"].drop_null().to_pylist() == days


@pytest.mark.parametrize(
    ("kind", "physical", "facts", "raw", "wanted"),
    [
        ("integer", "integer", {}, ["1", " 2 ", "x", "2.5", None], [1, 2, None, None, None]),
        ("integer", "integer", {}, [1.0, 2.5, np.inf, np.nan, -3.0], [1, None, None, None, -3]),
        ("integer", "integer", {"maximum": 2.0}, np.array([1, 2, 3], dtype="uint64"), [1, 2, None]),
        ("integer", "integer", {}, np.array([1, 2**64 - 1], dtype="uint64"), [1, None]),
        ("integer", "integer", {}, pd.array([2**62 + 1, None], dtype="Int64"), [2**62 + 1, None]),
        ("integer", "integer", {}, [True, False], [1, 0]),
        ("continuous", "real", {"minimum": 0.0}, ["0.5", "-1", "1e3"], [0.5, None, 1000.0]),
        ("continuous", "real", {}, [Decimal("1.5"), None], [1.5, None]),
        ("continuous", "real", {}, pd.array([1, None], dtype="Int8"), [1.0, None]),
        ("continuous", "real", {}, pd.array([1.5, None], dtype=pd.ArrowDtype(pa.float64())), [1.5, None]),
        ("categorical", "integer", {"categories": (1, 2)}, ["1", 2.0, 3, "x"], [1, 2, None, None]),
        ("categorical", "text", {"categories": ("1", "2.5")}, [1.0, 2.5, np.nan], ["1", "2.5", None]),
        ("categorical", "text", {"categories": ("1", "True")}, [1, "True", "x"], ["1", "True", None]),
        ("categorical", "text", {"categories": ("a",)}, pd.Categorical(["a", "b", None]), ["a", None, None]),
        ("categorical", "boolean", {"categories": (False, True)}, ["TRUE", "0", "no"], [True, False, None]),
        ("boolean", "boolean", {"categories": (False, True)}, [1, 0, 2], [True, False, None]),
        ("identifier", "text", {}, [7, 8], ["7", "8"]),
        ("text", "text", {}, [[1, 2], {"a": 1}], ["[1, 2]", "{'a': 1}"]),
        ("duration", "duration", {}, ["1 days", "x"], [pd.Timedelta(days=1), None]),
        ("duration", "duration", {}, [5, 6], [None, None]),
        ("datetime", "timestamp", {}, ["2024-02-30", "1512-01-01T10:00", "9999-12-31"], [None, 1, 1]),
        ("datetime", "timestamp", {}, ["2024-02-01T00:00Z", 17], [None, None]),
        ("datetime", "timestamp_utc", {}, ["2024-02-01T02:00+02:00", "2024-02-01"], [1, 1]),
        ("date", "date", {}, [dt.datetime(2024, 1, 1, 23), None], [pd.Timestamp(2024, 1, 1), None]),
        ("datetime", "timestamp", {}, pd.period_range("2024-01", periods=2, freq="M"), [1, 1]),
    ],
)
def test_coerce_reads_what_it_can_and_marks_the_rest(
    kind: str, physical: str, facts: dict[str, object], raw: object, wanted: list[object]
):
    frame = pd.DataFrame({"x": raw}, index=range(5, 5 + len(wanted)))
    schema = Schema(columns=(column("x", kind, physical, **facts),))
    table, broken = Table.coerce(schema, frame)
    found = table.frame["x"]
    assert found.isna().tolist() == [value is None for value in wanted]
    assert broken["x"].tolist() == [v is None and g for v, g in zip(wanted, frame["x"].notna(), strict=True)]
    if 1 not in wanted or kind not in ("datetime",):
        assert found.dropna().tolist() == [value for value in wanted if value is not None]


def test_zones_become_utc_and_zoned_times_lose_theirs_where_none_is_kept():
    noon = pd.Series(pd.to_datetime(["2024-07-01T12:00"])).dt.tz_localize("Europe/Berlin")
    for physical in ("timestamp_utc", "timestamp"):
        only = column("x", "datetime", physical)
        table = Table.conform(Schema(columns=(only,)), pd.DataFrame({"x": noon}))
        assert table.numbers("x")[0] == pd.Timestamp("2024-07-01T10:00", tz="UTC").value // 1000


def test_the_first_and_the_last_year_are_kept():
    only = column("x", "datetime", "timestamp")
    ends = ["0001-01-01T00:00:00.000001", "9999-12-31T23:59:59.999999"]
    table = Table.conform(Schema(columns=(only,)), pd.DataFrame({"x": ends}))
    again = Table.from_arrow(table.schema, table.to_arrow())
    assert again.to_arrow()["x"].to_pylist() == [dt.datetime.fromisoformat(end) for end in ends]
    assert from_numbers(only, table.numbers("x")).dt.year.tolist() == [1, 9999]
    limited = only.model_copy(update={"maximum": table.numbers("x")[1]})
    assert Table.conform(Schema(columns=(limited,)), table.frame).frame.equals(table.frame)


def test_a_null_breaks_a_column_that_has_none():
    schema = Schema(columns=(Column(name="x", kind="continuous", physical="real"),))
    _, broken = Table.coerce(schema, pd.DataFrame({"x": [1.0, None]}))
    assert broken["x"].tolist() == [False, True]


def test_conform_names_each_column_what_came_and_what_was_wanted():
    schema = Schema(
        columns=(
            Column(name="age", kind="integer", physical="integer", minimum=17, maximum=90),
            Column(name="sex", kind="categorical", physical="text", categories=("f", "m")),
            Column(name="born", kind="date", physical="date", minimum=0.0, nullable=True),
            Column(name="lost", kind="integer", physical="integer"),
        )
    )
    frame = pd.DataFrame({"age": [20, 120, 15], "sex": ["f", "m", None], "born": ["1980-01-01", "1960-01-01", None]})
    with pytest.raises(ValueError) as caught:
        Table.conform(schema, frame)
    assert str(caught.value).split("; ") == [
        "column 'age': 2 of 3 values do not fit the schema (first: 120 in row 2), "
        "wanted a whole number from 17 to 90, never missing",
        "column 'sex': 1 of 3 values do not fit the schema (first: None in row 3), "
        "wanted one of 'f', 'm', never missing",
        "column 'born': 1 of 3 values do not fit the schema (first: '1960-01-01' in row 2), "
        "wanted a date from 1970-01-01",
        "column 'lost' is missing",
    ]


def test_conform_misses_a_column_even_without_rows():
    with pytest.raises(ValueError, match="column 'x' is missing"):
        Table.conform(Schema(columns=(column("x", "text", "text"),)), pd.DataFrame({"y": []}))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(ValueError, match="columns appear twice: 'x'"):
        Table.coerce(Schema(columns=(column("x", "integer", "integer"),)), frame)


def test_from_numbers_stays_on_the_grid_and_inside_the_range():
    wild = np.array([-1e300, -7.4, 0.26, 1e18, 1e300, np.nan])
    for each in COLUMNS:
        if not each.is_number:
            continue
        narrow = each.model_copy(update={"minimum": -3.5 * 86_400e6, "maximum": 4.2 * 86_400e6, "decimals": None})
        series = from_numbers(narrow, wild)
        table, broken = Table.coerce(Schema(columns=(narrow,)), pd.DataFrame({each.name: series}))
        assert not broken.to_numpy().any(), each.name
        assert np.isnan(table.numbers(each.name)).tolist() == [False] * 5 + [True]
    tenths = from_numbers(column("x", "continuous", "real", decimals=1), np.array([0.1 + 0.2, 1 / 3]))
    assert tenths.tolist() == [0.3, 0.3]
    noon = from_numbers(column("x", "date", "date"), np.array([1.4, 1.6, -0.4]) * 86_400e6)
    assert noon.dt.strftime("%m-%d").tolist() == ["01-02", "01-03", "01-01"]


def test_a_boolean_with_turned_categories_keeps_its_meaning():
    turned = column("x", "boolean", "boolean", categories=(True, False))
    series = pd.Series([True, False, None], dtype="boolean")
    assert codes(turned, series).tolist() == [0, 1, -1]
    assert from_codes(turned, np.array([0, 1, -1])).tolist() == [True, False, pd.NA]


def test_take_keeps_order_and_counts_anew():
    table = Table.conform(Schema(columns=(column("x", "integer", "integer"),)), pd.DataFrame({"x": [5, 6, 7]}))
    assert table.take(np.array([2, 0])).frame["x"].tolist() == [7, 5]
    assert list(table.take(np.array([False, True, True])).frame.index) == [0, 1]
    assert numbers(table.schema["x"], table.frame["x"]).tolist() == [5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"categories": (1, 1.0)}, "same value twice"),
        ({"categories": ("1", 2)}, "several types"),
        ({"categories": (True, 2)}, "several types"),
        ({"minimum": 2.0, "maximum": 1.0}, "above maximum"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(facts: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        column("x", "categorical", "integer", **facts)


def test_a_schema_goes_through_json_and_refuses_doubles():
    assert Schema.model_validate_json(SCHEMA.model_dump_json()) == SCHEMA
    with pytest.raises(ValueError, match="appear twice: 'id'"):
        Schema(columns=(SCHEMA["id"], SCHEMA["id"]))
    target = [column(name, "integer", "integer", role="target") for name in "ab"]
    with pytest.raises(ValueError, match="more than one column has the role 'target'"):
        Schema(columns=tuple(target))
    with pytest.raises(KeyError):
        SCHEMA["absent"]
