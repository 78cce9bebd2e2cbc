"""Sequential trees over codes: each block given those before it, by one regression tree with its rows in the leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.cart import Cart, Codes, Floats
from models.core.places import among, by_target, of_classes, of_numbers, ranks
from tabular.layout import Layout

MOST_INPUTS = 64
COARSE_LEAF = 0.6
FINE_LEAF = 0.4
HALF = 0.5
CHUNK = 200_000


@dataclass(frozen=True)
class Node:
    """p of one column's block, or two, given the blocks before it.

    Attributes:
        places: Where the codes of each block before lie on a line, for the thresholds of the tree; shape (K,) each.
        margin: Share of each code in the training rows, smoothed by half a row, shape (K, F), F = 1 for one block.
        cart: The tree, over codes numbered row after row of the margin.
    """

    places: tuple[Floats, ...]
    margin: Floats
    cart: Cart


class SequentialTrees(GenerativeModel):
    r"""Autoregressive product over the code blocks, p(x) = ∏_i p(x_i | x_<i), each factor the leaves of one tree.

    A column's factor is a regression tree on the columns before it, in the order of the table; a number's coarse and
    fine block share one. It draws the code of a training row in the leaf, or with probability s / (n_leaf + s) of a row
    in the branch above (`models.core.cart`), at last of the margin. Splits explain more of a number than its mean: its
    rank, a wave of its rank, which sees spread, and its heavy values; and of a class the indicators of the most
    frequent ones, which is Gini's criterion. Splits that chance may have made are taken back.
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
            leaf: Fewest training rows in a leaf of classes: fewer are closer to the data, and to its rows. Leaves of
                numbers may hold three fifths of these, of numbers in cells of ten rows or more two fifths.
            worth: Rows' variance that a split must explain at least: more forgets what chance may have made.
            smoothing: s, the rows that the branch above a leaf is worth.
            particles: Proposals per row of a conditional draw; unused where the known blocks come first.
        """

        leaf: PositiveInt = 25
        worth: NonNegativeFloat = 4.0
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
        nodes: list[Node] = []
        for block in range(len(self._sizes)):
            seed = int(rng.integers(2**31))
            nodes.append(nodes[-1] if self._part(block) == "fine" else self._grow(block, codes, lines, seed))
            monitor.progress((block + 1) / len(self._sizes), f"grew tree {block + 1} of {len(self._sizes)}")
        self._nodes = tuple(nodes)
        self.notes = {
            "leaves": float(
                sum(len(node.cart.sizes) for block, node in enumerate(nodes) if self._part(block) != "fine")
            )
        }
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
            if self._part(block) == "fine":
                continue
            arrays[f"margin.{block}"] = node.margin.ravel()
            arrays[f"places.{block}"] = np.concatenate([np.zeros(0), *node.places])
            arrays |= {f"{name}.{block}": array for name, array in node.cart.state().items()}
        return arrays

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        nodes: list[Node] = []
        for block, size in enumerate(self._sizes):
            if self._part(block) == "fine":
                nodes.append(nodes[-1])
                continue
            ends = np.cumsum((0, *self._sizes[:block]))
            places = _take(arrays, f"places.{block}", int(ends[-1])).astype(np.float64)
            cart = {name: _take(arrays, f"{name}.{block}") for name in Cart.NAMES}
            span = size * self._fine(block)
            margin = _take(arrays, f"margin.{block}", span).astype(np.float64).reshape(size, -1)
            line = tuple(places[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True))
            nodes.append(Node(line, margin, Cart(cart, span)))
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

    def _fine(self, block: int) -> int:
        """Return how many codes of the fine block each code of this block has, 1 where there is none."""
        following = block + 1
        return self._sizes[following] if following < len(self._sizes) and self._part(following) == "fine" else 1

    def _grow(self, block: int, codes: Codes, lines: Sequence[Floats], seed: int) -> Node:
        """Grow the tree of a block, and of its fine one where there is one."""
        size, fine = self._sizes[block], self._fine(block)
        cell = codes[:, block] * fine + (codes[:, block + 1] if fine > 1 else 0)
        y = self._told(block, codes, lines)
        places = tuple(
            by_target(codes[:, j], self._sizes[j], y) if self._part(j) == "" else lines[j] for j in range(block)
        )
        counts = np.bincount(cell, minlength=size * fine).reshape(size, fine)
        margin = np.asarray((counts + HALF / counts.size) / (len(codes) + HALF), dtype=np.float64)
        sizes = counts.size, self._leaf(block), MOST_INPUTS
        cart = Cart.fit(self._inputs(codes, places), y, cell, sizes, seed, self.config.worth)
        return Node(places, margin, cart)

    def _leaf(self, block: int) -> int:
        """Return the fewest rows in a leaf of a block's tree."""
        share = 1.0 if self._part(block) == "" else COARSE_LEAF if self._fine(block) == 1 else FINE_LEAF
        return max(1, round(share * self.config.leaf))

    def _lines(self, codes: Codes) -> list[Floats]:
        """Return the place of each code on its own block's line, the same for all children."""
        lines: list[Floats] = []
        grades = np.column_stack([ranks(codes[:, block]) - HALF for block in range(len(self._sizes))])
        for block, size in enumerate(self._sizes):
            own = self.layout.blocks[block]
            others = [
                j
                for j, other in enumerate(self.layout.blocks)
                if other.column != own.column and self._part(j) != "fine"
            ]
            places = np.arange(size) if own.places is None else own.places
            lines.append(
                among(codes[:, block], np.asarray(places, dtype=np.float64), size, grades[:, others[:MOST_INPUTS]])
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
        child, fine = codes[:, block], self._fine(block)
        if self._part(block) == "":
            return of_classes(child, self._sizes[block])
        return of_numbers(child, lines[block][child] + (codes[:, block + 1] / fine if fine > 1 else 0.0))

    def _draw(self, block: int, codes: Codes, rng: np.random.Generator) -> Codes:
        """Draw a block, shape (n,), given those before it."""
        node = self._nodes[block]
        width = node.margin.shape[1]
        leaf = node.cart.find(self._inputs(codes, node.places))
        heap = np.concatenate([[0.0], np.cumsum(node.margin)])
        low, high, within = np.zeros(len(codes), dtype=np.int64), np.full(len(codes), node.margin.size - 1), None
        if self._part(block) == "fine":
            low = codes[:, block - 1] * width
            high = low + width - 1
            within = low, high, heap[high + 1] - heap[low]
        drawn = node.cart.draw(leaf, self.config.smoothing, rng, within)
        height = heap[low] + rng.random(len(codes)) * (heap[high + 1] - heap[low])
        cell = np.where(drawn < 0, np.clip(np.searchsorted(heap, height, side="right") - 1, low, high), drawn)
        return np.asarray(cell // width if within is None else cell % width, dtype=np.int64)

    def _log_prob(self, block: int, codes: Codes) -> Floats:
        """Return log p of a block given those before it, shape (n,)."""
        node, fine = self._nodes[block], self._part(block) == "fine"
        leaf = node.cart.find(self._inputs(codes, node.places))
        coarse, width = codes[:, block - fine], node.margin.shape[1]
        low, margin = coarse * width, node.margin.sum(axis=1)[coarse]
        p = node.cart.prob(leaf, low, low + width - 1, margin, self.config.smoothing)
        if fine:
            cell = low + codes[:, block]
            p = node.cart.prob(leaf, cell, cell, node.margin.ravel()[cell], self.config.smoothing) / p
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


def _take(arrays: State, name: str, length: int | None = None) -> NDArray[np.generic]:
    """Return an array of a state, of a given length where there is one."""
    array = arrays.get(name)
    if array is None or (length is not None and array.shape != (length,)):
        got = "nothing" if array is None else f"shape {array.shape}"
        raise ValueError(f"sequential_trees: array {name!r} is {got}, wanted shape ({length or 'any'},)")
    return array
