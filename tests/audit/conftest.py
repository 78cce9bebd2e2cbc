"""A simulated table whose joint distribution, rules and group bias are known, and wrong releases made from it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from audit.core import Declared, Evidence
from tabular.rules import Rule
from tabular.schema import Column, Schema
from tabular.table import Table

CITIES = tuple(f"city {place:02d}" for place in range(12))
REGIONS = ("north", "south", "east", "west")
SCHOOLING = ("none", "school", "college", "doctor")
ROWS = 4_000
DECLARED = Declared(rules=(Rule(text="income >= 0"),), analyses=("income ~ age + sex", "approved ~ age + sex"))


def world_schema(unit: bool = False) -> Schema:
    columns = [
        Column(name="sex", kind="categorical", physical="text", categories=("female", "male"), sensitive=True),
        Column(name="city", kind="categorical", physical="text", categories=CITIES),
        Column(name="region", kind="categorical", physical="text", categories=REGIONS),
        Column(name="schooling", kind="ordinal", physical="text", categories=SCHOOLING),
        Column(name="age", kind="integer", physical="integer", minimum=18, maximum=90, sensitive=True),
        Column(name="income", kind="continuous", physical="real", minimum=0.0),
        Column(name="savings", kind="semicontinuous", physical="real", nullable=True, minimum=0.0, spikes=(0.0,)),
        Column(name="married", kind="boolean", physical="boolean", categories=(False, True), nullable=True),
        Column(name="joined", kind="date", physical="date"),
        Column(name="approved", kind="categorical", physical="text", categories=("no", "yes"), role="target"),
    ]
    if unit:
        columns.insert(0, Column(name="person", kind="identifier", physical="integer", role="unit"))
    return Schema(columns=tuple(columns))


def world(rows: int, rng: np.random.Generator) -> Table:
    """Draw rows: the city fixes the region, schooling and age raise income, men are approved more often."""
    city = rng.choice(len(CITIES), rows, p=np.linspace(2, 1, len(CITIES)) / np.linspace(2, 1, len(CITIES)).sum())
    male = rng.random(rows) < 0.6
    schooling = np.clip(rng.binomial(3, 0.3 + 0.2 * (city % 4 == 0)), 0, 3)
    age = np.clip(np.round(rng.normal(45, 14, rows)), 18, 90)
    income = np.exp(rng.normal(9.5 + 0.3 * schooling + 0.01 * (age - 45), 0.4))
    savings = np.where(rng.random(rows) < 0.4, 0.0, np.round(income * rng.gamma(2, 0.2, rows), 2))
    savings[rng.random(rows) < 0.05 + 0.1 * ~male] = np.nan
    odds = 2.5 * (np.log(income) - 10) + 0.8 * male + 0.5 * (schooling >= 2)
    frame = pd.DataFrame(
        {
            "sex": np.where(male, "male", "female"),
            "city": np.array(CITIES)[city],
            "region": np.array(REGIONS)[city // 3],
            "schooling": np.array(SCHOOLING)[schooling],
            "age": age.astype(np.int64),
            "income": income,
            "savings": savings,
            "married": pd.array(
                np.where(rng.random(rows) < 0.1, None, age > rng.normal(35, 10, rows)), dtype="boolean"
            ),
            "joined": np.datetime64("2010-01-01") + rng.integers(0, 3_000, rows).astype("timedelta64[D]"),
            "approved": np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "yes", "no"),
        }
    )
    return Table.conform(world_schema(), frame)


def with_units(table: Table, repeats: int, first: int) -> Table:
    """Give rows in runs of that length to persons, numbered from `first`; rows of one person are the same."""
    persons = np.arange(len(table)) // repeats
    frame = table.frame.iloc[persons * repeats].reset_index(drop=True)
    frame.insert(0, "person", pd.array(persons + first, dtype="Int64"))
    return Table.conform(world_schema(unit=True), frame)


def shuffled(table: Table, rng: np.random.Generator) -> Table:
    """Shuffle each column by itself: right shapes, no dependence."""
    columns = {name: table.frame[name].iloc[rng.permutation(len(table))].to_numpy() for name in table.schema.names}
    return Table.conform(table.schema, pd.DataFrame(columns))


@dataclass(frozen=True)
class Real:
    """Independent draws of the same world."""

    train: Table
    holdout: Table
    fresh: Table

    def evidence(self, synthetic: Table) -> Evidence:
        return Evidence(self.train, self.holdout, synthetic, declared=DECLARED)


@pytest.fixture(scope="session")
def real() -> Real:
    rng = np.random.default_rng(7)
    return Real(*(world(ROWS, rng) for _ in range(3)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


Draw = Callable[[int, np.random.Generator], Table]
