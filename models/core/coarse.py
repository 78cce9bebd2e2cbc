"""Numbers in two parts: a class that says roughly where, and the place within the class, standard normal."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.core.blocks import Blocks
from models.core.waves import even
from tabular.layout import Block, Layout

MOST_ROWS = 20_000
CELLS, WORK = 1024, 2**18
OTHERS = 8
FAR = 100.0
CLIP = 1e-6


class Coarse(nn.Module):
    """A matrix with every real column in two parts: a one-hot block of intervals, and a place in the interval.

    Half of the cuts are where they tell most of the other columns, found as a tree would find them; the rest halve the
    fullest intervals. So a network learns what depends on what by cross-entropy, edges included, and only little is
    left to the places: within an interval they are standard normal where the column is. A number that means nothing
    lies in the first interval. With one interval there is no block: numbers stay whole.

    The idea of rough classes first, then places: Cascaded flow matching for heterogeneous tabular data (TabCascade),
    2026, arXiv:2601.22816.

    Attributes:
        layout: Where each block lies after `split`.
    """

    edges: Tensor

    def __init__(self, layout: Layout, intervals: int) -> None:
        super().__init__()
        self.source = Blocks(layout)
        self.intervals = intervals
        self.rough = intervals if intervals > 1 else 0
        placed: list[Block] = []
        moved: dict[int, int] = {}
        start = 0
        for block in layout.blocks:
            if block.kind == "real" and self.rough:
                rough = Block(
                    column=block.column,
                    part=f"{block.part} rough",
                    start=start,
                    stop=start + intervals,
                    kind="one_hot",
                    cardinality=intervals,
                )
                placed.append(rough)
                start = rough.stop
            placed.append(block.model_copy(update={"start": start, "stop": start + block.width}))
            moved |= {block.start + at: start + at for at in range(block.width)}
            start += block.width
        blocks = [
            block if block.when is None else block.model_copy(update={"when": moved[block.when]}) for block in placed
        ]
        self.layout = Layout(reads=layout.reads, blocks=tuple(blocks))
        self.target = Blocks(self.layout)
        self.copies = [moved[at] for at in self.source.hots.tolist()]
        self.register_buffer("edges", torch.full((len(self.source.reals), intervals - 1), FAR))

    def spans(self) -> list[tuple[int, Tensor]]:
        """Return of each split number its first interval among one-hot entries, from their end, and where all lie."""
        place = {entry: at for at, entry in enumerate(self.target.hots.tolist())}
        first = [place[real - self.rough] for real in self.target.reals.tolist()] if self.rough else []
        return [(at - len(place), even(self.rough)) for at in first]

    def fit(self, x: Tensor) -> None:
        """Choose the intervals of each number, given rows, shape (n, D)."""
        x = x[:: -(-len(x) // MOST_ROWS)]
        real, on = x[:, self.source.reals], self.source.on(x) > 0
        rough = [self._rough(real[:, at], on[:, at]) for at in range(real.shape[1])]
        for at in range(real.shape[1]):
            told = torch.cat([x[:, self.source.hots], *rough[:at], *rough[at + 1 :]], dim=1)[on[:, at]]
            cuts = _cuts(real[on[:, at], at], told, self.intervals)
            self.edges[at] = torch.cat([cuts, cuts.new_full((self.intervals - 1 - len(cuts),), FAR)])

    def split(self, x: Tensor) -> Tensor:
        """Split the numbers of rows, shape (n, D), to shape (n, D')."""
        real = x[:, self.source.reals].double()
        rank = torch.searchsorted(self.edges.double(), real.T.contiguous()).T
        rank = rank * (self.source.on(x) > 0)
        low, high = self._ends(rank)
        share = (torch.special.ndtr(real) - low) / (high - low).clamp(min=1e-12)
        place = torch.special.ndtri(share.clamp(CLIP, 1 - CLIP)).float() * self.source.on(x)
        out = torch.zeros(len(x), self.layout.width, device=x.device)
        out[:, self.copies] = x[:, self.source.hots]
        out[:, self.target.reals] = place
        for at, to in enumerate(self.target.reals.tolist() if self.rough else []):
            out.scatter_(1, to - self.rough + rank[:, at : at + 1], 1.0)
        return out

    def join(self, x: Tensor) -> Tensor:
        """Put the numbers of rows, shape (n, D'), together again, shape (n, D)."""
        places = self.target.reals.tolist()
        ranks = [x[:, to - self.rough : to].argmax(1) for to in places if self.rough]
        nothing = torch.zeros(len(x), len(places), dtype=torch.int64, device=x.device)
        rank = torch.stack(ranks, dim=1) if ranks else nothing
        low, high = self._ends(rank)
        share = low + (high - low) * torch.special.ndtr(x[:, self.target.reals].double())
        real = torch.special.ndtri(share.clamp(CLIP, 1 - CLIP)).float()
        return self.source.assemble(real, x[:, self.copies])

    def covers(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which entries of split rows are known, shape (D',), where those of a mask, shape (D,), are."""
        out = np.zeros(self.layout.width, dtype=bool)
        out[self.copies] = mask[self.source.hots.cpu().numpy()]
        for at, to in zip(self.source.reals.tolist(), self.target.reals.tolist(), strict=True):
            out[to - self.rough : to + 1] = mask[at]
        return out

    def _ends(self, rank: Tensor) -> tuple[Tensor, Tensor]:
        """Return the standard normal probabilities below an interval's two ends, shape (n, d) each."""
        edges = self.edges.double()
        infinite = edges.new_full((len(edges), 1), torch.inf)
        levels = torch.special.ndtr(torch.cat([-infinite, edges, infinite], dim=1))
        column = torch.arange(len(edges), device=rank.device)
        return levels[column, rank], levels[column, rank + 1]

    def _rough(self, number: Tensor, on: Tensor) -> Tensor:
        """Return a few equal shares of one number, as one-hot rows, shape (n, OTHERS); 0 where it means nothing."""
        kept = number[on]
        if not len(kept):
            return number.new_zeros(len(number), OTHERS)
        edges = kept.quantile(torch.linspace(0, 1, OTHERS + 1, device=number.device)[1:-1])
        rank = torch.searchsorted(edges, number.contiguous())
        return nn.functional.one_hot(rank, OTHERS) * on[:, None].float()


def _cuts(number: Tensor, told: Tensor, intervals: int) -> Tensor:
    """Return where to cut a number, ascending, at most intervals - 1 places, by what the cuts tell of one-hot rows.

    Args:
        number: The column, shape (n,).
        told: One-hot blocks of all other columns side by side, shape (n, W).
        intervals: How many there shall be, at most.
    """
    n, order = len(number), number.argsort(stable=True)
    ranks = torch.linspace(0, n, min(CELLS, 1 + WORK // (1 + told.shape[1]), n) + 1).round().long()
    counts = [part.sum(0) for part in told[order].split((ranks[1:] - ranks[:-1]).tolist())]
    sums = torch.stack([told.new_zeros(told.shape[1]), *counts]).double().cumsum(0)
    least = max(1, len(counts) // (8 * intervals))
    best = {(0, len(counts)): _best(sums, 0, len(counts), least)}
    while len(best) < intervals:
        (low, high), (gain, cut) = max(best.items(), key=lambda item: item[1][0])
        if gain <= told.shape[1] or len(best) > intervals // 2:
            low, high = max(best, key=lambda span: (span[1] - span[0], span))
            cut = (low + high) // 2
        if not low < cut < high:
            break
        del best[low, high]
        best |= {span: _best(sums, *span, least) for span in ((low, cut), (cut, high))}
    places = ranks[sorted(low for low, _ in best)[1:]].to(number.device)
    ascending = number[order]
    return (ascending[places - 1] + ascending[places]) / 2


def _best(sums: Tensor, low: int, high: int, least: int) -> tuple[float, int]:
    """Return the largest gain in log-likelihood of a cut between two cells, and the cut; -inf and `low` for none."""
    if high - low < 2 * least:
        return -math.inf, low
    inner = sums[low + least : high - least + 1]
    gain = _fit(inner - sums[low]) + _fit(sums[high] - inner) - _fit(sums[high] - sums[low])
    value, at = gain.max(0)
    return float(value), low + least + int(at)


def _fit(counts: Tensor) -> Tensor:
    """Return the log-likelihood of counts, shape (..., W), by their shares, but for what the number of blocks adds."""
    return torch.xlogy(counts, counts).sum(-1) - torch.xlogy(counts.sum(-1), counts.sum(-1))
