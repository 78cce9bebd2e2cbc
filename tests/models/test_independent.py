"""The independent family keeps margins, breaks dependence and knows its probabilities exactly."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.independent import Independent
from tabular.layout import Block, Layout


def _layout(*columns):
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=name, part=str(i), start=i, stop=i + 1, kind="code", cardinality=size)
            for i, (name, size) in enumerate(columns)
        ),
    )


LAYOUT = _layout(("a", 4), ("a", 3), ("b", 5))


def _rows(n, rng):
    a, b = rng.choice(12, n, p=np.arange(1, 13) / 78), rng.integers(0, 5, n)
    b = np.where(rng.random(n) < 0.8, a % 5, b)
    return np.column_stack([a // 3, a % 3, b]).astype(np.float32)


def _cells(x, columns):
    flat = np.ravel_multi_index(x[:, columns].astype(int).T, [(4, 3, 5)[c] for c in columns])
    return np.bincount(flat, minlength=int(np.prod([(4, 3, 5)[c] for c in columns]))) / len(x)


def test_margins_stay_and_dependence_goes():
    rng = np.random.default_rng(0)
    x = _rows(40_000, rng)
    drawn = Independent(Independent.Config(), LAYOUT).fit(x, rng).sample(40_000, rng)
    assert np.abs(_cells(drawn, [0, 1]) - _cells(x, [0, 1])).sum() / 2 < 0.02
    assert np.abs(_cells(drawn, [2]) - _cells(x, [2])).sum() / 2 < 0.02
    apart = np.outer(_cells(x, [0, 1]), _cells(x, [2])).ravel()
    assert np.abs(_cells(drawn, [0, 1, 2]) - apart).sum() / 2 < 0.03
    assert np.abs(_cells(x, [0, 1, 2]) - apart).sum() / 2 > 0.4


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), smoothing=st.floats(1e-3, 10), seed=st.integers(0, 2**32 - 1))
def test_log_prob_is_the_smoothed_frequency(n, smoothing, seed):
    x = _rows(n, np.random.default_rng(seed))
    model = Independent(Independent.Config(smoothing=smoothing), LAYOUT).fit(x, np.random.default_rng(0))
    everything = np.array(list(product(range(4), range(3), range(5))), dtype=np.float32)
    a, b = (_cells(x, columns) * n for columns in ([0, 1], [2]))
    wanted = np.outer((a + smoothing / 12) / (n + smoothing), (b + smoothing / 5) / (n + smoothing)).ravel()
    assert np.exp(model.log_prob(everything)) == pytest.approx(wanted)
    assert np.exp(model.log_prob(everything)).sum() == pytest.approx(1)


def test_a_known_digit_tells_about_the_other_exactly():
    rng = np.random.default_rng(0)
    model = Independent(Independent.Config(smoothing=3.0), LAYOUT).fit(_rows(30, rng), rng)
    everything = np.array(list(product(range(4), range(3), range(5))), dtype=np.float32)
    p = np.exp(model.log_prob(everything)).reshape(4, 3, 5)
    for digit in range(3):
        known = np.tile(np.array([0, digit, 0], dtype=np.float32), (60_000, 1))
        drawn = model.sample_given(known, np.array([False, True, False]), rng)
        assert (drawn[:, 1] == digit).all()
        wanted = (p[:, digit] / p[:, digit].sum()).ravel()
        assert np.abs(_cells(drawn, [0, 2]) - wanted).sum() / 2 < 0.02


def test_a_known_digit_that_was_never_seen_still_gives_rows():
    rng = np.random.default_rng(0)
    model = Independent(Independent.Config(), LAYOUT).fit(np.zeros((10, 3), dtype=np.float32), rng)
    known = np.tile(np.array([3, 0, 4], dtype=np.float32), (100, 1))
    drawn = model.sample_given(known, np.array([True, False, True]), rng)
    assert set(drawn[:, 1]) == {0.0, 1.0, 2.0}


def test_a_code_outside_its_block_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="column 'b': got a code outside"):
        Independent(Independent.Config(), LAYOUT).fit(np.array([[0, 0, 5]], dtype=np.float32), rng)


def test_more_cells_than_can_be_numbered_are_refused():
    with pytest.raises(ValueError, match="column 'a': its blocks span"):
        Independent(Independent.Config(), _layout(*[("a", 10_000)] * 5))
