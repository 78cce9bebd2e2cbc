"""One regression tree whose leaves keep the codes of their rows: to draw from, and to count in."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models.core.base import State

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

WIDER = 8
LEAST = 1e-12


class Cart:
    r"""p(c | x) of a code c: counts in the leaf of x, backing off to a branch above the leaf.

    p(c | x) = (n_leaf(c) + s p_branch(c)) / (n_leaf + s), and likewise the branch backs off to the
    caller's margin. A branch is all leaves with the same smallest ancestor of eight times as many rows as a leaf must
    have. s is in rows.

    Breiman, Friedman, Olshen & Stone, Classification and regression trees, 1984.

    Attributes:
        feature: Input that each node looks at, -1 in a leaf, shape (m,).
        threshold: Rows at or below it go to the left, shape (m,).
        children: Left and right child of each node, shape (m, 2).
        codes: Codes of the training rows, leaf after leaf, rising within a leaf, shape (n,).
        sizes: Rows of each leaf, in the order of the nodes, shape (l,).
        branch: Branch of each leaf, shape (l,).
    """

    NAMES: ClassVar = ("feature", "threshold", "children", "codes", "sizes", "branch")

    def __init__(self, arrays: State, span: int) -> None:
        """Take the arrays that `state` returned, of codes 0 .. span - 1.

        Raises:
            ValueError: If their shapes do not fit one another.
        """
        nodes, leaves = len(arrays["feature"]), len(arrays["sizes"])
        wanted = {"feature": (nodes,), "threshold": (nodes,), "children": (nodes, 2), "sizes": (leaves,)}
        wanted |= {"branch": (leaves,), "codes": (int(arrays["sizes"].sum()),)}
        for name, shape in wanted.items():
            if arrays[name].shape != shape:
                raise ValueError(f"tree: array {name!r} has shape {arrays[name].shape}, wanted {shape}")
        self.feature = arrays["feature"].astype(np.int64)
        self.threshold = arrays["threshold"].astype(np.float32)
        self.children = arrays["children"].astype(np.int64)
        self.codes = arrays["codes"].astype(np.int64)
        self.sizes = arrays["sizes"].astype(np.int64)
        self.branch = arrays["branch"].astype(np.int64)
        self._span = span
        self._leaf = np.cumsum(self.feature < 0) - 1
        whole = np.bincount(self.branch, self.sizes).astype(np.int64)
        self._groups = [(np.arange(len(self.sizes)), self.sizes), (self.branch, whole)]
        self._starts = [np.cumsum(sizes) - sizes for _, sizes in self._groups]
        row = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self._keys = [np.sort(group[row] * span + self.codes) for group, _ in self._groups]

    @classmethod
    def fit(
        cls, x: NDArray[np.float32], y: Floats, codes: Codes, sizes: tuple[int, int, int], seed: int, worth: float = 0.0
    ) -> Self:
        """Grow a tree that explains y, shape (n, q), by inputs, shape (n, d), and lay codes in its leaves.

        Args:
            x: Inputs.
            y: What splits shall tell apart, one or more numbers a row.
            codes: Code of each row, shape (n,).
            sizes: Number of codes; fewest rows in a leaf; most inputs tried at a split, drawn at random.
            seed: Where that draw comes from.
            worth: Rows' variance that a split must explain at least.
        """
        span, leaf, tries = sizes
        from sklearn.tree import DecisionTreeRegressor

        if x.shape[1] == 0:
            x = np.zeros((len(codes), 1), dtype=np.float32)
        grown = DecisionTreeRegressor(
            min_samples_leaf=leaf, max_features=min(tries, x.shape[1]), random_state=seed
        ).fit(x, y)
        tree = grown.tree_
        left, right, rows = tree.children_left, tree.children_right, tree.n_node_samples
        inner, above = _pruned(left, right, rows, tree.impurity, worth)
        kept = above == np.arange(len(above))
        place = np.cumsum(kept) - 1
        left, right = (np.where(inner, place[child], -1)[kept] for child in (left, right))
        number = (np.cumsum(left < 0) - 1)[place[above[tree.apply(x)]]]
        arrays = {
            "feature": np.where(inner, tree.feature, -1)[kept],
            "threshold": tree.threshold[kept],
            "children": np.column_stack([left, right]),
            "codes": codes[np.lexsort((codes, number))],
            "sizes": np.bincount(number, minlength=int((left < 0).sum())),
            "branch": _branches(left, right, rows[kept], WIDER * leaf),
        }
        return cls(arrays, span)

    def state(self) -> State:
        """Return the arrays."""
        return {
            "feature": self.feature.astype(np.int32),
            "threshold": self.threshold,
            "children": self.children.astype(np.int32),
            "codes": self.codes.astype(np.int32),
            "sizes": self.sizes.astype(np.int32),
            "branch": self.branch.astype(np.int32),
        }

    def find(self, x: NDArray[np.float32]) -> Codes:
        """Return the leaf of each row, shape (n,)."""
        node = np.zeros(len(x), dtype=np.int64)
        moving = np.arange(len(x))
        while True:
            moving = moving[self.feature[node[moving]] >= 0]
            if not len(moving):
                return self._leaf[node]
            at = node[moving]
            right = x[moving, self.feature[at]] > self.threshold[at]
            node[moving] = self.children[at, right.astype(np.int64)]

    def draw(
        self, leaf: Codes, smoothing: float, rng: np.random.Generator, within: tuple[Codes, Codes, Floats] | None = None
    ) -> Codes:
        """Draw one code for each leaf, shape (n,); -1 where the margin is to decide.

        Rows of one leaf share out its codes: each is drawn as the density says, and all of them about as often.

        Args:
            leaf: Leaf of each row, shape (n,).
            smoothing: s.
            rng: Source of the draws.
            within: First and last code that may be drawn, and their probability in the margin, shape (n,) each;
                None for all codes.
        """
        code = np.full(len(leaf), -1, dtype=np.int64)
        height = _spread(leaf if within is None else leaf * self._span + within[0], rng)
        found, heap, weight = [], np.zeros(len(leaf)), np.ones(len(leaf))
        for (group, sizes), starts, key in zip(self._groups, self._starts, self._keys, strict=True):
            own = group[leaf]
            start, stop = (
                (starts[own], starts[own] + sizes[own]) if within is None else self._ends(key, own, *within[:2])
            )
            each = weight / (sizes[own] + smoothing)
            found.append((start, stop, heap, each))
            heap = heap + each * (stop - start)
            weight = each * smoothing
        height *= heap + weight * (1.0 if within is None else within[2])
        for (start, stop, below, each), key in zip(found, self._keys, strict=True):
            taken = (code < 0) & (height < below + each * (stop - start))
            at = start + np.minimum((np.maximum(height - below, 0) / each).astype(np.int64), stop - start - 1)
            code[taken] = key[at[taken]] % self._span
        return code

    def prob(self, leaf: Codes, low: Codes, high: Codes, margin: Floats, smoothing: float) -> Floats:
        """Return the probability of codes low .. high in each row's leaf, shape (n,), given that of the margin."""
        p = margin
        for (group, sizes), key in zip(reversed(self._groups), reversed(self._keys), strict=True):
            own = group[leaf]
            start, stop = self._ends(key, own, low, high)
            p = (stop - start + smoothing * p) / (sizes[own] + smoothing)
        return p

    def _ends(self, key: Codes, own: Codes, low: Codes, high: Codes) -> tuple[Codes, Codes]:
        """Return where the codes low .. high of each row's group begin and end among the keys, both of shape (n,)."""
        first, last = own * self._span + low, own * self._span + high
        return np.searchsorted(key, first), np.searchsorted(key, last, side="right")


def _spread(group: Codes, rng: np.random.Generator) -> Floats:
    """Draw a number in [0, 1) for each row, shape (n,): evenly spread among the rows of a group, in random order."""
    order = np.lexsort((rng.random(len(group)), group))
    own = group[order]
    start, stop = np.searchsorted(own, own), np.searchsorted(own, own, side="right")
    height = np.empty(len(group))
    height[order] = (np.arange(len(group)) - start + rng.random(len(group))) / (stop - start)
    return height


def _pruned(left: Codes, right: Codes, rows: Codes, impurity: Floats, least: float) -> tuple[NDArray[np.bool_], Codes]:
    """Return which nodes still split, and the node that each falls into where those above it do not, shape (m,) each.

    A node splits if its split, or one below it, explains a share of the variance that is worth `least` rows of it:
    less is what the best of many splits explains of noise.
    """
    inner, worth = left >= 0, np.zeros(len(left))
    parts = rows[left] * impurity[left] + rows[right] * impurity[right]
    worth[inner] = (rows - parts / np.maximum(impurity, LEAST))[inner]
    most, up = worth.tolist(), np.arange(len(left)).tolist()
    nodes = [(int(node), int(left[node]), int(right[node])) for node in np.flatnonzero(inner)]
    for node, one, other in reversed(nodes):  # children have higher numbers than their parents
        most[node] = max(most[node], most[one], most[other])
    inner &= np.array(most) >= least
    for node, one, other in nodes:
        if not inner[node] or up[node] != node:
            up[one] = up[other] = up[node]
    return inner, np.array(up, dtype=np.int64)


def _branches(left: Codes, right: Codes, rows: Codes, most: int) -> Codes:
    """Number the branch of each leaf, from 0: leaves with the same smallest ancestor of `most` rows are one branch."""
    parent = np.full(len(left), -1, dtype=np.int64)
    inner = np.flatnonzero(left >= 0)
    parent[left[inner]] = parent[right[inner]] = inner
    top = np.flatnonzero(left < 0)
    while True:
        up = (rows[top] < most) & (parent[top] >= 0)
        if not up.any():
            break
        top = np.where(up, parent[top], top)
    return np.unique(top, return_inverse=True)[1].astype(np.int64)
