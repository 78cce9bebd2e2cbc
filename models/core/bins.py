"""Rows of real and one-hot blocks as rows of classes: numbers by bins that are cut where the other columns change."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tabular.layout import Block, Layout

FINE = 512
COARSE = 8
ROWS_A_BIN = 30
ROWS_A_FINE_BIN = 10
MOST_ROWS = 20_000
NEVER = -1e4

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """One block of classes: a one-hot block, a number, or both, where the number means something in one state alone."""

    hot: Block | None
    real: Block | None
    states: tuple[int, ...]


class Bins(nn.Module):
    """Classes of each row, B of them, W in all, and a density inside each bin of a number.

    A number stands for its bin; inside it, it is normal with the column's mean and spread, cut at the bin's edges. The
    state that turns a number on makes way for its bins, so that state and number are one block of classes. Bins are
    merged from finer ones of equal share, those first whose rows differ least in all other columns, in nats.

    Attributes:
        sizes: Classes of each block.
        starts: Where each block's entries start, shape (B,).
        owner: Block of each matrix column, shape (D,).
        reals: Matrix columns of the numbers, shape (d,).
        edges: Upper edges of all but the last bin of each number, rising, shape (d, most - 1).
        used: Number of bins of each number, shape (d,); the rest are never taken.
        centre: Mean of each number, shape (d,).
        spread: Standard deviation of each number, shape (d,).
    """

    starts: Tensor
    owner: Tensor
    reals: Tensor
    edges: Tensor
    used: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, layout: Layout, most: int) -> None:
        super().__init__()
        wrong = [block.column for block in layout.blocks if block.kind == "code"]
        if wrong:
            raise ValueError(f"got blocks of codes ({', '.join(map(repr, wrong[:3]))}), wanted real and one_hot only")
        self.width, self.most = layout.width, most
        self.parts = _parts(layout)
        self.sizes = [len(part.states) + (most if part.real else 0) for part in self.parts]
        self.numbers = [place for place, part in enumerate(self.parts) if part.real]
        count, owner = len(self.numbers), torch.zeros(layout.width, dtype=torch.int64)
        for place, part in enumerate(self.parts):
            for block in (part.hot, part.real):
                owner[_span(block)] = place
        reals = [part.real.start for part in self.parts if part.real]
        self.register_buffer("reals", torch.tensor(reals, dtype=torch.int64), False)
        self.register_buffer("owner", owner, False)
        self.register_buffer("starts", torch.tensor([0, *self.sizes[:-1]], dtype=torch.int64).cumsum(0), False)
        self.register_buffer("edges", torch.zeros(count, most - 1, dtype=torch.float64))
        self.register_buffer("used", torch.ones(count, dtype=torch.int64))
        self.register_buffer("centre", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(count, dtype=torch.float64))

    def fit(self, x: Tensor) -> None:
        """Cut the bins by training rows, shape (n, D)."""
        rows = x[:: max(1, len(x) // MOST_ROWS)].cpu().numpy()
        coarse = [_coarse(part, rows) for part in self.parts]
        for index, place in enumerate(self.numbers):
            part = self.parts[place]
            on = _on(part, rows)
            values = rows[on, _start(part.real)].astype(np.float64)
            if not len(values):
                continue
            others = [codes[on] for other, codes in enumerate(coarse) if other != place]
            edges = _cut(values, others, self.most)
            self.used[index] = len(edges) + 1
            self.edges[index] = torch.from_numpy(np.append(edges, np.full(self.most - 1 - len(edges), np.inf)))
            self.centre[index] = float(values.mean())
            self.spread[index] = max(float(values.std()), 1e-3)

    def classes(self, x: Tensor) -> Tensor:
        """Return the classes of rows, shape (n, B), of rows, shape (n, D)."""
        found, index = [], 0
        for part in self.parts:
            code = torch.zeros(len(x), dtype=torch.int64, device=x.device)
            if part.hot is not None:
                code = self._state(part, x[:, part.hot.start : part.hot.stop].argmax(1))
            if part.real is not None:
                values = x[:, part.real.start].double().contiguous()
                binned = torch.searchsorted(self.edges[index], values)
                code = torch.where(code == 0, binned, code + self.most - 1) if part.hot is not None else binned
                index += 1
            found.append(code)
        return torch.stack(found, dim=1)

    def log_inside(self, x: Tensor) -> Tensor:
        """Return log p(numbers | bins) in nats, shape (n,), of rows, shape (n, D)."""
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        codes = self.classes(x)
        for index, place in enumerate(self.numbers):
            real = self.parts[place].real
            low, high, on = self._levels(codes[:, place], index)
            z = (x[:, _start(real)].double() - self.centre[index]) / self.spread[index]
            width = (high - low).clamp(min=1e-12).log() + self.spread[index].log()
            total += torch.where(on, -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - width, 0.0)
        return total

    def rows(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, shape (n, D), of classes, shape (n, B)."""
        x = torch.zeros(len(codes), self.width, device=codes.device)
        index = 0
        for place, part in enumerate(self.parts):
            code = codes[:, place]
            if part.hot is not None:
                states = torch.tensor(part.states, device=codes.device)
                shift = self.most if part.real is not None else 0
                state = states[(code - shift).clamp(min=0)] if len(states) else torch.zeros_like(code)
                if part.real is not None:
                    state = torch.where(code < shift, _turn(part), state)
                x[torch.arange(len(x), device=x.device), part.hot.start + state] = 1.0
            if part.real is not None:
                low, high, on = self._levels(code, index)
                noise = torch.rand(len(x), generator=generator, device=x.device, dtype=torch.float64)
                level = (low + (high - low) * noise).clamp(1e-9, 1 - 1e-9)
                value = self.centre[index] + self.spread[index] * torch.special.ndtri(level)
                x[:, part.real.start] = torch.where(on, value, 0.0).float()
                index += 1
        return x

    def on(self, codes: Tensor) -> Tensor:
        """Return whether each number means something, shape (n, d), in rows of classes, shape (n, B)."""
        return codes[:, self.numbers] < self.most

    def hot(self, codes: Tensor) -> Tensor:
        """Return classes, shape (n, B), as one-hot entries, shape (n, W)."""
        x = torch.zeros(len(codes), sum(self.sizes), device=codes.device)
        return x.scatter_(1, codes + self.starts, 1.0)

    def log_frequencies(self, codes: Tensor) -> Tensor:
        """Return the log share of each class, shape (W,), half a row added where a class may be, of (n, B) classes."""
        parts = []
        for place, possible in enumerate(self.possible().split(self.sizes)):
            counts = (torch.bincount(codes[:, place], minlength=len(possible)).float() + 0.5) * possible
            parts.append((counts / counts.sum()).log().clamp(min=NEVER))
        return torch.cat(parts)

    def possible(self) -> Tensor:
        """Return which classes there are, shape (W,): all but the bins that no number has."""
        free = torch.ones(sum(self.sizes), dtype=torch.bool, device=self.starts.device)
        for place, used in zip(self.numbers, self.used.tolist(), strict=True):
            start = int(self.starts[place])
            free[start + used : start + self.most] = False
        return free

    def allowed(self, known: Tensor, mask: NDArray[np.bool_]) -> Tensor:
        """Return which classes fit what is known, shape (n, W), of rows, shape (n, D), known under the mask, (D,)."""
        codes, fits, index = self.classes(known), [], 0
        for place, (part, size) in enumerate(zip(self.parts, self.sizes, strict=True)):
            fit = torch.ones(len(known), size, dtype=torch.bool, device=known.device)
            own = torch.arange(size, device=known.device) == codes[:, place, None]
            hot = part.hot is not None and bool(mask[part.hot.start])
            real = part.real is not None and bool(mask[part.real.start])
            if part.real is not None:
                binned = torch.searchsorted(self.edges[index], known[:, part.real.start].double().contiguous())
                own_bin = torch.arange(self.most, device=known.device) == binned[:, None]
                index += 1
                if real and not hot:
                    fit[:, : self.most] = own_bin
                    fit[:, self.most :] = (known[:, part.real.start] == 0)[:, None]
            if hot and (real or part.real is None):
                fit = own
            elif hot:
                on = codes[:, place] < self.most
                fit = torch.where(on[:, None], fit & (torch.arange(size, device=known.device) < self.most), own)
            fits.append(fit)
        return torch.cat(fits, dim=1) & self.possible()

    def _levels(self, code: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normal levels of the edges of each row's bin, and whether it is in one, each of shape (n,)."""
        end = torch.full((1,), torch.inf, dtype=torch.float64, device=code.device)
        edges = torch.cat([-end, self.edges[index], end])
        levels = torch.special.ndtr((edges - self.centre[index]) / self.spread[index])
        on = code < self.most
        place = code.clamp(max=self.most - 1)
        return levels[place], levels[place + 1], on

    def _state(self, part: _Part, state: Tensor) -> Tensor:
        """Return the class of each state, shape (n,): itself, or, beside a number, 0 for on and then the others."""
        if part.real is None:
            return state
        rank = torch.zeros(len(part.states) + 1, dtype=torch.int64, device=state.device)
        rank[list(part.states)] = torch.arange(1, len(part.states) + 1, device=state.device)
        return rank[state]


def _parts(layout: Layout) -> list[_Part]:
    """Return the blocks of classes: a number and the state that turns it on are one."""
    turned = {block.when: block for block in layout.blocks if block.kind == "real" and block.when is not None}
    parts: list[_Part] = []
    joined: set[int] = set()
    for block in layout.blocks:
        if block.kind == "one_hot":
            own = [turned[at] for at in range(block.start, block.stop) if at in turned]
            if len(own) > 1:
                raise ValueError(f"column {block.column!r}: got {len(own)} numbers of one block of states, wanted one")
            real = own[0] if own else None
            states = tuple(at for at in range(block.cardinality) if real is None or block.start + at != real.when)
            parts.append(_Part(block, real, states))
            joined.update(part.start for part in own)
    alone = [_Part(None, block, ()) for block in layout.blocks if block.kind == "real" and block.start not in joined]
    return sorted([*parts, *alone], key=lambda part: _start(part.hot or part.real))


def _start(block: Block | None) -> int:
    return -1 if block is None else block.start


def _span(block: Block | None) -> slice:
    return slice(0, 0) if block is None else slice(block.start, block.stop)


def _turn(part: _Part) -> int:
    """Return the state that turns the number on, counted from 0."""
    return 0 if part.hot is None or part.real is None or part.real.when is None else part.real.when - part.hot.start


def _on(part: _Part, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    if part.hot is None:
        return np.ones(len(rows), dtype=bool)
    return np.asarray(rows[:, part.hot.start + _turn(part)] == 1)


def _coarse(part: _Part, rows: NDArray[np.float32]) -> Codes:
    """Return a block of each row as few classes, shape (n,): states, and a number by bins of equal share."""
    state = np.zeros(len(rows), dtype=np.int64)
    if part.hot is not None:
        state = rows[:, part.hot.start : part.hot.stop].argmax(axis=1).astype(np.int64)
    if part.real is None:
        return state
    on, values = _on(part, rows), rows[:, part.real.start]
    cuts = np.quantile(values[on], np.arange(1, COARSE) / COARSE) if on.any() else np.zeros(0)
    return np.where(on, np.searchsorted(cuts, values), COARSE + state)


def _cut(values: Floats, others: list[Codes], most: int) -> Floats:
    """Return the upper edges of all but the last bin, rising, of values, shape (n,), given the other columns."""
    wanted = int(np.clip(len(values) // ROWS_A_BIN, min(4, most), most))
    fine = int(np.clip(len(values) // ROWS_A_FINE_BIN, wanted, FINE))
    # Between values rather than on them, so that single precision does not move a value over an edge.
    cuts = np.unique(np.quantile(values, np.arange(1, fine) / fine, method="midpoint"))
    cuts = cuts[(cuts >= values.min()) & (cuts < values.max())]
    code = np.searchsorted(cuts, values)
    tables = [
        np.bincount(code * (other.max() + 1) + other, minlength=(len(cuts) + 1) * (other.max() + 1)).reshape(
            len(cuts) + 1, -1
        )
        for other in others
    ]
    counts = np.hstack([np.bincount(code, minlength=len(cuts) + 1)[:, None], *tables]).astype(np.float64)
    return np.asarray(cuts[_merged(counts, len(others), wanted)])


def _merged(counts: Floats, tables: int, wanted: int) -> list[int]:
    """Return which of the inner cuts stay, when neighbours merge that lose least, of counts, shape (bins, 1 + W)."""
    rows = list(counts)
    score = [_information(row, tables) for row in rows]
    losses = [score[i] + score[i + 1] - _information(rows[i] + rows[i + 1], tables) for i in range(len(rows) - 1)]
    kept = list(range(len(losses)))
    while len(rows) > wanted:
        at = int(np.argmin(losses))
        rows[at : at + 2] = [rows[at] + rows[at + 1]]
        score[at : at + 2] = [_information(rows[at], tables)]
        del kept[at], losses[at]
        for side in (at - 1, at):
            if 0 <= side < len(losses):
                losses[side] = score[side] + score[side + 1] - _information(rows[side] + rows[side + 1], tables)
    return kept


def _information(row: Floats, tables: int) -> float:
    """Return Σ c log (c / n) of one bin's counts over all other columns; the first entry is n."""
    seen = row[1:][row[1:] > 0]
    return float((seen * np.log(seen)).sum() - tables * row[0] * np.log(max(row[0], 1.0)))
