"""The network that diffusions, flows and scores share: a row under noise, at a noise level, to what is asked of it."""

import math

import torch
from torch import Tensor, nn

FREQUENCIES = 32
SLOWEST, FASTEST = 0.1, 100.0


class Denoiser(nn.Module):
    """A residual network whose layers are scaled and shifted by the noise level.

    The noise level goes in as sines and cosines of a geometric range of frequencies. The last layer starts at zero.

    Layers normalised, scaled and shifted by a condition: Peebles & Xie, Scalable Diffusion Models with Transformers,
    2022, arXiv:2212.09748.

    Args:
        inputs: Width of the rows that go in.
        outputs: Width of what comes out.
        hidden: Width of the layers.
        depth: Residual layers.
        levels: Noise levels a row, of about unit scale each.
    """

    frequencies: Tensor

    def __init__(self, inputs: int, outputs: int, hidden: int, depth: int, levels: int = 1) -> None:
        super().__init__()
        range_ = torch.linspace(math.log(SLOWEST), math.log(FASTEST), FREQUENCIES).exp()
        self.register_buffer("frequencies", range_, persistent=False)
        self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES * levels, hidden), nn.SiLU())
        self.first = nn.Linear(inputs, hidden)
        self.layers = nn.ModuleList(_Layer(hidden) for _ in range(depth))
        self.last = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map rows, shape (n, i), at noise levels, shape (n,) or (n, l), to shape (n, o)."""
        angles = level.reshape(len(x), -1, 1) * self.frequencies
        condition = self.level(torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1))
        h = self.first(x)
        for layer in self.layers:
            h = layer(h, condition)
        out: Tensor = self.last(nn.functional.silu(h))
        return out


class _Layer(nn.Module):
    """h + W₂ silu(W₁ (norm(h) · (1 + scale) + shift)), scale and shift from the condition."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden, elementwise_affine=False)
        self.modulation = nn.Linear(hidden, 2 * hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.outer = nn.Linear(hidden, hidden)
        for layer in (self.modulation, self.outer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).chunk(2, dim=1)
        inner = self.inner(self.norm(h) * (1 + scale) + shift)
        out: Tensor = h + self.outer(nn.functional.silu(inner))
        return out
