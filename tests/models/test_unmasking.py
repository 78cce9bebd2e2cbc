"""Known answers of diffusion and flow matching: with the exact denoiser they draw the exact joint."""

import numpy as np
import pytest
import torch

from models.diffusion import Diffusion
from models.flow_matching import FlowMatching
from tabular.layout import Block, Layout

SPREAD = 0.5
JOINT = torch.tensor([[0.4, 0.05, 0.05], [0.05, 0.15, 0.3]])
BOTH = pytest.mark.parametrize("kind", [Diffusion, FlowMatching])


def _block(column, start, kind, cardinality=1):
    width = cardinality if kind == "one_hot" else 1
    return Block(column=column, part="p", start=start, stop=start + width, kind=kind, cardinality=cardinality)


LAYOUT = Layout(
    reads="one_hot", blocks=(_block("a", 0, "one_hot", 2), _block("b", 2, "one_hot", 3), _block("x", 5, "real"))
)


def _untrained(kind, **settings):
    model = kind(kind.Config.model_validate({"device": "cpu", "steps": 64, **settings}), LAYOUT)
    model._build(0)
    return model


def _bayes(noisy, seen, t, sigma):
    """Stand in the place of a network, for rows whose number is kept whole in the first of two intervals.

    Seen are a (2 entries), b (3) and the interval of x (2).
    """
    level = sigma.clamp(min=1e-6)
    a, b = torch.arange(2)[:, None], torch.arange(3)[None]
    centre = (a - b / 2).flatten()
    variance = SPREAD**2 + level**2
    log = JOINT.flatten().log() - (noisy - centre) ** 2 / (2 * variance)
    log = log + _known(seen[:, :2])[:, :, None].expand(-1, 2, 3).flatten(1)
    log = log + _known(seen[:, 2:5])[:, None, :].expand(-1, 2, 3).flatten(1)
    share = log.softmax(1)
    inner = (noisy * SPREAD**2 + centre * level**2) / variance
    both = share.view(-1, 2, 3)
    logits = torch.cat([both.sum(2).log(), both.sum(1).log(), torch.tensor([[0.0, -1e9]]).expand(len(t), 2)], dim=1)
    return (share * inner).sum(1, keepdim=True), logits


def _known(entries):
    """Return 0 where an entry may be, -inf where another one of its block is seen."""
    return torch.where((entries.sum(1, keepdim=True) > 0) & (entries == 0), -torch.inf, 0.0)


@pytest.fixture(params=[Diffusion, FlowMatching])
def exact(request):
    model = _untrained(request.param, intervals=2)
    # The cut lies beyond all numbers: the place is the number itself.
    model.coarse.edges.fill_(100.0)
    model.denoise = _bayes
    return model


def _cells(rows):
    share = np.zeros((2, 3))
    np.add.at(share, (rows[:, :2].argmax(1), rows[:, 2:5].argmax(1)), 1 / len(rows))
    return share


def test_the_exact_denoiser_draws_the_exact_joint(exact):
    drawn = exact.sample(20_000, np.random.default_rng(0))
    assert 0.5 * np.abs(_cells(drawn) - JOINT.numpy()).sum() < 0.015
    for a in range(2):
        for b in range(3):
            x = drawn[(drawn[:, a] == 1) & (drawn[:, 2 + b] == 1), 5]
            assert x.mean() == pytest.approx(a - b / 2, abs=0.05)
            assert x.std() == pytest.approx(SPREAD, abs=0.05)


def test_given_columns_stay_and_the_others_follow_bayes_rule(exact):
    known = np.zeros((20_000, 6), dtype=np.float32)
    known[:, [3, 5]] = [1.0, 0.4]
    mask = np.array([False, False, True, True, True, True])
    drawn = exact.sample_given(known, mask, np.random.default_rng(0))
    assert np.array_equal(drawn[:, mask], known[:, mask])
    joint = JOINT[:, 1].numpy() * np.exp(-((0.4 - (np.arange(2) - 0.5)) ** 2) / (2 * SPREAD**2))
    assert drawn[:, :2].mean(0) == pytest.approx(joint / joint.sum(), abs=0.015)


@BOTH
def test_noise_rises_from_next_to_none_to_nearly_all(kind):
    t = torch.linspace(0, 1, 101)
    sigma = _untrained(kind).noise_at(t)
    assert (sigma.diff() > 0).all()
    assert sigma[0] == pytest.approx(0.02, rel=1e-3) and sigma[-1] == pytest.approx(10, rel=1e-3)


def test_the_error_of_a_flows_end_is_that_of_its_velocity():
    model = _untrained(FlowMatching)
    start, end, guess = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).double().unbind()
    sigma = model.noise_at(torch.rand(50, generator=torch.Generator().manual_seed(1)).double())
    s = 1 / (1 + sigma)
    point = (1 - s) * start + s * end
    velocity, guessed = end - start, (guess - point) / (1 - s)
    torch.testing.assert_close(model.weight(sigma) * (guess - end) ** 2, (guessed - velocity) ** 2)


@BOTH
def test_a_mask_of_another_shape_is_refused(kind):
    rows = np.zeros((10, 6), dtype=np.float32)
    with pytest.raises(ValueError, match="wanted"):
        _untrained(kind).sample_given(rows, np.ones(3, dtype=bool), np.random.default_rng(0))
