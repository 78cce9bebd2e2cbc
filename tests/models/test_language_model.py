"""The language model: a grammar that no row breaks, exact densities under any order, rules and conditionals."""

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models.core.base import Conditional, Density
from models.core.decoder import Decoder
from models.core.plan import TrainerConfig
from models.core.spelling import Spelling
from models.language_model import LanguageModel
from tabular.layout import Block, Layout

SIZES = (3, 2, 4)
SETS = [known for size in range(4) for known in itertools.combinations(range(3), size)]


def layout(sizes: tuple[int, ...]) -> Layout:
    return Layout(
        reads="codes",
        blocks=tuple(
            Block(column=f"c{i}", part="class", start=i, stop=i + 1, kind="code", cardinality=size)
            for i, size in enumerate(sizes)
        ),
    )


def cells(sizes: tuple[int, ...]) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, sizes))), dtype=np.float32)


def made(sizes: tuple[int, ...], epochs: int = 10, **settings: object) -> LanguageModel:
    config = {
        "training": TrainerConfig(epochs=epochs, learning_rate=1e-2, validation=0.0),
        "device": "cpu",
        "hidden": 32,
        "depth": 2,
        **settings,
    }
    return LanguageModel(LanguageModel.Config.model_validate(config), layout(sizes))


def wild(sizes: tuple[int, ...], **settings: object) -> LanguageModel:
    """A model with large random weights: what it says is far from independent, and from anything learned."""
    rng = np.random.default_rng(0)
    model = made(sizes, epochs=1, hidden=16, **settings).fit(np.zeros((1, len(sizes)), dtype=np.float32), rng)
    weights = {name: rng.normal(0, 0.5, array.shape).astype(np.float32) for name, array in model.state().items()}
    return model.load_state(weights)


def histogram(x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    return np.bincount(np.ravel_multi_index(x.astype(int).T, sizes), minlength=int(np.prod(sizes))) / len(x)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum() / 2)


@pytest.fixture(scope="module")
def joint() -> np.ndarray:
    """A joint over 24 cells that is far from independent, shape (24,)."""
    return np.random.default_rng(5).dirichlet(np.full(24, 0.25))


@pytest.fixture(scope="module")
def fitted(joint: np.ndarray) -> LanguageModel:
    rng = np.random.default_rng(1)
    return made(SIZES, epochs=20).fit(cells(SIZES)[rng.choice(24, 12_000, p=joint)], rng)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 16, 17, 27, 100])
@pytest.mark.parametrize("alphabet", [2, 3, 4, 10, 256])
def test_the_grammar_opens_what_codes_continue_with_and_nothing_else(size, alphabet):
    spelling = Spelling(layout((size,)), alphabet)
    words = spelling.write(torch.arange(size)[:, None])
    assert (spelling.read(words)[:, 0] == torch.arange(size)).all()
    assert all(place.size <= alphabet for place in spelling.places)
    for index, place in enumerate(spelling.places):
        closed = spelling.closed(index, words)
        if closed is None:
            closed = torch.zeros(size, place.size, dtype=torch.bool)
        for word, mask in zip(words, closed, strict=True):
            follows = words[(words[:, :index] == word[:index]).all(1), index].unique()
            assert (~mask).nonzero().flatten().tolist() == follows.tolist()


@pytest.mark.parametrize("alphabet", [2, 3, 256])
def test_no_row_is_invalid_whatever_the_weights(alphabet):
    _no_row_is_invalid((7, 1, 100, 2, 17), alphabet, 2_000)


@pytest.mark.slow
def test_no_row_of_a_hundred_thousand_is_invalid():
    _no_row_is_invalid((70, 9, 100, 32, 16, 10_000, 1, 257), 16, 100_000)


def _no_row_is_invalid(sizes, alphabet, n):
    model = wild(sizes, alphabet=alphabet)
    rng = np.random.default_rng(1)
    known = np.stack([rng.integers(size, size=n) for size in sizes], axis=1).astype(np.float32)
    mask = np.arange(len(sizes)) % 2 == 1
    for drawn in (model.sample(n, rng), model.sample_given(known, mask, rng)):
        assert drawn.shape == (n, len(sizes)) and drawn.dtype == np.float32
        assert ((drawn >= 0) & (drawn < np.array(sizes)) & (drawn == drawn.round())).all()
    assert (drawn[:, mask] == known[:, mask]).all()


@pytest.mark.parametrize("alphabet", [2, 3, 256])
@pytest.mark.parametrize("first", [(), ("c3",), ("c4", "c1"), ("c2", "c0", "c3", "c1", "c4")])
def test_probabilities_of_all_rows_sum_to_one_in_any_order(alphabet, first):
    sizes = (2, 5, 1, 3, 7)
    p = np.exp(wild(sizes, alphabet=alphabet).log_prob(cells(sizes), first))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert p.std() > 0.5 * p.mean()


def test_what_is_written_follows_the_density():
    """Sampling goes letter by letter with a cache, the density through a causal mask: they must be the same model."""
    sizes = (3, 2, 5)
    model = wild(sizes, alphabet=2)
    drawn = histogram(model.sample(40_000, np.random.default_rng(2)), sizes)
    assert apart(drawn, np.exp(model.log_prob(cells(sizes)))) < 0.02


@pytest.mark.parametrize("known", SETS[1:-1])
def test_conditionals_are_those_of_the_density_with_the_known_columns_first(known):
    assert issubclass(LanguageModel, Conditional)
    model, x = wild(SIZES, alphabet=2), cells(SIZES)
    mask, cell = np.isin(np.arange(3), known), x[13]
    drawn = model.sample_given(np.tile(np.where(mask, cell, -7), (20_000, 1)), mask, np.random.default_rng(3))
    p = np.exp(model.log_prob(x, [f"c{i}" for i in known])) * (x[:, mask] == cell[mask]).all(1)
    assert apart(histogram(drawn, SIZES), p / p.sum()) < 0.02


def test_a_known_joint_is_recovered(fitted, joint):
    assert isinstance(fitted, Density)
    table = joint.reshape(SIZES)
    independent = np.einsum("i,j,k->ijk", table.sum((1, 2)), table.sum((0, 2)), table.sum((0, 1))).ravel()
    assert apart(np.exp(fitted.log_prob(cells(SIZES))), joint) < 0.02
    assert apart(histogram(fitted.sample(40_000, np.random.default_rng(2)), SIZES), joint) < 0.02
    assert apart(independent, joint) > 0.3


@pytest.mark.parametrize("known", SETS[1:-1])
def test_learned_conditionals_agree_with_the_joint(fitted, joint, known):
    """Of every value of the known columns, weighed by its probability."""
    x = cells(SIZES)
    p = np.exp(fitted.log_prob(x, [f"c{i}" for i in known]))
    axes = tuple(i for i in range(3) if i not in known)
    got, want = p.reshape(SIZES), joint.reshape(SIZES)
    got = got / got.sum(axes, keepdims=True) * want.sum(axes, keepdims=True)
    assert apart(got, want) < 0.03


def test_each_row_has_its_own_condition(fitted):
    rng = np.random.default_rng(3)
    known = cells(SIZES)[rng.integers(24, size=6000)]
    drawn = fitted.sample_given(known, np.array([False, False, True]), rng)
    assert (drawn[:, 2] == known[:, 2]).all()
    table = np.exp(fitted.log_prob(cells(SIZES))).reshape(SIZES)
    for code in range(SIZES[2]):
        want = (table[:, :, code] / table[:, :, code].sum()).ravel()
        assert apart(histogram(drawn[known[:, 2] == code][:, :2], SIZES[:2]), want) < 0.06


def test_a_rule_is_learned_in_either_direction():
    """The third column is the sum of the first two, modulo 5: no pair of columns tells anything of the other."""
    rng = np.random.default_rng(0)
    x = rng.integers(5, size=(4_000, 3))
    x[:, 2] = (x[:, 0] + x[:, 1]) % 5
    model = made((5, 5, 5), epochs=20, depth=1).fit(x.astype(np.float32), rng)
    drawn = model.sample(4_000, rng)
    given = model.sample_given(x.astype(np.float32), np.array([False, True, True]), rng)
    assert (drawn[:, 2] == (drawn[:, 0] + drawn[:, 1]) % 5).mean() > 0.98
    assert (given[:, 0] == x[:, 0]).mean() > 0.98


def test_a_step_with_the_cache_is_the_pass_over_the_row():
    torch.manual_seed(0)
    decoder, z = Decoder(16, 3, 4), torch.randn(5, 7, 16)
    with torch.no_grad():
        cache = decoder.cache(5, 7)
        steps = torch.stack([decoder.step(z[:, t], cache, t) for t in range(7)], dim=1)
        assert (steps - decoder(z)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("sizes", "n"), [((5,), 100), ((1,), 30), ((1, 1, 3), 100), ((10_000, 2), 100), ((2,) * 147, 60), ((3, 2), 1)]
)
def test_odd_tables(sizes, n):
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(size, size=n) for size in sizes], axis=1).astype(np.float32)
    model = made(sizes, epochs=1, hidden=16, depth=1).fit(x, rng)
    drawn = model.sample(50, rng)
    assert ((drawn >= 0) & (drawn < np.array(sizes)) & (drawn == drawn.round())).all()
    assert np.isfinite(model.log_prob(x)).all()


def test_what_does_not_fit_is_refused(fitted):
    rng = np.random.default_rng(0)
    bad, mask = np.array([[0, 2, 0]], dtype=np.float32), np.array([False, True, False])
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        made(SIZES).fit(bad, rng)
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        fitted.log_prob(bad)
    with pytest.raises(ValueError, match=r"'c1'.*from 0 to 1"):
        fitted.sample_given(bad, mask, rng)
    fitted.sample_given(bad, ~mask, rng)
    with pytest.raises(ValueError, match="a mask"):
        fitted.sample_given(bad, mask[:2], rng)
    for first in (["c9"], ["c0", "c0"]):
        with pytest.raises(ValueError, match="at most once"):
            fitted.log_prob(cells(SIZES), first)
    with pytest.raises(ValidationError, match="multiple of heads"):
        LanguageModel.Config(hidden=30, heads=4)
