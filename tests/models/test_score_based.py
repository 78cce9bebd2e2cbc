"""Known answers of the score-based model and of its ways down the noise."""

import math

import numpy as np
import pytest
import torch

from models.core.langevin import annealed_langevin, predictor_corrector
from models.score_based import ScoreBased
from tabular.layout import Block, Layout


def _block(column, start, kind, cardinality=1):
    width = cardinality if kind == "one_hot" else 1
    return Block(column=column, part="p", start=start, stop=start + width, kind=kind, cardinality=cardinality)


PLANE = Layout(reads="one_hot", blocks=(_block("x", 0, "real"), _block("y", 1, "real")))
MIXED = Layout(reads="one_hot", blocks=(_block("c", 0, "one_hot", 3), _block("x", 3, "real")))
COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.0]])


def _model(layout, sampler="predictor_corrector", **training):
    config = {"training": {"epochs": 12, "validation": 0.0, "batch_size": 128, "ema": 0.99, **training}}
    config |= {"hidden": 64, "depth": 2, "device": "cpu", "sampler": sampler, "intervals": 1}
    return ScoreBased(ScoreBased.Config.model_validate(config), layout)


def _untrained(layout):
    model = _model(layout)
    model._build(0)
    return model


def _exact(x, sigma):
    """Return the score of N(0, COVARIANCE) under noise."""
    inverse = torch.linalg.inv(torch.tensor(COVARIANCE, dtype=x.dtype) + sigma[0] ** 2 * torch.eye(2))
    return -x @ inverse


LEVELS = 0.01 * (20.0 / 0.01) ** torch.linspace(1, 0, 80)


@pytest.mark.parametrize(
    "way",
    [
        lambda x, g: predictor_corrector(_exact, x, LEVELS, 0.1, g),
        lambda x, g: predictor_corrector(_exact, x, LEVELS, 0.0, g),
        lambda x, g: annealed_langevin(_exact, x, LEVELS, 10, 0.2, g),
    ],
    ids=["predictor_corrector", "predictor", "langevin"],
)
def test_the_ways_down_end_in_the_known_normal(way):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6000, 2, generator=generator) * 20
    drawn = way(x, generator).numpy()
    assert np.cov(drawn.T) == pytest.approx(COVARIANCE, abs=0.1)
    assert np.abs(drawn.mean(0)).max() < 0.06


def test_before_training_score_and_density_are_those_of_a_standard_normal():
    model = _untrained(PLANE)
    model.config = model.config.model_copy(update={"levels": 240})
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    sigma = torch.full((50,), 0.7)
    with torch.no_grad():
        score = model.score(torch.from_numpy(x), sigma).numpy()
    assert score == pytest.approx(-x / (1 + 0.7**2), abs=1e-5)
    variance = 1 + model.config.least**2
    wanted = -(x.astype(float) ** 2).sum(1) / (2 * variance) - math.log(2 * math.pi * variance)
    assert model.log_density(x, np.random.default_rng(0)) == pytest.approx(wanted, abs=0.003)


def test_between_the_corners_of_a_category_the_answer_is_that_of_bayes():
    model = _untrained(MIXED)
    model.frequencies = torch.tensor([0.5, 0.3, 0.2]).log()
    x = torch.tensor([[0.3, 0.6, 0.4, -0.1]])
    sigma = torch.tensor([[0.8]])
    with torch.no_grad():
        _, logits = model._ends(x, sigma)
    corners = torch.eye(3)
    log_joint = model.frequencies - ((x[:, 1:] - corners) ** 2).sum(1) / (2 * 0.8**2)
    assert logits.softmax(1)[0].numpy() == pytest.approx(log_joint.softmax(0).numpy(), abs=1e-5)


@pytest.mark.parametrize("sampler", ["predictor_corrector", "ode", "langevin"])
def test_a_correlation_and_a_dependent_category_are_learned(sampler):
    rng = np.random.default_rng(0)
    c = rng.choice(3, 3000, p=[0.5, 0.3, 0.2])
    x = np.column_stack([np.eye(3)[c], rng.normal(c - 0.7, 0.5)]).astype(np.float32)
    model = _trained(x.tobytes())
    model.config = model.config.model_copy(update={"sampler": sampler})
    drawn = model.sample(3000, np.random.default_rng(1))
    means = [drawn[drawn[:, k] == 1, 3].mean() for k in range(3)]
    assert means == pytest.approx([-0.7, 0.3, 1.3], abs=0.2)
    assert drawn[:, :3].mean(0) == pytest.approx(x[:, :3].mean(0), abs=0.07)


_KEPT = {}


def _trained(content):
    if content not in _KEPT:
        x = np.frombuffer(content, dtype=np.float32).reshape(-1, 4)
        _KEPT[content] = _model(MIXED).fit(x, np.random.default_rng(0))
    return _KEPT[content]


def test_the_estimated_divergence_agrees_with_the_exact_one(monkeypatch):
    model = _untrained(PLANE)
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    exact = model.log_density(x, np.random.default_rng(0))
    monkeypatch.setattr("models.score_based.MOST_EXACT", 0)
    assert model.log_density(x, np.random.default_rng(0), probes=4) == pytest.approx(exact, abs=1e-3)
