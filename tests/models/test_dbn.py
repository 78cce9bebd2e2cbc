"""The deep belief network: a known joint, layers that are densities, and what the layers say of a row."""

from itertools import product

import numpy as np
import pytest
import torch

from models.core.base import Latent
from models.core.plan import TrainerConfig
from models.dbn import DBN
from tests.models.mixed import MIXED, mixed


def cells(x):
    """Return the share of each cell of group, spending and age in thirds, shape (18,)."""
    age = np.searchsorted([-0.75, 0.75], x[:, 6])
    place = x[:, :3].argmax(1) * 6 + x[:, 3].astype(int) * 3 + age
    return np.bincount(place, minlength=18) / len(x)


@pytest.fixture(scope="module")
def fitted():
    training = TrainerConfig(
        epochs=40, validation=0.0, batch_size=128, learning_rate=2e-2, ema=0.99, weight_decay=1e-4, clip=100
    )
    config = {"training": training, "hidden": 32, "top": 32, "bins": 12, "chains": 128, "device": "cpu"}
    model = DBN(DBN.Config.model_validate(config), MIXED)
    return model.fit(mixed(3000, np.random.default_rng(0)), np.random.default_rng(1))


def test_a_known_joint_is_learned_far_better_than_independent_columns_are(fitted):
    want = cells(mixed(100_000, np.random.default_rng(5)))
    table = want.reshape(3, 2, 3)
    alone = np.einsum("a,b,c->abc", table.sum((1, 2)), table.sum((0, 2)), table.sum((0, 1))).ravel()
    found = cells(fitted.sample(20_000, np.random.default_rng(2)))
    assert np.abs(alone - want).sum() / 2 > 0.6
    assert np.abs(found - want).sum() / 2 < 0.12


def test_numbers_follow_one_another_and_are_0_where_they_are_off(fitted):
    x = fitted.sample(10_000, np.random.default_rng(2))
    on = x[x[:, 3] == 1]
    assert np.corrcoef(on[:, 5], on[:, 6])[0, 1] < -0.85
    assert (x[x[:, 3] == 0, 5] == 0).all()


def test_each_layer_downwards_is_a_density(fitted):
    h = (torch.rand(5, 32, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    every = torch.tensor(list(product(*map(range, fitted.bins.sizes))))
    with torch.no_grad():
        v = fitted.bins.hot(every)
        for unit in h:
            total = fitted.lower.log_given(v, unit.expand(len(v), -1)).exp().sum()
            assert abs(float(total) - 1) < 1e-4


def test_the_top_units_tell_rows_of_different_groups_apart(fitted):
    assert isinstance(fitted, Latent)
    x = mixed(1500, np.random.default_rng(3))
    z = fitted.encode(x)
    assert z.shape == (1500, 32) and (z >= 0).all() and (z <= 1).all()
    group = x[:, :3].argmax(1)
    means = np.array([z[group == each].mean(0) for each in range(3)])
    nearest = ((z[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == group).mean() > 0.8
    assert fitted.decode(z.round(), np.random.default_rng(0)).shape == x.shape
