"""Adversarial random forest: trees split until their leaves, each with independent columns, pass for the data."""

from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.special import logsumexp
from sklearn.ensemble import RandomForestClassifier

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.columns import Columns, Mask
from models.core.leaves import Codes, Floats, Grower, Growth, Tree, product_tables
from tabular.layout import Layout

ROUNDS = 8
FACTOR = 4
CELLS = 40_000_000
LEAST_ROWS = 5_000
TRIED = 1_000
FEWEST_TRIES = 6
CRITIC_ROWS = 10_000
CRITIC_TREES = 40
CHUNK = 4_000_000
LEAST = 1e-300


class AdversarialForest(GenerativeModel):
    r"""Mixture over the leaves of T trees, p(x) = (1/T) Σ_t π_t,l(x) ∏_j p_t,l(x)(x_j).

    In turns, trees grow and a random forest learns to tell the rows from rows drawn of the leaves, until it is right,
    out of bag, in at most 1/2 + `delta` of cases or leaves are as small as they may be. Two things differ from the
    paper. Leaves are split by the dependence that it removes, Σ_k n I(x_k; side): what a critic of depth two sees,
    with as many drawn rows as it likes (a critic's own first split sees nothing, for the margins agree). And each turn
    splits the leaves of the one before. Columns are ordered groups (`Columns`), and each leaf's frequencies are drawn
    towards those of the larger leaf around it (`product_tables`). Density and conditional draws (the posterior of the
    leaf, then independent columns) are exact.

    Watson, Blesch, Kapar & Wright, Adversarial random forests for density estimation and generative modeling, 2023,
    arXiv:2205.09435.
    """

    reads = "codes"

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """Size of the forest, and when to stop.

        Attributes:
            trees: T.
            leaf: Fewest training rows of a leaf.
            delta: The critic may be right this much more often than by chance.
            smoothing: Rows that the larger leaf of the turn before is worth.
            columns: Share of the columns that are tried at each split; fewer where there are more than some forty.
            charge: What a split must gain for each further probability in the leaves, in nats; nothing once no split
                gains that, while the critic is still right.
        """

        trees: PositiveInt = 5
        leaf: Annotated[int, Field(ge=2)] = 20
        delta: Annotated[float, Field(ge=0, le=0.5)] = 0.02
        smoothing: PositiveFloat = 8.0
        columns: Annotated[float, Field(gt=0, le=1)] = 0.7
        charge: Annotated[float, Field(ge=0)] = 1.0

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self._columns = Columns(layout)
        self._trees: tuple[Tree, ...] = ()
        self._weights: Floats = np.zeros(0)
        self._tables: list[NDArray[np.float32]] = []

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Grow trees on encoded rows, shape (n, D).

        Raises:
            ValueError: If there is no row, or a code lies outside its block.
        """
        if not len(x):
            raise ValueError("adversarial_forest: got no training rows, wanted at least one")
        monitor = monitor or Silent()
        groups, _ = self._columns.fit(x, rng).read(x)
        budget = max(LEAST_ROWS, CELLS // max(1, 16 * groups.shape[1]))
        some = groups if len(groups) <= budget else groups[np.sort(rng.choice(len(groups), budget, replace=False))]
        margins = [column.margin for column in self._columns.columns]
        most = max(FEWEST_TRIES, TRIED // len(margins))
        tries = min(most, int(np.ceil(self.config.columns * len(margins))))
        grower = Grower(some, margins, tries)
        growths = [Growth(grower, self.config.leaf, self.config.charge, rng) for _ in range(self.config.trees)]
        stages: list[tuple[Tree, ...]] = []
        for turn in range(ROUNDS):
            stages.append(tuple(growth.grow(FACTOR**turn, rng) for growth in growths))
            self._count(stages, groups, margins)
            accuracy = self._judge(some, rng)
            self.notes = {"leaves": float(len(self._weights)), "accuracy": accuracy, "turns": turn + 1.0}
            monitor.progress((turn + 1) / ROUNDS, f"{len(self._weights)} leaves, critic right in {accuracy:.3f}")
            if accuracy <= 0.5 + self.config.delta or not _can_grow(growths, rng):
                break
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D)."""
        return self._columns.write(self._draw(self._leaf(n, rng), rng, {}), rng)

    def log_prob(self, x: Matrix) -> Floats:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""
        groups, inside = self._columns.read(x)
        each = np.empty((len(self._trees), len(x)))
        start = 0
        for index, tree in enumerate(self._trees):
            names = np.flatnonzero(tree.column < 0)
            leaf = start + np.searchsorted(names, tree.find(groups))
            each[index] = np.log(self._weights[leaf])
            for j in range(groups.shape[1]):
                each[index] += np.log(self._tables[j][leaf, groups[:, j]])
            start += len(names)
        log_prob: Floats = np.asarray(logsumexp(each, axis=0), dtype=np.float64)
        return log_prob + inside

    def _leaf(self, n: int, rng: np.random.Generator) -> Codes:
        """Draw leaves, shape (n,), by their weights."""
        heap = np.cumsum(self._weights)
        leaf: Codes = np.searchsorted(heap, rng.random(n) * heap[-1], side="right").astype(np.int64)
        return np.minimum(leaf, len(heap) - 1)

    def _draw(self, leaf: Codes, rng: np.random.Generator, told: Mapping[int, Codes | Floats]) -> Codes:
        """Draw groups, shape (n, d), in each row's leaf, given what is told of some columns."""
        groups = np.empty((len(leaf), len(self._tables)), dtype=np.int64)
        for j, table in enumerate(self._tables):
            each = told.get(j)
            if each is not None and each.ndim == 1:
                groups[:, j] = each
                continue
            rows = max(1, CHUNK // table.shape[1])
            for start in range(0, len(leaf), rows):
                part = slice(start, start + rows)
                chance = table[leaf[part]].astype(np.float64)
                groups[part, j] = _choose(chance if each is None else _likely(chance, each[part]), rng)
        return groups

    def _judge(self, groups: Codes, rng: np.random.Generator) -> float:
        """Return how often a random forest is right, out of bag, about which rows are real, of rows (n, d)."""
        real = groups[rng.permutation(len(groups))[:CRITIC_ROWS]]
        rows = np.vstack([real, self._draw(self._leaf(len(real), rng), rng, {})]).astype(np.float32)
        critic = RandomForestClassifier(
            CRITIC_TREES,
            min_samples_leaf=5,
            max_samples=len(rows) // 2,
            oob_score=True,
            random_state=int(rng.integers(2**31)),
        )
        critic.fit(rows, np.arange(len(rows)) < len(real))
        return float(critic.oob_score_)

    def _count(self, stages: list[tuple[Tree, ...]], groups: Codes, margins: list[Floats]) -> None:
        """Fill the tables of all leaves, from the trees of every turn."""
        self._trees = stages[-1]
        weights: list[Floats] = []
        tables: list[list[Floats]] = [[] for _ in margins]
        for history in zip(*stages, strict=True):
            tree = history[-1]
            low, high = tree.boxes(self._columns.sizes)
            names = [np.flatnonzero(stage.column < 0) for stage in history]
            found = [stage.find(groups) for stage in history]
            levels = [np.searchsorted(name, node) for name, node in zip(names, found, strict=True)]
            above = _above(tree.parents(), names)
            rows = np.bincount(levels[-1], minlength=len(names[-1]))
            volume = np.ones(len(names[-1]))
            for j, margin in enumerate(margins):
                heap = np.concatenate([[0.0], np.cumsum(margin)])
                volume *= heap[high[names[-1], j]] - heap[low[names[-1], j]]
                boxes = [(up, low[name, j], high[name, j]) for up, name in zip(above, names, strict=True)]
                tables[j].append(product_tables(groups[:, j], levels, boxes, margin, self.config.smoothing))
            weights.append((rows + volume) / ((len(groups) + 1) * len(self._trees)))
        self._weights, self._tables = np.concatenate(weights), [np.vstack(table).astype(np.float32) for table in tables]

    def sample_given(self, known: Matrix, mask: Mask, rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, exactly: a leaf by its posterior, then columns by themselves."""
        told = self._columns.given(known, mask)
        rows = max(1, CHUNK // len(self._weights))
        groups = np.empty((len(known), len(self._tables)), dtype=np.int64)
        for start in range(0, len(known), rows):
            part = slice(start, start + rows)
            own = {j: each[part] for j, each in told.items()}
            logits = np.repeat(np.log(self._weights)[None], len(known[part]), axis=0)
            for j, each in own.items():
                table = self._tables[j]
                chance = table[:, each.astype(np.int64)].T if each.ndim == 1 else each @ table.T
                logits += np.log(np.maximum(chance, LEAST, dtype=np.float64))
            groups[part] = self._draw(_choose(np.exp(logits - logits.max(axis=1, keepdims=True)), rng), rng, own)
        return self._columns.write_given(groups, known, mask, rng)

    def state(self) -> State:
        """Return the columns' groups, the trees, and the leaves' weights and tables."""
        arrays: dict[str, NDArray[np.generic]] = {**self._columns.state(), "weights": self._weights}
        arrays["nodes"] = np.array([len(tree.column) for tree in self._trees], dtype=np.int64)
        for name in ("column", "most", "child"):
            arrays[name] = np.concatenate([getattr(tree, name) for tree in self._trees])
        return arrays | {f"table.{j}": table for j, table in enumerate(self._tables)}

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        self._columns.load_state(arrays)
        nodes = arrays["nodes"].astype(np.int64) if "nodes" in arrays else np.zeros(0, dtype=np.int64)
        total, leaves = int(nodes.sum()), int((nodes + 1).sum()) // 2
        shapes: dict[str, tuple[int, ...]] = {"nodes": (max(len(nodes), 1),), "weights": (leaves,)}
        shapes |= {name: (total,) for name in ("column", "most", "child")}
        shapes |= {f"table.{j}": (leaves, size) for j, size in enumerate(self._columns.sizes)}
        for name, shape in shapes.items():
            if name not in arrays or arrays[name].shape != shape:
                got = arrays[name].shape if name in arrays else "nothing"
                raise ValueError(f"adversarial_forest: array {name!r}: got {got}, wanted shape {shape}")
        parts = [np.split(arrays[name].astype(np.int64), np.cumsum(nodes)[:-1]) for name in ("column", "most", "child")]
        self._trees = tuple(Tree(*each) for each in zip(*parts, strict=True))
        self._weights = arrays["weights"].astype(np.float64)
        self._tables = [arrays[f"table.{j}"].astype(np.float32) for j in range(len(self._columns.sizes))]
        return self


def _can_grow(growths: list[Growth], rng: np.random.Generator) -> bool:
    """Tell whether any tree can grow; where none can, let splits that gain next to nothing count, and ask again."""
    if not any(growth.waiting for growth in growths):
        for growth in growths:
            growth.reconsider(0.0, rng)
    return any(growth.waiting for growth in growths)


def _likely(chance: Floats, told: Codes | Floats) -> Floats:
    """Return what is told, shape (n, G), weighed by chances that may be 0, but not where something is told."""
    weighed: Floats = (np.maximum(chance, LEAST) * told).astype(np.float64)
    return weighed


def _choose(weights: Floats, rng: np.random.Generator) -> Codes:
    """Draw a position in each row of weights, shape (n, K), in proportion to them."""
    heap = np.cumsum(weights, axis=1)
    passed = (heap <= rng.random((len(heap), 1)) * heap[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
    chosen: Codes = np.minimum(passed, last).astype(np.int64)
    return chosen


def _above(parents: Codes, names: list[Codes]) -> list[Codes]:
    """Return, turn by turn, the position of the leaf of the turn before that each leaf lies in; 0 at the first."""
    above = [np.zeros(len(names[0]), dtype=np.int64)]
    for before, now in zip(names[:-1], names[1:], strict=True):
        node = now.copy()
        while len(lost := np.flatnonzero(~np.isin(node, before))):
            node[lost] = parents[node[lost]]
        above.append(np.searchsorted(before, node))
    return above
