"""Known answers of importance resampling for families that can only draw."""

import numpy as np
import pytest

from models.core.base import GenerativeModel
from models.core.importance import resample_given
from tabular.layout import Block, Layout


def _block(column, start, kind, cardinality=1):
    width = cardinality if kind == "one_hot" else 1
    return Block(column=column, part="p", start=start, stop=start + width, kind=kind, cardinality=cardinality)


LAYOUT = Layout(reads="one_hot", blocks=(_block("a", 0, "one_hot", 2), _block("x", 2, "real"), _block("y", 3, "real")))


class Known(GenerativeModel):
    """x ~ N(±1, 1) by class, y = x + N(0, 0.5²): its conditionals are known."""

    reads = "one_hot"

    def fit(self, x, rng, monitor=None):
        return self

    def sample(self, n, rng):
        a = (rng.random(n) < 0.3).astype(int)
        x = rng.normal(2 * a - 1, 1)
        return np.column_stack([np.eye(2)[a], x, x + rng.normal(0, 0.5, n)]).astype(np.float32)

    def state(self):
        return {}

    def load_state(self, arrays):
        return self


MODEL = Known(GenerativeModel.Config(), LAYOUT)


def _given(known, mask, n=4000):
    rows = np.tile(np.array(known, dtype=np.float32), (n, 1))
    return resample_given(MODEL, rows, np.array(mask), np.random.default_rng(0), pool=32_768)


def test_a_known_class_gives_its_own_rows():
    drawn, effective = _given([0, 1, 0, 0], [True, True, False, False])
    assert (drawn[:, :2] == [0, 1]).all()
    assert drawn[:, 2].mean() == pytest.approx(1, abs=0.06)
    assert effective == pytest.approx(0.3 * 32_768, rel=0.05)


def test_a_known_number_gives_the_regression_and_the_class_that_bayes_says():
    drawn, effective = _given([0, 0, 0.5, 0], [False, False, True, False])
    assert (drawn[:, 2] == 0.5).all()
    assert drawn[:, 3].mean() == pytest.approx(0.5, abs=0.05)
    assert drawn[:, 3].std() == pytest.approx(np.hypot(0.5, 0.1), abs=0.04)
    odds = 0.3 / 0.7 * np.exp(2 * 0.5)
    assert drawn[:, 1].mean() == pytest.approx(odds / (1 + odds), abs=0.04)
    assert (effective > 500).all()


def test_what_the_pool_lacks_shows_in_the_effective_size():
    _, effective = _given([0, 0, 9.0, 9.5], [False, False, True, True], n=1)
    assert effective[0] < 5


def test_no_rows_in_none_out():
    drawn, effective = _given([0, 1, 0, 0], [True, True, False, False], n=0)
    assert drawn.shape == (0, 4)
    assert len(effective) == 0
