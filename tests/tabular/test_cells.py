"""Laws of cells: enough rows in each, and a distribution function that inverts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabular.cells import RARE_ROWS, ROWS_PER_CELL, Cells, shared_values
from tabular.schema import Column

REAL = Column(name="x", kind="continuous", physical="real")
WHOLE = Column(name="x", kind="integer", physical="integer", decimals=0)


def lumpy(seed: int, n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    smooth = rng.lognormal(size=n)
    return np.where(rng.random(n) < 0.3, rng.choice([0.0, 1.0, 2.5], size=n), smooth)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 3000), most=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_every_stretch_holds_enough_rows_and_every_atom_too(seed: int, n: int, most: int):
    values = lumpy(seed, n)
    cells = Cells.fit(values, REAL, most)
    rows = np.bincount(cells.find(values), minlength=len(cells))
    assert rows.sum() == n
    assert np.allclose(np.diff(cells.levels) * n, rows)
    if n >= ROWS_PER_CELL:
        assert rows.min() >= ROWS_PER_CELL / 2


@given(seed=st.integers(0, 10**6), n=st.integers(2, 2000))
@settings(max_examples=60, deadline=None)
def test_the_distribution_function_and_the_quantile_invert_each_other(seed: int, n: int):
    values = lumpy(seed, n)
    cells = Cells.fit(values, REAL, 100)
    back = cells.quantile(cells.share(values))
    assert np.array_equal(cells.find(back), cells.find(values))
    width = np.maximum(cells.highs - cells.lows, 1e-12)[cells.find(values)]
    assert (np.abs(back - values) <= 1e-4 * width + 1e-9 * np.abs(values)).all()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_stretch_keeps_the_mean_of_its_rows(seed: int):
    values = np.random.default_rng(seed).lognormal(sigma=1.5, size=500)
    cells = Cells.fit(values, REAL, 20)
    u = (np.arange(4000) + 0.5) / 4000
    for cell in range(len(cells)):
        inside = values[cells.find(values) == cell]
        width = cells.highs[cell] - cells.lows[cell]
        drawn = cells.place(np.full(4000, cell), u).mean()
        assert abs(drawn - inside.mean()) < 0.02 * width


def test_whole_numbers_are_drawn_with_equal_right_at_the_ends():
    cells = Cells.fit(np.repeat(np.arange(100.0), 3), WHOLE, 10)
    drawn = cells.quantile((np.arange(100_000) + 0.5) / 100_000)
    counts = np.bincount(drawn.astype(int), minlength=100)
    assert counts.min() > 700
    assert counts.max() < 1300


@pytest.mark.parametrize("step", [0.25, 5.0, 3600e6])
def test_values_keep_their_step(step: float):
    values = 7 * step + step * np.random.default_rng(0).integers(0, 5000, size=4000)
    column = Column(name="x", kind="continuous", physical="real", decimals=2)
    drawn = Cells.fit(values, column, 100).quantile(np.random.default_rng(1).random(1000))
    assert np.allclose(drawn / step, np.round(drawn / step))
    assert drawn.min() >= values.min()
    assert drawn.max() <= values.max()


def test_values_that_one_row_holds_are_not_emitted():
    rng = np.random.default_rng(0)
    values = rng.normal(size=5000)
    drawn = Cells.fit(values, REAL, 6400).quantile(rng.random(20_000))
    assert np.isin(drawn, values).mean() < 1e-3


def test_few_values_are_shared_only_where_rows_share_them():
    beside_a_rare_one = shared_values(np.append(np.repeat([1.0, 2.0, 5.0], 50), 7.0), 256)
    assert beside_a_rare_one is not None
    assert beside_a_rare_one.tolist() == [1.0, 2.0, 5.0]
    assert shared_values(np.arange(200.0), 256) is None
    assert shared_values(np.repeat(np.arange(300.0), 50), 256) is None


@given(seed=st.integers(0, 10**6), n=st.integers(20, 2000), exact=st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_atom_is_a_value_that_rows_share(seed: int, n: int, exact: bool):
    values = np.floor(np.random.default_rng(seed).lognormal(3, 0.7, size=n))
    distinct, counts = np.unique(values, return_counts=True)
    cells = Cells.fit(values, WHOLE, 100, exact)
    shared = distinct[counts >= RARE_ROWS]
    atoms = cells.lows[cells.lows == cells.highs]
    assert np.isin(atoms, shared).all()
    if exact:
        assert np.array_equal(atoms, shared)
        few = (np.diff(cells.levels) * n).round() < RARE_ROWS
        inside = few[cells.find(distinct)]
        reach = (cells.highs - cells.lows)[cells.find(distinct)]
        assert (reach[inside] >= 2).all()
        assert not cells.tilts[few].any()


def test_huge_and_neighbouring_numbers_stay_in_range():
    for values in (np.array([-1e308, 0.0, 1e308] * 7), 1.0 + np.arange(40) * np.finfo(float).eps):
        cells = Cells.fit(values, REAL, 3)
        drawn = cells.quantile(np.linspace(0, 1, 101))
        assert np.isfinite(drawn).all()
        assert drawn.min() >= values.min()
        assert drawn.max() <= values.max()
        assert np.isfinite(cells.share(values)).all()


def test_no_values_make_no_cells():
    assert len(Cells.fit(np.zeros(0), REAL, 10)) == 0
