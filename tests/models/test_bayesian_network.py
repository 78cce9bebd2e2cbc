"""The Bayesian network finds the graph that made the rows, and conditions like brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import bayesian_network
from models.bayesian_network import BayesianNetwork
from models.core.backoff import BackoffTable, margin_left_out, refine
from tabular.layout import Block, Layout

SIZES = (3, 2, 4, 3, 2)
TREE = {1: 0, 2: 0, 3: 2, 4: 2}


def _layout(sizes, columns="abcde"):
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=columns[i], part=str(i), start=i, stop=i + 1, kind="code", cardinality=size)
            for i, size in enumerate(sizes)
        ),
    )


def _everything(sizes):
    return np.array(list(product(*map(range, sizes))), dtype=np.float32)


def _share(x, sizes):
    flat = np.ravel_multi_index(x.astype(int).T, sizes)
    return np.bincount(flat, minlength=int(np.prod(sizes))) / len(x)


def _distance(p, q):
    return np.abs(p - q).sum() / 2


def _true_joint(rng):
    """Return the joint of a random tree, one probability per row of `_everything(SIZES)`."""
    rows = _everything(SIZES).astype(int)
    joint = rng.dirichlet(np.full(SIZES[0], 5.0))[rows[:, 0]]
    for child, parent in TREE.items():
        joint = joint * rng.dirichlet(np.full(SIZES[child], 0.5), SIZES[parent])[rows[:, parent], rows[:, child]]
    return joint


def _tree_rows(n):
    rng = np.random.default_rng(3)
    joint = _true_joint(rng)
    return _everything(SIZES)[rng.choice(len(joint), n, p=joint)], joint


def _xor_rows(n):
    rng = np.random.default_rng(5)
    a, b, noise = (rng.random((3, n)) < [[0.6], [0.7], [0.1]]).astype(int)
    return np.column_stack([a, b, (a ^ b) ^ noise, np.where(rng.random(n) < 0.7, a, 2)]).astype(np.float32)


def _fit(x, sizes, columns="abcde", **settings):
    model = BayesianNetwork(BayesianNetwork.Config(**settings), _layout(sizes, columns))
    return model.fit(x, np.random.default_rng(0))


def _edges(model):
    return {frozenset((node, parent)) for node, parents in enumerate(model.parents) for parent in parents}


def test_finds_the_generating_tree_and_its_joint():
    x, joint = _tree_rows(20_000)
    model = _fit(x, SIZES, parents=1)
    assert _edges(model) == {frozenset(edge) for edge in TREE.items()}
    assert _distance(np.exp(model.log_prob(_everything(SIZES))), joint) < 0.02


def test_more_parents_than_the_truth_has_are_not_taken():
    x, _ = _tree_rows(20_000)
    assert _edges(_fit(x, SIZES, parents=3)) == {frozenset(edge) for edge in TREE.items()}


@pytest.mark.parametrize("parents", [1, 2, 3, 4])
def test_samples_follow_the_density_which_sums_to_one(parents):
    x = _xor_rows(2_000)
    model = _fit(x, (2, 2, 2, 3), parents=parents, least_gain=0)
    p = np.exp(model.log_prob(_everything((2, 2, 2, 3))))
    assert p.sum() == pytest.approx(1)
    assert _distance(_share(model.sample(100_000, np.random.default_rng(1)), (2, 2, 2, 3)), p) < 0.01


def test_two_parents_see_an_exclusive_or_that_a_tree_does_not():
    x = _xor_rows(10_000)
    seen = _share(x, (2, 2, 2, 3))
    distances = [
        _distance(np.exp(_fit(x, (2, 2, 2, 3), parents=parents).log_prob(_everything((2, 2, 2, 3)))), seen)
        for parents in (1, 2)
    ]
    assert distances[0] > 0.2
    assert distances[1] < 0.02


def test_independent_columns_stay_apart():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (5_000, 4)).astype(np.float32)
    assert _edges(_fit(x, (3, 3, 3, 3), least_gain=0)) == set()


def test_blocks_of_one_column_stay_joined():
    rng = np.random.default_rng(0)
    coarse, other = rng.integers(0, 4, (2, 3_000))
    x = np.column_stack([coarse, other, other]).astype(np.float32)
    model = _fit(x, (4, 4, 4), columns="aab")
    assert frozenset((0, 1)) in _edges(model)
    assert frozenset((1, 2)) in _edges(model)


@pytest.mark.parametrize("known", [(0,), (3,), (3, 4), (1, 4), (0, 1, 2, 3)])
def test_a_tree_conditions_like_brute_force(known):
    x, _ = _tree_rows(2_000)
    model = _fit(x, SIZES, parents=1)
    _assert_conditions(model, SIZES, known, x[0], 50_000, 0.02)
    assert model.notes["effective_sample_size"] == 1


@pytest.mark.parametrize("known", [(2,), (0, 2), (3,), (2, 3)])
def test_a_denser_graph_conditions_almost_like_brute_force(known):
    model = _fit(_xor_rows(5_000), (2, 2, 2, 3), parents=3)
    assert any(len(parents) > 1 for parents in model.parents)
    _assert_conditions(model, (2, 2, 2, 3), known, np.array([1, 0, 1, 1]), 6_000, 0.03)
    assert 1 < model.notes["effective_sample_size"] <= model.config.particles


def _assert_conditions(model, sizes, known, row, n, tolerance):
    mask = np.isin(np.arange(len(sizes)), known)
    p = np.exp(model.log_prob(_everything(sizes)))
    p[(_everything(sizes)[:, mask] != row[mask]).any(axis=1)] = 0
    drawn = model.sample_given(np.tile(row.astype(np.float32), (n, 1)), mask, np.random.default_rng(2))
    assert _distance(_share(drawn, sizes), p / p.sum()) < tolerance


def test_rows_with_other_evidence_get_their_own_draws():
    x, _ = _tree_rows(5_000)
    model = _fit(x, SIZES, parents=1)
    mask = np.arange(5) == 3
    drawn = model.sample_given(x, mask, np.random.default_rng(0))
    assert _distance(_share(drawn[:, 2:4], SIZES[2:4]), _share(x[:, 2:4], SIZES[2:4])) < 0.05


def test_rows_beyond_a_budget_are_left_out_of_the_search_only(monkeypatch):
    monkeypatch.setattr(bayesian_network, "LEAST_ROWS", 500)
    monkeypatch.setattr(bayesian_network, "PAIR_WORK", 1_000 * 4**2)
    x = _xor_rows(6_000)
    model = _fit(x, (2, 2, 2, 3), parents=1)
    assert model.notes["structure_rows"] == 1_000
    assert model.state()["base.0"] == pytest.approx(np.bincount(x[:, 0].astype(int)) / 6_000, abs=1e-3)


def test_a_code_outside_its_block_is_refused():
    with pytest.raises(ValueError, match=r"column 'b': got codes 0 \.\. 7, wanted 0 \.\. 1"):
        _fit(np.array([[0, 7], [0, 0]], dtype=np.float32), (2, 2))


def test_a_state_with_a_cycle_is_refused():
    model = _fit(_xor_rows(100)[:, :2], (2, 2))
    state = {**model.state()}
    for node in (0, 1):
        state |= {f"parents.{node}": np.array([1 - node]), f"strengths.{node}": np.ones(1)}
        state |= {f"cells.{node}.0": np.arange(4), f"counts.{node}.0": np.ones(4)}
    with pytest.raises(ValueError, match="cycle"):
        BayesianNetwork(model.config, model.layout).load_state(state)


codes = st.integers(2, 30).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 4)), min_size=n, max_size=n)
)


@settings(max_examples=60, deadline=None)
@given(rows=codes)
def test_tables_are_distributions_that_agree_with_themselves(rows):
    data = np.array(rows, dtype=np.int64)
    table = BackoffTable.fit(data[:, 0], data[:, 1:], 4, (3, 5))
    parents = np.array(list(product(range(3), range(5))))
    full = table.rows(parents)
    assert full.sum(axis=1) == pytest.approx(1)
    for child in range(4):
        assert table.prob(np.full(len(parents), child), parents) == pytest.approx(full[:, child])


@settings(max_examples=60, deadline=None)
@given(rows=codes)
def test_backing_off_keeps_the_margin(rows):
    data = np.array(rows, dtype=np.int64)
    full = BackoffTable.fit(data[:, 0], data[:, 1:], 4, (3, 5)).rows(data[:, 1:])
    assert full.sum(axis=0) == pytest.approx(np.bincount(data[:, 0], minlength=4), abs=0.5)


@settings(max_examples=40, deadline=None)
@given(rows=codes)
def test_what_is_left_out_is_what_the_other_stretches_say(rows):
    data = np.array(rows, dtype=np.int64)
    child, parent = data[:, 0], data[:, 1]
    left_out, strength = refine(margin_left_out(child, 4), parent * 4 + child, parent)
    stretch = np.arange(len(data)) * min(16, len(data)) // len(data)
    for row in range(len(data)):
        others = data[stretch != stretch[row]]
        margin = (np.bincount(others[:, 0], minlength=4) + 0.125) / (len(others) + 0.5)
        under = others[others[:, 1] == parent[row], 0]
        wanted = ((under == child[row]).sum() + strength * margin[child[row]]) / (len(under) + strength)
        assert left_out[row] == pytest.approx(wanted)


def test_rows_of_one_unit_do_not_vouch_for_each_other():
    # 600 people of five equal rows each, as neighbours: two columns that have nothing to do with each other.
    rng = np.random.default_rng(4)
    people = rng.integers(0, 40, (600, 2))
    model = BayesianNetwork(BayesianNetwork.Config(), _layout((40, 40)))
    model.fit(np.repeat(people, 5, axis=0).astype(np.float32), rng)
    assert model.parents == ((), ())
    table = BackoffTable.fit(np.repeat(people[:, 0], 5), np.repeat(people[:, 1:], 5, axis=0), 40, (40,))
    assert table.levels[0].strength > 1000


def test_tables_draw_what_they_say():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 4, (40, 3))
    table = BackoffTable.fit(data[:, 0], data[:, 1:], 4, (4, 4))
    for parents in ([0, 1], [3, 3], [2, 0]):
        repeated = np.tile(np.array(parents), (50_000, 1))
        drawn = np.bincount(table.draw(repeated, rng), minlength=4) / 50_000
        assert _distance(drawn, table.rows(repeated[:1])[0]) < 0.02
