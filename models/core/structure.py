"""Structure learning of a Bayesian network: a tree of the strongest dependences, then further parents."""

from collections.abc import Sequence

import numpy as np

from models.core.backoff import Codes, Floats, margin_left_out, refine
from models.core.base import Monitor
from models.core.digits import Digits

CANDIDATES = 24
NOISE = 3.0


class Search:
    """Structure learning on digits, shape (n, nodes).

    Args:
        codes: The digits.
        digits: Which of them belong together.
        monitor: Progress.
    """

    def __init__(self, codes: Codes, digits: Digits, monitor: Monitor) -> None:
        self.codes, self.digits, self.sizes, self.monitor = codes, digits, digits.sizes, monitor
        self.margins = [margin_left_out(codes[:, node], size) for node, size in enumerate(self.sizes)]
        self.gains = np.zeros((len(self.sizes), len(self.sizes)))

    def tree(self) -> list[list[int]]:
        """Return each digit's first parent: Prim's spanning tree over the gains of both directions, of columns' first.

        A low digit's is its high one; any other further digit's is that of its own column that says most of it.
        """
        nodes = len(self.sizes)
        for i in range(nodes):
            for j in range(i):
                self.gains[i, j] = self.gain(self.margins[i], i, [j])
                self.gains[j, i] = self.gain(self.margins[j], j, [i])
            self.monitor.progress(0.5 * (i + 1) / nodes, "measured the dependence of pairs")
        column, high = self.digits.columns, self.digits.high
        own = [[other for other in range(node) if column[other] == column[node]] for node in range(nodes)]
        own = [[high[node]] if high[node] >= 0 else others for node, others in enumerate(own)]
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
        """Return the nats that the last of the parents adds to left-out predictions, shape (n,)."""
        return float(np.log(self.refined(predicted, node, parents) / predicted).sum())

    def refined(self, predicted: Floats, node: int, parents: list[int]) -> Floats:
        """Put the last of the parents on left-out predictions, shape (n,)."""
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


def rising(parents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the blocks, parents before children."""
    order: list[int] = []
    while len(order) < len(parents):
        ready = [node for node in range(len(parents)) if node not in order and set(parents[node]) <= set(order)]
        if not ready:
            raise ValueError("bayesian_network: the parents form a cycle")
        order += ready
    return tuple(order)
