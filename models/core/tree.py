"""A tree of the strongest dependences over blocks of classes: density, draws, and the change of every single class."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.core.backoff import BackoffTable
from models.core.choices import choose

LEAST_ROWS = 5_000
PAIR_WORK = 60_000_000
NEVER = -1e4
BARRED = -1e6

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


class Tree(nn.Module):
    """q(v) = Π_b q(v_b | v_parent(b)) over B blocks of classes, W in all.

    The parents are the spanning forest of largest mutual information, corrected for its bias; tables back off to the
    margin. Chow & Liu, Approximating discrete probability distributions with dependence trees, 1968,
    doi:10.1109/TIT.1968.1054142.

    Attributes:
        parent: Parent of each block, itself where it has none, shape (B,).
        order: Blocks, parents first, shape (B,).
        table: log q of each class by the class of the block's parent, shape (largest block, W).
    """

    starts: Tensor
    owner: Tensor
    parent: Tensor
    order: Tensor
    table: Tensor

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes = sizes
        owner = [block for block, size in enumerate(sizes) for _ in range(size)]
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]], dtype=torch.int64).cumsum(0), False)
        self.register_buffer("owner", torch.tensor(owner, dtype=torch.int64), False)
        self.register_buffer("parent", torch.arange(len(sizes)))
        self.register_buffer("order", torch.arange(len(sizes)))
        self.register_buffer("table", torch.zeros(max(sizes), sum(sizes)))

    def fit(self, codes: Codes, possible: NDArray[np.bool_], edges: bool, rng: np.random.Generator) -> None:
        """Learn parents and tables of rows of classes, shape (n, B).

        Args:
            codes: Rows of classes.
            possible: Which classes there are, shape (W,).
            edges: Whether blocks may have parents; without, all are independent.
            rng: Source of the rows that pairs are counted on.
        """
        budget = max(LEAST_ROWS, PAIR_WORK // len(self.sizes) ** 2)
        some = codes if len(codes) <= budget else codes[np.sort(rng.choice(len(codes), budget, replace=False))]
        parents, order = _forest(_information(some, self.sizes)) if edges else (self.parent.tolist(), None)
        self.parent.copy_(torch.tensor(parents))
        self.order.copy_(torch.tensor(order if order is not None else parents))
        for block, (above, size) in enumerate(zip(parents, self.sizes, strict=True)):
            ends = slice(int(self.starts[block]), int(self.starts[block]) + size)
            chances = _chances(codes[:, block], codes[:, above] if above != block else None, size, self.sizes[above])
            chances = np.where(possible[ends], chances, 0)
            chances /= chances.sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore"):
                self.table[: len(chances), ends] = torch.from_numpy(np.maximum(np.log(chances), NEVER)).float()

    def log_prob(self, codes: Tensor) -> Tensor:
        """Return log q, shape (n,), of rows of classes, shape (n, B)."""
        return self.table[self._above(codes), codes + self.starts].double().sum(1)

    def draw(self, n: int, generator: torch.Generator, barred: Tensor | None = None) -> Tensor:
        """Draw n rows of classes, shape (n, B), parents first, each block among those not barred, shape (n, W)."""
        codes = torch.zeros(n, len(self.sizes), dtype=torch.int64, device=self.table.device)
        first = torch.zeros(1, dtype=torch.int64, device=self.table.device)
        for block in self.order.tolist():
            start, size, above = int(self.starts[block]), self.sizes[block], int(self.parent[block])
            row = codes[:, above] if above != block else torch.zeros_like(codes[:, 0])
            logits = self.table[:, start : start + size][row]
            if barred is not None:
                logits = logits.masked_fill(barred[:, start : start + size], BARRED)
            codes[:, block] = choose(logits, [size], first, generator)[:, 0]
        return codes

    def weigh(self, codes: Tensor, barred: Tensor) -> Tensor:
        """Return log q - log of the density of `draw`, shape (n,), at rows of classes that are not barred."""
        everywhere = torch.arange(len(self.owner), device=codes.device)
        free = self.table[self._above(codes)[:, self.owner], everywhere].masked_fill(barred, BARRED)
        return torch.stack([part.logsumexp(1) for part in free.split(self.sizes, dim=1)], dim=1).double().sum(1)

    def scores(self, codes: Tensor) -> Tensor:
        """Return log q but for a constant, with each class in its block's place, all else as it is: shape (n, W)."""
        everywhere = torch.arange(len(self.owner), device=codes.device)
        total = self.table[self._above(codes)[:, self.owner], everywhere]
        for block in range(len(self.sizes)):
            above = int(self.parent[block])
            if above != block:
                start, size = int(self.starts[above]), self.sizes[above]
                seen = self.table[:size, int(self.starts[block]) + codes[:, block]]
                total[:, start : start + size] += seen.T
        return total

    def _above(self, codes: Tensor) -> Tensor:
        """Return the class of each block's parent, 0 where there is none, shape (n, B)."""
        root = self.parent == torch.arange(len(self.sizes), device=codes.device)
        return codes[:, self.parent].masked_fill(root, 0)


def _chances(child: Codes, parent: Codes | None, size: int, above: int) -> Floats:
    """Return the chance of each class by the parent's class, shape (classes of the parent, size)."""
    if parent is None:
        table = BackoffTable.fit(child, np.zeros((len(child), 0), dtype=np.int64), size, ())
        chances: Floats = table.base[None].copy()
        return chances
    table = BackoffTable.fit(child, parent[:, None], size, (above,))
    rows, columns = (grid.ravel() for grid in np.indices((above, size)))
    return table.prob(columns, rows[:, None]).reshape(above, size)


def _information(codes: Codes, sizes: list[int]) -> Floats:
    """Return the mutual information of each pair of blocks, in nats, less its expected bias, shape (B, B)."""
    n = len(codes)
    counts = [np.bincount(codes[:, block], minlength=size) for block, size in enumerate(sizes)]
    single = [_log_sum(count) for count in counts]
    gains = np.zeros((len(sizes), len(sizes)))
    for one in range(len(sizes)):
        for two in range(one):
            pair = np.bincount(codes[:, one] * sizes[two] + codes[:, two], minlength=sizes[one] * sizes[two])
            cells = [int((count > 0).sum()) for count in (pair, counts[one], counts[two])]
            bias = (cells[0] - cells[1] - cells[2] + 1) / (2 * n)
            gain = np.log(n) + (_log_sum(pair) - single[one] - single[two]) / n - bias
            gains[one, two] = gains[two, one] = gain
    return gains


def _log_sum(counts: NDArray[np.int64]) -> float:
    """Return Σ c log c."""
    seen = counts[counts > 0].astype(np.float64)
    return float((seen * np.log(seen)).sum())


def _forest(gains: Floats) -> tuple[list[int], list[int]]:
    """Return the parents and an order, parents first, of the spanning forest of largest positive gains."""
    count = len(gains)
    parents, order = list(range(count)), []
    best, via = np.zeros(count), np.arange(count)
    outside = np.ones(count, dtype=bool)
    for _ in range(count):
        node = int(np.argmax(np.where(outside, best if best[outside].max() > 0 else gains.sum(axis=1), -np.inf)))
        parents[node] = int(via[node])
        order.append(node)
        outside[node] = False
        better = outside & (gains[node] > best)
        best[better], via[better] = gains[node][better], node
    return parents, order
