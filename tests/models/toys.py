"""Small tables whose distribution is known, and how far rows are from it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from tabular.infer import infer_schema
from tabular.table import Table

MODES = np.column_stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)])
SPREAD = 0.08  # of a mode; neighbours are 0.77 apart
NEAR = 0.25
ON_A_MODE = 1 - np.exp(-(NEAR**2) / (2 * SPREAD**2))  # of a normal in the plane
FIELDS = 4

CITIES = 40
COUNTRIES = np.arange(CITIES) % 4  # of each city
CITY = (1 / (np.arange(CITIES) + 2)) / (1 / (np.arange(CITIES) + 2)).sum()
COUNTRY = np.bincount(COUNTRIES, CITY)
PAID = np.array([0.9, 0.2, 0.6, 0.05])  # given the country
AGES = np.array([20, 30, 40, 50, 60])  # bounds of the four stretches, uniform within each
AGE = np.array(  # given the country and whether it was paid
    [
        [[0.80, 0.10, 0.05, 0.05], [0.05, 0.10, 0.15, 0.70]],
        [[0.05, 0.80, 0.10, 0.05], [0.45, 0.05, 0.05, 0.45]],
        [[0.05, 0.45, 0.45, 0.05], [0.85, 0.05, 0.05, 0.05]],
        [[0.10, 0.05, 0.05, 0.80], [0.05, 0.05, 0.85, 0.05]],
    ]
)
JOINT = COUNTRY[:, None, None] * np.stack([1 - PAID, PAID], axis=1)[:, :, None] * AGE
NO_VISITS = 0.6
STOPS = 0.05  # of the positive count, which is geometric
EIGHTHS = np.array([1, 3, 6, 10, 14, 20, 28, 41])  # first count of each of eight stretches of about equal share


class Toy(NamedTuple):
    """A table to draw, what a column or more of it is known to hold, and how far rows are from that.

    Attributes:
        rows: Draws a table of n rows.
        distance: Between a table's rows and the truth, in [0, 1]; 0 for the truth itself.
    """

    rows: Callable[[int, np.random.Generator], Table]
    distance: Callable[[Table], float]


def ring(n: int, rng: np.random.Generator) -> Table:
    """Draw from eight normals on a circle."""
    return _plane(MODES[rng.integers(8, size=n)] + SPREAD * rng.normal(size=(n, 2)))


def moons(n: int, rng: np.random.Generator) -> Table:
    """Draw from two half circles that reach into each other."""
    angle, side = np.pi * rng.random(n), rng.integers(2, size=n)
    arc = np.column_stack([np.cos(angle), np.sin(angle)])
    return _plane(np.where(side[:, None] == 0, arc, [1, 0.5] - arc) + 0.08 * rng.normal(size=(n, 2)))


def checkerboard(n: int, rng: np.random.Generator) -> Table:
    """Draw uniformly from the black fields of a board of four by four."""
    x, y = rng.integers(FIELDS, size=n), rng.integers(FIELDS // 2, size=n)
    return _plane(np.column_stack([x, 2 * y + x % 2]) + rng.random((n, 2)))


def people(n: int, rng: np.random.Generator) -> Table:
    """Draw a mixed table: cities of a long tail, which decide the country, which moves the rest."""
    city = rng.choice(CITIES, n, p=CITY)
    country = COUNTRIES[city]
    paid = rng.random(n) < PAID[country]
    stretch = (rng.random(n)[:, None] > AGE[country, paid.astype(int)].cumsum(axis=1)[:, :-1]).sum(axis=1)
    visits = np.where(rng.random(n) < NO_VISITS, 0, rng.geometric(STOPS, n))
    return _table(
        {
            "city": [f"city {each:02d}" for each in city],
            "country": [f"country {each}" for each in country],
            "paid": paid,
            "age": AGES[stretch] + 10 * rng.random(n),
            "visits": visits,
        }
    )


def missed_modes(table: Table) -> float:
    """Return the total variation over the eight modes and what lies between them."""
    away = np.linalg.norm(_points(table)[:, None] - MODES, axis=2)
    mode = np.where(away.min(axis=1) < NEAR, away.argmin(axis=1), 8)
    return _variation(mode, np.append(np.full(8, ON_A_MODE / 8), 1 - ON_A_MODE))


def missed_moons(table: Table) -> float:
    """Return the total variation over the squares of a grid, against a large fresh sample."""
    truth = np.bincount(_squares(moons(200_000, np.random.default_rng(99))), minlength=100) / 200_000
    return _variation(_squares(table), truth)


def missed_fields(table: Table) -> float:
    """Return the total variation over the fields of the board."""
    x, y = np.clip(np.floor(_points(table)), 0, FIELDS - 1).astype(int).T
    black = (np.arange(FIELDS)[:, None] + np.arange(FIELDS)) % 2 == 0
    return _variation(x * FIELDS + y, black.ravel() / black.sum())


def missed_joint(table: Table) -> float:
    """Return the total variation over the country, whether it was paid and the stretch of the age: 32 cells."""
    stretch = np.clip(np.searchsorted(AGES, table.numbers("age"), side="right") - 1, 0, 3)
    paid = table.frame["paid"].to_numpy(dtype=int)
    return _variation((_number(table, "country") * 2 + paid) * 4 + stretch, JOINT.ravel())


def missed_tail(table: Table) -> float:
    """Return the total variation over the cities."""
    return _variation(_number(table, "city"), CITY)


def broken_rule(table: Table) -> float:
    """Return the share of rows whose country is not that of the city."""
    return float((COUNTRIES[_number(table, "city")] != _number(table, "country")).mean())


def missed_zeros(table: Table) -> float:
    """Return the total variation over no visits and eight stretches of the counts above."""
    above = 1 - np.append((1 - STOPS) ** (EIGHTHS - 1), 0)
    truth = np.append(NO_VISITS, (1 - NO_VISITS) * np.diff(above))
    return _variation(np.searchsorted(EIGHTHS, table.numbers("visits"), side="right"), truth)


TOYS = {
    "ring": Toy(ring, missed_modes),
    "moons": Toy(moons, missed_moons),
    "checkerboard": Toy(checkerboard, missed_fields),
    "known_joint": Toy(people, missed_joint),
    "rule": Toy(people, broken_rule),
    "long_tail": Toy(people, missed_tail),
    "zero_inflated": Toy(people, missed_zeros),
}


def _plane(points: np.ndarray) -> Table:
    return _table({"x": points[:, 0], "y": points[:, 1]})


def _table(columns: dict[str, object]) -> Table:
    frame = pd.DataFrame(columns)
    return Table.conform(infer_schema(frame, {}), frame)


def _points(table: Table) -> np.ndarray:
    return np.column_stack([table.numbers("x"), table.numbers("y")])


def _number(table: Table, name: str) -> np.ndarray:
    """Return the number at the end of a category's name, for each row."""
    return table.frame[name].astype(str).str.split().str[-1].to_numpy(dtype=int)


def _squares(table: Table) -> np.ndarray:
    """Return the square of each point on a grid of ten by ten."""
    x, y = np.clip((_points(table) - [-1.25, -0.75]) / [3.5, 2] * 10, 0, 9).astype(int).T
    return x * 10 + y


def _variation(cell: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(np.bincount(cell, minlength=len(truth)) / len(cell) - truth).sum() / 2)
