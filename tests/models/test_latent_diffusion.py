"""Latent diffusion: closed forms of its code space, rows kept by their codes, and known answers of drawn rows."""

import numpy as np
import pytest
import torch

from models.core.base import Conditional, Density, Latent
from models.latent_diffusion import LatentDiffusion
from tabular.layout import Block, Layout

LAYOUT = Layout(
    reads="one_hot",
    blocks=(
        Block(column="group", part="class", start=0, stop=4, kind="one_hot", cardinality=4),
        Block(column="label", part="class", start=4, stop=7, kind="one_hot", cardinality=3),
        Block(column="copy", part="class", start=7, stop=11, kind="one_hot", cardinality=4),
        Block(column="spend", part="state", start=11, stop=13, kind="one_hot", cardinality=2),
        Block(column="spend", part="score", start=13, stop=14, kind="real", when=11),
        Block(column="age", part="score", start=14, stop=15, kind="real"),
    ),
)
JOINT = np.array([[0.30, 0.02, 0.03], [0.02, 0.20, 0.02], [0.01, 0.02, 0.17], [0.10, 0.01, 0.10]])
SPENDS = np.array([0.9, 0.6, 0.1, 0.02])


def rows(n: int, rng: np.random.Generator) -> np.ndarray:
    """A known joint of group and label, a copy, zeros that the group decides, and an age of two edges and a tail."""
    cell = rng.choice(12, size=n, p=JOINT.ravel())
    group, label = cell // 3, cell % 3
    spends = rng.random(n) < SPENDS[group]
    age = np.where(label == 0, -1.0, 0.5) + np.where(label == 0, 0.1, 0.6) * rng.normal(size=n)
    score = np.where(spends, -age + 0.2 * rng.normal(size=n), 0)
    hot = [np.eye(4)[group], np.eye(3)[label], np.eye(4)[group], np.column_stack([spends, ~spends])]
    return np.column_stack([*hot, score, age]).astype(np.float32)


def made(layout: Layout = LAYOUT, **settings: object) -> LatentDiffusion:
    training = {"epochs": 30, "batch_size": 128}
    config = {"training": training, "device": "cpu", "hidden": 96, "decoder": 96, "autoencoder": 0.5, **settings}
    return LatentDiffusion(LatentDiffusion.Config.model_validate(config), layout)


@pytest.fixture(scope="module")
def fitted() -> LatentDiffusion:
    rng = np.random.default_rng(1)
    return made().fit(rows(6000, rng), rng)


@pytest.fixture(scope="module")
def drawn(fitted) -> np.ndarray:
    return fitted.sample(8000, np.random.default_rng(2))


def test_it_has_codes_and_neither_a_density_nor_conditionals(fitted):
    assert isinstance(fitted, Latent)
    assert not isinstance(fitted, Density | Conditional)


def test_a_known_joint_and_a_copied_column_are_drawn(drawn):
    group, label, copy = (drawn[:, at : at + size].argmax(1) for at, size in ((0, 4), (4, 3), (7, 4)))
    joint = np.bincount(3 * group + label, minlength=12).reshape(4, 3) / len(drawn)
    independent = JOINT.sum(1, keepdims=True) * JOINT.sum(0)
    assert 0.5 * np.abs(independent - JOINT).sum() > 0.35
    assert 0.5 * np.abs(joint - JOINT).sum() < 0.05
    assert (group == copy).mean() > 0.98


def test_zeros_and_numbers_are_drawn_as_their_columns_say(drawn):
    group, spends = drawn[:, :4].argmax(1), drawn[:, 11] == 1
    assert (drawn[~spends, 13] == 0).all()
    assert max(abs(spends[group == each].mean() - SPENDS[each]) for each in range(4)) < 0.06
    assert np.corrcoef(drawn[spends, 13], drawn[spends, 14])[0, 1] < -0.85
    first = drawn[:, 4] == 1
    assert abs(np.median(drawn[first, 14]) + 1) < 0.03
    assert abs(np.median(drawn[~first, 14]) - 0.5) < 0.06
    assert np.quantile(np.abs(drawn[first, 14] + 1), 0.95) < 0.3


def test_a_code_keeps_its_row(fitted):
    x = rows(3000, np.random.default_rng(3))
    again = fitted.decode(fitted.encode(x), np.random.default_rng(0))
    for start, stop in ((0, 4), (4, 7), (7, 11), (11, 13)):
        assert (again[:, start:stop].argmax(1) == x[:, start:stop].argmax(1)).mean() > 0.98
    assert np.abs(again[:, 14] - x[:, 14]).mean() < 0.1


def test_codes_with_their_own_noise_are_standardised(fitted):
    z = fitted.encode(rows(20_000, np.random.default_rng(4)))
    spread = (fitted.log_spread.exp() / fitted.scale).detach().numpy()
    assert np.abs(z.mean(0)).max() < 0.06
    assert z.var(0) + spread**2 == pytest.approx(np.ones(z.shape[1]), abs=0.06)


def test_the_expected_code_is_bayes_rule():
    """One column of two classes: codes are a mixture of two normals, of which all is known once they are learned."""
    block = Block(column="sex", part="class", start=0, stop=2, kind="one_hot", cardinality=2)
    rng = np.random.default_rng(0)
    x = np.eye(2, dtype=np.float32)[(rng.random(2000) < 0.3).astype(int)]
    model = made(Layout(reads="one_hot", blocks=(block,)), latent=2, hidden=32, decoder=32).fit(x, rng)
    means = model.encode(np.eye(2, dtype=np.float32)).astype(float)
    spread = (model.log_spread.exp() / model.scale).detach().numpy().astype(float)
    assert np.linalg.norm((means[0] - means[1]) / spread) > 4
    for sigma in (0.2, 0.5, 1.0, 2.0):
        own = rng.choice(2, size=500, p=[0.7, 0.3])
        z = means[own] + np.sqrt(spread**2 + sigma**2) * rng.normal(size=(500, 2))
        log = np.log([0.7, 0.3]) - 0.5 * ((z[:, None] - means) ** 2 / (spread**2 + sigma**2)).sum(2)
        posterior = np.exp(log - np.logaddexp(log[:, :1], log[:, 1:]))
        want = (sigma**2 * posterior @ means + spread**2 * z) / (sigma**2 + spread**2)
        with torch.no_grad():
            got = model.expected(torch.from_numpy(z).float(), torch.full((500, 1), sigma)).numpy()
        assert np.sqrt(((got - want) ** 2).mean()) < 0.08, sigma
