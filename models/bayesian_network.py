"""Bayesian network over codes: a tree of the strongest dependences, and further parents where they predict."""

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from models.core.backoff import BackoffTable, Codes, Floats, Level, margin_left_out, refine
from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from tabular.layout import Layout

CANDIDATES = 24
NOISE = 3.0
LEAST_ROWS = 5_000
PAIR_WORK = 60_000_000
CHUNK = 4_000_000


class BayesianNetwork(GenerativeModel):
    r"""Directed acyclic graph over the code blocks, p(x) = ∏_i p(x_i | x_parents(i)).

    The first parents are the Chow-Liu tree: the spanning tree of largest total dependence, where the dependence of two
    blocks is how much each helps to predict the other, leave-one-out, in nats. The blocks of one column stay joined.
    Further parents are added greedily, largest gain in leave-one-out likelihood first, as long as no cycle
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
            parents: Most parents of a block; 1 is a tree.
            least_gain: A further parent must gain at least this, in nats per row, and `NOISE` nats in all.
            particles: Proposals per row of a conditional draw; unused in a tree.
        """

        parents: Annotated[int, Field(ge=1, le=4)] = 3
        least_gain: Annotated[float, Field(ge=0)] = 0.002
        particles: PositiveInt = 64

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self._sizes = tuple(block.cardinality for block in layout.blocks)
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
        codes = self._codes(x, range(len(self._sizes)))
        budget = max(LEAST_ROWS, PAIR_WORK // max(1, len(self._sizes)) ** 2)
        some = codes if len(codes) <= budget else codes[np.sort(rng.choice(len(codes), budget, replace=False))]
        columns = tuple(block.column for block in self.layout.blocks)
        search = _Search(some, self._sizes, columns, monitor)
        self.parents = search.grow(search.tree(), self.config.parents, self.config.least_gain)
        tables = []
        for node, parents in enumerate(self.parents):
            radix = tuple(self._sizes[parent] for parent in parents)
            tables.append(BackoffTable.fit(codes[:, node], codes[:, list(parents)], self._sizes[node], radix))
            monitor.progress(0.9 + 0.1 * (node + 1) / len(self.parents), "counted the tables")
        self._tables, self._order = tuple(tables), _sorted(self.parents)
        self.notes = {"edges": float(sum(map(len, self.parents))), "structure_rows": float(len(some))}
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D), parents first."""
        codes = np.zeros((n, len(self._sizes)), dtype=np.int64)
        for node in self._order:
            codes[:, node] = self._tables[node].draw(codes[:, list(self.parents[node])], rng)
        return codes.astype(np.float32)

    def log_prob(self, x: Matrix) -> Floats:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""
        codes = self._codes(x, range(len(self._sizes)))
        total = np.zeros(len(codes))
        for node, table in enumerate(self._tables):
            total += np.log(table.prob(codes[:, node], codes[:, list(self.parents[node])]))
        return total

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks: exactly in a tree, otherwise by importance resampling."""
        given = [node for node in range(len(self._sizes)) if mask[node]]
        codes = self._codes(np.where(mask, known, 0.0).astype(np.float32), given)
        tree = all(len(parents) <= 1 for parents in self.parents)
        particles = 1 if tree or not given else self.config.particles
        rows = max(1, CHUNK // (particles * max(self._sizes, default=1)))
        x = np.empty((len(known), len(self._sizes)), dtype=np.float32)
        effective = 0.0
        for start in range(0, len(known), rows):
            part = codes[start : start + rows]
            drawn, weight = self._propose(part, set(given), particles, rng)
            heap = np.cumsum(weight, axis=1)
            height = rng.random((len(part), 1)) * heap[:, -1:]
            chosen = np.minimum((heap <= height).sum(axis=1), particles - 1)
            x[start : start + rows] = drawn[np.arange(len(part)), chosen]
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
            tables.append(BackoffTable(base, tuple(self._sizes[parent] for parent in parents), tuple(levels)))
        self.parents, self._tables = tuple(graph), tuple(tables)
        self._order = _sorted(self.parents)
        return self

    def _codes(self, x: Matrix, nodes: Sequence[int]) -> Codes:
        """Read the codes of rows, shape (n, nodes), refusing what lies outside of those blocks."""
        codes: Codes = np.rint(x).astype(np.int64)
        for node in nodes:
            if len(codes) and not 0 <= codes[:, node].min() <= codes[:, node].max() < self._sizes[node]:
                raise ValueError(
                    f"column {self.layout.blocks[node].column!r}: got codes {codes[:, node].min()} .. "
                    f"{codes[:, node].max()}, wanted 0 .. {self._sizes[node] - 1}"
                )
        return codes

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


class _Search:
    """Structure learning on codes, shape (n, nodes)."""

    def __init__(self, codes: Codes, sizes: tuple[int, ...], columns: tuple[str, ...], monitor: Monitor) -> None:
        self.codes, self.sizes, self.columns, self.monitor = codes, sizes, columns, monitor
        self.margins = [margin_left_out(codes[:, node], size) for node, size in enumerate(sizes)]
        self.gains = np.zeros((len(sizes), len(sizes)))

    def tree(self) -> list[list[int]]:
        """Return each block's first parent: Prim's spanning tree over the gains of both directions."""
        nodes = len(self.sizes)
        for i in range(nodes):
            for j in range(i):
                self.gains[i, j] = self.gain(self.margins[i], i, [j])
                self.gains[j, i] = self.gain(self.margins[j], j, [i])
            self.monitor.progress(0.5 * (i + 1) / nodes, "measured the dependence of pairs")
        own = [[other for other in range(node) if self.columns[other] == self.columns[node]] for node in range(nodes)]
        parents = [
            [joined[int(np.argmax(self.gains[node, joined]))]] if joined else [] for node, joined in enumerate(own)
        ]
        for child, parent in _spanning([node for node in range(nodes) if not own[node]], self.gains + self.gains.T):
            parents[child] = [parent]
        return parents

    def grow(self, parents: list[list[int]], most: int, least_gain: float) -> tuple[tuple[int, ...], ...]:
        """Add further parents, largest gain first, while no cycle closes."""
        nodes, enough = len(parents), max(NOISE, least_gain * len(self.codes))
        for depth in range(1, most):
            offers = []
            for node in range(nodes):
                offers += self.offers(node, parents[node]) if len(parents[node]) == depth else []
                self.monitor.progress(0.5 + 0.4 * (depth - 1 + (node + 1) / nodes) / (most - 1), "looked for parents")
            for gain, node, other in sorted(offers, reverse=True):
                if gain > enough and len(parents[node]) == depth and not _reaches(parents, other, node):
                    parents[node].append(other)
        return tuple(tuple(chosen) for chosen in parents)

    def offers(self, node: int, parents: list[int]) -> list[tuple[float, int, int]]:
        """Return the gain of each likely further parent of a block, as (gain, block, parent)."""
        predicted = self.margins[node]
        for depth in range(len(parents)):
            predicted = self.refined(predicted, node, parents[: depth + 1])
        likely = [int(other) for other in np.argsort(-self.gains[node]) if other != node and other not in parents]
        return [(self.gain(predicted, node, [*parents, other]), node, other) for other in likely[:CANDIDATES]]

    def gain(self, predicted: Floats, node: int, parents: list[int]) -> float:
        """Return the nats that the last of the parents adds to leave-one-out predictions, shape (n,)."""
        return float(np.log(self.refined(predicted, node, parents) / predicted).sum())

    def refined(self, predicted: Floats, node: int, parents: list[int]) -> Floats:
        """Put the last of the parents on leave-one-out predictions, shape (n,)."""
        config = np.zeros(len(self.codes), dtype=np.int64)
        for parent in parents:
            config = config * self.sizes[parent] + self.codes[:, parent]
        return refine(predicted, config * self.sizes[node] + self.codes[:, node], config)[0]


def _spanning(nodes: list[int], strength: Floats) -> list[tuple[int, int]]:
    """Return the largest spanning forest of some nodes, as (child, parent), of edges above the noise both ways."""
    edges: list[tuple[int, int]] = []
    inside: list[int] = []
    outside = sorted(nodes, key=lambda node: -float(strength[node, nodes].sum()))
    while outside:
        reach = strength[np.ix_(outside, inside)] if inside else np.zeros((len(outside), 1))
        row, place = np.unravel_index(int(reach.argmax()), reach.shape)
        child = outside[int(row)]
        if reach[row, place] > 2 * NOISE:
            edges.append((child, inside[int(place)]))
        outside.remove(child)
        inside.append(child)
    return edges


def _reaches(parents: list[list[int]], node: int, ancestor: int) -> bool:
    """Tell whether `ancestor` is `node` or one of its ancestors."""
    seen, waiting = {node}, [node]
    while waiting:
        above = [parent for parent in parents[waiting.pop()] if parent not in seen]
        seen.update(above)
        waiting += above
    return ancestor in seen


def _sorted(parents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the blocks, parents before children."""
    order: list[int] = []
    while len(order) < len(parents):
        ready = [node for node in range(len(parents)) if node not in order and set(parents[node]) <= set(order)]
        if not ready:
            raise ValueError("bayesian_network: the parents form a cycle")
        order += ready
    return tuple(order)


def _take(arrays: State, name: str, length: int | None = None) -> NDArray[np.generic]:
    """Return a one-dimensional array of a state, of a given length where there is one."""
    array = arrays.get(name)
    if array is None or array.ndim != 1 or (length is not None and len(array) != length):
        got = "nothing" if array is None else f"shape {array.shape}"
        raise ValueError(
            f"bayesian_network: array {name!r} is {got}, wanted shape ({'any' if length is None else length},)"
        )
    return array
