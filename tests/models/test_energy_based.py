"""The energy-based model: known joints and rings, conditionals, log Z, and what its chains say of themselves."""

from itertools import product

import numpy as np
import pytest

from models.core.base import Conditional, Density
from models.core.plan import TrainerConfig
from models.energy_based import EnergyBased
from tabular.layout import Block, Layout
from tests.models.mixed import CENTRES, MIXED, SPENDS, mixed

SIZES = (2, 2, 2, 3)
JOINT = np.where(np.indices(SIZES)[:3].sum(axis=0) % 2 == 0, 0.9, 0.1) * np.array([0.5, 0.3, 0.2]) / 4


def hot(codes, sizes):
    return np.hstack([np.eye(size)[code] for code, size in zip(codes.T, sizes, strict=True)]).astype(np.float32)


def layout_of(sizes):
    ends = np.cumsum([0, *sizes]).tolist()
    return Layout(
        reads="one_hot",
        blocks=tuple(
            Block(column=str(i), part="class", start=a, stop=b, kind="one_hot", cardinality=b - a)
            for i, (a, b) in enumerate(zip(ends[:-1], ends[1:], strict=True))
        ),
    )


def made(layout, epochs, **settings):
    training = TrainerConfig(epochs=epochs, batch_size=256, learning_rate=3e-3, patience=100)
    config = {"training": training, "hidden": 48, "device": "cpu", **settings}
    return EnergyBased(EnergyBased.Config.model_validate(config), layout)


@pytest.fixture(scope="module")
def fitted():
    return made(MIXED, 40, bins=16).fit(mixed(4000, np.random.default_rng(0)), np.random.default_rng(1))


@pytest.fixture(scope="module")
def parity():
    """Three columns of which any two are independent, but not the three: a tree can say nothing of them."""
    rng = np.random.default_rng(0)
    codes = np.array(np.unravel_index(rng.choice(24, 6000, p=JOINT.ravel()), SIZES)).T
    return made(layout_of(SIZES), 40).fit(hot(codes, SIZES), rng)


def test_what_no_tree_can_say_is_learned(parity):
    every = hot(np.array(list(product(*map(range, SIZES)))), SIZES)
    density = np.exp(parity.log_prob(every)).reshape(SIZES)
    assert np.abs(1 / 8 * np.array([0.5, 0.3, 0.2]) - JOINT).sum() / 2 > 0.35
    assert np.abs(density - JOINT).sum() / 2 < 0.06
    assert (JOINT * np.log(JOINT / density)).sum() < 0.01


def test_the_density_sums_to_one_and_is_that_of_the_draws(parity):
    assert isinstance(parity, Density) and parity.estimated
    every = hot(np.array(list(product(*map(range, SIZES)))), SIZES)
    density = np.exp(parity.log_prob(every))
    assert abs(density.sum() - 1) < 4 * parity.notes["log_z_error"] + 1e-3
    x = parity.sample(20_000, np.random.default_rng(2))
    codes = np.array([part.argmax(1) for part in np.split(x, np.cumsum(SIZES)[:-1], axis=1)])
    found = np.bincount(np.ravel_multi_index(codes, SIZES), minlength=24) / 20_000
    assert np.abs(found - density).sum() / 2 < 0.02


def test_chains_correct_a_start_that_is_wrong(parity):
    config = parity.config.model_copy(update={"candidates": 1, "sweeps": 12})
    model = EnergyBased(config, parity.layout).load_state(parity.state())
    x = model.sample(20_000, np.random.default_rng(2))
    even = x[:, [1, 3, 5]].sum(1) % 2 == 0
    assert abs(even.mean() - 0.9) < 0.02


def test_conditionals_are_those_of_the_density(parity):
    assert isinstance(parity, Conditional)
    pairs = np.array([[a, b, 0, 2] for a in range(2) for b in range(2)])
    want = np.exp(parity.log_prob(hot(pairs, SIZES)))
    mask = np.arange(9) >= 4
    known = np.tile(hot(pairs[:1], SIZES), (10_000, 1))
    x = parity.sample_given(known, mask, np.random.default_rng(0))
    assert (x[:, mask] == known[:, mask]).all()
    found = np.bincount(2 * x[:, 1].astype(int) + x[:, 3].astype(int), minlength=4) / 10_000
    assert np.abs(found - want / want.sum()).sum() / 2 < 0.02
    assert 1 < parity.notes["effective_sample_size"] <= parity.config.candidates


def test_a_known_mixture_is_recovered(fitted):
    x = fitted.sample(10_000, np.random.default_rng(2))
    assert np.abs(x[:, :3].mean(0) - 1 / 3).max() < 0.03
    for group in range(3):
        own = x[x[:, group] == 1]
        assert abs(np.median(own[:, 6]) - CENTRES[group]) < 0.1
        assert abs(own[:, 3].mean() - SPENDS[group]) < 0.05
    on = x[x[:, 3] == 1]
    assert np.corrcoef(on[:, 5], on[:, 6])[0, 1] < -0.9
    assert (x[x[:, 3] == 0, 5] == 0).all()


def test_a_number_given_decides_the_rest(fitted):
    known, mask = np.zeros((4000, 7), dtype=np.float32), np.arange(7) == 6
    known[:, 6] = -1.5
    x = fitted.sample_given(known, mask, np.random.default_rng(0))
    assert (x[:, 6] == -1.5).all()
    assert x[:, 0].mean() > 0.95
    assert abs(x[:, 3].mean() - 0.9) < 0.05
    assert abs(x[x[:, 3] == 1, 5].mean() - 1.5) < 0.1


def test_densities_integrate_to_one_with_numbers_that_are_off(fitted):
    grid = np.linspace(-5, 5, 251)
    score, age = (part.ravel() for part in np.meshgrid(grid, grid))
    total = 0.0
    for group in range(3):
        on, off = np.zeros((len(age), 7), dtype=np.float32), np.zeros((len(grid), 7), dtype=np.float32)
        on[:, group], on[:, 3], on[:, 5], on[:, 6] = 1, 1, score, age
        off[:, group], off[:, 4], off[:, 6] = 1, 1, grid
        total += np.exp(fitted.log_prob(on)).sum() * 0.04**2 + np.exp(fitted.log_prob(off)).sum() * 0.04
    assert abs(total - 1) < 0.02 + 4 * fitted.notes["log_z_error"]


def test_a_ring_of_eight_normals_keeps_all_its_modes():
    rng = np.random.default_rng(0)
    angle = rng.integers(0, 8, 4000) * np.pi / 4
    x = 1.4 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.1 * rng.normal(size=(4000, 2))
    blocks = tuple(Block(column=c, part="score", start=i, stop=i + 1, kind="real") for i, c in enumerate("ab"))
    model = made(Layout(reads="one_hot", blocks=blocks), 30, noise="independent").fit(x.astype(np.float32), rng)
    y = model.sample(4000, np.random.default_rng(1))
    centres = 1.4 * np.column_stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)])
    distance = np.linalg.norm(y[:, None] - centres, axis=2)
    near = distance.min(1) < 0.3
    assert near.mean() > 0.85  # of independent columns two in five lie so near
    assert np.bincount(distance[near].argmin(1), minlength=8).min() > 4000 / 8 * 0.6


def test_the_chains_say_how_they_mixed(fitted):
    assert 0.99 < fitted.notes["r_hat"] < 1.2
    assert 0.02 < fitted.notes["effective_draws"] <= 2
    assert 0 < fitted.notes["noise_effective_share"] <= 1
