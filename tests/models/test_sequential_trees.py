"""Sequential trees find what splits can find, know their density exactly, and condition like brute force."""

from itertools import product

import numpy as np
import pytest

from models.core.cart import Cart
from models.core.places import among, by_target
from models.sequential_trees import SequentialTrees
from tabular.layout import Block, Layout


def _layout(sizes, parts=None):
    parts = parts or [("abcdef"[i], "class") for i in range(len(sizes))]
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=column, part=part, start=i, stop=i + 1, kind="code", cardinality=size)
            for i, (size, (column, part)) in enumerate(zip(sizes, parts, strict=True))
        ),
    )


def _fit(x, layout, seed=0, **settings):
    model = SequentialTrees(SequentialTrees.Config(**settings), layout)
    return model.fit(np.asarray(x, dtype=np.float32), np.random.default_rng(seed))


def _known_joint(n, seed):
    """Draw a class that hides in the parity of two others, and a fourth that goes with the first."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, n), rng.integers(0, 4, n)
    c = (a + b + (rng.random(n) < 0.1)) % 3
    return np.column_stack([a, b, c, np.where(rng.random(n) < 0.8, a, 2)]).astype(np.float32)


def test_finds_a_known_joint_that_an_independent_sampler_misses():
    sizes = (3, 4, 3, 3)
    everything = np.array(list(product(*map(range, sizes))))
    a, b, c, d = everything.T
    parity = 0.9 * (c == (a + b) % 3) + 0.1 * (c == (a + b + 1) % 3)
    truth = parity * (0.8 * (d == a) + 0.2 * (d == 2)) / 12
    p = np.exp(_fit(_known_joint(50_000, 0), _layout(sizes)).log_prob(everything.astype(np.float32)))
    joint = truth.reshape(sizes)
    margins = np.ix_(*(joint.sum(axis=tuple(j for j in range(4) if j != i)) for i in range(4)))
    independent = margins[0] * margins[1] * margins[2] * margins[3]
    assert np.abs(p - truth).sum() / 2 < 0.02
    assert np.abs(independent - joint).sum() / 2 > 0.4


def test_a_rule_is_kept_and_a_spike_follows_its_reason():
    rng = np.random.default_rng(0)
    sex, age = rng.integers(0, 2, 10_000), rng.integers(0, 50, 10_000)
    gain = np.where((age > 30) & (sex == 1), rng.integers(0, 20, 10_000), 20)
    layout = _layout((50, 2, 21), [("age", "coarse"), ("sex", "class"), ("gain", "coarse")])
    drawn = _fit(np.column_stack([age, sex, gain]), layout).sample(10_000, np.random.default_rng(1))
    assert ((drawn[:, 2] < 20) == ((drawn[:, 0] > 30) & (drawn[:, 1] == 1))).mean() > 0.995


def test_a_ring_stays_a_ring():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 20_000)
    place = np.column_stack([np.cos(angle), np.sin(angle)]) * (1 + 0.05 * rng.normal(size=(20_000, 1)))
    cells = np.clip(((place + 1.3) / 2.6 * 1000).astype(int), 0, 999)
    x = np.column_stack([cells[:, 0] // 20, cells[:, 0] % 20, cells[:, 1] // 20, cells[:, 1] % 20])
    layout = _layout((50, 20, 50, 20), [("x", "coarse"), ("x", "fine"), ("y", "coarse"), ("y", "fine")])
    drawn = _fit(x, layout).sample(20_000, np.random.default_rng(1))
    radius = np.hypot(*((drawn[:, ::2] * 20 + drawn[:, 1::2] + 0.5) / 1000 * 2.6 - 1.3).T)
    assert (np.abs(radius - 1) < 0.2).mean() > 0.97
    assert abs(np.median(radius) - 1) < 0.01


def test_rows_of_the_margin_are_drawn_as_often_as_the_density_says():
    sizes = (3, 4, 3, 3)
    model = _fit(_known_joint(300, 0), _layout(sizes), leaf=5, smoothing=2)
    everything = np.array(list(product(*map(range, sizes))), dtype=np.float32)
    p = np.exp(model.log_prob(everything))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    drawn = model.sample(100_000, np.random.default_rng(1)).astype(int)
    share = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=len(p)) / len(drawn)
    assert np.abs(share - p).sum() / 2 < 0.01


@pytest.mark.parametrize(("known", "exact"), [((0, 1), True), ((2, 3), False), ((1,), False)])
def test_conditional_rows_agree_with_brute_force(known, exact):
    sizes = (3, 4, 3, 3)
    model = _fit(_known_joint(2_000, 0), _layout(sizes), particles=200)
    everything = np.array(list(product(*map(range, sizes))), dtype=np.float32)
    value = np.array([1, 2, 0, 1], dtype=np.float32)
    mask = np.isin(np.arange(4), known)
    fits = (everything[:, mask] == value[mask]).all(axis=1)
    p = np.where(fits, np.exp(model.log_prob(everything)), 0.0)
    drawn = model.sample_given(np.tile(value, (20_000, 1)), mask, np.random.default_rng(1)).astype(int)
    share = np.bincount(np.ravel_multi_index(drawn.T, sizes), minlength=len(p)) / len(drawn)
    assert np.abs(share - p / p.sum()).sum() / 2 < 0.02
    assert (model.notes["effective_sample_size"] == 1) == exact


def test_two_blocks_of_a_number_are_one_draw_whichever_is_known():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 3_000)
    cell = np.clip(4 * a + rng.integers(-2, 6, 3_000), 0, 11)
    layout = _layout((3, 3, 4), [("a", "class"), ("x", "coarse"), ("x", "fine")])
    model = _fit(np.column_stack([a, cell // 4, cell % 4]), layout, leaf=8, smoothing=3, particles=100)
    everything = np.array(list(product(range(3), range(3), range(4))), dtype=np.float32)
    p = np.exp(model.log_prob(everything))
    assert p.sum() == pytest.approx(1, abs=1e-9)
    for known in ((), (0,), (1,), (2,), (0, 1), (0, 2)):
        mask = np.isin(np.arange(3), known)
        value = np.array([1, 1, 2], dtype=np.float32)
        fits = (everything[:, mask] == value[mask]).all(axis=1)
        drawn = model.sample_given(np.tile(value, (8_000, 1)), mask, np.random.default_rng(1)).astype(int)
        share = np.bincount(np.ravel_multi_index(drawn.T, (3, 3, 4)), minlength=36) / len(drawn)
        assert np.abs(share - np.where(fits, p, 0) / p[fits].sum()).sum() / 2 < 0.03


def test_every_leaf_holds_enough_rows_and_no_lone_row_decides():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 7, 500)
    x = codes[:, None].astype(np.float32)
    tree = Cart.fit(x, codes[:, None].astype(float), codes, (7, 25, 8), 0)
    assert tree.sizes.min() >= 25
    assert tree.sizes.sum() == 500
    p = tree.prob(tree.find(x), codes, codes, np.full(500, 1 / 7), 0.5)
    assert p.min() > 0.95


def test_rows_of_a_leaf_share_out_its_codes_and_each_is_drawn_fairly():
    x = np.repeat([0.0, 1.0], [40, 60])[:, None].astype(np.float32)
    codes = np.concatenate([np.arange(40) % 4, np.arange(60) % 3])
    tree = Cart.fit(x, x.astype(float), codes, (4, 10, 8), 0)
    rng = np.random.default_rng(0)
    leaf = tree.find(x)
    drawn = np.array([tree.draw(leaf, 1e-9, rng) for _ in range(2_000)])
    counts = (drawn[:, :40, None] == np.arange(4)).sum(axis=1)
    assert np.abs(counts - 10).max() <= 1
    shares = (drawn[:, :, None] == np.arange(4)).mean(axis=0)
    assert np.abs(shares[:40] - 1 / 4).max() < 0.05
    assert np.abs(shares[40:, :3] - 1 / 3).max() < 0.05


def test_splits_that_explain_no_more_than_chance_are_taken_back():
    rng = np.random.default_rng(0)
    x, noise = rng.random((4_000, 6)).astype(np.float32), rng.integers(0, 50, 4_000)
    whole, pruned = (Cart.fit(x, noise[:, None] / 50, noise, (50, 20, 8), 0, worth) for worth in (0.0, 12.0))
    assert len(pruned.sizes) < len(whole.sizes) / 3
    assert pruned.sizes.sum() == 4_000
    step = (x[:, 0] > 0.5).astype(np.int64)
    kept = Cart.fit(x, step[:, None] + 0.0, step, (2, 20, 8), 0, 12.0)
    assert kept.sizes.tolist() == np.bincount(step).tolist()


def test_backing_off_is_the_formula():
    x = np.repeat([0.0, 1.0], [4, 8])[:, None].astype(np.float32)
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2])
    tree = Cart.fit(x, x.astype(float), codes, (4, 2, 8), 0)
    leaf = tree.find(x[:1].repeat(4, axis=0))
    branch = (np.array([3, 7, 2, 0]) + 0.5 * 0.25) / 12.5
    wanted = (np.array([3, 1, 0, 0]) + 0.5 * branch) / 4.5
    code = np.arange(4)
    assert tree.prob(leaf, code, code, np.full(4, 0.25), 0.5) == pytest.approx(wanted, abs=1e-12)


def test_classes_are_ordered_by_what_they_say_and_missing_values_lie_where_their_rows_are():
    rng = np.random.default_rng(0)
    hidden = rng.random(20_000)
    classes = np.array([3, 0, 4, 1, 2])[(hidden * 5).astype(int)]
    order = by_target(classes, 5, hidden[:, None])
    assert order.tolist() in ([1, 3, 4, 0, 2], [3, 1, 0, 4, 2])
    codes = np.minimum((hidden * 20).astype(int), 18)
    codes[(hidden > 0.5) & (hidden < 0.55)] = 19
    places = np.append(np.arange(18.0), 7.5)
    codes[(hidden > 0.38) & (hidden < 0.4)] = 18
    codes[(hidden > 0.7) & (hidden < 0.72)] = 19
    placed = among(codes, places, 20, (hidden + 0.05 * rng.normal(size=20_000))[:, None] - 0.5)
    assert (placed[:19] == places).all()
    assert 9 < placed[19] < 13


def test_wrong_codes_are_refused_by_name():
    with pytest.raises(ValueError, match="column 'b': got codes 0 .. 4, wanted 0 .. 3"):
        _fit([[0, 4], [1, 0]], _layout((2, 4)))
