"""The restricted Boltzmann machine against enumeration, and a picture language learned."""

from itertools import product

import numpy as np
import pytest
import torch

from models.core.base import Conditional, Density, Latent
from models.core.plan import TrainerConfig
from models.rbm import RBM, Machine
from tabular.layout import Block, Layout
from tests.models.mixed import CENTRES, MIXED, SPENDS, mixed

SIZES, BITS, HIDDEN = (2, 3), 2, 4
VISIBLE = torch.tensor(
    [[*np.eye(2)[a], *np.eye(3)[b], c, d] for a, b, c, d in product(range(2), range(3), range(2), range(2))],
    dtype=torch.float32,
)
UNITS = torch.tensor(list(product((0.0, 1.0), repeat=HIDDEN)))


def machine(strength=1.0):
    generator = torch.Generator().manual_seed(3)
    made = Machine(SIZES, BITS, HIDDEN)
    for parameter in (made.bias, made.offset, made.weight):
        parameter.data = strength * torch.randn(parameter.shape, generator=generator)
    made.middle = torch.rand(made.middle.shape, generator=generator)
    return made


def energies(made):
    """Return E(v, h) of every v and h by its formula, shape (24, 16)."""
    v, h = VISIBLE - made.middle, UNITS - 0.5
    return (-(VISIBLE @ made.bias)[:, None] - (h @ made.offset)[None] - v @ made.weight @ h.T).detach()


def table(v):
    """Return the share of each visible row among rows, shape (24,)."""
    place = (v[:, 1] * 12 + v[:, 3] * 4 + v[:, 4] * 8 + v[:, 5] * 2 + v[:, 6]).long()
    return torch.bincount(place, minlength=24) / len(v)


def fitted_on(layout, x, **settings):
    config = {
        "training": TrainerConfig(epochs=60, **TRAINING),
        "hidden": 32,
        "chains": 100,
        "device": "cpu",
        **settings,
    }
    return RBM(RBM.Config.model_validate(config), layout).fit(x, np.random.default_rng(1))


TRAINING = {"validation": 0.0, "batch_size": 128, "learning_rate": 2e-2, "ema": 0.99, "weight_decay": 1e-4, "clip": 100}


@pytest.fixture(scope="module")
def fitted():
    return fitted_on(MIXED, mixed(3000, np.random.default_rng(0)), bins=12)


def test_the_free_energy_is_the_sum_over_hidden_units():
    made = machine()
    want = -torch.logsumexp(-energies(made), dim=1)
    assert torch.allclose(made.free_energy(VISIBLE), want, atol=1e-5)


def test_up_and_down_are_the_conditionals_of_the_joint():
    made = machine()
    joint = (-energies(made)).flatten().softmax(0).reshape(24, 16)
    up = joint @ UNITS / joint.sum(1, keepdim=True)
    assert torch.allclose(made.up(VISIBLE).sigmoid(), up, atol=1e-5)
    given = joint / joint.sum(0)
    for place, h in enumerate(UNITS):
        assert torch.allclose(made.log_given(VISIBLE, h.expand(24, -1)).exp(), given[:, place], atol=1e-5)
    down = made.down(UNITS[5].expand(40_000, -1), torch.Generator().manual_seed(0))
    assert (table(down) - given[:, 5]).abs().sum() / 2 < 0.015


def test_a_sweep_leaves_the_joint_as_it_is():
    made = machine(1.5)
    want = (-made.free_energy(VISIBLE)).softmax(0).detach()
    generator = torch.Generator().manual_seed(0)
    v = VISIBLE[torch.multinomial(want, 60_000, replacement=True, generator=generator)]
    for _ in range(3):
        v = made.sweep(v, generator)
    assert (table(v) - want).abs().sum() / 2 < 0.015


def test_annealed_draws_are_the_joint_even_where_modes_are_far_apart():
    made = machine(4.0)
    want = (-made.free_energy(VISIBLE)).softmax(0).detach()
    with torch.no_grad():
        v = made.settle(40_000, 60, torch.Generator().manual_seed(0))
    assert (table(v) - want).abs().sum() / 2 < 0.025


def test_annealed_importance_sampling_finds_log_z():
    made = machine(2.0)
    want = float(torch.logsumexp(-energies(made).double().flatten(), 0))
    with torch.no_grad():
        weights = made.anneal(2000, 100, torch.Generator().manual_seed(0))
    shares = (weights - weights.max()).exp()
    error = float(shares.std() / shares.mean()) / np.sqrt(len(shares))
    assert error < 0.05
    assert abs(float(weights.max() + shares.mean().log()) - want) < 4 * error + 1e-4


def test_the_contrast_has_the_gradient_of_the_likelihood():
    made = machine()
    data = VISIBLE[torch.randint(24, (50,), generator=torch.Generator().manual_seed(1))]
    exact = made.free_energy(data).mean() + torch.logsumexp(-made.free_energy(VISIBLE), 0)
    parameters = list(made.parameters())
    want = torch.autograd.grad(exact, parameters)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        v = made.independent(60_000, generator)
        for _ in range(40):
            v = made.sweep(v, generator)
    got = torch.autograd.grad(made.free_energy(data).mean() - made.free_energy(v).mean(), parameters)
    for one, two in zip(got, want, strict=True):
        assert torch.allclose(one, two, atol=0.01)


def test_log_z_of_a_fitted_machine_is_that_of_enumeration(fitted):
    small = fitted_on(MIXED, mixed(600, np.random.default_rng(0)), bins=4, hidden=6)
    classes = torch.tensor(list(product(*map(range, small.bins.sizes))))
    classes = classes[small.bins.possible()[classes + small.bins.starts].all(1)]
    with torch.no_grad():
        want = float(torch.logsumexp(-small.machine.free_energy(small.bins.hot(classes)).double(), 0))
    assert abs(small.notes["log_z"] - want) < 4 * small.notes["log_z_error"] + 1e-3


def test_densities_integrate_to_one_with_numbers_that_are_off(fitted):
    assert isinstance(fitted, Density) and fitted.estimated
    grid = np.linspace(-5, 5, 201)
    score, age = (part.ravel() for part in np.meshgrid(grid, grid))
    total = 0.0
    for group in range(3):
        on, off = np.zeros((len(age), 7), dtype=np.float32), np.zeros((len(grid), 7), dtype=np.float32)
        on[:, group], on[:, 3], on[:, 5], on[:, 6] = 1, 1, score, age
        off[:, group], off[:, 4], off[:, 6] = 1, 1, grid
        total += np.exp(fitted.log_prob(on)).sum() * 0.05**2 + np.exp(fitted.log_prob(off)).sum() * 0.05
    assert abs(total - 1) < 0.03 + 4 * fitted.notes["log_z_error"]


def test_a_known_mixture_is_recovered(fitted):
    x = fitted.sample(10_000, np.random.default_rng(2))
    assert np.abs(x[:, :3].mean(0) - 1 / 3).max() < 0.04
    for group in range(3):
        own = x[x[:, group] == 1]
        assert abs(np.median(own[:, 6]) - CENTRES[group]) < 0.15
        assert abs(own[:, 3].mean() - SPENDS[group]) < 0.06
    on = x[x[:, 3] == 1]
    assert np.corrcoef(on[:, 5], on[:, 6])[0, 1] < -0.9
    assert (x[x[:, 3] == 0, 5] == 0).all()


@pytest.mark.parametrize("column", ["group", "spend", "age"])
def test_held_draws_agree_with_picking_rows_that_match(fitted, column):
    assert isinstance(fitted, Conditional)
    known, mask = np.zeros((6000, 7), dtype=np.float32), np.zeros(7, dtype=bool)
    free = fitted.sample(40_000, np.random.default_rng(1))
    if column == "group":
        known[:, 0], mask[:3], match = 1, True, free[free[:, 0] == 1]
    elif column == "spend":
        known[:, 3], known[:, 5], mask[3:6] = 1, 1.4, True
        match = free[(free[:, 3] == 1) & (np.abs(free[:, 5] - 1.4) < 0.1)]
    else:
        known[:, 6], mask[6], match = 0.1, True, free[np.abs(free[:, 6] - 0.1) < 0.1]
    x = fitted.sample_given(known, mask, np.random.default_rng(0))
    assert (x[:, mask] == known[:, mask]).all()
    assert np.abs(x[:, :5].mean(0) - match[:, :5].mean(0)).max() < 0.05
    assert abs(x[:, 6].mean() - match[:, 6].mean()) < 0.1


def test_the_hidden_units_keep_a_row(fitted):
    assert isinstance(fitted, Latent)
    x = mixed(1000, np.random.default_rng(3))
    z = fitted.encode(x)
    assert z.shape == (1000, 32) and (z >= 0).all() and (z <= 1).all()
    again = fitted.decode(z, np.random.default_rng(0))
    assert (again[:, :3].argmax(1) == x[:, :3].argmax(1)).mean() > 0.6


def test_bars_and_stripes_are_learned():
    patterns = {tuple(np.outer(bits, np.ones(3)).astype(int).ravel()) for bits in product((0, 1), repeat=3)}
    patterns |= {tuple(np.reshape(pattern, (3, 3)).T.ravel()) for pattern in patterns}
    assert len(patterns) == 14
    every = np.array(sorted(patterns))
    pixels = every[np.random.default_rng(0).integers(14, size=2000)]
    blocks = tuple(
        Block(column=str(at), part="class", start=2 * at, stop=2 * at + 2, kind="one_hot", cardinality=2)
        for at in range(9)
    )
    layout = Layout(reads="one_hot", blocks=blocks)
    model = fitted_on(layout, np.eye(2)[pixels].reshape(-1, 18).astype(np.float32), training={"epochs": 80, **TRAINING})
    drawn = model.sample(4000, np.random.default_rng(0)).reshape(-1, 9, 2).argmax(2)
    # Independent pixels would draw one of the fourteen in 3 of 100.
    assert np.mean([tuple(row) in patterns for row in drawn]) > 0.9
    assert len({tuple(row) for row in drawn} & patterns) == 14
    log_prob = model.log_prob(np.eye(2)[every].reshape(-1, 18).astype(np.float32))
    assert np.abs(log_prob + np.log(14)).mean() < 0.3
