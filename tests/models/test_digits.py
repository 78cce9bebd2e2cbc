"""Digits of codes: a round trip for every layout, and exact densities where a digit cannot be."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bayesian_network import BayesianNetwork
from models.core.digits import Digits
from tabular.layout import Block, Layout


def layout(*blocks: tuple[str, int, tuple[float, ...] | None]) -> Layout:
    made = (
        Block(column=f"c{i}", part=part, start=i, stop=i + 1, kind="code", cardinality=size, places=places)
        for i, (part, size, places) in enumerate(blocks)
    )
    return Layout(reads="codes", blocks=tuple(made))


@given(st.lists(st.tuples(st.sampled_from(["coarse", "fine", "value"]), st.integers(1, 300)), min_size=1, max_size=4))
def test_codes_are_their_digits(parts):
    digits = Digits(layout(*((part, size, None) for part, size in parts)), 24)
    codes = np.column_stack([np.resize(np.arange(size), 300) for _, size in parts])
    split = digits.split(codes)
    assert (digits.join(split) == codes).all()
    assert (split >= 0).all() and (split.max(axis=0) < digits.sizes).all()
    for low, (high, short) in enumerate(zip(digits.high, digits.short, strict=True)):
        if high >= 0:
            assert short is not None
            last = np.unique(split[split[:, low] == digits.sizes[low] - 1, high])
            assert sorted(last) == np.flatnonzero(~short).tolist()


def test_stretches_lie_on_the_line_of_the_values():
    # Ten bins, three values between them, and what is missing.
    places = (*map(float, range(10)), 0.5, 4.5, 8.5)
    digits = Digits(layout(("coarse", 14, places)), 10)
    high = digits.split(np.arange(14)[:, None])[:, 0]
    order = np.argsort(np.array([*places, np.inf]), kind="stable")
    assert (np.diff(high[order]) >= 0).all() and high[13] == high.max() and np.ptp(np.bincount(high)) <= 1


@pytest.mark.parametrize("parents", [1, 3])
def test_the_density_of_a_number_in_digits_is_exact(parents):
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4000, 2)) @ [[1, 0.8], [0, 0.6]]
    x = np.column_stack([np.clip(26 * (z[:, 0] + 3) / 6, 0, 26), 13 * (z[:, 1] > 0), z[:, 1] > 1]).astype(int)
    x[:, 1] += rng.integers(14, size=4000)
    model = BayesianNetwork(
        BayesianNetwork.Config(digits=8, parents=parents, particles=200),
        layout(("coarse", 27, None), ("coarse", 27, None), ("value", 2, None)),
    ).fit(x.astype(np.float32), rng)
    cells = np.array(list(itertools.product(range(27), range(27), range(2))), dtype=np.float32)
    p = np.exp(model.log_prob(cells))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    drawn = model.sample(200_000, rng)
    counts = np.bincount((drawn @ [54, 2, 1]).astype(int), minlength=len(p))
    assert (np.abs(counts / 2e5 - p) < 5 * np.sqrt(p / 2e5) + 2e-5).all()
    mask = np.array([False, True, False])
    known = np.tile(np.float32([[0, 20, 0]]), (20_000, 1))
    given_rows = model.sample_given(known, mask, rng)
    assert (given_rows[:, 1] == 20).all()
    exact = np.where(cells[:, 1] == 20, p, 0)
    exact /= exact.sum()
    found = np.bincount((given_rows @ [54, 2, 1]).astype(int), minlength=len(p)) / 2e4
    assert 0.5 * np.abs(found - exact).sum() < 0.03
