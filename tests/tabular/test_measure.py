"""Laws of what an encoded row stands for: probabilities of all values of a column sum to one, in every encoding."""

import math

import numpy as np
import pytest

from tabular.encoding import encoder_for
from tabular.schema import Column

READS = ("codes", "one_hot")


def _ages(n=4000):
    return np.round(np.random.default_rng(0).gamma(4, 10, size=n))


def _incomes(n=4000):
    return np.round(np.random.default_rng(1).lognormal(8, 1, size=n))


def _normal(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("values", [_ages(), _incomes()], ids=["ages", "incomes"])
def test_the_values_inside_each_cell_of_the_codes_sum_to_one_at_most(values):
    column = Column(name="a", kind="integer", physical="integer", minimum=values.min(), maximum=values.max())
    encoder = encoder_for(column, "codes")(column).fit(values)
    every = np.arange(values.min(), values.max() + 1)
    x, part = encoder.encode(every), np.exp(encoder.log_measure(every))
    _, cell = np.unique(x, axis=0, return_inverse=True)
    mass, rows = np.bincount(cell, part), np.bincount(cell)
    # A lower bound: a draw of one cell may round to a value of the next, where a limit lies on the grid or cells reach
    # over spikes; then it counts as the next one's.
    assert (mass <= 1 + 1e-6).all()
    assert np.average(mass, weights=rows) > 0.85


@pytest.mark.parametrize("values", [_ages(), _incomes()], ids=["ages", "incomes"])
def test_a_standard_normal_over_scores_gives_the_values_a_total_of_one(values):
    column = Column(name="a", kind="integer", physical="integer", minimum=values.min(), maximum=values.max())
    encoder = encoder_for(column, "one_hot")(column).fit(values)
    every = np.arange(values.min(), values.max() + 1)
    total, rng = np.zeros(len(every)), np.random.default_rng(0)
    for _ in range(64):
        z = encoder.encode(every, rng)[:, -1]
        total += np.array([_normal(each) for each in z]) / 64
    assert (total * np.exp(encoder.log_measure(every))).sum() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("reads", READS)
def test_without_a_grid_the_measure_makes_a_density(reads):
    values = np.random.default_rng(2).normal(50, 10, size=5000)
    column = Column(name="a", kind="continuous", physical="real", minimum=values.min(), maximum=values.max())
    encoder = encoder_for(column, reads)(column).fit(values)
    every = np.linspace(30, 70, 2001)
    x = encoder.encode(every)
    if reads == "one_hot":
        log_p = -(x[:, -1].astype(float) ** 2) / 2 - math.log(2 * math.pi) / 2
    else:
        cells, at, counts = np.unique(encoder.encode(values), axis=0, return_inverse=True, return_counts=True)
        share = {tuple(cell): count / len(values) for cell, count in zip(cells, counts, strict=True)}
        log_p = np.log([share.get(tuple(row), 1e-9) for row in x])
        assert len(at) == len(values)
    density = np.exp(log_p + encoder.log_measure(every))
    mass = ((values >= 30) & (values <= 70)).mean()
    assert density.mean() * 40 == pytest.approx(mass, abs=0.02)


def test_values_drawn_in_their_stretch_come_back_exactly_and_their_scores_are_normal():
    values = _ages(20_000)
    column = Column(name="a", kind="integer", physical="integer", minimum=values.min(), maximum=values.max())
    encoder = encoder_for(column, "one_hot")(column).fit(values)
    z = encoder.encode(values, np.random.default_rng(3))
    back = encoder.decode(z, np.random.default_rng(4))
    common = np.isin(values, np.unique(values)[np.unique(values, return_counts=True)[1] >= 5])
    assert (back[common] == values[common]).all()
    assert np.abs(np.sort(z[:, -1]) - np.sort(np.random.default_rng(5).normal(size=len(z)))).mean() < 0.03


def test_classes_stand_for_themselves():
    column = Column(name="a", kind="categorical", physical="text", categories=("x", "y"))
    for reads in READS:
        encoder = encoder_for(column, reads)(column).fit(np.array([0, 1, 1]))
        assert (encoder.log_measure(np.array([0, 1])) == 0).all()


def test_missing_values_and_spikes_stand_for_themselves():
    values = np.array([0.0] * 50 + list(np.linspace(1, 9, 400)) + [np.nan] * 10)
    column = Column(
        name="a", kind="semicontinuous", physical="real", nullable=True, minimum=0, maximum=9, spikes=(0.0,)
    )
    for reads in READS:
        encoder = encoder_for(column, reads)(column).fit(values)
        assert (encoder.log_measure(np.array([0.0, np.nan])) == 0).all()
        assert np.isfinite(encoder.log_measure(values)).all()
        assert np.isfinite(encoder.log_measure(np.array([-1e9, 1e9]))).all()
