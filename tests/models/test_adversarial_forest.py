"""The forest finds dependence of pairs and of three, knows its density, and conditions like it."""

from itertools import product

import numpy as np
import pytest

from models.adversarial_forest import AdversarialForest
from models.core.leaves import product_tables
from tabular.layout import Block, Layout


def _layout(sizes, columns="abcdef"):
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=columns[i], part=str(i), start=i, stop=i + 1, kind="code", cardinality=size)
            for i, size in enumerate(sizes)
        ),
    )


def _fit(x, sizes, columns="abcdef", **settings):
    model = AdversarialForest(AdversarialForest.Config(**settings), _layout(sizes, columns))
    return model.fit(x.astype(np.float32), np.random.default_rng(0))


def _everything(sizes):
    return np.array(list(product(*map(range, sizes))), dtype=np.float32)


def _share(x, sizes):
    return np.bincount(np.ravel_multi_index(x.astype(int).T, sizes), minlength=int(np.prod(sizes))) / len(x)


def _distance(p, q):
    return np.abs(p - q).sum() / 2


def _checkerboard(n):
    """Return places on a board of 16 by 16 of which every second field of 4 by 4 is empty, and the field's colour."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 16, (2, n))
    keep = (a // 4 + b // 4) % 2 == 0
    return np.column_stack([a, b, a // 8])[keep]


def _xor_rows(n):
    rng = np.random.default_rng(5)
    a, b, noise = (rng.random((3, n)) < [[0.5], [0.5], [0.1]]).astype(int)
    return np.column_stack([a, b, (a ^ b) ^ noise, rng.integers(0, 3, n)])


def test_a_checkerboard_is_found():
    x = _checkerboard(20_000)
    model = _fit(x, (16, 16, 2))
    drawn = model.sample(20_000, np.random.default_rng(1)).astype(int)
    assert ((drawn[:, 0] // 4 + drawn[:, 1] // 4) % 2 == 0).mean() > 0.97
    assert (drawn[:, 2] == drawn[:, 0] // 8).mean() > 0.98
    assert model.notes["accuracy"] < 0.55


def test_the_critic_makes_splits_that_gain_nothing_alone():
    x = _xor_rows(10_000)
    drawn = _fit(x, (2, 2, 2, 3)).sample(20_000, np.random.default_rng(1))
    assert _distance(_share(drawn, (2, 2, 2, 3)), _share(x, (2, 2, 2, 3))) < 0.05


def test_independent_columns_are_left_alone():
    x = np.random.default_rng(0).integers(0, 4, (5_000, 4))
    model = _fit(x, (4, 4, 4, 4), delta=0.03)
    assert model.notes["turns"] == 1
    assert model.notes["leaves"] == model.config.trees


@pytest.mark.parametrize("trees", [1, 4])
def test_samples_follow_the_density_which_sums_to_one(trees):
    x = _xor_rows(3_000)
    model = _fit(x, (2, 2, 2, 3), trees=trees, charge=0)
    p = np.exp(model.log_prob(_everything((2, 2, 2, 3))))
    assert p.sum() == pytest.approx(1, abs=1e-6)
    assert _distance(_share(model.sample(100_000, np.random.default_rng(1)), (2, 2, 2, 3)), p) < 0.01


@pytest.mark.parametrize("known", [(0,), (2,), (0, 2), (1, 3), (3,)])
def test_conditions_like_its_density(known):
    x, sizes = _xor_rows(3_000), (2, 2, 2, 3)
    model = _fit(x, sizes, columns="abcc", charge=0)
    row, mask = np.array([1, 0, 1, 2], dtype=np.float32), np.isin(np.arange(4), known)
    p = np.exp(model.log_prob(_everything(sizes)))
    p[(_everything(sizes)[:, mask] != row[mask]).any(axis=1)] = 0
    drawn = model.sample_given(np.tile(row, (50_000, 1)), mask, np.random.default_rng(2))
    assert (drawn[:, mask] == row[mask]).all()
    assert _distance(_share(drawn, sizes), p / p.sum()) < 0.015


def test_leaves_hold_no_fewer_rows_than_asked():
    x = _checkerboard(5_000)
    model = _fit(x, (16, 16, 2), leaf=100, trees=1, delta=0)
    assert (model.state()["weights"] * (len(x) + 1)).min() >= 100


def test_leaves_keep_the_margin():
    rng = np.random.default_rng(0)
    child, level = rng.integers(0, 5, 400), rng.integers(0, 8, 400)
    margin = np.bincount(child) / 400
    whole = (np.zeros(8, dtype=np.int64), np.zeros(8, dtype=np.int64), np.full(8, 5))
    tables = product_tables(child, [level], [whole], margin, 4.0)
    assert tables.sum(axis=1) == pytest.approx(np.ones(8))
    assert np.bincount(level, minlength=8) @ tables / 400 == pytest.approx(margin, abs=0.002)
