"""Known answers of the normalizing flow."""

import math

import numpy as np
import pytest
import torch

from models.normalizing_flow import NormalizingFlow
from tabular.layout import Block, Layout


def _block(column, start, kind, cardinality=1, part="p", when=None):
    width = cardinality if kind == "one_hot" else 1
    return Block(
        column=column, part=part, start=start, stop=start + width, kind=kind, cardinality=cardinality, when=when
    )


def _config(**settings):
    training = {"epochs": 12, "patience": 12, "batch_size": 128, "learning_rate": 8e-3}
    return NormalizingFlow.Config.model_validate(
        {"training": training, "device": "cpu", "hidden": 32, "embedding": 12, "bins": 16, **settings}
    )


PLANE = Layout(reads="one_hot", blocks=(_block("x", 0, "real"), _block("y", 1, "real")))
MIXED = Layout(
    reads="one_hot",
    blocks=(
        _block("c", 0, "one_hot", 2),
        _block("x", 2, "one_hot", 2, "state"),
        _block("x", 4, "real", 1, "score", 2),
    ),
)


def _standard(x):
    """Turn each column into its normal scores."""
    from statistics import NormalDist

    ranks = (np.argsort(np.argsort(x, axis=0), axis=0) + 0.5) / len(x)
    inverse = np.vectorize(NormalDist().inv_cdf)
    return inverse(ranks).astype(np.float32)


@pytest.fixture(scope="module")
def ring():
    """Eight Gaussians on a circle, as normal scores."""
    rng = np.random.default_rng(0)
    mode = rng.integers(0, 8, 4000)
    centre = np.column_stack([np.cos(mode * math.pi / 4), np.sin(mode * math.pi / 4)])
    x = _standard(centre + rng.normal(0, 0.08, (4000, 2)))
    return x, NormalizingFlow(_config(), PLANE).fit(x, rng)


def test_a_density_of_two_numbers_integrates_to_one(ring):
    _, model = ring
    grid = np.linspace(-5.5, 5.5, 441)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float32)
    total = np.exp(model.log_prob(points)).sum() * (grid[1] - grid[0]) ** 2
    assert total == pytest.approx(1.0, abs=0.02)


def test_all_eight_modes_are_found_and_little_lies_between_them(ring):
    x, model = ring
    drawn = model.sample(4000, np.random.default_rng(1))
    cells = [np.floor(np.clip((each + 2.5) / 5 * 14, 0, 13)).astype(int) for each in (x, drawn)]
    real, made = (np.bincount(cell[:, 0] * 14 + cell[:, 1], minlength=196) / 4000 for cell in cells)
    independent = np.outer(real.reshape(14, 14).sum(1), real.reshape(14, 14).sum(0)).ravel()
    assert 0.5 * np.abs(real - made).sum() < 0.45 * 0.5 * np.abs(real - independent).sum()
    assert (made[real > 0.01] > 0).all()


def test_rows_lead_back_to_the_noise_that_they_were_drawn_from():
    model = NormalizingFlow(_config(), MIXED)
    model._build(0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3, generator=generator)
        model.prepare(torch.tensor([[1, 0, 1, 0, 0.0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0]]))
        x = model.draw(2000, torch.Generator().manual_seed(2))
        parts = [model._embed(index, x[:, block.start : block.stop]) for index, block in enumerate(MIXED.blocks)]
        h = torch.nn.functional.silu(model.first(torch.cat(parts, dim=1)))
        for layer in model.middle:
            h = h + torch.nn.functional.silu(layer(h))
        spline = model._spline(model.last(h).transpose(0, 1))
        low, high, _ = (torch.stack(each, 1) for each in zip(*(model._ends(i, x) for i in range(3)), strict=True))
        low, high = (spline(2 * low - 1) + 1) / 2, (spline(2 * high - 1) + 1) / 2
    again = torch.Generator().manual_seed(2)
    noise = torch.stack([torch.rand(2000, generator=again) for _ in range(3)], dim=1)
    assert ((low < noise + 1e-4) & (noise < high + 1e-4)).all()
    on = x[:, 2] == 1
    assert 200 < on.sum() < 1800
    assert (low[on, 2] - noise[on, 2]).abs().max() < 1e-3


def test_it_beats_a_normal_by_far_and_is_no_better_than_the_truth():
    rng = np.random.default_rng(0)
    correlation = 0.9
    x = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], 6000).astype(np.float32)
    model = NormalizingFlow(_config(), PLANE).fit(x[:4000], rng)
    fresh = x[4000:]
    square = (fresh**2).sum(1) - 2 * correlation * fresh.prod(1)
    truth = -square / (2 * (1 - correlation**2)) - math.log(2 * math.pi) - 0.5 * math.log(1 - correlation**2)
    got = model.log_prob(fresh).mean()
    assert truth.mean() - 0.08 < got < truth.mean() + 0.02
    gained = got - (-(fresh**2).sum(1) / 2 - math.log(2 * math.pi)).mean()
    assert gained > 0.7


def test_a_rule_holds_and_a_number_that_is_off_is_zero_and_costs_nothing():
    rng = np.random.default_rng(0)
    c = rng.integers(0, 2, 3000)
    off = c == 1
    x = np.column_stack([np.eye(2)[c], ~off, off, np.where(off, 0, rng.normal(size=3000))]).astype(np.float32)
    model = NormalizingFlow(_config(), MIXED).fit(x, rng)
    drawn = model.sample(3000, rng)
    assert (drawn[:, 1] == drawn[:, 3]).mean() > 0.995
    assert (drawn[drawn[:, 3] == 1, 4] == 0).all()
    assert np.exp(model.log_prob(np.array([[0, 1, 0, 1, 0]], np.float32)))[0] == pytest.approx(0.5, abs=0.03)


def test_conditional_draws_agree_with_the_joint_whether_the_known_comes_first_or_last():
    rng = np.random.default_rng(0)
    c = (rng.random(4000) < 0.3).astype(int)
    x = np.column_stack([np.eye(2)[c], np.ones(4000), np.zeros(4000), rng.normal(1.5 * c, 1)]).astype(np.float32)
    model = NormalizingFlow(_config(), MIXED).fit(x, rng)
    first = np.tile(np.array([0, 1, 0, 0, 0], np.float32), (2000, 1))
    drawn = model.sample_given(first, np.array([1, 1, 0, 0, 0], bool), rng)
    assert drawn[:, 4].mean() == pytest.approx(1.5, abs=0.12)
    last = np.tile(np.array([0, 0, 1, 0, 1.5], np.float32), (2000, 1))
    drawn = model.sample_given(last, np.array([0, 0, 1, 1, 1], bool), rng)
    odds = 0.3 / 0.7 * math.exp((1.5 * 1.5) - 1.5**2 / 2)
    assert drawn[:, 1].mean() == pytest.approx(odds / (1 + odds), abs=0.06)
    assert model.notes["effective_sample_size"] > 100
