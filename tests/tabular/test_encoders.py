"""Laws that every file in `tabular/encoders` keeps."""

import importlib
import inspect
import pkgutil
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabular import encoders
from tabular.encoders.number_scores import NumberScores
from tabular.encoding import Encoder, encoder_for, encoder_types
from tabular.layout import Layout, Reads
from tabular.schema import CODE_KINDS, NUMBER_KINDS, Column

READS: tuple[Reads, ...] = ("codes", "one_hot")
NUMBER_TYPES = [kind for kind in encoder_types() if kind.kinds <= NUMBER_KINDS]
CODE_TYPES = [kind for kind in encoder_types() if kind.kinds <= CODE_KINDS]


def code_column(size: int, nullable: bool, kind: str = "categorical") -> Column:
    return Column.model_validate(
        {"name": "c", "kind": kind, "physical": "integer", "nullable": nullable, "categories": tuple(range(size))}
    )


def number_column(**facts: object) -> Column:
    return Column.model_validate({"name": "x", "kind": "continuous", "physical": "real", "nullable": True} | facts)


def draw_numbers(seed: int, n: int, distinct: int, spike: bool, missing: bool) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=distinct) * 10.0 ** rng.integers(-3, 6)
    values = pool[rng.integers(distinct, size=n)]
    values[rng.random(n) < 0.2 * spike] = 0.0
    values[rng.random(n) < 0.1 * missing] = np.nan
    return values


def reloaded(encoder: Encoder) -> Encoder:
    return type(encoder)(encoder.column).load_state({key: np.array(a) for key, a in encoder.state().items()})


def check_layout(encoder: Encoder, x: NDArray[np.float32]) -> None:
    layout = Layout(reads=encoder.reads, blocks=encoder.blocks())
    assert x.dtype == np.float32
    assert x.shape[1] == layout.width
    for block in layout.blocks:
        part = x[:, block.start : block.stop]
        if block.kind == "code":
            assert np.array_equal(part, np.round(part))
            assert part.min() >= 0
            assert part.max() < block.cardinality
        elif block.kind == "one_hot":
            assert block.width == block.cardinality
            assert np.array_equal(part.sum(axis=1), np.ones(len(x)))
            assert set(np.unique(part)) <= {0.0, 1.0}
        elif block.when is not None:
            assert (part[x[:, block.when] == 0] == 0).all()


def garbage(n: int, width: int, seed: int) -> NDArray[np.float32]:
    x = (np.random.default_rng(seed).normal(size=(n, width)) * 300).astype(np.float32)
    x[::7] = np.nan
    x[1::7] = np.inf
    x[2::7] = -np.inf
    return x


def test_each_file_holds_one_encoder_and_each_kind_has_one_a_reading():
    for file in pkgutil.iter_modules(encoders.__path__):
        module = importlib.import_module(f"tabular.encoders.{file.name}")
        own = [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, Encoder) and value.__module__ == module.__name__
        ]
        assert len(own) == 1, f"tabular/encoders/{file.name}.py holds {len(own)} encoders, wanted one"
    for reads in READS:
        for kind in NUMBER_KINDS | CODE_KINDS:
            assert sum(found.reads == reads and kind in found.kinds for found in encoder_types()) == 1


def test_identifiers_have_no_encoder():
    with pytest.raises(ValueError, match="no encoder for kind 'identifier'"):
        encoder_for(Column(name="id", kind="identifier", physical="integer"), "codes")


@pytest.mark.parametrize("encoder_type", CODE_TYPES)
@given(
    seed=st.integers(0, 10**6),
    size=st.one_of(st.integers(1, 300), st.just(10_000)),
    n=st.integers(1, 400),
    nullable=st.booleans(),
    kind=st.sampled_from(["categorical", "ordinal"]),
)
@settings(max_examples=40, deadline=None)
def test_codes_come_back_exactly(encoder_type: type[Encoder], seed: int, size: int, n: int, nullable: bool, kind: str):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1 if nullable else 0, size, size=n)
    encoder = encoder_type(code_column(size, nullable, kind)).fit(codes)
    x = encoder.encode(codes)
    check_layout(encoder, x)
    assert max(block.cardinality for block in encoder.blocks()) <= 256
    again = reloaded(encoder)
    assert again.blocks() == encoder.blocks()
    assert np.array_equal(again.encode(codes), x)
    for each in (encoder, again):
        assert np.array_equal(each.decode(x, np.random.default_rng(0)), codes)
    other = rng.integers(0, size, size=50)
    assert np.array_equal(encoder.decode(encoder.encode(other), rng), other)


@pytest.mark.parametrize("encoder_type", CODE_TYPES)
@pytest.mark.parametrize("size", [1, 3, 256, 257, 1000])
@pytest.mark.parametrize("nullable", [False, True])
def test_any_matrix_decodes_to_known_codes(encoder_type: type[Encoder], size: int, nullable: bool):
    encoder = encoder_type(code_column(size, nullable)).fit(np.zeros(20, dtype=np.int64))
    codes = encoder.decode(garbage(500, encoder.blocks()[-1].stop, size), np.random.default_rng(0))
    assert codes.dtype == np.int64
    assert codes.min() >= (-1 if nullable else 0)
    assert codes.max() < size


@pytest.mark.parametrize("encoder_type", CODE_TYPES)
def test_all_codes_missing(encoder_type: type[Encoder]):
    codes = np.full(9, -1)
    encoder = encoder_type(code_column(0, True, "constant")).fit(codes)
    assert [block.cardinality for block in encoder.blocks()] == [1]
    assert np.array_equal(encoder.decode(encoder.encode(codes), np.random.default_rng(0)), codes)


@pytest.mark.parametrize("encoder_type", encoder_types())
def test_an_unforeseen_missing_value_is_refused(encoder_type: type[Encoder]):
    if encoder_type in CODE_TYPES:
        encoder, gone = encoder_type(code_column(2, False)).fit(np.array([0, 1])), np.array([0, -1])
    else:
        encoder = encoder_type(number_column(nullable=False)).fit(np.arange(100.0))
        gone = np.array([1.0, np.nan])
    with pytest.raises(ValueError, match="a value is missing"):
        encoder.encode(gone)


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
@given(seed=st.integers(0, 10**6), distinct=st.integers(1, 40), spike=st.booleans(), missing=st.booleans())
@settings(max_examples=40, deadline=None)
def test_few_numbers_that_rows_share_come_back_exactly(
    encoder_type: type[Encoder], seed: int, distinct: int, spike: bool, missing: bool
):
    values = draw_numbers(seed, distinct * 40, distinct, spike, missing)
    encoder = encoder_type(number_column(spikes=(0.0,) if spike else ())).fit(values)
    x = encoder.encode(values)
    check_layout(encoder, x)
    assert np.array_equal(encoder.decode(x, np.random.default_rng(0)), values, equal_nan=True)


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
@pytest.mark.parametrize(
    "rare", [[123456.0, 987654.0], [123456.0], [7.0, 123456.0], np.arange(500.0, 1000.0, 50).tolist()]
)
def test_a_number_of_one_row_is_drawn_from_among_its_neighbours(encoder_type: type[Encoder], rare: list[float]):
    shared = np.repeat(np.setdiff1d(np.arange(200.0), rare), 10)
    values = np.append(shared, rare)
    encoder = encoder_type(number_column(nullable=False, decimals=0)).fit(values)
    assert np.array_equal(encoder.decode(encoder.encode(shared), np.random.default_rng(0)), shared)
    drawn = draws_around(encoder, rare)
    for value in rare:
        beside = [(drawn == value + step).sum() for step in (-1, 1)]
        assert (drawn == value).sum() <= max(beside) + 5 * max(beside) ** 0.5 + 5
    if rare[0] > 1000:
        assert len(np.unique(drawn)) > 9000
    assert drawn.min() >= values.min()
    assert drawn.max() <= values.max()


def draws_around(encoder: Encoder, rare: list[float]) -> NDArray[np.float64]:
    """Decode 10,000 rows that fall where the rare values fell: the same codes, or scores that spread over theirs."""
    rng = np.random.default_rng(1)
    if encoder.reads == "codes":
        return encoder.decode(encoder.encode(rng.choice(rare, size=10_000)), rng)
    assert isinstance(encoder, NumberScores)
    cell = encoder.cells.find(rng.choice(rare, size=10_000))
    levels = rng.uniform(encoder.cells.levels[cell], encoder.cells.levels[cell + 1])
    scores = np.array([[NormalDist().inv_cdf(level)] for level in levels.tolist()])
    return encoder.decode(scores.astype(np.float32), rng)


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 3000),
    distinct=st.integers(1, 3000),
    spike=st.booleans(),
    missing=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_numbers_come_back_in_their_place(
    encoder_type: type[Encoder], seed: int, n: int, distinct: int, spike: bool, missing: bool
):
    values = draw_numbers(seed, n, distinct, spike, missing)
    encoder = encoder_type(number_column(spikes=(0.0,) if spike else ())).fit(values)
    x = encoder.encode(values)
    check_layout(encoder, x)
    back = encoder.decode(x, np.random.default_rng(1))
    assert np.array_equal(np.isnan(back), np.isnan(values))
    present = values[~np.isnan(values)]
    if len(present):
        assert np.nanmin(back) >= min(present.min(), 0.0 if spike else np.inf)
        assert np.nanmax(back) <= max(present.max(), 0.0 if spike else -np.inf)
    discrete = [i for block in encoder.blocks() if block.kind != "real" for i in range(block.start, block.stop)]
    assert np.array_equal(encoder.encode(back)[:, discrete], x[:, discrete])
    again = reloaded(encoder)
    assert again.blocks() == encoder.blocks()
    assert np.array_equal(again.encode(values), x)
    assert again.decode(x, np.random.default_rng(1)).tobytes() == back.tobytes()


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
@pytest.mark.parametrize("shape", ["normal", "heavy", "lumps", "whole"])
def test_the_distribution_stays(encoder_type: type[Encoder], shape: str):
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.normal(size=20_000),
        "heavy": rng.standard_t(1.5, size=20_000),
        "lumps": np.where(rng.random(20_000) < 0.4, 0.0, rng.gamma(2.0, size=20_000)),
        "whole": rng.poisson(400, size=20_000).astype(np.float64),
    }[shape]
    column = number_column(spikes=(0.0,) if shape == "lumps" else (), decimals=0 if shape == "whole" else None)
    encoder = encoder_type(column).fit(values)
    back = encoder.decode(encoder.encode(values), rng)
    points = np.unique(np.concatenate([values, back]))
    ranks = [np.searchsorted(np.sort(v), points, side="right") / len(v) for v in (values, back)]
    # A cell holds 10 to 20 of 20,000 rows, and only inside one may values move.
    assert np.abs(ranks[0] - ranks[1]).max() < 0.0015
    assert abs(np.median(back) - np.median(values)) < 0.01 * values.std() + 1


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
@pytest.mark.parametrize("case", ["continuous", "few", "constant", "missing", "spiked", "one"])
def test_any_matrix_decodes_inside_the_range(encoder_type: type[Encoder], case: str):
    rng = np.random.default_rng(4)
    values = {
        "continuous": rng.normal(size=2000),
        "few": rng.integers(3, size=2000).astype(np.float64),
        "constant": np.full(50, 7.5),
        "missing": np.full(50, np.nan),
        "spiked": np.where(rng.random(2000) < 0.5, 0.0, rng.random(2000) + 1),
        "one": np.array([3.25]),
    }[case]
    nullable = case in ("missing", "spiked")
    encoder = encoder_type(number_column(nullable=nullable, spikes=(0.0,) if case == "spiked" else ())).fit(values)
    x = encoder.encode(values)
    check_layout(encoder, x)
    back = encoder.decode(garbage(700, x.shape[1], 5), rng)
    assert nullable or not np.isnan(back).any()
    if case != "missing":
        assert np.nanmin(back) >= np.nanmin(values)
        assert np.nanmax(back) <= np.nanmax(values)
    else:
        assert np.isnan(back).all()


@pytest.mark.parametrize("encoder_type", NUMBER_TYPES)
def test_numbers_never_seen_go_to_the_nearest(encoder_type: type[Encoder]):
    few = encoder_type(number_column(decimals=0)).fit(np.repeat([10.0, 20.0, 40.0], 100))
    back = few.decode(few.encode(np.array([-5.0, 14.0, 33.0, 99.0])), np.random.default_rng(0))
    assert back.tolist() == [10.0, 10.0, 40.0, 40.0]
    many = encoder_type(number_column()).fit(np.random.default_rng(0).random(5000))
    ends = many.decode(many.encode(np.array([-9.0, 9.0])), np.random.default_rng(0))
    assert ends[0] < 0.01
    assert ends[1] > 0.99


def test_scores_are_standard_normal_and_fine_bins_even():
    values = np.random.default_rng(0).lognormal(size=20_000)
    scores = encoder_for(number_column(), "one_hot")(number_column(nullable=False)).fit(values).encode(values)
    assert scores.shape == (20_000, 1)
    assert abs(scores.mean()) < 0.01
    assert abs(scores.std() - 1) < 0.01
    codes = encoder_for(number_column(), "codes")(number_column(nullable=False)).fit(values)
    coarse, fine = codes.blocks()
    assert 64 <= coarse.cardinality <= 100
    assert 16 <= fine.cardinality <= 128
    counts = np.bincount(codes.encode(values)[:, 0].astype(int))
    assert counts.max() < 2 * counts.min()


def test_digits_of_ten_thousand_categories_gather_the_frequent():
    codes = np.minimum(np.random.default_rng(0).geometric(0.002, size=50_000) - 1, 9_999)
    column = code_column(10_000, False)
    encoder = encoder_for(column, "codes")(column).fit(codes)
    high, low = encoder.blocks()
    assert (high.cardinality, low.cardinality) == (100, 100)
    counts = np.bincount(encoder.encode(codes)[:, 0].astype(int), minlength=100)
    assert (np.diff(counts) <= 0).all()
