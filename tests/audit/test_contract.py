"""Every metric, on every odd table: an estimate with a value or a reason, never an exception, never a warning."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

from audit.core import MOST_DETAIL, Declared, Estimate, Evidence, Metric, Refit
from pipeline.registry import metric, metrics
from tabular.rules import Rule
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import world

KEPT = ("sex", "age", "savings", "approved")
ROWS = 320
DECLARED = Declared(
    rules=(Rule(text="if sex = male then age >= 18"),), secrets=("sex",), analyses=("savings ~ age + sex",)
)
SMALL = {"trees": {"rounds": 10}, "fits": 12, "copies": 1, "share": 0.5}  # settings that a metric may have, made cheap


def without(table: Table, *names: str) -> Table:
    columns = tuple(column for column in table.schema.columns if column.name not in names)
    schema = Schema(columns=columns)
    return Table(schema, table.frame[list(schema.names)])


def altered(table: Table, name: str, **changes: object) -> Table:
    columns = [column.model_copy(update=changes) if column.name == name else column for column in table.schema.columns]
    return Table.conform(Schema(columns=tuple(columns)), table.frame)


def added(table: Table, column: Column, values: object) -> Table:
    frame = table.frame.assign(**{column.name: values})
    return Table.conform(Schema(columns=(*table.schema.columns, column)), frame)


def everywhere(change: Callable[[Table], Table]) -> Callable[[list[Table]], list[Table]]:
    return lambda tables: [change(table) for table in tables]


def only_synthetic(change: Callable[[Table], Table]) -> Callable[[list[Table]], list[Table]]:
    return lambda tables: [*tables[:2], change(tables[2])]


def first(count: int) -> Callable[[Table], Table]:
    return lambda table: table.take(np.arange(count))


def set_to(name: str, value: object) -> Callable[[Table], Table]:
    def change(table: Table) -> Table:
        values = pd.Series([value] * len(table), dtype=table.frame[name].dtype)
        return Table.conform(table.schema, table.frame.assign(**{name: values}))

    return change


def null_column(table: Table) -> Table:
    empty = Column(name="empty", kind="continuous", physical="real", nullable=True, sensitive=True)
    nothing = Column(name="nothing", kind="constant", physical="text", nullable=True)
    return added(added(table, empty, np.nan), nothing, None)


def constant_column(table: Table) -> Table:
    same = Column(name="same", kind="constant", physical="text", categories=("x",), sensitive=True)
    number = Column(name="number", kind="integer", physical="integer", minimum=5, maximum=5)
    return added(added(table, same, "x"), number, 5)


def many_categories(role: str) -> Callable[[Table], Table]:
    names = tuple(f"value {place:05d}" for place in range(10_000))

    def change(table: Table) -> Table:
        column = Column(name="many", kind="categorical", physical="text", categories=names, role=role, sensitive=True)
        base = altered(table, "approved", role="feature") if role == "target" else table
        rng = np.random.default_rng(len(table))
        return added(base, column, np.array(names)[rng.integers(10_000, size=len(table))])

    return change


def one_person(table: Table) -> Table:
    return added(table, Column(name="person", kind="identifier", physical="integer", role="unit"), 1)


ODD: dict[str, Callable[[list[Table]], list[Table]]] = {
    "ordinary": everywhere(lambda table: table),
    "no synthetic row": only_synthetic(first(0)),
    "one synthetic row": only_synthetic(first(1)),
    "one row everywhere": everywhere(first(1)),
    "holdout of three rows": lambda tables: [tables[0], first(3)(tables[1]), tables[2]],
    "empty training table": lambda tables: [first(0)(tables[0]), *tables[1:]],
    "all-null columns": everywhere(null_column),
    "null in the synthetic rows only": only_synthetic(set_to("savings", None)),
    "constant columns": everywhere(constant_column),
    "one column only": everywhere(lambda table: without(table, *KEPT[:-1])),
    "one number column only": everywhere(lambda table: without(table, *(name for name in KEPT if name != "age"))),
    "nothing modelled": everywhere(lambda table: without(one_person(table), *KEPT)),
    "one class": everywhere(set_to("approved", "yes")),
    "one class in the synthetic rows": only_synthetic(set_to("approved", "yes")),
    "no target": everywhere(lambda table: altered(table, "approved", role="feature")),
    "target that is a number": everywhere(
        lambda table: altered(altered(table, "approved", role="feature"), "age", role="target")
    ),
    "target with missing values": everywhere(
        lambda table: altered(altered(table, "approved", role="feature"), "savings", role="target")
    ),
    "no sensitive column": everywhere(lambda table: without(table, "sex", "age")),
    "ten thousand categories": everywhere(many_categories("feature")),
    "ten thousand classes": everywhere(many_categories("target")),
    "one person": everywhere(one_person),
}


@cache
def tables(odd: str) -> tuple[Table, ...]:
    rng = np.random.default_rng(3)
    plain = [without(world(ROWS, rng), "city", "region", "schooling", "income", "married", "joined") for _ in range(3)]
    return tuple(ODD[odd](plain))


@cache
def look(name: str, odd: str) -> Estimate:
    kind = metric(name)
    few = {name: value for name, value in SMALL.items() if name in kind.Config.model_fields}
    evidence = Evidence(*tables(odd), declared=DECLARED, refit=Refit(bootstrap))
    return kind(kind.Config.model_validate(few))(evidence, np.random.default_rng(5))


def bootstrap(table: Table, rows: int, rng: np.random.Generator) -> Table:
    return table.take(rng.integers(max(len(table), 1), size=rows if len(table) else 0))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", metrics())
def test_every_metric_answers_odd_tables_with_a_value_or_a_reason(name: str, odd: str) -> None:
    estimate = look(name, odd)
    assert (estimate.value is None) == bool(estimate.not_computed)
    assert len(estimate.detail) <= MOST_DETAIL
    numbers = [value for row in estimate.detail for value in row.values() if isinstance(value, float)]
    assert np.isfinite([*numbers, estimate.value or 0.0, estimate.reference or 0.0]).all()
    for value, interval in (
        (estimate.value, estimate.interval),
        (estimate.reference, estimate.reference_interval),
    ):
        if value is not None and interval is not None:
            assert interval.low <= value <= interval.high
    assert Estimate.model_validate_json(estimate.model_dump_json()) == estimate


@pytest.mark.parametrize("name", metrics())
def test_an_ordinary_table_is_answered_with_a_reference_and_intervals(name: str) -> None:
    estimate = look(name, "ordinary")
    assert estimate.not_computed is None
    assert estimate.reference is not None
    told = metric(name).spread == "interval"
    assert (estimate.interval is not None, estimate.reference_interval is not None) == (told, told)
    assert estimate.rows > 0


@pytest.mark.parametrize("name", metrics())
def test_the_same_random_numbers_give_the_same_estimate(name: str) -> None:
    assert look.__wrapped__(name, "ordinary") == look(name, "ordinary")


@pytest.mark.parametrize("name", metrics())
def test_every_metric_says_what_it_is(name: str) -> None:
    kind: type[Metric] = metric(name)
    assert kind.better in ("lower", "higher", "none")
    assert np.isfinite(kind.ideal)
    assert kind.title and kind.definition.endswith(".")
    assert kind.Config.model_config["frozen"] and kind.Config.model_config["extra"] == "forbid"
    assert kind.Config.__doc__


@pytest.mark.parametrize(
    ("name", "odd", "words"),
    [
        ("bias.group_prevalence", "no sensitive column", "no sensitive column"),
        ("bias.equal_opportunity", "no target", "no target"),
        ("bias.equal_opportunity", "ten thousand classes", "tells no positive from a negative"),
        ("utility.train_synthetic_test_real", "no target", "no target"),
        ("utility.train_synthetic_test_real", "one class", "one value only"),
        ("fidelity.column_shapes", "holdout of three rows", "needs at least 50"),
        ("fidelity.pair_trends", "one column only", "at least 2"),
        ("fidelity.detection", "one synthetic row", "half of the synthetic table has 0 rows"),
        ("fidelity.detection", "one person", "half of the holdout"),
        ("privacy.membership_inference", "holdout of three rows", "a third of the holdout"),
        ("privacy.exact_copies", "empty training table", "the training table has 0 rows"),
        ("validity.unseen_combinations", "one number column only", "0 columns of categories"),
    ],
)
def test_what_cannot_be_computed_says_why(name: str, odd: str, words: str) -> None:
    estimate = look(name, odd)
    assert estimate.value is None
    assert words in (estimate.not_computed or "")
