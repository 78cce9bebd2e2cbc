"""The network that diffusions, flows and scores share: a row under noise, at a noise level, to what is asked of it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.core.waves import Curves, smoothed

FREQUENCIES = 32
SLOWEST, FASTEST = 0.1, 100.0
OCTAVES = 5


class Denoiser(nn.Module):
    """A residual network that is told the noise level.

    The noise level goes in as sines and cosines of a geometric range of frequencies, added to the first layer; so do
    the numbers beside themselves, for a network sees sharp edges in them sooner so. Residual layers and the last one
    start at zero.

    Args:
        inputs: Width of the rows that go in.
        outputs: Width of what comes out.
        hidden: Width of the layers.
        depth: Residual layers.
        numbers: How many of the inputs, the first ones, are numbers of about unit scale.
        active: How many of the inputs are far from 0 in a row, None for all: one-hot entries then start as loud as
            numbers, and the network hears them at once.
        spans: Of each number in classes, its first one, counted from the end of inputs and outputs alike (negative),
            and where they lie, in (0, 1): what is read and said of neighbours starts alike (`models.core.waves`).
    """

    frequencies: Tensor
    waves: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: int,
        depth: int,
        numbers: int = 0,
        active: int | None = None,
        spans: Sequence[tuple[int, Tensor]] = (),
    ) -> None:
        super().__init__()
        self.numbers = numbers
        self.register_buffer("waves", math.pi / 4 * 2.0 ** torch.arange(OCTAVES), persistent=False)
        frequencies = torch.linspace(math.log(SLOWEST), math.log(FASTEST), FREQUENCIES).exp()
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.first = nn.Linear(inputs + 2 * OCTAVES * numbers, hidden)
        if active is not None:
            nn.init.normal_(self.first.weight, std=max(1, active) ** -0.5)
            nn.init.normal_(self.first.weight[:, inputs:], std=0.3 * max(1, active) ** -0.5)
        for start, places in spans:
            read = slice(inputs + start, inputs + start + len(places))
            with torch.no_grad():
                self.first.weight[:, read] = smoothed(self.first.weight[:, read].T, places).T
        self.layers = nn.ModuleList(_Layer(hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(hidden)
        self.last = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.curves = Curves(hidden, outputs, spans)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map rows, shape (n, i), at noise levels of about unit scale, shape (n,), to shape (n, o)."""
        angles = level[:, None] * self.frequencies
        turns = (x[:, : self.numbers, None] * self.waves).flatten(1)
        h = self.first(torch.cat([x, turns.sin(), turns.cos()], dim=1)) + self.level(
            torch.cat([angles.sin(), angles.cos()], dim=1)
        )
        for layer in self.layers:
            h = layer(h)
        h = nn.functional.silu(self.norm(h))
        out: Tensor = self.last(h) + self.curves(h)
        return out


class _Layer(nn.Module):
    """h + W₂ silu(W₁ norm(h))."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, hidden)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.outer(nn.functional.silu(self.inner(self.norm(h))))
        return out
