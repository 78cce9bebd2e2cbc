"""Cells of columns are found and written back, also the unseen; orders are found whatever the labels."""

import numpy as np
import pytest
from scipy.stats import norm

from models.core.columns import MOST_GROUPS, Columns
from models.core.quantification import orders
from tabular.layout import Block, Layout


def _layout(*sizes):
    """Blocks given as (column, cardinality)."""
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=name, part=str(i), start=i, stop=i + 1, kind="code", cardinality=size)
            for i, (name, size) in enumerate(sizes)
        ),
    )


def _everything(columns):
    """Return log p(x) of all cells of one column, weighed by the margin of its groups."""
    column = columns.columns[0]
    cells = np.array(np.unravel_index(np.arange(np.prod(column.radix)), column.radix)).T.astype(np.float32)
    groups, inside = columns.read(cells)
    return cells, column.margin[groups[:, 0]] * np.exp(inside)


def test_cells_and_groups_are_a_distribution_that_draws_follow():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 3, 200), rng.integers(0, 2, 200) * 2]).astype(np.float32)
    columns = Columns(_layout(("a", 4), ("a", 4))).fit(x, rng)
    cells, p = _everything(columns)
    assert p.sum() == pytest.approx(1)
    group = rng.choice(len(columns.columns[0].margin), 400_000, p=columns.columns[0].margin)
    drawn = columns.write(group[:, None], rng)
    seen = np.bincount(np.ravel_multi_index(drawn.astype(int).T, (4, 4)), minlength=16) / len(drawn)
    assert seen == pytest.approx(p, abs=0.005)
    assert (seen > 0).all()
    assert (columns.read(drawn)[0][:, 0] == group).all()


def test_many_cells_share_groups_of_about_equal_shares_in_the_columns_order():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.repeat(np.arange(1000), 3), rng.integers(0, 2, 3000)]).astype(np.float32)
    column = Columns(_layout(("town", 1000), ("sex", 2))).fit(x, rng).columns[0]
    assert column.size == MOST_GROUPS
    assert (np.diff(column.group) >= 0).all()
    assert np.bincount(column.group).max() <= 2 * np.bincount(column.group).min()


def test_a_part_of_a_column_that_is_known_weighs_groups_and_stays():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 3, 500), rng.integers(0, 4, 500)]).astype(np.float32)
    x = x[(x[:, 0] != 2) | (x[:, 1] == 3)]
    columns = Columns(_layout(("a", 3), ("a", 4))).fit(x, rng)
    mask = np.array([True, False])
    known = np.array([[2.0, 9.0], [0.0, 9.0]], dtype=np.float32)
    told = columns.given(known, mask)[0]
    cells, p = _everything(columns)
    for row, first in enumerate((2, 0)):
        assert told[row] @ columns.columns[0].margin == pytest.approx(p[cells[:, 0] == first].sum())
    unseen = np.full((5_000, 1), columns.columns[0].seen_groups)
    drawn = columns.write_given(unseen, np.tile(known[:1], (5_000, 1)), mask, rng)
    assert (drawn[:, 0] == 2).all()
    assert set(drawn[:, 1]) == {0, 1, 2}


def test_a_shuffled_order_is_found_again():
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal(np.zeros(3), 0.3 * np.eye(3) + 0.7, 8_000)
    codes = np.floor(norm.cdf(z) * 9).astype(int)
    labels = rng.permutation(9)
    ranks = orders([labels[codes[:, 0]], codes[:, 1], codes[:, 2]], rng)
    found = ranks[0][labels]
    assert (found == np.arange(9)).all() or (found == np.arange(9)[::-1]).all()


def test_a_number_of_many_values_keeps_its_neighbours_where_its_middle_says_the_most():
    rng = np.random.default_rng(0)
    value = rng.random(4_000)
    cell = np.floor(400 * value).astype(int)
    x = np.column_stack([cell // 4, cell % 4, np.abs(value - 0.5) + 0.1 * rng.random(4_000) > 0.3]).astype(np.float32)
    parts = (("number", "coarse", 100), ("number", "fine", 4), ("sign", "class", 2))
    blocks = (
        Block(column=name, part=part, start=i, stop=i + 1, kind="code", cardinality=size)
        for i, (name, part, size) in enumerate(parts)
    )
    column = Columns(Layout(reads="codes", blocks=tuple(blocks))).fit(x, rng).columns[0]
    assert (np.diff(column.group) >= 0).all()


def test_columns_without_dependence_keep_their_order():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (2_000, 4))
    for rank in orders([np.unique(column, return_inverse=True)[1] for column in x.T], rng):
        assert (rank == np.arange(len(rank))).all()
