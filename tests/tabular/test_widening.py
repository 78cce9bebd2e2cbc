"""A widened schema holds every value that can be read, and keeps everything that it knew."""

import numpy as np
import pandas as pd
import pytest

from tabular.schema import Column, Schema
from tabular.table import Table
from tabular.widening import widened

SCHEMA = Schema(
    columns=(
        Column(name="town", kind="categorical", physical="text", categories=("Bern", "Zug")),
        Column(name="grade", kind="ordinal", physical="integer", categories=(1, 3)),
        Column(name="size", kind="ordinal", physical="text", categories=("small", "large")),
        Column(name="truth", kind="boolean", physical="boolean", categories=(True,)),
        Column(name="same", kind="constant", physical="text", categories=("x",)),
        Column(name="age", kind="integer", physical="integer", minimum=18, maximum=80),
        Column(name="pay", kind="continuous", physical="real", minimum=0),
        Column(name="day", kind="date", physical="date", minimum=0, maximum=86_400_000_000),
        Column(name="note", kind="text", physical="text"),
    )
)
FRAME = pd.DataFrame(
    {
        "town": ["Bern", "Chur", "Aarau", None],
        "grade": [2, 1, 3, 9],
        "size": ["huge", "small", "large", "small"],
        "truth": [True, False, True, True],
        "same": ["x", "y", "x", "x"],
        "age": [17.0, 99.0, np.nan, 20.0],
        "pay": [-5.0, 5.0, 1e9, 0.0],
        "day": pd.to_datetime(["1969-12-31", "1970-01-01", "2030-01-01", "1970-01-02"]),
        "note": list("abcd"),
    }
)


def test_every_value_that_can_be_read_fits() -> None:
    wide = widened(SCHEMA, FRAME)
    table = Table.conform(wide, FRAME)
    assert table.frame["town"].astype(object).tolist()[:3] == ["Bern", "Chur", "Aarau"]
    assert table.frame["age"].tolist()[:2] == [17, 99]
    assert table.frame["pay"].tolist() == FRAME["pay"].tolist()


def test_what_was_known_comes_first_and_numbers_stay_in_order() -> None:
    wide = widened(SCHEMA, FRAME)
    assert wide["town"].categories == ("Bern", "Zug", "Aarau", "Chur")
    assert wide["grade"].categories == (1, 2, 3, 9)
    assert wide["size"].categories == ("small", "large", "huge")
    assert wide["truth"].categories == (False, True)
    assert (wide["same"].kind, wide["same"].categories) == ("categorical", ("x", "y"))
    assert (wide["age"].minimum, wide["age"].maximum) == (17, 99)
    assert (wide["pay"].minimum, wide["pay"].maximum) == (-5, None)
    assert [column.nullable for column in wide.columns] == [True, *[False] * 4, True, *[False] * 3]


def test_a_table_of_the_schema_changes_nothing() -> None:
    frame = FRAME.iloc[[0, 0]].assign(
        town="Zug", grade=3, size="large", truth=True, age=18, pay=0.0, day=pd.to_datetime("1970-01-01")
    )
    assert widened(SCHEMA, frame) == SCHEMA


@pytest.mark.parametrize(
    ("name", "value"), [("age", "forty"), ("age", 3.5), ("pay", np.inf), ("truth", "perhaps"), ("day", "soon")]
)
def test_what_cannot_be_read_as_its_type_is_no_value(name: str, value: object) -> None:
    frame = FRAME.astype(object)
    frame.loc[1, name] = value
    _, broken = Table.coerce(widened(SCHEMA, frame), frame)
    assert broken.to_numpy().sum() == 1
    assert broken.loc[1, name]


def test_a_column_that_is_not_there_stays_as_it_is() -> None:
    assert widened(SCHEMA, FRAME.drop(columns="town"))["town"] == SCHEMA["town"]
