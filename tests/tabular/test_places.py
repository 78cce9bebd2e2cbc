"""Codes of a number lie on a line as the values do that they stand for."""

import numpy as np
import pytest

from tabular.encoders.number_codes import NumberCodes
from tabular.schema import Column


def _fit(values):
    column = {"name": "x", "kind": "continuous", "physical": "real", "nullable": bool(np.isnan(values).any())}
    return NumberCodes(Column.model_validate(column)).fit(values)


def _line(encoder, values):
    blocks, x = encoder.blocks(), encoder.encode(values)
    step = 1 / blocks[1].cardinality if len(blocks) > 1 else 1.0
    return np.array(blocks[0].places)[x[:, 0].astype(int)] + (x[:, 1] * step if len(blocks) > 1 else 0), step


@pytest.mark.parametrize("distinct", [300, 900, 6_000])
@pytest.mark.parametrize("seed", range(3))
def test_places_rise_with_values_but_for_those_around_a_spike_in_its_cell(distinct, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice(rng.lognormal(size=distinct), 6_000)
    values[:900] = np.array([0.0, *np.quantile(values, [0.3, 0.31, 0.8, 1.0])]).repeat(180)
    encoder = _fit(values)
    line, step = _line(encoder, np.sort(values))
    assert (np.maximum.accumulate(line) - line).max() <= step / 2
    spikes, _ = _line(encoder, np.unique(values[:900]))
    assert (np.diff(spikes) > 0).all()
    assert spikes[0] == line[0] < line[180]


def test_only_missing_values_have_no_place():
    values = np.append(np.arange(50.0).repeat(20), np.nan)
    coarse = _fit(values).blocks()[0]
    assert coarse.places == tuple(range(50))
    assert coarse.cardinality == 51
    assert _fit(values[:-1]).blocks()[0].places is None
