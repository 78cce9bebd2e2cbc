"""The contract: a schema as a Great Expectations suite, and what the suite says of rows."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.report.answers import Check
from tabular.coercion import written
from tabular.rules import Rule
from tabular.schema import Category, Column, Physical, Schema
from tabular.table import Table
from tabular.widening import widened

MOST_LISTED = 1000
SUITE_NAME = "contract"
COLUMNS = "expect_table_columns_to_match_ordered_list"
TYPE = "expect_column_values_to_be_of_type"
NULL = "expect_column_values_to_not_be_null"
DECLARED_RULE = "expect_declared_rules_to_hold"
WRONG_RULE = "expect_declared_rules_to_be_of_these_rows"
NO_RULE, MOST = 0.005, 0.5
TYPES: dict[Physical, tuple[str, str]] = {
    "integer": ("int64", "whole numbers"),
    "real": ("float64", "numbers"),
    "text": ("str", "text"),
    "boolean": ("bool", "true or false"),
    "timestamp": ("Timestamp", "moments"),
    "timestamp_utc": ("Timestamp", "moments"),
    "date": ("Timestamp", "days"),
    "duration": ("int64", "durations"),
}


def build_suite(schema: Schema) -> JsonValue:
    """Write a schema as a suite, in the JSON that Great Expectations reads.

    It asks for: all columns in order; at least one row; each column's type; no missing value where none may be;
    values from the list of categories (up to 1,000; above that only their number); numbers and moments in range;
    identifiers that never repeat still do not. Moments are in ISO 8601 at UTC, durations in
    microseconds.
    """
    expectations: list[JsonValue] = [
        _expectation(COLUMNS, column_list=list(schema.names)),
        _expectation("expect_table_row_count_to_be_between", min_value=1),
    ]
    for column in schema.columns:
        expectations += _of_column(column)
    return {"name": SUITE_NAME, "expectations": expectations, "meta": {}}


def run_suite(suite: JsonValue, table: Table) -> list[Check]:
    """Hold rows against a suite.

    Args:
        suite: What `build_suite` returned.
        table: Rows.

    Returns:
        One result for each expectation, in the suite's order, each with a sentence for people.

    Raises:
        RuntimeError: If an expectation could not be computed.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of its own internals, on import and in use
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        for name in ("great_expectations", ProgressBarsConfig.__module__):  # the second sets a level of its own
            logging.getLogger(name).setLevel(logging.ERROR)

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("rows").add_dataframe_asset("rows")
        batch = asset.add_batch_definition_whole_dataframe("rows").get_batch({"dataframe": _plain(table)})
        asked = _expectations(suite)
        expected = gx.ExpectationSuite(name=SUITE_NAME, expectations=asked)
        found = batch.validate(expected, result_format="BASIC").to_json_dict()  # type: ignore[no-untyped-call]
    checks = [_check(result, table.schema) for result in _listed(found["results"])]
    order = {_place(each): place for place, each in enumerate(asked)}
    return sorted(checks, key=lambda check: order[(check.expectation, check.column)])


def hold(schema: Schema, frame: pd.DataFrame) -> list[Check]:
    """Hold rows that need not fit a schema against its suite, so that each fault is told as what it is.

    Cast to the schema itself, a number out of range or an unknown category would be missing, and be told as missing.

    Args:
        schema: What the rows must keep.
        frame: Rows as they were made, shape (n, columns).

    Returns:
        As `run_suite`; of columns that the frame lacks, only that they are not there.
    """
    table, unreadable = Table.coerce(widened(schema, frame), frame)
    given = frame.reset_index(drop=True)
    absent = [name for name in schema.names if name not in given]
    checks: list[Check] = []
    for check in run_suite(build_suite(schema), Table(schema, table.frame)):
        name = check.column
        if name is None and absent and check.expectation == COLUMNS:
            sentence = f"columns are not there: {', '.join(map(repr, absent))}"
            check = check.model_copy(update={"success": False, "sentence": sentence})
        if name is None or name not in absent:
            odd = np.zeros(len(given), dtype=bool)
            if name is not None:
                odd = unreadable[name].to_numpy() & given[name].notna().to_numpy()
            checks.append(_of_the_readable(check, schema, odd, given))
    return checks


def run_rules(rules: Sequence[Rule], table: Table) -> list[Check]:
    """Hold real rows against declared rules: one result each, in their order, with the share of rows that break it.

    Before them stand the rules that most rows break of those that they apply to: then the rule is wrong, and what
    synthetic rows do with it says nothing of them.
    """
    checks: list[Check] = []
    wrong: list[Check] = []
    for rule in rules:
        broken = rule.broken(table)
        share = float(broken.mean()) if len(broken) else 0.0
        said = f"rule {rule.text!r} holds"
        if share > 0:
            said = f"rule {rule.text!r}: {share:.3%} of the rows break it"
        if share > NO_RULE:
            said += (
                f", more than {NO_RULE:.1%}: it is no rule of these rows, and none that synthetic rows can be held to"
            )
        checks.append(
            Check(expectation=DECLARED_RULE, column=None, success=share == 0, unexpected=share, sentence=said)
        )
        breach = float(broken.sum() / max(rule.applies(table).sum(), 1))
        if breach > MOST:
            said = (
                f"rule {rule.text!r} is wrong, not the synthetic rows: {breach:.1%} of the real rows that it applies to"
            )
            wrong.append(
                Check(expectation=WRONG_RULE, success=False, unexpected=breach, sentence=f"{said} break it"),
            )
    return wrong + checks


def wrong_rules(checks: Iterable[Check]) -> tuple[str, ...]:
    """Return the sentences that tell of rules which most real rows break."""
    return tuple(each.sentence for each in checks if each.expectation == WRONG_RULE)


def _expectation(kind: str, **kwargs: JsonValue) -> dict[str, JsonValue]:
    return {"type": kind, "kwargs": kwargs, "meta": {}}


def _of_column(column: Column) -> Iterator[dict[str, JsonValue]]:
    name = column.name
    yield _expectation(TYPE, column=name, type_=TYPES[column.physical][0])
    if not column.nullable:
        yield _expectation(NULL, column=name)
    if column.is_code and len(column.categories) > MOST_LISTED:
        yield _expectation(
            "expect_column_unique_value_count_to_be_between", column=name, max_value=len(column.categories)
        )
    elif column.is_code and column.categories:
        yield _expectation("expect_column_values_to_be_in_set", column=name, value_set=list(column.categories))
    if column.is_number and (column.minimum is not None or column.maximum is not None):
        low, high = _bound(column, column.minimum), _bound(column, column.maximum)
        yield _expectation("expect_column_values_to_be_between", column=name, min_value=low, max_value=high)
    if column.unique:
        yield _expectation("expect_column_values_to_be_unique", column=name)


def _bound(column: Column, value: float | None) -> JsonValue:
    if value is None or column.physical == "real":
        return value
    if column.physical in ("integer", "duration"):
        return int(value)
    return f"{str(np.datetime64(int(value), 'us')).removesuffix('.000000')}+00:00"


def _plain(table: Table) -> pd.DataFrame:
    """Return the rows as types that the library compares without a loop: codes as their values, moments at UTC."""
    plain = {column.name: _plain_column(column, table.frame[column.name]) for column in table.schema.columns}
    return pd.DataFrame(plain, index=table.frame.index, columns=list(table.schema.names))


def _plain_column(column: Column, series: pd.Series) -> pd.Series:
    if isinstance(series.dtype, pd.CategoricalDtype):
        types = {"integer": "Int64", "real": "float64", "text": "string", "boolean": "boolean"}
        values = series.astype(object).where(series.notna(), None)
        return pd.Series(values.array, index=series.index, dtype=types[column.physical])
    if column.physical in ("timestamp", "date"):
        return series.astype("datetime64[us]").dt.tz_localize("UTC")
    if column.physical == "duration":
        whole = series.astype("timedelta64[us]")
        return whole.astype("int64").astype("Int64").mask(whole.isna())
    return series


def _expectations(suite: JsonValue) -> list[dict[str, JsonValue]]:
    return _listed(suite["expectations"]) if isinstance(suite, dict) else []


def _listed(values: JsonValue) -> list[dict[str, JsonValue]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _part(record: Mapping[str, JsonValue], key: str) -> dict[str, JsonValue]:
    part = record.get(key)
    return part if isinstance(part, dict) else {}


def _place(expectation: Mapping[str, JsonValue]) -> tuple[str, str | None]:
    column = _part(expectation, "kwargs").get("column")
    return str(expectation["type"]), None if column is None else str(column)


def _check(result: Mapping[str, JsonValue], schema: Schema) -> Check:
    config = _part(result, "expectation_config")
    kind, column = _place(config)
    raised = _part(result, "exception_info")
    if raised.get("raised_exception") is not False:
        raise RuntimeError(f"{kind} of column {column!r} could not be computed: {raised}")
    percent = _part(result, "result").get("unexpected_percent")
    share = percent / 100 if isinstance(percent, int | float) else None
    success = bool(result["success"])
    sentence = _sentence(kind, _part(config, "kwargs"), success, share, schema)
    return Check(expectation=kind, column=column, success=success, unexpected=share, sentence=sentence)


def _sentence(kind: str, kwargs: Mapping[str, JsonValue], success: bool, share: float | None, schema: Schema) -> str:
    """Say what was asked and, where it does not hold, for how many values."""
    if kind == COLUMNS:
        return f"the {len(schema.columns)} columns are {'' if success else 'not '}the schema's, in its order"
    if kind == "expect_table_row_count_to_be_between":
        return "there is at least one row" if success else "there are no rows"
    name = str(kwargs["column"])
    wanted, breach = {
        TYPE: (f"be {TYPES[schema[name].physical][1]}", "are not"),
        NULL: ("not be missing", "are"),
        "expect_column_values_to_be_in_set": (f"be one of {_shortly(schema[name].categories)}", "are not"),
        "expect_column_unique_value_count_to_be_between": (
            f"be of at most {kwargs.get('max_value')} categories",
            "there are more",
        ),
        "expect_column_values_to_be_between": (f"lie {_range(schema[name])}", "lie outside"),
        "expect_column_values_to_be_unique": ("not repeat", "do"),
    }[kind]
    said = f"column {name!r}: values must {wanted}"
    if success:
        return said
    if kind == "expect_column_unique_value_count_to_be_between":
        return f"{said}, but {breach}"
    return f"{said}, but {'they' if share is None else f'{share:.3%} of them'} {breach}"


def _of_the_readable(check: Check, schema: Schema, odd: NDArray[np.bool_], given: pd.DataFrame) -> Check:
    """Tell values that cannot be read as what they are: of another type, not missing.

    Args:
        check: What the suite says of a column, in which such values are missing.
        schema: The schema.
        odd: Values that cannot be read, shape (n,).
        given: The rows as they were made.
    """
    if check.column is None or check.expectation not in (TYPE, NULL) or not odd.any():
        return check
    missing = given[check.column].isna().to_numpy()
    share = float(missing.mean()) if check.expectation == NULL else float(odd.sum() / (~missing).sum())
    sentence = _sentence(check.expectation, {"column": check.column}, share == 0, share, schema)
    return check.model_copy(update={"success": share == 0, "unexpected": share, "sentence": sentence})


def _range(column: Column) -> str:
    ends = (("from", column.minimum), ("to", column.maximum))
    return " ".join(f"{word} {written(column, end)}" for word, end in ends if end is not None)


def _shortly(categories: tuple[Category, ...]) -> str:
    shown = ", ".join(map(repr, categories[:5]))
    return shown if len(categories) <= 5 else f"{shown} and {len(categories) - 5} more"
