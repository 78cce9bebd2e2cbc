"""What a person says of a column is honoured, or refused with the reason."""

import numpy as np
import pandas as pd
import pytest

from tabular.infer import Override, infer_schema
from tabular.schema import Column
from tabular.table import Table


def infer(values: object, **override: object) -> Column:
    frame = pd.DataFrame({"x": values})
    schema = infer_schema(frame, {"x": Override.model_validate(override)})
    Table.conform(schema, frame)
    return schema["x"]


@pytest.mark.parametrize(
    ("values", "override", "wanted"),
    [
        ([1, 2, 3] * 9, {"kind": "integer"}, ("integer", "integer")),
        ([1, 2, 3] * 9, {"kind": "continuous"}, ("continuous", "integer")),
        (["1", "2", "3"] * 9, {"kind": "categorical"}, ("categorical", "integer")),
        ([1, 2, 3] * 9, {"kind": "ordinal"}, ("ordinal", "integer")),
        ([0, 1, None] * 9, {"kind": "boolean"}, ("boolean", "boolean")),
        ([True, False] * 9, {"kind": "categorical"}, ("categorical", "boolean")),
        ([True, False] * 9, {"kind": "integer"}, ("integer", "integer")),
        (["x"] * 9, {"kind": "categorical"}, ("categorical", "text")),
        (["a b", "b c"] * 9, {"kind": "text"}, ("text", "text")),
        ([f"u{i}" for i in range(99)], {"kind": "categorical"}, ("categorical", "text")),
        ([1.0, 2.0, 1.0], {"kind": "identifier"}, ("identifier", "integer")),
        (["7", "8", "7"], {"role": "unit"}, ("identifier", "integer")),
        (["2024-01-01", "2024-01-02"], {"role": "unit"}, ("identifier", "text")),
        (pd.date_range("2024-01-01 05:00", periods=9), {"kind": "date"}, ("date", "date")),
        (["2024-01-01", "2024-01-02"], {"kind": "datetime"}, ("datetime", "timestamp")),
        (["2024-01-01", "2024-01-02"], {"kind": "categorical"}, ("categorical", "text")),
        (["1 days", "2 days 03:00:00"], {"kind": "duration"}, ("duration", "duration")),
        ([5.0] * 9, {"kind": "continuous"}, ("continuous", "real")),
        ([5.0, 6.5, 5.0], {"kind": "semicontinuous"}, ("semicontinuous", "real")),
        ([None] * 9, {"kind": "categorical"}, ("categorical", "text")),
        ([None] * 9, {"kind": "continuous"}, ("constant", "text")),
        ([1, 2] * 9, {"categories": ["1", "2", "3"]}, ("categorical", "text")),
    ],
)
def test_what_a_person_says_is_honoured(values: object, override: dict[str, object], wanted: tuple[str, str]):
    column = infer(values, **override)
    assert (column.kind, column.physical) == wanted


def test_further_sayings_are_kept():
    column = infer(
        [1.0, 2.5, 2.5],
        kind="continuous",
        role="target",
        sensitive=True,
        minimum=0,
        maximum=10,
        nullable=True,
        decimals=3,
    )
    assert (column.role, column.sensitive, column.nullable) == ("target", True, True)
    assert (column.minimum, column.maximum, column.decimals) == (0.0, 10.0, 3)
    assert infer(["lo", "hi"] * 5, kind="ordinal", categories=["lo", "hi"]).categories == ("lo", "hi")
    assert infer([2, 1] * 5, categories=[2, 1, 0]).categories == (2, 1, 0)
    assert infer(["2024-05-01"] * 3, minimum="2024-01-01").minimum == pd.Timestamp("2024-01-01").value / 1000
    assert infer([5.0, 6.5, 5.0], kind="semicontinuous").spikes == (5.0,)


@pytest.mark.parametrize(
    ("values", "override", "words"),
    [
        (["a", "b"], {"kind": "continuous"}, "column 'x': got 'a', wanted plain numbers for kind continuous"),
        (["1", "b"], {"kind": "integer"}, "got 'b', wanted plain numbers"),
        ([1.5, 2.0], {"kind": "integer"}, "got 1.5, wanted whole numbers"),
        (["2024-01-01"] * 3, {"kind": "integer"}, "got times, wanted numbers"),
        (["31/12/2024"] * 3, {"kind": "date"}, "got '31/12/2024', wanted times or ISO 8601 text"),
        ([1, 2], {"kind": "datetime"}, "wanted times or ISO 8601 text"),
        (["soon", "late"], {"kind": "duration"}, "wanted lengths of time"),
        ([1, 2], {"kind": "constant"}, "got 2 different values"),
        ([1, 2], {"kind": "boolean"}, "got 2, wanted true, false, 1 or 0"),
        (["lo", "hi"], {"kind": "ordinal"}, "the order of words is not known"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), {"kind": "categorical"}, "got times"),
        ([f"u{i}" for i in range(10_001)], {"kind": "categorical"}, "got 10,001 categories, wanted 10,000"),
        (["a", "b"], {"categories": ["a"]}, "1 values are none of the categories, such as 'b'"),
        ([1.5, 2.5], {"kind": "continuous", "categories": [1.5]}, "categories of a column of kind continuous"),
        (["a", "b"] * 9, {"minimum": 3}, "minimum of a column of kind categorical"),
        (["a", "b"] * 9, {"decimals": 3}, "decimals of a column of kind categorical"),
        ([1.5, 2.0, 2.5], {"minimum": 2}, "values go down to 1.5, below the minimum"),
        ([1.5, 2.0, 2.5], {"maximum": 2}, "values go up to 2.5, above the maximum"),
        (["2024-01-01"] * 3, {"minimum": "2024-02-01"}, "values go down to 2024-01-01, below"),
        ([1.5, 2.0, 2.5], {"minimum": "2024-02-01"}, "got the time"),
        ([1.5, None, 2.5], {"nullable": False}, "1 values are missing, but nullable is false"),
        ([1.5, np.inf, -np.inf], {}, "column 'x': 2 of 3 values are infinite; replace them"),
        ([1, np.inf], {"kind": "continuous"}, "1 of 2 values are infinite"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(values: object, override: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        infer(values, **override)
