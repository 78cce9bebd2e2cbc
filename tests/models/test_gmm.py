"""A mixture finds a mixture, and its densities and conditionals are the closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from models.gmm import GMM
from tabular.layout import Block, Layout

CENTRES = np.array([[-4.0, 0.0], [0.0, 4.0], [4.0, -1.0]])
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.4]])


def _layout(*blocks):
    laid, start = [], 0
    for column, kind, size, when in blocks:
        stop = start + (size if kind == "one_hot" else 1)
        laid.append(Block(column=column, part=kind, start=start, stop=stop, kind=kind, cardinality=size, when=when))
        start = stop
    return Layout(reads="one_hot", blocks=tuple(laid))


TWO_AND_A_KIND = _layout(("x", "real", 1, None), ("kind", "one_hot", 4, None), ("y", "real", 1, None))
TWO = _layout(("x", "real", 1, None), ("y", "real", 1, None))
GATED = _layout(("x", "one_hot", 2, None), ("x", "real", 1, 0), ("y", "one_hot", 2, None), ("y", "real", 1, 4))


def _three(n, rng):
    component = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    numbers = CENTRES[component] + rng.multivariate_normal(np.zeros(2), COVARIANCE, n)
    kind = np.where(rng.random(n) < 0.9, component, 3)
    return np.column_stack([numbers[:, 0], np.eye(4)[kind], numbers[:, 1]]).astype(np.float32)


def _gated(n, rng):
    """Correlated numbers of which some mean nothing."""
    numbers = rng.multivariate_normal([0.5, -0.5], [[1.0, 0.8], [0.8, 1.5]], n)
    on = rng.random((n, 2)) < 0.7
    numbers[~on] = 0
    return np.column_stack([on[:, 0], ~on[:, 0], numbers[:, 0], ~on[:, 1], on[:, 1], numbers[:, 1]]).astype(np.float32)


def _fit(x, layout, seed=0, **settings):
    return GMM(GMM.Config(**settings), layout).fit(x, np.random.default_rng(seed))


def test_finds_three_components():
    model = _fit(_three(6_000, np.random.default_rng(0)), TWO_AND_A_KIND)
    assert model.notes["components"] == 3
    state = model.state()
    order = np.argsort(state["means"][:, 0])
    assert state["means"][order] == pytest.approx(CENTRES, abs=0.1)
    assert state["weights"][order] == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert state["covariances"] == pytest.approx(np.repeat(COVARIANCE[None], 3, axis=0), abs=0.06)
    assert state["chances"][order] == pytest.approx(np.hstack([0.9 * np.eye(3), np.full((3, 1), 0.1)]), abs=0.03)


@pytest.mark.parametrize("seed", range(4))
def test_fields_of_which_a_few_components_see_nothing_are_found(seed):
    rng = np.random.default_rng(seed)
    column, half = rng.integers(0, 4, 3_000), rng.integers(0, 2, 3_000)
    places = np.column_stack([column, 2 * half + column % 2]) + rng.random((3_000, 2))
    drawn = _fit(norm.ppf(places / 4).astype(np.float32), TWO, seed).sample(3_000, rng)
    assert (np.floor(4 * norm.cdf(drawn)).sum(axis=1) % 2 == 0).mean() > 0.7  # of independent columns half


def test_rows_look_like_the_rows_it_saw():
    rng = np.random.default_rng(0)
    x = _three(6_000, rng)
    drawn = _fit(x, TWO_AND_A_KIND).sample(20_000, rng)
    assert np.cov(drawn.T) == pytest.approx(np.cov(x.T), abs=0.25)
    assert drawn.mean(axis=0) == pytest.approx(x.mean(axis=0), abs=0.1)


def test_log_prob_is_the_closed_form():
    rng = np.random.default_rng(0)
    x = _three(500, rng)
    model = _fit(x, TWO_AND_A_KIND, components=3)
    state = model.state()
    wanted = sum(
        state["weights"][k]
        * (x[:, 1:5] @ state["chances"][k])
        * multivariate_normal(state["means"][k], state["covariances"][k]).pdf(x[:, [0, 5]])
        for k in range(3)
    )
    assert model.log_prob(x) == pytest.approx(np.log(wanted), abs=1e-6)


def test_a_number_that_means_nothing_has_no_likelihood():
    x = _gated(2_000, np.random.default_rng(0))
    model = _fit(x, GATED, components=1)
    state = model.state()
    (mean,), (covariance,), (chances,) = state["means"], state["covariances"], state["chances"]
    off = np.array([[0, 1, 0, 1, 0, 0]], dtype=np.float32)
    assert model.log_prob(off) == pytest.approx(np.log(chances[1] * chances[2]))
    half = np.array([[1, 0, 0.7, 1, 0, 0]], dtype=np.float32)
    wanted = np.log(chances[0] * chances[2]) + norm(mean[0], np.sqrt(covariance[0, 0])).logpdf(np.float32(0.7))
    assert model.log_prob(half) == pytest.approx([wanted])


def test_numbers_that_are_off_are_integrated_out_when_fitting():
    model = _fit(_gated(20_000, np.random.default_rng(0)), GATED, components=1, tolerance=1e-7)
    assert model.state()["means"][0] == pytest.approx([0.5, -0.5], abs=0.05)
    assert model.state()["covariances"][0] == pytest.approx(np.array([[1.0, 0.8], [0.8, 1.5]]), abs=0.06)


def test_densities_integrate_to_one():
    layout = _layout(("x", "one_hot", 2, None), ("x", "real", 1, 0))
    rng = np.random.default_rng(0)
    on = rng.random(400) < 0.6
    x = np.column_stack([on, ~on, np.where(on, rng.normal(size=400) ** 3, 0)]).astype(np.float32)
    model = _fit(x, layout, components=4)
    grid = np.linspace(-60, 60, 400_001, dtype=np.float32)
    line = np.column_stack([np.ones_like(grid), np.zeros_like(grid), grid])
    total = np.trapezoid(np.exp(model.log_prob(line)), grid) + np.exp(model.log_prob(line[:1] * 0 + [0, 1, 0]))
    assert total == pytest.approx([1.0], abs=1e-3)


def test_conditional_gaussian_is_the_closed_form():
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([1.0, 2.0], [[1.0, 0.9], [0.9, 2.0]], 3_000).astype(np.float32)
    model = _fit(x, TWO, components=1)
    (mean,), (covariance,) = model.state()["means"], model.state()["covariances"]
    known = np.tile(np.array([2.5, 0.0], dtype=np.float32), (50_000, 1))
    drawn = model.sample_given(known, np.array([True, False]), rng)[:, 1]
    slope = covariance[1, 0] / covariance[0, 0]
    assert drawn.mean() == pytest.approx(mean[1] + slope * (2.5 - mean[0]), abs=0.02)
    assert drawn.var() == pytest.approx(covariance[1, 1] - slope * covariance[0, 1], rel=0.03)


def test_conditional_category_follows_bayes():
    rng = np.random.default_rng(0)
    x = _three(3_000, rng)
    model = _fit(x, TWO_AND_A_KIND, components=3)
    state = model.state()
    at = np.array([-1.9, 0, 0, 0, 0, 2.1], dtype=np.float32)
    posterior = np.array(
        [
            state["weights"][k] * multivariate_normal(state["means"][k], state["covariances"][k]).pdf(at[[0, 5]])
            for k in range(3)
        ]
    )
    wanted = posterior / posterior.sum() @ state["chances"]
    drawn = model.sample_given(np.tile(at, (50_000, 1)), np.array([True, *[False] * 4, True]), rng)
    assert drawn[:, 1:5].mean(axis=0) == pytest.approx(wanted, abs=0.01)


def test_conditional_numbers_follow_the_known_category():
    rng = np.random.default_rng(0)
    model = _fit(_three(6_000, rng), TWO_AND_A_KIND, components=3)
    known = np.tile(np.array([0, 0, 0, 1, 0, 0], dtype=np.float32), (5_000, 1))
    drawn = model.sample_given(known, np.array([False, *[True] * 4, False]), rng)
    assert drawn[:, [0, 5]].mean(axis=0) == pytest.approx(CENTRES[2], abs=0.1)


def test_a_number_known_without_its_state_is_refused():
    model = _fit(_gated(100, np.random.default_rng(0)), GATED, components=1)
    mask = np.array([False, False, True, False, False, False])
    with pytest.raises(ValueError, match="not the state block of its column"):
        model.sample_given(np.zeros((1, 6), dtype=np.float32), mask, np.random.default_rng(0))


def test_diagonal_leaves_numbers_uncorrelated():
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], 2_000).astype(np.float32)
    model = _fit(x, TWO, components=1, covariance="diagonal")
    assert model.state()["covariances"][0, 0, 1] == 0
    assert model.state()["covariances"][0, 0, 0] == pytest.approx(x[:, 0].var(), abs=0.01)
    assert abs(np.corrcoef(model.sample(20_000, rng).T)[0, 1]) < 0.03


def test_too_many_patterns_keep_only_numbers_that_are_always_on_together():
    rng = np.random.default_rng(0)
    blocks = [b for i in range(7) for b in ((f"g{i}", "one_hot", 2, None), (f"g{i}", "real", 1, 3 * i))]
    layout = _layout(*blocks, ("x", "real", 1, None), ("y", "real", 1, None))
    on, numbers = rng.random((3_000, 7)) < 0.5, rng.normal(size=(3_000, 7))
    pair = rng.multivariate_normal([0, 0], [[1.0, 0.9], [0.9, 1.0]], 3_000)
    gates = np.stack([on, ~on, np.where(on, numbers, 0)], axis=2).reshape(3_000, 21)
    model = _fit(np.hstack([gates, pair]).astype(np.float32), layout, components=1)
    (covariance,) = model.state()["covariances"]
    assert covariance[7, 8] == pytest.approx(0.9, abs=0.05)
    assert (covariance[:7, 7:] == 0).all()
    assert np.diag(covariance)[:7] == pytest.approx(1, abs=0.1)


def test_a_broken_one_hot_block_is_refused():
    x = _three(10, np.random.default_rng(0))
    x[3, 1:5] = 0
    with pytest.raises(ValueError, match="column 'kind': a one-hot block does not hold exactly one 1"):
        _fit(x, TWO_AND_A_KIND)


def test_a_state_of_another_shape_is_refused():
    model = _fit(_three(50, np.random.default_rng(0)), TWO_AND_A_KIND, components=2)
    state = {**model.state(), "means": np.zeros((2, 5))}
    with pytest.raises(ValueError, match=r"array 'means': got \(2, 5\), wanted shape \(2, 2\)"):
        GMM(model.config, model.layout).load_state(state)
