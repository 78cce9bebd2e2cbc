"""The variational auto-encoder: known mixed data, masks, latent space, conditionals."""

import numpy as np
import pytest
import torch

from models.core.base import Conditional, Density, Latent
from models.core.heads import MixedHead
from models.core.plan import TrainerConfig
from models.vae import VAE
from tabular.layout import Block, Layout
from tests.models.mixed import CENTRES, MIXED, SPENDS, mixed


def made(layout: Layout = MIXED, **settings: object) -> VAE:
    config = {
        "training": TrainerConfig(epochs=50, learning_rate=5e-3),
        "device": "cpu",
        "hidden": 48,
        "latent": 4,
        **settings,
    }
    return VAE(VAE.Config.model_validate(config), layout)


@pytest.fixture(scope="module")
def fitted() -> VAE:
    rng = np.random.default_rng(1)
    return made().fit(mixed(6000, rng), rng)


def test_a_known_mixture_is_recovered(fitted):
    x = fitted.sample(20_000, np.random.default_rng(2))
    assert x.dtype == np.float32 and x.shape == (20_000, 7)
    assert np.abs(x[:, :3].mean(0) - 1 / 3).max() < 0.05
    for group in range(3):
        own = x[x[:, group] == 1]
        assert abs(np.median(own[:, 6]) - CENTRES[group]) < 0.2
        assert abs(own[:, 3].mean() - SPENDS[group]) < 0.12
    on = x[x[:, 3] == 1]
    assert np.corrcoef(on[:, 5], on[:, 6])[0, 1] < -0.9


def test_blocks_are_one_hot_and_a_number_that_means_nothing_is_zero(fitted):
    x = fitted.sample(2000, np.random.default_rng(2))
    for start, stop in ((0, 3), (3, 5)):
        assert (np.sort(x[:, start:stop], axis=1) == np.eye(stop - start)[-1]).all()
    assert (x[x[:, 3] == 0, 5] == 0).all()
    assert (x[x[:, 3] == 1, 5] != 0).all()


def test_a_number_that_means_nothing_does_not_move_the_likelihood():
    head = MixedHead(MIXED, 4)
    x = torch.from_numpy(mixed(200, np.random.default_rng(0)))
    other = x.clone()
    other[:, 5] += 3
    h = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    moved = (head.log_likelihood(h, x) != head.log_likelihood(h, other)).numpy()
    assert (moved == (x[:, 3] == 1).numpy()).all()


def test_the_likelihood_is_the_closed_form():
    head = MixedHead(MIXED, 1)
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 0.5, -0.5]))
        head.log_scale.copy_(torch.tensor([2.0, 0.5]).log())
    x = torch.tensor([[0.0, 1, 0, 1, 0, 2.5, 0], [1, 0, 0, 0, 1, 0, 0]])
    normal = [np.exp(-0.5) / 2 / np.sqrt(2 * np.pi), np.exp(-0.5) / 0.5 / np.sqrt(2 * np.pi)]
    want = np.log([normal[0] * normal[1] / 6, normal[1] / 6])
    assert np.allclose(head.log_likelihood(torch.zeros(2, 1), x).detach().numpy(), want, atol=1e-5)
    group = torch.tensor([1.0, 1, 1, 0, 0, 0, 0])
    assert np.allclose(head.log_likelihood(torch.zeros(2, 1), x, group).detach().numpy(), np.log(1 / 3), atol=1e-5)


def test_the_latent_space_keeps_a_row(fitted):
    assert isinstance(fitted, Latent)
    x = mixed(1000, np.random.default_rng(3))
    z = fitted.encode(x)
    assert z.shape == (1000, 4)
    again = fitted.decode(z, np.random.default_rng(0))
    assert (again[:, :3].argmax(1) == x[:, :3].argmax(1)).mean() > 0.9
    assert np.corrcoef(again[:, 6], x[:, 6])[0, 1] > 0.9


def marginal(model: VAE, x: np.ndarray) -> np.ndarray:
    """Integrate p(x|z) over a fine grid of a latent space of width 1."""
    z = torch.linspace(-8, 8, 4001)
    with torch.no_grad():
        h = model.decoder(z[:, None])
        fit = torch.stack([model.head.log_likelihood(h, row.expand(len(z), -1)) for row in torch.from_numpy(x)])
    prior = -0.5 * z.double() ** 2 - 0.5 * np.log(2 * np.pi)
    return ((fit.double() + prior).logsumexp(1) + np.log(16 / 4000)).numpy()


@pytest.fixture(scope="module")
def narrow() -> VAE:
    rng = np.random.default_rng(1)
    training = TrainerConfig(epochs=15, learning_rate=5e-3)
    return made(latent=1, training=training).fit(mixed(3000, rng), rng)


def test_the_marginal_likelihood_is_the_integral_over_the_latent_space(narrow):
    assert isinstance(narrow, Density)
    x = mixed(200, np.random.default_rng(7))
    want = marginal(narrow, x)
    gaps = {}
    for samples in (8, 64, 2048):
        model = made(latent=1, importance_samples=samples).load_state(narrow.state())
        gaps[samples] = want - model.log_prob(x)
    assert np.abs(gaps[2048]).mean() < 0.01
    assert np.abs(gaps[64]).mean() < 0.03
    assert np.abs(gaps[64]).mean() < np.abs(gaps[8]).mean()


def test_an_encoder_that_is_wrong_makes_the_likelihood_no_worse_than_draws_from_the_prior(narrow):
    x = mixed(200, np.random.default_rng(7))
    model = made(latent=1, importance_samples=4096).load_state(narrow.state())
    with torch.no_grad():
        model.encoder[-1].weight.zero_()
        model.encoder[-1].bias.copy_(torch.tensor([40.0, -30.0]))
    assert np.abs(marginal(narrow, x) - model.log_prob(x)).mean() < 0.15


def test_a_rows_likelihood_is_its_own(fitted):
    x = mixed(300, np.random.default_rng(8))
    together = fitted.log_prob(x)
    assert np.allclose(fitted.log_prob(x[::-1])[::-1], together, atol=1e-4)
    assert np.allclose([fitted.log_prob(row[None])[0] for row in x[:5]], together[:5], atol=1e-4)
    strange = x.copy()
    strange[:, 6] += 6
    assert (fitted.log_prob(strange) < together - 10).mean() > 0.9
    far = np.where(np.arange(7) > 4, np.float32(1e6), x)
    assert np.isfinite(fitted.log_prob(far)).all()


@pytest.mark.parametrize("group", range(3))
def test_conditionals_keep_what_is_known_and_follow_the_data(fitted, group):
    assert isinstance(fitted, Conditional)
    known = np.full((3000, 7), 9, dtype=np.float32)
    known[:, :3] = np.eye(3)[group]
    mask = np.arange(7) < 3
    x = fitted.sample_given(known, mask, np.random.default_rng(0))
    assert (x[:, mask] == known[:, mask]).all()
    assert abs(np.median(x[:, 6]) - CENTRES[group]) < 0.25
    assert abs(x[:, 3].mean() - SPENDS[group]) < 0.12
    assert 0 < fitted.notes["effective_sample_size"]


def test_conditionals_agree_with_picking_rows_that_match(fitted):
    known = np.zeros((8000, 7), dtype=np.float32)
    known[:, 3] = 1
    mask = (np.arange(7) == 3) | (np.arange(7) == 4)
    given = fitted.sample_given(known, mask, np.random.default_rng(0))
    free = fitted.sample(30_000, np.random.default_rng(1))
    match = free[free[:, 3] == 1]
    assert np.abs(given[:, :3].mean(0) - match[:, :3].mean(0)).max() < 0.03
    assert abs(given[:, 6].mean() - match[:, 6].mean()) < 0.08


def test_same_seed_same_bytes_and_loaded_equals_saved(fitted):
    pair = fitted, made().load_state(fitted.state())
    first, second = (model.sample(100, np.random.default_rng(4)).tobytes() for model in pair)
    assert first == second
    x = mixed(200, np.random.default_rng(0))
    short = {"training": TrainerConfig(epochs=2)}
    states = [made(**short).fit(x, np.random.default_rng(5)).state() for _ in range(2)]
    assert all(states[0][name].tobytes() == states[1][name].tobytes() for name in states[0])


@pytest.mark.parametrize(("kind", "width"), [("real", 1), ("one_hot", 1), ("one_hot", 300)])
def test_odd_tables(kind, width):
    block = Block(column="a", part="a", start=0, stop=width, kind=kind, cardinality=width)
    rng = np.random.default_rng(0)
    x = np.eye(width)[rng.integers(width, size=50)].astype(np.float32)
    model = made(Layout(reads="one_hot", blocks=(block,)), training=TrainerConfig(epochs=2)).fit(x, rng)
    assert np.isfinite(model.sample(20, rng)).all()
    assert model.sample_given(x[:0], np.ones(width, dtype=bool), rng).shape == (0, width)


def test_codes_are_refused():
    block = Block(column="a", part="a", start=0, stop=1, kind="code", cardinality=3)
    with pytest.raises(ValueError, match="blocks of codes"):
        made(Layout(reads="codes", blocks=(block,))).fit(np.zeros((5, 1), dtype=np.float32), np.random.default_rng(0))
