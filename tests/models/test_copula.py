"""The copula finds correlations behind ties, its probabilities are those of the normal, and it conditions like them."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from models.copula import Copula
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
    model = Copula(Copula.Config(**settings), _layout(sizes, columns))
    return model.fit(x.astype(np.float32), np.random.default_rng(0))


def _everything(sizes):
    return np.array(list(product(*map(range, sizes))), dtype=np.float32)


def _share(x, sizes):
    return np.bincount(np.ravel_multi_index(x.astype(int).T, sizes), minlength=int(np.prod(sizes))) / len(x)


def _distance(p, q):
    return np.abs(p - q).sum() / 2


def _normal_rows(n, correlation, cuts, rng):
    """Return codes of correlated normals, cut at quantiles given by column."""
    z = rng.multivariate_normal(np.zeros(len(cuts)), correlation, n)
    return np.column_stack([np.searchsorted(norm.ppf(cut), z[:, j]) for j, cut in enumerate(cuts)])


CORRELATION = np.array([[1, 0.7, -0.4], [0.7, 1, -0.2], [-0.4, -0.2, 1]])
CUTS = ([0.5], [0.2, 0.9], [0.1, 0.4, 0.6])
SIZES = (2, 3, 4)


def test_correlations_are_found_behind_ties():
    x = _normal_rows(20_000, CORRELATION, CUTS, np.random.default_rng(1))
    model = _fit(x, SIZES, components=1)
    order = [column.group for column in model._columns.columns]
    sign = [1 if group[0] < group[-1] else -1 for group in order]
    found = model.state()["correlations"][0] * np.outer(sign, sign)
    assert found == pytest.approx(CORRELATION, abs=0.03)


def test_probabilities_are_those_of_the_normal_rectangles():
    rng = np.random.default_rng(1)
    x = _normal_rows(20_000, CORRELATION[:2, :2], CUTS[:2], rng)
    model = _fit(x, (2, 3), components=1, draws=256)
    state = model.state()
    joint = multivariate_normal(np.zeros(2), state["correlations"][0])
    ends = [np.r_[-9, norm.ppf(np.cumsum(state[f"margin.{j}"][0])[:-1]), 9] for j in range(2)]
    for row, found in zip(_everything((2, 3)), np.exp(model.log_prob(_everything((2, 3)))), strict=True):
        a, b = (model._columns.columns[j].group[int(row[j])] for j in range(2))
        wanted = joint.cdf([ends[0][a + 1], ends[1][b + 1]], lower_limit=[ends[0][a], ends[1][b]])
        assert found == pytest.approx(wanted, abs=0.002)


@pytest.mark.parametrize("components", [1, 3])
def test_samples_follow_the_density_which_sums_to_one(components):
    x = _normal_rows(4_000, CORRELATION, CUTS, np.random.default_rng(2))
    model = _fit(x, SIZES, components=components, draws=64)
    p = np.exp(model.log_prob(_everything(SIZES)))
    assert p.sum() == pytest.approx(1)
    drawn = model.sample(100_000, np.random.default_rng(3))
    assert _distance(_share(drawn, SIZES), p) < 0.015
    assert _distance(_share(x, SIZES), p) < 0.04


def test_classes_find_a_joint_that_one_correlation_misses():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 20_000))
    x = np.column_stack([a, b, np.where(rng.random(20_000) < 0.9, (a + b) % 4, rng.integers(0, 4, 20_000))])
    joint = _share(x, (4, 4, 4))
    distances = [
        _distance(_share(_fit(x, (4, 4, 4), components=size).sample(50_000, rng), (4, 4, 4)), joint) for size in (1, 32)
    ]
    assert distances[0] > 0.5
    assert distances[1] < 0.25


@pytest.mark.parametrize("known", [(0,), (2,), (0, 2), (1, 3), (3,)])
def test_conditions_like_its_density(known):
    rng = np.random.default_rng(4)
    x = _normal_rows(5_000, CORRELATION, CUTS, rng)
    x = np.column_stack([x, (x[:, 2] + rng.integers(0, 2, len(x))) % 3])
    sizes, row = (*SIZES, 3), np.array([1, 2, 0, 1], dtype=np.float32)
    model = _fit(x, sizes, columns="abcc", components=2, draws=64)
    mask = np.isin(np.arange(4), known)
    p = np.exp(model.log_prob(_everything(sizes)))
    p[(_everything(sizes)[:, mask] != row[mask]).any(axis=1)] = 0
    drawn = model.sample_given(np.tile(row, (5_000, 1)), mask, np.random.default_rng(5))
    assert (drawn[:, mask] == row[mask]).all()
    assert _distance(_share(drawn, sizes), p / p.sum()) < 0.04
    assert 1 < model.notes["effective_sample_size"] <= 2 * 64


def test_a_copy_of_a_column_stays_one():
    a = np.random.default_rng(0).integers(0, 20, 5_000)
    drawn = _fit(np.column_stack([a, a]), (20, 20), components=1).sample(5_000, np.random.default_rng(1))
    assert np.abs(drawn[:, 0] - drawn[:, 1]).mean() < 0.5
