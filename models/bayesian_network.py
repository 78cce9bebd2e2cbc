"""Bayesian network over codes: a tree of the strongest dependences, and further parents where they predict."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from models.core.backoff import BackoffTable, Codes, Floats, Level
from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.digits import Digits
from models.core.structure import Search, rising
from tabular.layout import Layout

LEAST_ROWS = 5_000
PAIR_WORK = 60_000_000
CHUNK = 4_000_000


class BayesianNetwork(GenerativeModel):
    r"""Directed acyclic graph over the code blocks, p(x) = ∏_i p(x_i | x_parents(i)).

    The first parents are the Chow-Liu tree: the spanning tree of largest total dependence, where the dependence of two
    blocks is how much each helps to predict rows left out, in nats. The blocks of one column stay joined.
    A number's block of more than `digits` classes is two nodes, a high digit and a low one (`Digits`), so that tables
    stay small and what depends on a number's rough size alone is counted so.
    Further parents are added greedily, largest gain in the likelihood of rows left out first, as long as no cycle
    closes. Tables back off from all parents to fewer (`BackoffTable`). The density is exact.

    Conditional draws are exact where no block has more than one parent (messages along the tree, then ancestral
    sampling). With more parents they are by importance sampling with resampling: each row draws `particles` proposals
    forwards, every step weighed by the tree's message from the evidence below it, and keeps one of them in
    proportion to its weight. The mean effective number of proposals per row stands in
    `notes["effective_sample_size"]` after the draw; the bias vanishes as it grows.

    Chow & Liu, Approximating discrete probability distributions with dependence trees, 1968,
    doi:10.1109/TIT.1968.1054142.
    """

    reads = "codes"

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """How dense the graph may be, and how hard conditional draws try.

        Attributes:
            digits: Most classes that a number's block has as one node; with more it is two.
            parents: Most parents of a node; 1 is a tree.
            least_gain: A further parent must gain at least this, in nats per row, and `NOISE` nats in all.
            particles: Proposals per row of a conditional draw; unused in a tree.
        """

        digits: Annotated[int, Field(ge=4)] = 24
        parents: Annotated[int, Field(ge=1, le=4)] = 3
        least_gain: Annotated[float, Field(ge=0)] = 0.002
        particles: PositiveInt = 64

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self.digits = Digits(layout, config.digits)
        self._sizes = tuple(self.digits.sizes)
        self.parents: tuple[tuple[int, ...], ...] = ()
        self._tables: tuple[BackoffTable, ...] = ()
        self._order: tuple[int, ...] = ()

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Learn graph and tables from encoded rows, shape (n, D).

        Raises:
            ValueError: If there is no row, or a code lies outside its block.
        """
        if not len(x):
            raise ValueError("bayesian_network: got no training rows, wanted at least one")
        monitor = monitor or Silent()
        codes = self._codes(x, np.ones(len(self.layout.blocks), dtype=np.bool_))
        budget = max(LEAST_ROWS, PAIR_WORK // max(1, len(self._sizes)) ** 2)
        some = codes if len(codes) <= budget else codes[np.sort(rng.choice(len(codes), budget, replace=False))]
        search = Search(some, self.digits, monitor)
        self.parents = search.grow(search.tree(), self.config.parents, self.config.least_gain)
        tables = []
        for node, parents in enumerate(self.parents):
            radix = tuple(self._sizes[parent] for parent in parents)
            child, size, short = codes[:, node], self._sizes[node], self.digits.short[node]
            tables.append(BackoffTable.fit(child, codes[:, list(parents)], size, radix, short))
            monitor.progress(0.9 + 0.1 * (node + 1) / len(self.parents), "counted the tables")
        self._tables, self._order = tuple(tables), rising(self.parents)
        self.notes = {"edges": float(sum(map(len, self.parents))), "structure_rows": float(len(some))}
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D), parents first."""
        codes = np.zeros((n, len(self._sizes)), dtype=np.int64)
        for node in self._order:
            codes[:, node] = self._tables[node].draw(codes[:, list(self.parents[node])], rng)
        return self.digits.join(codes).astype(np.float32)

    def log_prob(self, x: Matrix) -> Floats:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""
        codes = self._codes(x, np.ones(len(self.layout.blocks), dtype=np.bool_))
        total = np.zeros(len(codes))
        for node, table in enumerate(self._tables):
            total += np.log(table.prob(codes[:, node], codes[:, list(self.parents[node])]))
        return total

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks: exactly in a tree, otherwise by importance resampling."""
        given = self.digits.known(mask)
        codes = self._codes(np.where(mask, known, 0.0).astype(np.float32), mask)
        tree = all(len(parents) <= 1 for parents in self.parents)
        particles = 1 if tree or not given else self.config.particles
        rows = max(1, CHUNK // (particles * max(self._sizes, default=1)))
        x = np.empty(known.shape, dtype=np.float32)
        effective = 0.0
        for start in range(0, len(known), rows):
            part = codes[start : start + rows]
            drawn, weight = self._propose(part, set(given), particles, rng)
            heap = np.cumsum(weight, axis=1)
            height = rng.random((len(part), 1)) * heap[:, -1:]
            chosen = np.minimum((heap <= height).sum(axis=1), particles - 1)
            x[start : start + rows] = self.digits.join(drawn[np.arange(len(part)), chosen])
            effective += float((weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)).sum())
        if len(known):
            self.notes["effective_sample_size"] = effective / len(known)
        return x

    def state(self) -> State:
        """Return the graph and the counts of every table."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for node, (parents, table) in enumerate(zip(self.parents, self._tables, strict=True)):
            arrays[f"parents.{node}"] = np.array(parents, dtype=np.int64)
            arrays[f"base.{node}"] = table.base
            arrays[f"strengths.{node}"] = np.array([level.strength for level in table.levels], dtype=np.float64)
            for depth, level in enumerate(table.levels):
                arrays[f"cells.{node}.{depth}"] = level.cells
                arrays[f"counts.{node}.{depth}"] = level.counts
        return arrays

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        graph, tables = [], []
        for node, size in enumerate(self._sizes):
            parents = tuple(int(parent) for parent in _take(arrays, f"parents.{node}"))
            base = _take(arrays, f"base.{node}", size).astype(np.float64)
            strengths = _take(arrays, f"strengths.{node}", len(parents)).astype(np.float64)
            levels = []
            for depth, strength in enumerate(strengths):
                cells = _take(arrays, f"cells.{node}.{depth}").astype(np.int64)
                counts = _take(arrays, f"counts.{node}.{depth}", len(cells)).astype(np.float64)
                levels.append(Level(cells, counts, float(strength)))
            graph.append(parents)
            radix = tuple(self._sizes[parent] for parent in parents)
            tables.append(BackoffTable(base, radix, tuple(levels), self.digits.short[node]))
        self.parents, self._tables = tuple(graph), tuple(tables)
        self._order = rising(self.parents)
        return self

    def _codes(self, x: Matrix, mask: NDArray[np.bool_]) -> Codes:
        """Read rows, shape (n, D), as digits, shape (n, nodes), refusing what lies outside the blocks of a mask."""
        codes: Codes = np.rint(x).astype(np.int64)
        for block, column in zip(np.flatnonzero(mask), codes[:, mask].T, strict=True):
            owner = self.layout.blocks[block]
            if len(codes) and not 0 <= column.min() <= column.max() < owner.cardinality:
                raise ValueError(
                    f"column {owner.column!r}: got codes {column.min()} .. {column.max()}, "
                    f"wanted 0 .. {owner.cardinality - 1}"
                )
        return self.digits.split(codes)

    def _messages(self, codes: Codes, given: set[int]) -> dict[int, Floats]:
        """Return what the evidence below a block in the tree says about it, shape (n, K), where there is any."""
        below: dict[int, Floats] = {}
        for node in reversed(self._order):
            if not self.parents[node] or self.parents[node][0] in given or (node not in given and node not in below):
                continue
            parent = self.parents[node][0]
            table = self._tables[node].rows(np.arange(self._sizes[parent])[:, None])
            message = table[:, codes[:, node]].T if node in given else below[node] @ table.T
            message = below.get(parent, 1.0) * message
            below[parent] = message / message.max(axis=1, keepdims=True)
        return {node: message for node, message in below.items() if node not in given}

    def _propose(self, codes: Codes, given: set[int], particles: int, rng: np.random.Generator) -> tuple[Codes, Floats]:
        """Draw proposals, shape (n, particles, D), that agree with the evidence, and their weights, (n, particles)."""
        below = self._messages(codes, given)
        drawn = np.repeat(codes, particles, axis=0)
        weight = np.zeros(len(drawn))
        for node in self._order:
            table, parents = self._tables[node], drawn[:, list(self.parents[node])]
            if node in given:
                weight += np.log(table.prob(drawn[:, node], parents))
            elif node not in below:
                drawn[:, node] = table.draw(parents, rng)
            else:
                message = np.repeat(below[node], particles, axis=0)
                heap = np.cumsum(table.rows(parents) * message, axis=1)
                height = rng.random((len(drawn), 1)) * heap[:, -1:]
                drawn[:, node] = np.minimum((heap <= height).sum(axis=1), self._sizes[node] - 1)
                weight += np.log(heap[:, -1]) - np.log(message[np.arange(len(drawn)), drawn[:, node]])
        shaped = weight.reshape(len(codes), particles)
        return drawn.reshape(len(codes), particles, -1), np.exp(shaped - shaped.max(axis=1, keepdims=True))


def _take(arrays: State, name: str, length: int | None = None) -> NDArray[np.generic]:
    """Return a one-dimensional array of a state, of a given length where there is one."""
    array = arrays.get(name)
    if array is None or array.ndim != 1 or (length is not None and len(array) != length):
        got = "nothing" if array is None else f"shape {array.shape}"
        raise ValueError(
            f"bayesian_network: array {name!r} is {got}, wanted shape ({'any' if length is None else length},)"
        )
    return array
