"""Known answers of the adversarial network."""

import math

import numpy as np
import pytest
import torch

from models.gan import GAN
from tabular.layout import Block, Layout


def _block(column, start, kind, cardinality=1):
    width = cardinality if kind == "one_hot" else 1
    return Block(column=column, part="p", start=start, stop=start + width, kind=kind, cardinality=cardinality)


MIXED = Layout(
    reads="one_hot", blocks=(_block("c", 0, "one_hot", 3), _block("d", 3, "one_hot", 2), _block("x", 5, "real"))
)
PLANE = Layout(reads="one_hot", blocks=(_block("x", 0, "real"), _block("y", 1, "real")))


def _model(layout, **settings):
    config = {"training": {"epochs": 25, "batch_size": 128}, "hidden": 48, "latent": 8, "pack": 4, "device": "cpu"}
    return GAN(GAN.Config.model_validate(config | settings), layout)


def _rows(n, rng):
    c = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    d = (rng.random(n) < np.array([0.1, 0.5, 0.9])[c]).astype(int)
    return np.column_stack([np.eye(3)[c], np.eye(2)[d], rng.normal(c - 0.7, 0.6)]).astype(np.float32)


def test_a_known_joint_is_learned_far_better_than_by_independent_columns():
    rng = np.random.default_rng(0)
    x = _rows(4000, rng)
    drawn = _model(MIXED).fit(x, rng).sample(4000, rng)
    real, made = ((each[:, :3].T @ each[:, 3:5] / 4000).ravel() for each in (x, drawn))
    independent = np.outer(x[:, :3].mean(0), x[:, 3:5].mean(0)).ravel()
    assert np.abs(real - made).sum() < 0.35 * np.abs(real - independent).sum()
    means = [drawn[drawn[:, k] == 1, 5].mean() for k in range(3)]
    assert means == pytest.approx([-0.7, 0.3, 1.3], abs=0.3)


def test_every_mode_of_a_ring_is_found():
    rng = np.random.default_rng(0)
    angle = rng.integers(0, 8, 4000) * math.pi / 4
    x = (np.column_stack([np.cos(angle), np.sin(angle)]) * 1.4 + rng.normal(0, 0.1, (4000, 2))).astype(np.float32)
    drawn = _model(PLANE).fit(x, rng).sample(4000, rng)
    nearest = np.round(np.arctan2(drawn[:, 1], drawn[:, 0]) / (math.pi / 4)).astype(int) % 8
    assert (np.bincount(nearest, minlength=8) > 120).all()
    assert (np.hypot(drawn[:, 0], drawn[:, 1]) > 0.7).mean() > 0.8


def test_the_condition_is_part_of_the_row_and_as_frequent_as_in_training():
    rng = np.random.default_rng(0)
    model = _model(MIXED, training={"epochs": 1, "batch_size": 128})
    x = _rows(2000, rng)
    drawn = model.fit(x, rng).sample(20_000, rng)
    assert (drawn[:, :3].sum(1) == 1).all()
    # Half of the rows are asked for a class of `c`, as often as training has it, whatever the network says.
    assert (np.abs(drawn[:, :3].mean(0) - x[:, :3].mean(0)) < 0.5).all()


def test_the_penalty_of_a_linear_critic_is_known():
    model = _model(PLANE, pack=1)
    model._build(0)
    slope = torch.tensor([[3.0, 4.0]])
    linear = torch.nn.Linear(2, 1, bias=False)
    linear.weight.data = slope
    model.critic = torch.nn.Sequential(linear)
    model.prepare(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    loss = float(model._judge(x, generator).detach())
    with torch.no_grad():
        fake, _ = model._make(x[:, :0], torch.Generator().manual_seed(2))
    gap = float((fake - x).mean(0) @ slope[0])
    assert loss == pytest.approx(gap + 10 * (5 - 1) ** 2, rel=1e-4)


def test_the_charge_for_moments_has_no_bias_and_sees_a_shift():
    model = _model(PLANE)
    model._build(0)
    generator = torch.Generator().manual_seed(0)
    model.prepare(torch.randn(4000, 2, generator=generator))
    same, moved = [], []
    for _ in range(200):
        a, b = torch.randn(128, 2, generator=generator), torch.randn(128, 2, generator=generator)
        same.append(float(model._moments(a, b)))
        moved.append(float(model._moments(a * 0.5, b)))
    assert abs(np.mean(same)) < 4 * np.std(same) / math.sqrt(200)
    assert np.mean(moved) > 10 * np.std(same) / math.sqrt(200)
