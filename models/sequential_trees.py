"""Sequential trees over codes: each block given those before it, by one regression tree with its rows in the leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.cart import Cart, Codes, Floats
from models.core.places import among, by_target
from tabular.layout import Layout

MOST_INPUTS = 64
MOST_CLASSES = 8
MOST_ATOMS = 2
LEAST_ATOM = 0.05
HALF = 0.5
CHUNK = 200_000


@dataclass(frozen=True)
class Node:
    """p of one block given those before it.

    Attributes:
        places: Where the codes of each block before lie on a line, for the thresholds of the tree; shape (K,) each.
        margin: Share of each code in the training rows, smoothed by half a row, shape (K,).
        cart: The tree.
    """

    places: tuple[Floats, ...]
    margin: Floats
    cart: Cart


class SequentialTrees(GenerativeModel):
    r"""Autoregressive product over the code blocks, p(x) = ∏_i p(x_i | x_<i), each factor the leaves of one tree.

    A block's factor is a regression tree on the columns before it, in the order of the table. Where a column has a
    coarse and a fine block, the coarse comes first and the fine is given it. The factor draws a code of a training row
    in the leaf, or with probability s / (n_leaf + s) of a row in the branch above (`models.core.cart`), at last of
    the margin. Splits explain more of a number than its mean: its rank, two waves of its rank, which see spread and
    skew, and its heavy values; and of a class the indicators of the most frequent ones, which is Gini's criterion.
    Classes are put in an order for each child; spikes of a number lie between its bins, missing values where their
    rows say (`models.core.places`).

    The density is exact. Conditional draws are exact where the known blocks come first; otherwise by likelihood
    weighting: each row draws `particles` proposals, weighs them by the probability of what is known, keeps one in
    proportion, and `notes["effective_sample_size"]` holds their mean effective number; the bias vanishes as it grows.

    Reiter, Using CART to generate partially synthetic, public use microdata, 2005, Journal of Official Statistics
    21(3); the order and the implementation that made it known: Nowok, Raab & Dibben, 2016, doi:10.18637/jss.v074.i11.
    """

    reads = "codes"

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """How near to single rows the leaves come.

        Attributes:
            leaf: Fewest training rows in a leaf: fewer are closer to the data, and to its rows.
            smoothing: s, the rows that the branch above a leaf is worth.
            particles: Proposals per row of a conditional draw; unused where the known blocks come first.
        """

        leaf: PositiveInt = 25
        smoothing: PositiveFloat = 0.5
        particles: PositiveInt = 64

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self._sizes = tuple(block.cardinality for block in layout.blocks)
        self._nodes: tuple[Node, ...] = ()

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Grow one tree a block on encoded rows, shape (n, D).

        Raises:
            ValueError: If there is no row, or a code lies outside its block.
        """
        if not len(x):
            raise ValueError("sequential_trees: got no training rows, wanted at least one")
        monitor = monitor or Silent()
        codes = self._codes(x, range(len(self._sizes)))
        lines = self._lines(codes)
        nodes = []
        for block, size in enumerate(self._sizes):
            y = self._told(block, codes, lines)
            places = tuple(
                by_target(codes[:, j], self._sizes[j], y) if self._part(j) == "" else lines[j] for j in range(block)
            )
            counts = np.bincount(codes[:, block], minlength=size).astype(np.float64)
            margin = (counts + HALF / size) / (len(codes) + HALF)
            inputs = self._inputs(codes, places)
            seed = int(rng.integers(2**31))
            cart = Cart.fit(inputs, y, codes[:, block], (size, self.config.leaf, MOST_INPUTS), seed)
            nodes.append(Node(places, margin, cart))
            monitor.progress((block + 1) / len(self._sizes), f"grew tree {block + 1} of {len(self._sizes)}")
        self._nodes = tuple(nodes)
        self.notes = {"leaves": float(sum(len(node.cart.sizes) for node in nodes))}
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D), block after block."""
        codes = np.zeros((n, len(self._sizes)), dtype=np.int64)
        for block in range(len(self._sizes)):
            codes[:, block] = self._draw(block, codes, rng)
        return codes.astype(np.float32)

    def log_prob(self, x: Matrix) -> Floats:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""
        codes = self._codes(x, range(len(self._sizes)))
        total = np.zeros(len(codes))
        for block in range(len(self._sizes)):
            total += self._log_prob(block, codes)
        return total

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks: exactly where those come first, else by likelihood weighting."""
        given = [block for block in range(len(self._sizes)) if mask[block]]
        codes = self._codes(np.where(mask, known, 0.0).astype(np.float32), given)
        free = next((block for block in range(len(self._sizes)) if block not in given), len(self._sizes))
        last = max((block for block in given if block > free), default=-1) + 1
        particles = self.config.particles if last else 1
        rows = max(1, CHUNK // particles)
        effective = float(len(codes))
        if last:
            parts = [
                self._weigh(codes[at : at + rows], set(given), last, particles, rng)
                for at in range(0, len(codes), rows)
            ]
            codes = np.concatenate([codes[:0], *(drawn for drawn, _ in parts)])
            effective = sum(each for _, each in parts)
        for block in range(last, len(self._sizes)):
            if block not in given:
                codes[:, block] = self._draw(block, codes, rng)
        if len(codes):
            self.notes["effective_sample_size"] = effective / len(codes)
        return codes.astype(np.float32)

    def state(self) -> State:
        """Return the trees, margins and places."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for block, node in enumerate(self._nodes):
            arrays[f"margin.{block}"] = node.margin
            arrays[f"places.{block}"] = np.concatenate([np.zeros(0), *node.places])
            arrays |= {f"{name}.{block}": array for name, array in node.cart.state().items()}
        return arrays

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        nodes = []
        for block, size in enumerate(self._sizes):
            ends = np.cumsum((0, *self._sizes[:block]))
            places = _take(arrays, f"places.{block}", int(ends[-1])).astype(np.float64)
            cart = {name: _take(arrays, f"{name}.{block}") for name in Cart.NAMES}
            nodes.append(
                Node(
                    tuple(places[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)),
                    _take(arrays, f"margin.{block}", size).astype(np.float64),
                    Cart(cart, size),
                )
            )
        self._nodes = tuple(nodes)
        return self

    def _codes(self, x: Matrix, blocks: Sequence[int]) -> Codes:
        """Read the codes of rows, shape (n, blocks), refusing what lies outside of those blocks."""
        codes: Codes = np.rint(x).astype(np.int64)
        for block in blocks:
            if len(codes) and not 0 <= codes[:, block].min() <= codes[:, block].max() < self._sizes[block]:
                raise ValueError(
                    f"column {self.layout.blocks[block].column!r}: got codes {codes[:, block].min()} .. "
                    f"{codes[:, block].max()}, wanted 0 .. {self._sizes[block] - 1}"
                )
        return codes

    def _part(self, block: int) -> str:
        """Return which part of a number a block holds: `coarse` or `fine`; of any other column the empty word."""
        part = self.layout.blocks[block].part
        if part == "fine" and block and self.layout.blocks[block - 1].column == self.layout.blocks[block].column:
            return part
        return "coarse" if part == "coarse" else ""

    def _lines(self, codes: Codes) -> list[Floats]:
        """Return the place of each code on its own block's line, the same for all children."""
        lines: list[Floats] = []
        ranks = np.column_stack([_ranks(codes[:, block]) - HALF for block in range(len(self._sizes))])
        for block, size in enumerate(self._sizes):
            own = self.layout.blocks[block]
            others = [
                j
                for j, other in enumerate(self.layout.blocks)
                if other.column != own.column and self._part(j) != "fine"
            ]
            places = np.arange(size) if own.places is None else own.places
            lines.append(
                among(codes[:, block], np.asarray(places, dtype=np.float64), size, ranks[:, others[:MOST_INPUTS]])
            )
        return lines

    def _inputs(self, codes: Codes, places: Sequence[Floats]) -> Matrix:
        """Return what trees split on, shape (n, d): the place of each block before, a number's two parts as one."""
        columns: list[Floats] = []
        for block, place in enumerate(places):
            if self._part(block) == "fine":
                columns[-1] = columns[-1] + codes[:, block] / self._sizes[block]
            else:
                columns.append(place[codes[:, block]])
        return np.column_stack([np.zeros((len(codes), 0)), *columns]).astype(np.float32)

    def _told(self, block: int, codes: Codes, lines: Sequence[Floats]) -> Floats:
        """Return what splits shall tell apart of a block, shape (n, q)."""
        child, size = codes[:, block], self._sizes[block]
        share = np.bincount(child, minlength=size) / len(child)
        often = np.argsort(-share, kind="stable")
        if self._part(block) == "fine":
            whole: Floats = lines[block - 1][codes[:, block - 1]] + child / size
            return whole[:, None]
        if self._part(block) == "":
            return np.asarray(child[:, None] == often[: max(1, min(MOST_CLASSES, size - 1))], dtype=np.float64)
        u = _ranks(lines[block][child])
        waves = [12**HALF * u, np.cos(2 * np.pi * u), 0.7 * np.cos(3 * np.pi * u)]
        atoms = [code for code in often[:MOST_ATOMS] if LEAST_ATOM < share[code] < 1]
        heavy = [0.7 * (child == code) / np.sqrt(share[code] * (1 - share[code])) for code in atoms]
        return np.column_stack(waves + heavy)

    def _draw(self, block: int, codes: Codes, rng: np.random.Generator) -> Codes:
        """Draw a block, shape (n,), given those before it."""
        node = self._nodes[block]
        drawn = node.cart.draw(node.cart.find(self._inputs(codes, node.places)), self.config.smoothing, rng)
        heap = np.cumsum(node.margin)
        last = np.minimum(np.searchsorted(heap, rng.random(len(codes)) * heap[-1], side="right"), len(heap) - 1)
        return np.asarray(np.where(drawn < 0, last, drawn), dtype=np.int64)

    def _log_prob(self, block: int, codes: Codes) -> Floats:
        """Return log p of a block given those before it, shape (n,)."""
        node, child = self._nodes[block], codes[:, block]
        leaf = node.cart.find(self._inputs(codes, node.places))
        p = node.cart.prob(leaf, child, node.margin[child], self.config.smoothing)
        return np.asarray(np.log(p), dtype=np.float64)

    def _weigh(
        self, codes: Codes, given: set[int], last: int, particles: int, rng: np.random.Generator
    ) -> tuple[Codes, float]:
        """Draw the blocks before `last`, one proposal a row kept, and the effective numbers of proposals, summed."""
        drawn, weight = np.repeat(codes, particles, axis=0), np.zeros(len(codes) * particles)
        for block in range(last):
            if block in given:
                weight += self._log_prob(block, drawn)
            else:
                drawn[:, block] = self._draw(block, drawn, rng)
        heavy = weight.reshape(len(codes), particles)
        share = np.exp(heavy - heavy.max(axis=1, keepdims=True))
        heap = np.cumsum(share, axis=1)
        chosen = np.minimum((heap <= rng.random((len(codes), 1)) * heap[:, -1:]).sum(axis=1), particles - 1)
        effective = float((share.sum(axis=1) ** 2 / (share**2).sum(axis=1)).sum())
        return drawn[np.arange(len(codes)) * particles + chosen], effective


def _ranks(values: Codes | Floats) -> Floats:
    """Return middle ranks in (0, 1), shape (n,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(((np.cumsum(counts) - counts / 2) / len(values))[place], dtype=np.float64)


def _take(arrays: State, name: str, length: int | None = None) -> NDArray[np.generic]:
    """Return an array of a state, of a given length where there is one."""
    array = arrays.get(name)
    if array is None or (length is not None and array.shape != (length,)):
        got = "nothing" if array is None else f"shape {array.shape}"
        raise ValueError(f"sequential_trees: array {name!r} is {got}, wanted shape ({length or 'any'},)")
    return array
