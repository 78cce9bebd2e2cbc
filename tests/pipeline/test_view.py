import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Mistake
from pipeline.spec import Spec
from pipeline.split import LEAST_ROWS, split
from pipeline.view import apply
from tabular.infer import infer_schema

FRAME = pd.DataFrame(
    {
        "person": [1, 1, 2, 2],
        "sex": [0.0, 1.0, np.nan, 1.0],
        "answer": ["yes", "no", "yes", None],
        "site": pd.array([3, 4, None, 9], "Int64"),
        "income": [1.5, 2.5, 3.5, 4.5],
    }
)


def spec(**said: object) -> Spec:
    return Spec.of({"name": "toy", "source": {"path": "toy.csv"}, "models": {"independent": {}}, **said}, "toy.yaml")


def test_without_a_word_everything_stays() -> None:
    frame, overrides = apply(spec(), FRAME)
    pd.testing.assert_frame_equal(frame, FRAME)
    assert overrides == {}


def test_columns_are_dropped_renamed_and_put_into_words() -> None:
    said = {
        "columns": {
            "sex": {"rename": "gender", "values": {1: "female", 0: "male"}, "sensitive": True},
            "site": {"values": {4: "four"}, "otherwise": "elsewhere"},
            "answer": {"values": {True: "agreed", False: "refused"}},
            "income": {"drop": True},
        },
        "target": "gender",
        "unit": "person",
    }
    frame, overrides = apply(spec(**said), FRAME)
    assert list(frame.columns) == ["person", "gender", "answer", "site"]
    assert frame["gender"].tolist()[:2] == ["male", "female"]
    assert frame["gender"].isna().tolist() == [False, False, True, False]
    assert frame["answer"].tolist()[:3] == ["agreed", "refused", "agreed"]
    assert frame["site"].tolist()[:2] == ["elsewhere", "four"]
    assert overrides["gender"].categories == ("female", "male")
    assert overrides["site"].categories == ("four", "elsewhere")
    schema = infer_schema(frame, overrides)
    assert schema.target is not None
    assert schema.unit is not None
    assert schema.target.name == "gender"
    assert schema.target.kind == "categorical"
    assert schema.unit.name == "person"
    assert [column.name for column in schema.sensitive] == ["gender"]


def test_other_columns_may_go_but_the_roles_stay() -> None:
    said = {"columns": {"sex": {}}, "other_columns": "drop", "target": "income", "unit": "person"}
    assert list(apply(spec(**said), FRAME)[0].columns) == ["person", "sex", "income"]


@pytest.mark.parametrize(
    "keys", [{0: "a", 1: "b"}, {0.0: "a", 1.0: "b"}, {"0": "a", "1": "b"}, {False: "a", True: "b"}]
)
def test_values_are_met_however_they_are_written(keys: dict[object, str]) -> None:
    for column in (pd.Series([0, 1, 1]), pd.Series([0.0, 1.0, 1.0]), pd.Series(pd.array([0, 1, 1], "Int64"))):
        frame, _ = apply(spec(columns={"x": {"values": keys}}), pd.DataFrame({"x": column}))
        assert frame["x"].tolist() == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"columns": {"incme": {}}}, "columns.incme: the source has no such column; did you mean 'income'?"),
        ({"columns": {"INCOME": {}}}, "did you mean 'income'?"),
        ({"target": "incom"}, "target: there is no column 'incom'; did you mean 'income'?"),
        ({"unit": "nobody"}, "unit: there is no column 'nobody'"),
        ({"target": "income", "columns": {"income": {"drop": True}}}, "columns.income.drop: it is the target"),
        ({"target": "income", "columns": {"income": {"rename": "pay"}}}, "renamed to 'pay'"),
        ({"columns": {"sex": {"rename": "income"}}}, "'sex' and 'income' would all be called 'income'"),
        ({"columns": {"site": {"values": {3: "three"}}}}, "columns.site.values: names no word for 4, 9"),
        ({"other_columns": "drop"}, "every column of the source is dropped"),
        ({"target": "income", "unit": "income"}, "is the target; a privacy unit"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(said: dict[str, object], words: str) -> None:
    with pytest.raises(Mistake) as caught:
        apply(spec(**said), FRAME)
    assert words in str(caught.value)


def test_one_row_is_refused() -> None:
    with pytest.raises(Mistake, match="got 1 rows, wanted at least 2"):
        apply(spec(), FRAME.head(1))


@given(
    sizes=st.lists(st.integers(1, 6), min_size=40, max_size=60),
    share=st.floats(0.3, 0.7),
    seed=st.integers(0, 2**32),
)
def test_the_split_keeps_units_whole(sizes: list[int], share: float, seed: int) -> None:
    units = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    frame = pd.DataFrame({"unit": units})
    train, holdout = split(frame, "unit", share, np.random.default_rng(seed))
    again = split(frame, "unit", share, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, holdout])), np.arange(len(frame)))
    assert not set(units[train]) & set(units[holdout])
    assert abs(len(holdout) - share * len(frame)) <= max(sizes)
    assert all((mine == other).all() for mine, other in zip((train, holdout), again, strict=True))


def test_without_a_unit_each_row_stands_alone_and_so_does_a_missing_unit() -> None:
    frame = pd.DataFrame({"unit": pd.array([1] * 50 + [None] * 150, "Int64")})
    rng = np.random.default_rng
    train, holdout = split(frame, None, 0.25, rng(0))
    assert (len(train), len(holdout)) == (150, 50)
    train, holdout = split(frame, "unit", 0.25, rng(0))
    assert abs(len(holdout) - 50) <= 25
    assert set(range(50)) <= set(train.tolist()) or set(range(50)) <= set(holdout.tolist())


@pytest.mark.parametrize(
    ("rows", "units", "words"),
    [(12, 12, "wanted at least 10 each"), (100, 1, "unit 'unit': got 1"), (2 * LEAST_ROWS - 1, 19, "at least 10")],
)
def test_too_little_to_split_is_refused(rows: int, units: int, words: str) -> None:
    frame = pd.DataFrame({"unit": np.arange(rows) % units})
    with pytest.raises(Mistake, match=words):
        split(frame, "unit", 0.5, np.random.default_rng(0))
