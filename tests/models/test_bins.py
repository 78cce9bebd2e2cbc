"""Numbers by bins: there and back, densities that integrate to one, cuts where the other columns change."""

import numpy as np
import pytest
import torch

from models.core.bins import Bins
from tabular.layout import Block, Layout

LAYOUT = Layout(
    reads="one_hot",
    blocks=(
        Block(column="group", part="class", start=0, stop=3, kind="one_hot", cardinality=3),
        Block(column="spend", part="state", start=3, stop=6, kind="one_hot", cardinality=3),
        Block(column="spend", part="score", start=6, stop=7, kind="real", when=4),
        Block(column="age", part="score", start=7, stop=8, kind="real"),
    ),
)


def rows(n):
    rng = np.random.default_rng(0)
    age = rng.normal(size=n)
    group = np.where(age > 0.37, 2, rng.integers(0, 2, n))
    state = rng.integers(0, 3, n)
    score = np.where(state == 1, 0.5 * age + rng.normal(size=n), 0)
    return torch.from_numpy(
        np.column_stack([np.eye(3)[group], np.eye(3)[state], score, age]).astype(np.float32)
    ), np.column_stack([group, state])


def fitted(n=5000, most=16):
    x, _ = rows(n)
    bins = Bins(LAYOUT, most)
    bins.fit(x)
    return bins, x


def test_a_state_and_its_number_are_one_block():
    bins, _ = fitted()
    assert bins.sizes == [3, 18, 16]
    assert bins.owner.tolist() == [0, 0, 0, 1, 1, 1, 1, 2]


def test_classes_of_rows_drawn_from_classes_are_these():
    bins, x = fitted()
    codes = bins.classes(x)
    again = bins.rows(codes, torch.Generator().manual_seed(0))
    assert (bins.classes(again) == codes).all()
    assert (again[:, :6] == x[:, :6]).all()
    assert ((again[:, 6] == 0) == (x[:, 4] == 0)).all()
    assert (bins.hot(codes).sum(1) == 3).all()


def test_a_cut_lies_where_another_column_changes():
    bins, _ = fitted(20_000)
    edges = bins.edges[1][torch.isfinite(bins.edges[1])]
    assert float((edges - 0.37).abs().min()) < 0.02


def test_densities_inside_bins_integrate_to_one():
    bins, _ = fitted()
    age = torch.linspace(-9, 9, 600_001)
    x = torch.zeros(len(age), 8)
    x[:, 0], x[:, 3], x[:, 7] = 1, 1, age
    density, code = bins.log_inside(x).exp(), bins.classes(x)[:, 2]
    mass = torch.zeros(16, dtype=torch.float64).index_add(0, code, density * 18 / 600_000)
    assert torch.allclose(mass[: int(bins.used[1])], torch.ones(int(bins.used[1]), dtype=torch.float64), atol=0.01)


def test_draws_keep_the_column():
    bins, x = fitted(20_000)
    again = bins.rows(bins.classes(x), torch.Generator().manual_seed(0))
    levels = torch.linspace(0.02, 0.98, 49)
    assert torch.allclose(again[:, 7].quantile(levels), x[:, 7].quantile(levels), atol=0.05)


def test_bins_that_no_number_has_are_impossible():
    bins, x = fitted(100)
    used = bins.used.tolist()
    assert max(used) < 16
    possible = torch.cat([part.sum()[None] for part in bins.possible().split(bins.sizes)])
    assert possible.tolist() == [3, used[0] + 2, used[1]]
    assert (bins.log_frequencies(bins.classes(x))[~bins.possible()] == -1e4).all()


@pytest.mark.parametrize(
    ("known", "fits"),
    [((3, 4, 5), 1), ((3, 4, 5, 6), 1), ((6,), 1), ((0, 1, 2), 18), ((), 18)],
)
def test_allowed_classes_are_those_that_fit(known, fits):
    bins, x = fitted()
    off, on = x[x[:, 3] == 1][:1], x[x[:, 4] == 1][:1]
    mask = np.isin(np.arange(8), known)
    part = bins.allowed(off, mask).split(bins.sizes, dim=1)[1]
    assert int(part.sum()) == (fits if known != (6,) else 3)  # a 0 may be a number, or stand for one that is off
    part = bins.allowed(on, mask).split(bins.sizes, dim=1)[1]
    assert int(part.sum()) == (16 if known == (3, 4, 5) else fits)
    assert bool(part.gather(1, bins.classes(on)[:, 1:2]))


def test_codes_and_two_numbers_of_one_state_are_refused():
    code = Block(column="a", part="a", start=0, stop=1, kind="code", cardinality=3)
    with pytest.raises(ValueError, match="blocks of codes"):
        Bins(Layout(reads="codes", blocks=(code,)), 4)
    twice = (
        Block(column="a", part="state", start=0, stop=2, kind="one_hot", cardinality=2),
        Block(column="a", part="x", start=2, stop=3, kind="real", when=0),
        Block(column="a", part="y", start=3, stop=4, kind="real", when=1),
    )
    with pytest.raises(ValueError, match="2 numbers of one block"):
        Bins(Layout(reads="one_hot", blocks=twice), 4)
