"""Laws that every family of the folder keeps, on layouts made by hand."""

import importlib
import pkgutil
from functools import cache
from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load, save

import models
from models.core.base import Conditional, Density, GenerativeModel, Latent
from tabular.layout import Block, Layout

ROWS = 200


def _families():
    found = {}
    for file in pkgutil.iter_modules(models.__path__):
        if not file.ispkg:
            module = importlib.import_module(f"models.{file.name}")
            kinds = [
                value
                for value in vars(module).values()
                if isinstance(value, type)
                and issubclass(value, GenerativeModel)
                and value.__module__ == module.__name__
            ]
            assert len(kinds) == 1, f"models/{file.name}.py holds {len(kinds)} families, wanted one"
            found[file.name] = kinds[0]
    return found


FAMILIES = _families()
SMALL = {"training": {"epochs": 2}, "device": "cpu", "hidden": 16, "embedding": 4, "latent": 2, "depth": 1}


def _config(kind):
    return kind.Config.model_validate({key: value for key, value in SMALL.items() if key in kind.Config.model_fields})


def _layout(reads, *blocks):
    """Lay blocks side by side, each given as (column, part, kind, cardinality, when)."""
    laid, start = [], 0
    for column, part, kind, cardinality, when in blocks:
        width = cardinality if kind == "one_hot" else 1
        laid.append(
            Block(
                column=column,
                part=part,
                start=start,
                stop=start + width,
                kind=kind,
                cardinality=cardinality,
                when=when,
            )
        )
        start += width
    return Layout(reads=reads, blocks=tuple(laid))


def _matrix(layout, *columns):
    """Write codes as they are or as one-hot blocks, and numbers as they are, 0 where they mean nothing."""
    parts = []
    for block, values in zip(layout.blocks, columns, strict=True):
        parts.append(np.eye(block.cardinality)[values] if block.kind == "one_hot" else np.reshape(values, (-1, 1)))
    x = np.hstack(parts).astype(np.float32)
    for block in layout.blocks:
        if block.when is not None:
            x[x[:, block.when] == 0, block.start] = 0
    return x


def _mixed(reads, rng):
    state, sex = rng.integers(0, 3, ROWS), rng.integers(0, 2, ROWS)
    none = np.zeros(ROWS, dtype=int)
    if reads == "codes":
        layout = _layout(
            reads,
            ("age", "coarse", "code", 7, None),
            ("age", "fine", "code", 5, None),
            ("sex", "class", "code", 2, None),
            ("planet", "class", "code", 1, None),
        )
        coarse = 2 * state + sex
        return layout, _matrix(layout, coarse, (coarse + rng.integers(0, 2, ROWS)) % 5, sex, none)
    layout = _layout(
        reads,
        ("age", "state", "one_hot", 3, None),
        ("age", "score", "real", 1, 0),
        ("sex", "class", "one_hot", 2, None),
        ("planet", "class", "one_hot", 1, None),
        ("height", "score", "real", 1, None),
    )
    height = rng.normal(size=ROWS) + sex
    return layout, _matrix(layout, state, height + 0.3 * rng.normal(size=ROWS), sex, none, height)


def _constant(reads, rng):
    kind = "code" if reads == "codes" else "one_hot"
    layout = _layout(reads, ("planet", "class", kind, 1, None))
    return layout, _matrix(layout, np.zeros(ROWS, dtype=int))


def _alone(reads, rng):
    if reads == "codes":
        layout = _layout(reads, ("sex", "class", "code", 2, None))
        return layout, _matrix(layout, rng.integers(0, 2, ROWS))
    layout = _layout(reads, ("height", "score", "real", 1, None))
    return layout, _matrix(layout, rng.normal(size=ROWS))


def _missing(reads, rng):
    sex, gone = rng.integers(0, 2, ROWS), np.ones(ROWS, dtype=int)
    if reads == "codes":
        layout = _layout(reads, ("age", "coarse", "code", 2, None), ("sex", "class", "code", 2, None))
        return layout, _matrix(layout, gone, sex)
    layout = _layout(
        reads,
        ("age", "state", "one_hot", 2, None),
        ("age", "score", "real", 1, 0),
        ("sex", "class", "one_hot", 2, None),
    )
    return layout, _matrix(layout, gone, np.zeros(ROWS), sex)


def _digits(reads, rng):
    kind = "code" if reads == "codes" else "one_hot"
    layout = _layout(reads, ("town", "high", kind, 100, None), ("town", "low", kind, 100, None))
    town = rng.integers(0, 10_000, ROWS)
    return layout, _matrix(layout, town // 100, town % 100)


def _two_rows(reads, rng):
    layout, x = _mixed(reads, rng)
    return layout, x[:2]


CASES = {
    "mixed": _mixed,
    "constant": _constant,
    "alone": _alone,
    "missing": _missing,
    "digits": _digits,
    "two_rows": _two_rows,
}


@cache
def _fitted(name, case):
    kind = FAMILIES[name]
    layout, x = CASES[case](kind.reads, np.random.default_rng(0))
    return kind(_config(kind), layout).fit(x, np.random.default_rng(1)), x


def _assert_valid(layout, x, n):
    assert x.shape == (n, layout.width)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    for block in layout.blocks:
        part = x[:, block.start : block.stop]
        if block.kind == "one_hot":
            assert ((part == 0) | (part == 1)).all()
            assert (part.sum(axis=1) == 1).all()
        elif block.kind == "code":
            assert (part == np.rint(part)).all()
            assert ((part >= 0) & (part < block.cardinality)).all()


every_family = pytest.mark.parametrize("name", FAMILIES)
every_density = pytest.mark.parametrize("name", [name for name, kind in FAMILIES.items() if issubclass(kind, Density)])
every_conditional = pytest.mark.parametrize(
    "name", [name for name, kind in FAMILIES.items() if issubclass(kind, Conditional)]
)
every_case = pytest.mark.parametrize("case", CASES)
every_latent = pytest.mark.parametrize("name", [name for name, kind in FAMILIES.items() if issubclass(kind, Latent)])


def test_the_folder_holds_families():
    assert {"independent", "bayesian_network", "gmm"} <= set(FAMILIES)


@every_family
@every_case
def test_rows_keep_the_layout(name, case):
    model, _ = _fitted(name, case)
    for n in (0, 1, 50):
        _assert_valid(model.layout, model.sample(n, np.random.default_rng(2)), n)


@every_family
def test_same_seed_same_state_and_rows(name):
    kind = FAMILIES[name]
    first, x = _fitted(name, "mixed")
    second = kind(_config(kind), first.layout).fit(x, np.random.default_rng(1))
    one, two = first.state(), second.state()
    assert one.keys() == two.keys()
    assert all(one[key].tobytes() == two[key].tobytes() for key in one)
    rows = [model.sample(50, np.random.default_rng(3)).tobytes() for model in (first, second)]
    assert rows[0] == rows[1]


@every_family
def test_another_seed_gives_other_rows(name):
    model, _ = _fitted(name, "mixed")
    assert (model.sample(50, np.random.default_rng(3)) != model.sample(50, np.random.default_rng(4))).any()


@every_family
@every_case
def test_saved_is_loaded(name, case):
    kind = FAMILIES[name]
    model, _ = _fitted(name, case)
    state = model.state()
    assert all(array.dtype.kind in "fiub" for array in state.values())
    kept = load(save({key: np.ascontiguousarray(array).reshape(array.shape) for key, array in state.items()}))
    fresh = kind(_config(kind), model.layout).load_state(kept)
    assert fresh.sample(20, np.random.default_rng(5)).tobytes() == model.sample(20, np.random.default_rng(5)).tobytes()


@every_family
def test_a_state_that_lacks_an_array_or_has_another_shape_is_refused(name):
    kind = FAMILIES[name]
    model, _ = _fitted(name, "mixed")
    state = dict(model.state())
    assert state
    with pytest.raises(ValueError, match=r"\w"):
        kind(_config(kind), model.layout).load_state({})
    for key in state:
        lacking = {other: array for other, array in state.items() if other != key}
        with pytest.raises(ValueError, match=r"\w"):
            kind(_config(kind), model.layout).load_state(lacking)


@every_family
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(ValidationError, match="no_such_setting"):
        FAMILIES[name].Config.model_validate({"no_such_setting": 1})


@every_family
def test_a_setting_cannot_be_changed(name):
    config = FAMILIES[name].Config()
    for field in type(config).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(config, field, None)


@every_family
def test_a_setting_of_the_training_leaves_the_familys_others(name):
    kind = FAMILIES[name]
    if "training" not in kind.Config.model_fields:
        return
    own, given = kind.Config().training, kind.Config.model_validate({"training": {"epochs": 3}}).training
    assert given == own.model_copy(update={"epochs": 3})
    with pytest.raises(ValidationError, match="no_such"):
        kind.Config.model_validate({"training": {"no_such": 1}})


@every_family
def test_no_rows_are_refused(name):
    kind = FAMILIES[name]
    layout, x = _mixed(kind.reads, np.random.default_rng(0))
    with pytest.raises(ValueError, match="row"):
        kind(_config(kind), layout).fit(x[:0], np.random.default_rng(0))


@every_conditional
@every_case
def test_known_entries_stay(name, case):
    model, x = _fitted(name, case)
    names = list(dict.fromkeys(block.column for block in model.layout.blocks))
    for known_columns in ((), names[:1], names[-1:], names):
        mask = np.zeros(model.layout.width, dtype=bool)
        for block in model.layout.blocks:
            mask[block.start : block.stop] = block.column in known_columns
        drawn = model.sample_given(x[:20], mask, np.random.default_rng(6))
        _assert_valid(model.layout, drawn, len(x[:20]))
        assert (drawn[:, mask] == x[:20][:, mask]).all()
        assert len(model.sample_given(x[:0], mask, np.random.default_rng(6))) == 0


@every_latent
@every_case
def test_rows_have_codes_and_codes_have_rows(name, case):
    model, x = _fitted(name, case)
    z = model.encode(x)
    assert z.shape == (len(x), z.shape[1]) and z.shape[1] > 0
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert model.encode(x).tobytes() == z.tobytes()
    _assert_valid(model.layout, model.decode(z, np.random.default_rng(7)), len(x))
    assert model.encode(x[:0]).shape == (0, z.shape[1])
    _assert_valid(model.layout, model.decode(z[:0], np.random.default_rng(7)), 0)


@every_latent
def test_a_rows_code_is_its_own(name):
    model, x = _fitted(name, "mixed")
    assert np.allclose(model.encode(x[::-1])[::-1], model.encode(x), atol=1e-4)
    assert np.allclose(model.encode(x[:1])[0], model.encode(x)[0], atol=1e-4)


@every_latent
def test_same_seed_same_rows_of_the_codes(name):
    model, x = _fitted(name, "mixed")
    z = model.encode(x)
    rows = [model.decode(z, np.random.default_rng(seed)).tobytes() for seed in (8, 8, 9)]
    assert rows[0] == rows[1] != rows[2]
    kind = FAMILIES[name]
    fresh = kind(_config(kind), model.layout).load_state(model.state())
    assert fresh.encode(x).tobytes() == z.tobytes()
    assert fresh.decode(z, np.random.default_rng(8)).tobytes() == rows[0]


@every_density
@every_case
def test_training_rows_have_a_density(name, case):
    model, x = _fitted(name, case)
    log_prob = model.log_prob(x)
    assert log_prob.shape == (len(x),)
    assert log_prob.dtype == np.float64
    assert np.isfinite(log_prob).all()
    assert model.log_prob(x[:0]).shape == (0,)


@every_density
def test_probabilities_of_all_rows_sum_to_one(name):
    kind = FAMILIES[name]
    block = "code" if kind.reads == "codes" else "one_hot"
    layout = _layout(
        kind.reads, ("a", "high", block, 3, None), ("a", "low", block, 2, None), ("b", "class", block, 4, None)
    )
    rng = np.random.default_rng(0)
    b = rng.integers(0, 4, 60)
    model = kind(_config(kind), layout).fit(_matrix(layout, b % 3, rng.integers(0, 2, 60), b), rng)
    everything = np.array(list(product(range(3), range(2), range(4))))
    total = np.exp(model.log_prob(_matrix(layout, *everything.T))).sum()
    assert total == pytest.approx(1.0, abs=0.1 if kind.estimated else 1e-5)
