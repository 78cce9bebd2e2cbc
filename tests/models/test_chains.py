"""Markov chains against densities that are known, and their diagnostics against closed forms."""

import numpy as np
import pytest
import torch

from models.core.chains import adapted, effective_draws, gradient_gibbs, hamiltonian, r_hat

SIZES = (2, 3, 4)
TABLE = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)) * 1.5
NOBODY = torch.zeros(1, sum(SIZES), dtype=torch.bool)


def test_hamiltonian_finds_a_known_gaussian():
    mean, root = torch.tensor([1.0, -2.0]), torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    precision = torch.linalg.inv(root @ root.T)

    def energy(y):
        return ((y - mean) @ precision * (y - mean)).sum(1) / 2

    generator = torch.Generator().manual_seed(1)
    y, accepted = torch.zeros(20_000, 2), []
    for _ in range(30):
        y, chance = hamiltonian(energy, y, torch.ones(20_000, 2), 0.5, 4, generator)
        accepted.append(float(chance.mean()))
    assert np.allclose(y.mean(0), mean, atol=0.03)
    assert np.allclose(np.cov(y.numpy().T), (root @ root.T).numpy(), atol=0.04)
    assert 0.5 < np.mean(accepted) < 1


def test_hamiltonian_corrects_steps_that_are_too_long():
    generator = torch.Generator().manual_seed(1)
    y = torch.zeros(20_000, 1)
    for _ in range(60):
        y, chance = hamiltonian(lambda y: (y**2).sum(1) / 2, y, torch.ones(20_000, 1), 1.7, 3, generator)
    assert float(chance.mean()) < 0.95
    assert abs(float(y.std()) - 1) < 0.02
    assert abs(float((y**4).mean()) - 3) < 0.2


def test_a_number_that_is_not_free_stays_and_the_other_takes_its_conditional():
    generator = torch.Generator().manual_seed(1)
    y = torch.full((20_000, 2), 1.5)
    free = torch.tensor([[0.0, 1.0]]).expand(20_000, 2)
    for _ in range(30):
        y, _ = hamiltonian(
            lambda y: (y[:, 0] ** 2 - 1.6 * y[:, 0] * y[:, 1] + y[:, 1] ** 2) / 0.72, y, free, 0.4, 4, generator
        )
    assert (y[:, 0] == 1.5).all()
    assert abs(float(y[:, 1].mean()) - 0.8 * 1.5) < 0.02
    assert abs(float(y[:, 1].std()) - 0.6) < 0.02


def look(state):
    """Say the exact log p, and its first-order changes: the table is multilinear in the one-hot classes."""
    codes, _ = state
    with torch.enable_grad():
        hots = [torch.nn.functional.one_hot(codes[:, b], size).float() for b, size in enumerate(SIZES)]
        hot = torch.cat(hots, dim=1).requires_grad_()
        a, b, c = hot.split(SIZES, dim=1)
        value = torch.einsum("na,nb,nc,abc->n", a, b, c, TABLE)
        (slope,) = torch.autograd.grad(value.sum(), hot)
    change = [part - part.gather(1, codes[:, i : i + 1]) for i, part in enumerate(slope.split(SIZES, dim=1))]
    return value.detach(), torch.cat(change, dim=1)


def walked(barred, steps, n=20_000):
    generator = torch.Generator().manual_seed(2)
    state = torch.zeros(n, 3, dtype=torch.int64), torch.zeros(n, 0)
    for _ in range(steps):
        state, _ = gradient_gibbs(look, lambda old, codes: (codes, old[1]), state, SIZES, barred, generator)
    codes = state[0].numpy()
    return np.bincount(np.ravel_multi_index(codes.T, SIZES), minlength=24).reshape(SIZES) / n


def test_gibbs_with_gradients_finds_an_enumerated_joint():
    want = TABLE.flatten().softmax(0).numpy().reshape(SIZES)
    assert np.abs(walked(NOBODY, 60) - want).sum() / 2 < 0.02


def test_barred_classes_are_never_taken_and_the_rest_keep_their_ratios():
    barred = NOBODY.clone()
    barred[0, [1, 3]] = True  # the first block keeps its class 0; the second loses its class 1
    found = walked(barred, 60)
    want = TABLE.exp().numpy().copy()
    want[1], want[:, 1] = 0, 0
    want /= want.sum()
    assert (found[1] == 0).all() and (found[:, 1] == 0).all()
    assert np.abs(found - want).sum() / 2 < 0.02


def test_where_all_is_barred_nothing_moves():
    assert walked(torch.ones(1, 9, dtype=torch.bool), 3)[0, 0, 0] == 1


def test_steps_adapt_to_the_acceptance_wanted():
    step = 0.01
    for turn in range(400):
        step = adapted(step, float(np.exp(-step)), 0.6, turn)
    assert step == pytest.approx(-np.log(0.6), rel=0.05)


def test_r_hat_is_one_for_independent_draws_and_sees_shifts_and_scales():
    draws = np.random.default_rng(0).normal(size=(500, 8))
    assert r_hat(draws) == pytest.approx(1, abs=0.01)
    assert r_hat(draws + 2 * np.arange(8)) > 1.5
    assert r_hat(draws * np.arange(1, 9)) > 1.1
    # Halves of a drift by 4 are 2 apart, with a variance of 1 + 2² / 12 within.
    drift = draws + np.linspace(0, 4, 500)[:, None]
    assert r_hat(drift) == pytest.approx(np.sqrt(1 + 16 / 15 / (4 / 3)), abs=0.02)
    assert r_hat(np.ones((20, 4))) == 1


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_effective_draws_of_an_autoregression(rho):
    rng = np.random.default_rng(1)
    draws = np.empty((2000, 16))
    draws[0] = rng.normal(size=16)
    for t in range(1, 2000):
        draws[t] = rho * draws[t - 1] + np.sqrt(1 - rho**2) * rng.normal(size=16)
    assert effective_draws(draws) == pytest.approx(32_000 * (1 - rho) / (1 + rho), rel=0.12)
