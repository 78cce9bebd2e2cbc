"""A number column as whole numbers: a code for each value where they are few, otherwise a coarse and a fine bin."""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.cells import Cells, shared_values, spikes
from tabular.encoding import Encoder, Matrix, Values
from tabular.layout import Block
from tabular.rounding import nearest, whole
from tabular.schema import NUMBER_KINDS

MOST_VALUES = 256
MOST_COARSE = 100
MOST_FINE = 64


class NumberCodes(Encoder):
    """The block `coarse` holds quantile bins, then spikes, then missing; `fine` the cell inside the bin, else 0.

    Where there are up to 256 values and nearly all rows share theirs with four others, those are spikes all, and
    exact. Any other value is drawn inside its cell, which holds 10 training rows or more where there are as many.
    """

    reads = "codes"
    kinds = NUMBER_KINDS
    spikes: NDArray[np.float64]
    missing: bool
    cells: Cells

    def fit(self, values: Values) -> Self:
        """Find spikes, and cut the rest into cells."""
        numbers = values[~np.isnan(values)].astype(np.float64)
        self.missing = self.column.nullable or len(numbers) < len(values)
        exact = shared_values(numbers, MOST_VALUES)
        self.spikes = spikes(numbers, self.column) if exact is None else exact
        rest = numbers[~np.isin(numbers, self.spikes)]
        self.cells = Cells.fit(rest, self.column, MOST_COARSE * MOST_FINE, beside=self.spikes)
        return self._settle()

    def blocks(self) -> tuple[Block, ...]:
        """Return the coarse block, and the fine one where it tells anything."""
        sizes = [("coarse", self._bins + len(self.spikes) + self.missing), ("fine", int(self._counts.max(initial=1)))]
        rising = not (self._bins and len(self.spikes)) and not self.missing
        return tuple(
            Block(
                column=self.column.name,
                part=part,
                start=i,
                stop=i + 1,
                kind="code",
                cardinality=size,
                places=None if rising or part == "fine" else self._places(),
            )
            for i, (part, size) in enumerate(sizes)
            if part == "coarse" or size > 1
        )

    def encode(self, values: Values, rng: np.random.Generator | None = None) -> Matrix:
        """Find each value's spike or cell; a value that training never showed goes to the nearest."""
        numbers, gone = values.astype(np.float64), np.isnan(values)
        coarse, fine = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.int64)
        spiked = np.isin(numbers, self.spikes) if self._bins else ~gone
        if len(self.spikes):
            coarse[spiked] = self._bins + nearest(self.spikes, numbers[spiked])
        if self._bins:
            cell = self.cells.find(numbers[~spiked & ~gone])
            coarse[~spiked & ~gone] = self._bin[cell]
            fine[~spiked & ~gone] = cell - self._first[self._bin[cell]]
        if gone.any() and not self.missing:
            raise ValueError("a value is missing, but none was in training and the column is not nullable")
        coarse[gone] = self._bins + len(self.spikes)
        return np.stack([coarse, fine], axis=1)[:, : len(self.blocks())].astype(np.float32)

    def log_measure(self, values: Values) -> NDArray[np.float64]:
        """Return the log-probability of each value within its cell; 0 for spikes and missing values."""
        numbers = values.astype(np.float64)
        total = np.zeros(len(numbers))
        if self._bins:
            regular = ~np.isnan(numbers) & ~np.isin(numbers, self.spikes)
            total[regular] = self.cells.log_part(numbers[regular])
        return total

    def decode(self, x: Matrix, rng: np.random.Generator) -> Values:
        """Draw a value inside each row's cell; a spike is itself."""
        coarse = whole(x[:, 0], self.blocks()[0].cardinality)
        values = np.append(np.zeros(self._bins), np.append(self.spikes, np.nan))[coarse]
        u = rng.random(len(x))
        regular = coarse < self._bins
        if regular.any():
            bins = coarse[regular]
            fine = whole(x[regular, 1], MOST_VALUES * MOST_VALUES) if x.shape[1] > 1 else np.zeros_like(bins)
            cell = self._first[bins] + np.minimum(fine, self._counts[bins] - 1)
            values[regular] = self.cells.place(cell, u[regular])
        return values

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        """Return spikes and cells."""
        return {"spikes": self.spikes, "missing": np.array([self.missing], dtype=np.int64), **self.cells.state()}

    def load_state(self, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take back spikes and cells."""
        self.spikes = np.asarray(arrays["spikes"], dtype=np.float64)
        self.missing = bool(arrays["missing"][0])
        self.cells = Cells.from_state(arrays)
        return self._settle()

    def _places(self) -> tuple[float, ...]:
        """Return where bins and spikes lie: a spike between two cells of a bin, whose cells are even steps apart."""
        bins, spikes = np.arange(self._bins, dtype=np.float64), np.arange(len(self.spikes), dtype=np.float64)
        if self._bins:
            cell = self.cells.find(self.spikes)
            below = self.spikes <= self.cells.lows[cell]
            gap = 2 * cell + ~below
            share = (np.arange(len(gap)) - np.searchsorted(gap, gap) + 1) / (np.bincount(gap)[gap] + 1)
            step = (cell - self._first[self._bin[cell]] + share / 2 - below / 2) / self._counts.max()
            spikes = self._bin[cell] + step
        return tuple(np.round(np.append(bins, spikes), 6).tolist())

    def _settle(self) -> Self:
        """Gather the cells into coarse bins of equal shares: about twice as many as the cells in each."""
        wanted = min(MOST_COARSE, max(1, round(2 * len(self.cells) ** 0.5)))
        middle = (self.cells.levels[:-1] + self.cells.levels[1:]) / 2
        _, first, bins, counts = np.unique(
            np.floor(middle * wanted), return_index=True, return_inverse=True, return_counts=True
        )
        self._first, self._bin, self._counts = first.astype(np.int64), bins.astype(np.int64), counts.astype(np.int64)
        self._bins = len(first)
        return self
