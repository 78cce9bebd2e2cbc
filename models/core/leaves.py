"""Trees whose leaves are products of columns: growing them, and their tables as one sparse mixture."""

import heapq

import numpy as np
from numpy.typing import NDArray

from models.core.backoff import SMOOTHING

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

BINS = 16
LEAF = -1


class Tree:
    """A binary tree over rows of groups, grown where a split makes its leaves' columns less dependent.

    Attributes:
        column: Column that each node looks at, `LEAF` for a leaf.
        most: Largest group that goes to the left.
        child: Left child of each node; the right one follows it.
    """

    def __init__(self, column: Codes, most: Codes, child: Codes) -> None:
        self.column, self.most, self.child = column, most, child

    def find(self, groups: Codes) -> Codes:
        """Return the node that is each row's leaf, shape (n,), of rows of groups, shape (n, d)."""
        node = np.zeros(len(groups), dtype=np.int64)
        inner = np.arange(len(groups))
        while len(inner := inner[self.column[node[inner]] != LEAF]):
            at = node[inner]
            node[inner] = self.child[at] + (groups[inner, self.column[at]] > self.most[at])
        return node

    def boxes(self, sizes: tuple[int, ...]) -> tuple[Codes, Codes]:
        """Return the first group of each column in each node, and one past the last, both of shape (N, d)."""
        low = np.zeros((len(self.column), len(sizes)), dtype=np.int64)
        high = np.tile(np.array(sizes, dtype=np.int64), (len(self.column), 1))
        for node in np.flatnonzero(self.column != LEAF):
            left, column, cut = self.child[node], self.column[node], self.most[node] + 1
            low[left : left + 2], high[left : left + 2] = low[node], high[node]
            high[left, column], low[left + 1, column] = cut, cut
        return low, high

    def parents(self) -> Codes:
        """Return the parent of each node, shape (N,); the root is its own."""
        parents = np.zeros(len(self.column), dtype=np.int64)
        inner = np.flatnonzero(self.column != LEAF)
        parents[self.child[inner]] = parents[self.child[inner] + 1] = inner
        return parents


class Grower:
    """Splits leaves where that raises the likelihood of the rows under independent columns most."""

    def __init__(self, groups: Codes, margins: list[Floats], tries: int) -> None:
        levels = [_levels(margin) for margin in margins]
        self.bins = np.array([level[groups[:, j]] for j, level in enumerate(levels)], dtype=np.int64)
        self.last = [np.searchsorted(level, np.arange(level[-1] + 1), side="right") - 1 for level in levels]
        self.ends = np.cumsum([0, *(len(last) for last in self.last)])
        self.owner = np.repeat(np.arange(len(levels)), np.diff(self.ends))
        self.hot = np.zeros((len(groups), self.ends[-1]), dtype=np.float32)
        for j, own in enumerate(self.bins):
            self.hot[np.arange(len(groups)), self.ends[j] + own] = 1.0
        self.tries = min(tries, len(levels))

    def best(self, rows: Codes, least: int, charge: float, rng: np.random.Generator) -> tuple[float, int, int]:
        """Return the gain, the column and the bin of the split that gains most after its charge; 0 if none does."""
        hot = self.hot[rows]
        total = hot.sum(axis=0)
        present = np.flatnonzero(total)
        hot, total, owner = hot[:, present], total[present], self.owner[present]
        best = (0.0, 0, 0)
        for j in rng.permutation(np.unique(owner[total < len(rows)]))[: self.tries]:
            own, other = np.flatnonzero(owner == j), np.flatnonzero((owner != j) & (total < len(rows)))
            size = np.cumsum(total[own])[:-1]
            fits = np.flatnonzero((size >= least) & (len(rows) - size >= least))
            if not len(fits) or not len(other):
                continue
            left = np.cumsum(hot[:, own].T @ hot[:, other], axis=0)[fits]
            size, columns = size[fits], len(np.unique(owner[other]))
            gain = (_xlogx(left) + _xlogx(total[other] - left)).sum(axis=1) - _xlogx(total[other]).sum()
            gain -= columns * (_xlogx(size) + _xlogx(len(rows) - size) - len(rows) * np.log(len(rows)))
            gain -= charge * (len(other) - columns)
            if gain.max() > best[0]:
                at = int(gain.argmax())
                best = (float(gain[at]), int(j), int(present[own[fits[at]]] - self.ends[j]))
        return best


class Growth:
    """A tree that grows at the leaf that gains most.

    Args:
        grower: Rows, and their best splits.
        least: Fewest rows of a leaf.
        charge: What a split must gain for each further probability that the leaves have, in nats.
        rng: Source of the columns tried at each leaf.
    """

    def __init__(self, grower: Grower, least: int, charge: float, rng: np.random.Generator) -> None:
        self.grower, self.least, self.charge = grower, least, charge
        self.column, self.most, self.child = [LEAF], [0], [0]
        self.waiting: list[tuple[float, int, int, int, Codes]] = []
        self.resting: dict[int, Codes] = {}
        self._offer(0, np.arange(len(grower.hot)), rng)

    def grow(self, leaves: int, rng: np.random.Generator) -> Tree:
        """Split until there are so many leaves, or no split gains."""
        while self.waiting and (len(self.column) + 1) // 2 < leaves:
            _, node, column, cut, rows = heapq.heappop(self.waiting)
            last = int(self.grower.last[column][cut])
            self.column[node], self.most[node], self.child[node] = column, last, len(self.column)
            left = self.grower.bins[column, rows] <= cut
            for part in (rows[left], rows[~left]):
                self.column.append(LEAF)
                self.most.append(0)
                self.child.append(0)
                self._offer(len(self.column) - 1, part, rng)
        return Tree(*(np.array(values, dtype=np.int64) for values in (self.column, self.most, self.child)))

    def reconsider(self, charge: float, rng: np.random.Generator) -> None:
        """Offer the leaves that no split gained anything in again, at another charge."""
        self.charge = charge
        for node, rows in list(self.resting.items()):
            self._offer(node, rows, rng)

    def _offer(self, node: int, rows: Codes, rng: np.random.Generator) -> None:
        """Find a leaf's best split, and let it wait for its turn."""
        if len(rows) < 2 * self.least:
            return
        self.resting[node] = rows
        gain, column, cut = self.grower.best(rows, self.least, self.charge, rng)
        if gain > 0:
            del self.resting[node]
            heapq.heappush(self.waiting, (-gain, node, column, cut, rows))


def product_tables(
    child: Codes, levels: list[Codes], boxes: list[tuple[Codes, Codes, Codes]], margin: Floats, strength: float
) -> Floats:
    r"""Return the probabilities of one column's groups in the leaves of a tree, shape (L, G).

    p_r(g | l) = [g in box] (n_r(l, g) + s p_{r-1}(g | above l) / mass in box) / (n_r(l) + s): each of the tree's stages
    is drawn towards the one before, the first towards the margin. As in `BackoffTable`, below the last stage a row
    counts for the share of it that backs off, so that the tree about keeps the column's margin.

    Args:
        child: Group of each row, shape (n,).
        levels: Leaf of each row, 0 .. L_r - 1, shape (n,), stage by stage.
        boxes: By stage: the leaf above each leaf, and the first and one past the last group in it, all of shape (L_r,).
        margin: Share of each group, shape (G,).
        strength: Rows that a leaf's table from above is worth.
    """
    size = len(margin)
    weight, kept = np.ones(len(child)), []
    for level, box in zip(levels[::-1], boxes[::-1], strict=True):
        counts = _counts(child, level, len(box[0]), size, weight)
        worth = strength * float(weight.mean())
        kept.append((counts, worth))
        weight = weight * worth / (counts.sum(axis=1)[level] + worth)
    rest = SMOOTHING * float(weight.mean())
    table = (np.bincount(child, weight, minlength=size) + rest * margin)[None] / (weight.sum() + rest)
    for (counts, worth), box in zip(kept[::-1], boxes, strict=True):
        prior = _inside(table, *box)
        table = (counts + worth * prior) / (counts.sum(axis=1, keepdims=True) + worth)
    whole: Floats = table / table.sum(axis=1, keepdims=True)
    return whole


def _inside(table: Floats, above: Codes, low: Codes, high: Codes) -> Floats:
    """Restrict each leaf's table from above, shape (L, G), to its box, and make it whole again."""
    group = np.arange(table.shape[1])
    inside = np.where((group >= low[:, None]) & (group < high[:, None]), table[above], 0.0)
    whole: Floats = inside / inside.sum(axis=1, keepdims=True)
    return whole


def _counts(child: Codes, level: Codes, leaves: int, size: int, weight: Floats | None) -> Floats:
    """Return the weighed rows of each leaf and group, shape (L, G)."""
    counts = np.bincount(level * size + child, weight, minlength=leaves * size)
    return counts.reshape(leaves, size).astype(np.float64)


def _levels(margin: Floats) -> Codes:
    """Return the bin of each group, shape (G,): one each where they are few, otherwise of about equal shares."""
    if len(margin) <= BINS:
        return np.arange(len(margin), dtype=np.int64)
    middle = np.cumsum(margin) - margin / 2
    bins: Codes = np.unique(np.floor(middle * BINS), return_inverse=True)[1].astype(np.int64)
    return bins


def _xlogx(counts: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return x log x of whole numbers."""
    product: NDArray[np.floating] = counts * np.log(np.maximum(counts, 1))
    return product
