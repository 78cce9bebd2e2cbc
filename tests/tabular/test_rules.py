import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.rule_grammar import Condition, Operand, Sentence, read
from tabular.rules import Rule
from tabular.schema import Column, Schema
from tabular.table import Table

TOWNS = ("Basel", "Bern", "Zürich (city)", 'the "old" town')
SIZES = ("small", "middle", "large")
SCHEMA = Schema(
    columns=(
        Column(name="age", kind="integer", physical="integer", nullable=True),
        Column(name="years at work", kind="continuous", physical="real", nullable=True),
        Column(name="town", kind="categorical", physical="text", nullable=True, categories=TOWNS),
        Column(name="born in", kind="categorical", physical="text", nullable=True, categories=(*TOWNS[::-1], "Chur")),
        Column(name="size", kind="ordinal", physical="text", nullable=True, categories=SIZES),
        Column(name="rooms", kind="categorical", physical="integer", nullable=True, categories=(1, 2, 5)),
        Column(name="married", kind="boolean", physical="boolean", nullable=True, categories=(False, True)),
        Column(name="joined", kind="date", physical="date", nullable=True),
        Column(name="left", kind="datetime", physical="timestamp_utc", nullable=True),
        Column(name="took", kind="duration", physical="duration", nullable=True),
        Column(name="code", kind="identifier", physical="text", nullable=True),
        Column(name="note", kind="text", physical="text", nullable=True),
    )
)
SIGNS = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def maybe(values):
    return st.one_of(st.none(), values)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "age": maybe(st.integers(16, 22)),
            "years at work": maybe(st.floats(0, 20, width=16)),
            "town": maybe(st.sampled_from(TOWNS)),
            "born in": maybe(st.sampled_from((*TOWNS, "Chur"))),
            "size": maybe(st.sampled_from(SIZES)),
            "rooms": maybe(st.sampled_from((1, 2, 5))),
            "married": maybe(st.booleans()),
            "joined": maybe(st.sampled_from(pd.date_range("2020-01-01", periods=4).tolist())),
            "left": maybe(st.sampled_from(pd.date_range("2020-01-01 12:00", periods=4, tz="UTC").tolist())),
            "took": maybe(st.sampled_from([pd.Timedelta(hours=hours) for hours in (1, 24, 36)])),
            "code": maybe(st.sampled_from(("a", "b"))),
            "note": st.none(),
        }
    ),
    max_size=12,
)


def table(rows: list[dict[str, object]]) -> Table:
    return Table.conform(SCHEMA, pd.DataFrame({name: [row[name] for row in rows] for name in SCHEMA.names}))


def one(**values: object) -> Table:
    return table([dict.fromkeys(SCHEMA.names, None) | values])


NAMES = st.one_of(st.sampled_from(("age", "years at work", "if", "in", "`", "a`b", "Å")), st.text(min_size=1))
WORDS = st.sampled_from(("x", "-3.5", "2020-01-01T12:00", "Married-civ-spouse", "50K", "Ünï", "IF"))
OPERANDS = st.one_of(
    WORDS.map(lambda text: Operand(text, "word")),
    st.text().map(lambda text: Operand(text, "value")),
    NAMES.map(lambda text: Operand(text, "column")),
)
CONDITIONS = st.one_of(
    st.builds(Condition, NAMES, st.sampled_from(sorted(SIGNS)), OPERANDS.map(lambda each: (each,))),
    st.builds(
        Condition,
        NAMES,
        st.sampled_from(("in", "not in")),
        st.lists(OPERANDS.filter(lambda each: each.form != "column"), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(Condition, NAMES, st.sampled_from(("is missing", "is present")), st.just(())),
)
SENTENCES = st.builds(
    Sentence,
    st.lists(CONDITIONS, max_size=3).map(tuple),
    st.lists(CONDITIONS, min_size=1, max_size=3).map(tuple),
)


@given(SENTENCES)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back(sentence: Sentence) -> None:
    assert read(str(sentence)) == sentence
    rule = Rule.parse(str(sentence))
    assert rule.sentence == sentence
    assert Rule.model_validate_json(rule.model_dump_json()) == rule


@given(st.text(alphabet="if then and is in not present =<>!(),`'\"ab1 ", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_rule_or_a_plain_sentence_with_a_position(text: str) -> None:
    try:
        assert read(str(read(text))) == read(text)
    except ValueError as error:
        said = str(error)
        assert said.startswith("got ") and " at position " in said and ", wanted " in said
        place = int(said.split(" at position ")[1].split(",")[0])
        assert 1 <= place <= len(text) + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got the end at position 1, wanted a column's name"),
        ("age", "got the end at position 4, wanted one of =, !=, <, <=, >, >=, in (...)"),
        ("age == 3", "got '=' at position 6, wanted a value or a column's name"),
        ("if age = 3", "got the end at position 11, wanted 'and' or 'then'"),
        ("town = New York", "got 'York' at position 12, wanted 'and' or the end; a value of several words stands"),
        ("years at work > 3", "got 'at' at position 7"),
        ("age = 3 or age = 4", "rules know no 'or'"),
        ('town = "Bern', "got '\"' at position 8, wanted one more \" to end what it begins"),
        ("age in (1, 2", "got the end at position 13, wanted ',' or ')'"),
        ("age in ()", "got ')' at position 9, wanted a value"),
        ("age is gone", "got 'gone' at position 8, wanted 'missing' or 'present'"),
        ("'age' = 3", "got \"'age'\" at position 1, wanted a column's name, bare or in backticks"),
    ],
)  # fmt: skip
def test_what_is_no_rule_says_what_was_wanted_and_where(text: str, words: str) -> None:
    for made in (Rule.parse, read):
        with pytest.raises(ValueError) as error:
            made(text)
        assert words in str(error.value)
    with pytest.raises(ValueError):
        Rule(text=text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("agee > 3", "there is no column 'agee'; there are 'age', "),
        ("age > `years`", "there is no column 'years'"),
        ("town = Chur", "column 'town': got 'Chur', wanted one of 'Basel', 'Bern'"),
        ("if town in (Bern, Berne) then age > 3", "got 'Berne'"),
        ("town < Bern", "column 'town' is categorical and has no order for '<'"),
        ("married >= true", "has no order"),
        ("code < b", "has no order"),
        ("size < huge", "got 'huge', wanted one of 'small', 'middle', 'large'"),
        ("rooms = 3", "got '3', wanted one of 1, 2, 5"),
        ("rooms > many", "got 'many', wanted a number"),
        ("age > old", "got 'old', wanted a number"),
        ("age > nan", "wanted a number"),
        ("age > 1e999", "wanted a number"),
        ("age > 1_000", "wanted a number"),
        ("joined > 2020-13-01", "wanted a date or time in ISO 8601"),
        ("joined > 2020-01-01T00:00Z", "wanted a date or time"),
        ("took > long", "wanted a duration"),
        ("age > town", "column 'age' is a number and column 'town' of categories; they cannot be compared"),
        ("size < `born in`", "not ordered by the same list"),
        ("note is present", "free text"),
    ],
)
def test_what_fits_no_column_is_refused(text: str, words: str) -> None:
    rule = Rule.parse(text)
    with pytest.raises(ValueError) as error:
        rule.check(SCHEMA)
    assert words in str(error.value)
    assert str(error.value).startswith(f"rule {text!r}: ")


@pytest.mark.parametrize(
    ("text", "row", "broken"),
    [
        ("age >= 18", {"age": 17}, True),
        ("age >= 17.5", {"age": 18}, False),
        ("age >= 18", {}, False),
        ("age is present", {}, True),
        ("age is missing", {}, False),
        ("age not in (17, 18)", {"age": 17}, True),
        ("age not in (17, 18)", {}, False),
        ("age != 17", {}, False),
        ("town in (Bern, \"Zürich (city)\")", {"town": "Basel"}, True),
        ("town = 'the \"old\" town'", {"town": TOWNS[3]}, False),
        ("town = `born in`", {"town": "Bern", "born in": "Bern"}, False),
        ("town = `born in`", {"town": "Bern", "born in": "Chur"}, True),
        ("`born in` = town", {"town": "Bern", "born in": "Chur"}, True),
        ("size >= middle", {"size": "small"}, True),
        ("rooms > 3", {"rooms": 2}, True),
        ("rooms <= age", {"rooms": 5, "age": 4}, True),
        ("age >= rooms", {"rooms": 5, "age": 5}, False),
        ("married = TRUE", {"married": False}, True),
        ("joined >= 2020-01-02", {"joined": pd.Timestamp("2020-01-01")}, True),
        ("left > 2020-01-01T13:00+02:00", {"left": pd.Timestamp("2020-01-01 12:00", tz="UTC")}, False),
        ("left > joined", {"left": pd.Timestamp("2020-01-01", tz="UTC"), "joined": pd.Timestamp("2020-01-02")}, True),
        ("took <= '1 day'", {"took": pd.Timedelta(hours=25)}, True),
        ("took <= PT26H", {"took": pd.Timedelta(hours=25)}, False),
        ("code = a", {"code": "b"}, True),
        ("code in (a, b)", {"code": "b"}, False),
        ("if age > 17 and married = true then rooms <= 3", {"age": 18, "married": True, "rooms": 5}, True),
        ("if age > 17 and married = true then rooms <= 3", {"age": 18, "rooms": 5}, False),
        ("if age > 17 then married = true and size = small", {"age": 18, "size": "large"}, True),
        ("if age is missing then married is missing", {"married": True}, True),
        ("age = age", {"age": 3}, False),
    ],
)  # fmt: skip
def test_known_answers(text: str, row: dict[str, object], broken: bool) -> None:
    rule = Rule.parse(text)
    rule.check(SCHEMA)
    assert rule.broken(one(**row)).tolist() == [broken]


def test_a_bare_word_that_names_a_column_is_that_column_and_a_quoted_one_is_not() -> None:
    columns = (*SCHEMA.columns, Column(name="Bern", kind="categorical", physical="text", categories=TOWNS))
    schema = Schema(columns=columns)
    rows = Table.conform(schema, one(town="Bern").frame.assign(Bern="Basel"))
    assert Rule.parse("town = Bern").broken(rows).tolist() == [True]
    assert Rule.parse("town = 'Bern'").broken(rows).tolist() == [False]
    assert Rule.parse("town in (Bern)").broken(rows).tolist() == [False]
    assert Rule.parse("town = Bern").columns(schema) == ("town", "Bern")
    assert Rule.parse("town = 'Bern'").columns(schema) == ("town",)


@given(ROWS, st.sampled_from(sorted(SIGNS)), st.integers(16, 22))
@settings(max_examples=40, deadline=None)
def test_comparisons_are_those_of_pandas(rows: list[dict[str, object]], sign: str, number: int) -> None:
    judged = table(rows)
    for text, left, right in (
        (f"age {sign} {number}", judged.frame["age"], number),
        (f"age {sign} `years at work`", judged.frame["age"], judged.frame["years at work"].astype("Float64")),
        (f"joined {sign} 2020-01-02", judged.frame["joined"], pd.Timestamp("2020-01-02")),
        (f"took {sign} '1 days 00:00:00'", judged.frame["took"], pd.Timedelta(days=1)),
        (f"size {sign} middle", judged.frame["size"].cat.codes.astype("Int64"), 1),
    ):
        frame = judged.frame
        known = left.notna() & (right.notna() if isinstance(right, pd.Series) else True)
        known &= frame["size"].notna() | (not text.startswith("size"))
        true = getattr(operator, SIGNS[sign])(left, right)
        wanted = (known & ~pd.Series(true).fillna(True).astype(bool)).to_numpy(dtype=bool)
        assert Rule.parse(text).broken(judged).tolist() == wanted.tolist()


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_an_implication_is_that_of_three_valued_logic(rows: list[dict[str, object]]) -> None:
    judged = table(rows)
    frame = judged.frame
    given_ = (frame["age"] >= 18) & (frame["town"].astype("string") == "Bern")
    then = (frame["married"] == True) & (frame["rooms"].astype("Int64") <= 2)  # noqa: E712
    rule = Rule.parse("if age >= 18 and town = Bern then married = true and rooms <= 2")
    assert rule.applies(judged).tolist() == given_.fillna(False).tolist()
    assert rule.broken(judged).tolist() == (given_ & ~then).fillna(False).tolist()


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_each_row_is_judged_by_itself(rows: list[dict[str, object]], random: object) -> None:
    judged = table(rows)
    order = np.random.default_rng(random.randint(0, 99)).permutation(len(judged))  # type: ignore[attr-defined]
    for text in ("town = `born in`", "code in (a)", "if rooms in (1, 5) then left > joined"):
        broken = Rule.parse(text).broken(judged)
        assert broken.shape == (len(rows),) and broken.dtype == bool
        assert Rule.parse(text).broken(judged.take(order)).tolist() == broken[order].tolist()


def test_a_rule_without_if_applies_everywhere() -> None:
    assert Rule.parse("age > 3").applies(one()).tolist() == [True]
