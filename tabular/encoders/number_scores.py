"""A number column as its normal score, beside a one-hot block that says regular, spike or missing."""

from collections.abc import Mapping
from functools import cache
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.cells import Cells, shared_values
from tabular.encoding import Encoder, Matrix, Values
from tabular.layout import Block
from tabular.rounding import largest, nearest, one_hot
from tabular.schema import NUMBER_KINDS

MOST_CELLS = 1000
CLIP = 5.0
LEAST = 1e-9


class NumberScores(Encoder):
    """The score is the standard normal quantile of the value's rank among the regular training values.

    The block `state` (regular, each spike of the schema, missing) stands only where there is more than one state, or
    no regular value at all; then there is no block `score`. Tied values have their middle rank; scores end at ±5.
    """

    reads = "one_hot"
    kinds = NUMBER_KINDS
    spikes: NDArray[np.float64]
    missing: bool
    cells: Cells

    def fit(self, values: Values) -> Self:
        """Cut the regular values into about 1000 cells of equal share."""
        numbers = values[~np.isnan(values)].astype(np.float64)
        self.missing = self.column.nullable or len(numbers) < len(values)
        self.spikes = np.unique(np.array(self.column.spikes, dtype=np.float64))
        regular = numbers[~np.isin(numbers, self.spikes)]
        exact = shared_values(regular, MOST_CELLS) is not None
        self.cells = Cells.fit(regular, self.column, MOST_CELLS, exact, self.spikes)
        return self

    def blocks(self) -> tuple[Block, ...]:
        """Return the state block, where there is one, and the score block."""
        name, states = self.column.name, self._states
        state = Block(column=name, part="state", start=0, stop=states, kind="one_hot", cardinality=states)
        if not len(self.cells):
            return (state,)
        if states == 1:
            return (Block(column=name, part="score", start=0, stop=1, kind="real"),)
        return (state, Block(column=name, part="score", start=states, stop=states + 1, kind="real", when=0))

    def encode(self, values: Values, rng: np.random.Generator | None = None) -> Matrix:
        """Score the regular values; the score of a spike or a missing value is 0."""
        numbers, gone = values.astype(np.float64), np.isnan(values)
        if gone.any() and not self.missing:
            raise ValueError("a value is missing, but none was in training and the column is not nullable")
        any_regular = len(self.cells) > 0
        spiked = np.isin(numbers, self.spikes) if any_regular else ~gone
        state = np.zeros(len(values), dtype=np.int64)
        if len(self.spikes):
            state[spiked] = any_regular + nearest(self.spikes, numbers[spiked])
        state[gone] = any_regular + len(self.spikes)
        if not any_regular:
            return one_hot(state, self._states)
        regular = ~spiked & ~gone
        score = np.zeros((len(values), 1), dtype=np.float32)
        score[regular, 0] = _scores(self._ranks(numbers[regular], rng))
        return score if self._states == 1 else np.hstack([one_hot(state, self._states), score])

    def log_measure(self, values: Values) -> NDArray[np.float64]:
        """Return the log-width of the scores that each regular value stands for; 0 for spikes and missing values."""
        numbers = values.astype(np.float64)
        total = np.zeros(len(numbers))
        if len(self.cells):
            regular = ~np.isnan(numbers) & ~np.isin(numbers, self.spikes)
            low, high = self.cells.span(numbers[regular])
            score = _scores(self.cells.share(numbers[regular]))
            point = np.log(np.clip(self.cells.slope(numbers[regular]), LEAST, 1 / LEAST)) + score**2 / 2
            width = np.log(np.maximum(_scores(high) - _scores(low), LEAST))
            total[regular] = np.where(high > low, width, point + np.log(2 * np.pi) / 2)
        return total

    def decode(self, x: Matrix, rng: np.random.Generator) -> Values:
        """Take the likeliest state; a regular value is the training quantile of its score."""
        any_regular = len(self.cells) > 0
        alone = any_regular and self._states == 1
        state = np.zeros(len(x), dtype=np.int64) if alone else largest(x[:, : self._states])
        values = np.append(np.zeros(int(any_regular)), np.append(self.spikes, np.nan))[state]
        if any_regular:
            regular = state == 0
            values[regular] = self.cells.quantile(_levels(np.nan_to_num(x[regular, -1].astype(np.float64))))
        return values

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Return spikes and cells."""
        return {"spikes": self.spikes, "missing": np.array([self.missing], dtype=np.int64), **self.cells.state()}

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back spikes and cells."""
        self.spikes = np.asarray(arrays["spikes"], dtype=np.float64)
        self.missing = bool(arrays["missing"][0])
        self.cells = Cells.from_state(arrays)
        return self

    def _ranks(self, numbers: NDArray[np.float64], rng: np.random.Generator | None) -> NDArray[np.float64]:
        """Return the rank of each regular value, a share of the rows: the middle one of a tie, or one drawn in it."""
        if rng is None:
            return self.cells.share(numbers)
        low, high = self.cells.span(numbers)
        # Single precision must not carry a level over the edge to the next value.
        return low + (high - low) * rng.uniform(0.001, 0.999, size=len(numbers))

    @property
    def _states(self) -> int:
        return (len(self.cells) > 0) + len(self.spikes) + self.missing


@cache
def _normal() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tabulate the standard normal distribution function, finely enough for 1e-8."""
    z = np.linspace(-CLIP, CLIP, 10_001)
    return z, np.array([NormalDist().cdf(point) for point in z.tolist()])


def _scores(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    z, cdf = _normal()
    return np.interp(levels, cdf, z)


def _levels(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    z, cdf = _normal()
    return np.interp(scores, z, cdf)
