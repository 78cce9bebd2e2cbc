"""The tree over classes: its density sums to one, its draws and its changes follow it, it finds a chain."""

from itertools import product

import numpy as np
import torch

from models.core.tree import Tree

SIZES = [3, 2, 4]


def rows(n):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, n)
    c = (a + rng.integers(0, 2, n)) % 4
    b = (c + (rng.random(n) < 0.1)) % 2
    return np.column_stack([a, b, c])


def fitted(edges=True):
    tree = Tree(SIZES)
    tree.fit(rows(4000), np.ones(9, dtype=bool), edges, np.random.default_rng(0))
    return tree


EVERY = torch.tensor(list(product(range(3), range(2), range(4))))


def test_the_density_sums_to_one_and_is_that_of_the_draws():
    tree = fitted()
    want = tree.log_prob(EVERY).exp()
    assert abs(float(want.sum()) - 1) < 1e-5
    drawn = tree.draw(40_000, torch.Generator().manual_seed(0))
    found = np.bincount(np.ravel_multi_index(drawn.numpy().T, SIZES), minlength=24) / 40_000
    assert np.abs(found - want.numpy()).sum() / 2 < 0.015


def test_a_chain_is_found_and_independence_on_demand():
    tree = fitted()
    edges = {frozenset((b, p)) for b, p in enumerate(tree.parent.tolist()) if b != p}
    assert edges == {frozenset((0, 2)), frozenset((1, 2))}
    assert fitted(False).parent.tolist() == [0, 1, 2]


def test_columns_without_dependence_stay_roots():
    codes = np.random.default_rng(0).integers(0, 2, (4000, 3))
    tree = Tree([2, 2, 2])
    tree.fit(codes, np.ones(6, dtype=bool), True, np.random.default_rng(0))
    gap = tree.log_prob(torch.tensor(list(product(range(2), repeat=3)))).exp() - 1 / 8
    assert float(gap.abs().max()) < 0.02


def test_scores_are_the_changes_of_the_density():
    tree = fitted()
    scores = tree.scores(EVERY)
    for block, size in enumerate(SIZES):
        for code in range(size):
            other = EVERY.clone()
            other[:, block] = code
            now = scores.gather(1, (EVERY + tree.starts)[:, block : block + 1])[:, 0]
            change = scores[:, int(tree.starts[block]) + code] - now
            assert torch.allclose(change.double(), tree.log_prob(other) - tree.log_prob(EVERY), atol=1e-4)


def test_weights_make_held_draws_right():
    tree = fitted()
    barred = torch.zeros(1, 9, dtype=torch.bool)
    barred[0, [3, 8]] = True  # the second column is 1, the third is not 3
    free = EVERY[(EVERY[:, 1] == 1) & (EVERY[:, 2] != 3)]
    log_q, log_w = tree.log_prob(free), tree.weigh(free, barred)
    assert abs(float((log_q - log_w).exp().sum()) - 1) < 1e-5
    drawn = tree.draw(40_000, torch.Generator().manual_seed(0), barred)
    assert (drawn[:, 1] == 1).all() and (drawn[:, 2] != 3).all()
    weights = tree.weigh(drawn, barred).exp()
    found = np.bincount(np.ravel_multi_index(drawn.numpy().T, SIZES), weights.numpy(), minlength=24)
    want = np.zeros(24)
    want[np.ravel_multi_index(free.numpy().T, SIZES)] = log_q.exp().numpy()
    assert np.abs(found / found.sum() - want / want.sum()).sum() / 2 < 0.02


def test_classes_that_cannot_be_have_no_chance():
    tree, possible = Tree(SIZES), np.ones(9, dtype=bool)
    possible[8] = False
    codes = rows(4000)
    tree.fit(codes[codes[:, 2] != 3], possible, True, np.random.default_rng(0))
    assert float(tree.log_prob(EVERY[EVERY[:, 2] == 3]).max()) < -5000
    assert abs(float(tree.log_prob(EVERY).exp().sum()) - 1) < 1e-5
