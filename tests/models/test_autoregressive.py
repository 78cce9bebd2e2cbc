"""The autoregressive family: exact densities, known joints, conditionals."""

import itertools

import numpy as np
import pytest

from models.autoregressive import Autoregressive
from models.core.base import Conditional, Density
from models.core.plan import TrainerConfig
from tabular.layout import Block, Layout

SIZES = (3, 2, 4)


def layout(sizes: tuple[int, ...]) -> Layout:
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=f"c{i}", part="code", start=i, stop=i + 1, kind="code", cardinality=size)
            for i, size in enumerate(sizes)
        ),
    )


def cells(sizes: tuple[int, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, sizes))), dtype=np.float32)


def made(sizes: tuple[int, ...], epochs: int = 10, **settings: object) -> Autoregressive:
    config = {
        "training": TrainerConfig(epochs=epochs, learning_rate=1e-2, validation=0.0),
        "device": "cpu",
        "hidden": 32,
        "embedding": 8,
        **settings,
    }
    return Autoregressive(Autoregressive.Config.model_validate(config), layout(sizes))


def histogram(x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    return np.bincount(np.ravel_multi_index(x.astype(int).T, sizes), minlength=int(np.prod(sizes))) / len(x)


@pytest.fixture(scope="module")
def joint() -> np.ndarray:
    """A joint over 24 cells that is far from independent, shape (24,)."""
    return np.random.default_rng(5).dirichlet(np.full(24, 0.25))


@pytest.fixture(scope="module")
def fitted(joint: np.ndarray) -> Autoregressive:
    rng = np.random.default_rng(1)
    return made(SIZES).fit(cells(SIZES)[rng.choice(24, 12_000, p=joint)], rng)


def test_a_known_joint_is_recovered(fitted, joint):
    got = histogram(fitted.sample(40_000, np.random.default_rng(2)), SIZES)
    table = joint.reshape(SIZES)
    independent = np.einsum("i,j,k->ijk", table.sum((1, 2)), table.sum((0, 2)), table.sum((0, 1))).ravel()
    assert np.abs(got - joint).sum() / 2 < 0.02
    assert np.abs(independent - joint).sum() / 2 > 0.3


def test_the_density_sums_to_one_and_matches_the_joint(fitted, joint):
    assert isinstance(fitted, Density)
    p = np.exp(fitted.log_prob(cells(SIZES)))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(p - joint).sum() / 2 < 0.02


def test_an_untrained_density_with_large_weights_sums_to_one():
    model = made((2, 5, 1, 3, 2, 2, 3, 2), depth=2)
    rng = np.random.default_rng(0)
    model.fit(np.zeros((1, 8), dtype=np.float32), rng)
    wild = {name: rng.normal(0, 1, array.shape).astype(np.float32) for name, array in model.state().items()}
    x = cells((2, 5, 1, 3, 2, 2, 3, 2))
    assert np.exp(model.load_state(wild).log_prob(x)).sum() == pytest.approx(1, abs=1e-4)


def test_the_density_is_the_product_of_the_conditionals_that_sampling_uses():
    """Sampling goes block by block over prefixes, the density through masks: they must be the same model."""
    sizes = (3, 2, 4, 2, 2, 3, 1, 2, 2)
    model = made(sizes, depth=2)
    rng = np.random.default_rng(0)
    model.fit(np.zeros((1, len(sizes)), dtype=np.float32), rng)
    model.load_state(
        {name: rng.normal(0, 0.5, array.shape).astype(np.float32) for name, array in model.state().items()}
    )
    p = np.exp(model.log_prob(cells(sizes)))
    drawn = model.sample(400_000, rng)
    for pair in itertools.combinations(range(len(sizes)), 2):
        sub = tuple(sizes[i] for i in pair)
        want = p.reshape(sizes).sum(axis=tuple(i for i in range(len(sizes)) if i not in pair)).ravel()
        assert np.abs(histogram(drawn[:, pair], sub) - want).sum() / 2 < 0.01


@pytest.mark.parametrize("known", [(0,), (0, 1), (1,), (2,), (0, 2), (1, 2)])
def test_conditionals_match_the_exact_ones(fitted, known):
    assert isinstance(fitted, Conditional)
    rng = np.random.default_rng(3)
    p = np.exp(fitted.log_prob(cells(SIZES)))
    cell = cells(SIZES)[np.argsort(p)[-3]]
    mask = np.isin(np.arange(3), known)
    given = np.where(mask, cell, -7).astype(np.float32)
    drawn = fitted.sample_given(np.tile(given, (20_000, 1)), mask, rng)
    assert (drawn[:, mask] == cell[mask]).all()
    want = np.where((cells(SIZES)[:, mask] == cell[mask]).all(1), p, 0)
    assert np.abs(histogram(drawn, SIZES) - want / want.sum()).sum() / 2 < 0.02
    assert (fitted.notes.pop("effective_sample_size", None) is None) == (known in ((0,), (0, 1)))


def test_each_row_has_its_own_condition(fitted):
    rng = np.random.default_rng(3)
    known = cells(SIZES)[rng.integers(24, size=6000)]
    mask = np.array([False, False, True])
    drawn = fitted.sample_given(known, mask, rng)
    assert (drawn[:, 2] == known[:, 2]).all()
    table = np.exp(fitted.log_prob(cells(SIZES))).reshape(SIZES)
    for code in range(SIZES[2]):
        want = (table[:, :, code] / table[:, :, code].sum()).ravel()
        assert np.abs(histogram(drawn[known[:, 2] == code][:, :2], SIZES[:2]) - want).sum() / 2 < 0.06


def test_same_seed_same_rows(fitted):
    first, second = (fitted.sample(100, np.random.default_rng(4)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    mask = np.array([False, True, False])
    first, second = (fitted.sample_given(first, mask, np.random.default_rng(4)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_loaded_model_draws_the_same_rows(fitted):
    other = made(SIZES).load_state(fitted.state())
    assert (
        other.sample(100, np.random.default_rng(4)).tobytes() == fitted.sample(100, np.random.default_rng(4)).tobytes()
    )


@pytest.mark.parametrize(
    ("sizes", "n"), [((5,), 100), ((1,), 30), ((1, 1, 3), 100), ((100, 100, 2), 100), ((2,) * 147, 300), ((3, 2), 1)]
)
def test_odd_tables(sizes, n):
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(size, size=n) for size in sizes], axis=1).astype(np.float32)
    model = made(sizes, epochs=2).fit(x, rng)
    drawn = model.sample(50, rng)
    assert drawn.shape == (50, len(sizes)) and drawn.dtype == np.float32
    assert ((drawn >= 0) & (drawn < np.array(sizes)) & (drawn == drawn.round())).all()
    mask = np.arange(len(sizes)) == len(sizes) - 1
    assert (model.sample_given(x[:1], mask, rng)[:, -1] == x[:1, -1]).all()
    assert model.sample_given(x[:0], mask, rng).shape == (0, len(sizes))
    assert np.isfinite(model.log_prob(x)).all()


def test_codes_out_of_range_are_refused(fitted):
    rng = np.random.default_rng(0)
    bad = np.array([[0, 2, 0]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        made(SIZES).fit(bad, rng)
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        fitted.log_prob(bad)
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        fitted.sample_given(bad, np.array([False, True, False]), rng)
    fitted.sample_given(bad, np.array([True, False, False]), rng)
    with pytest.raises(ValueError, match="a mask"):
        fitted.sample_given(bad, np.array([True, False]), rng)
