"""Variational flow matching: straight paths from noise to rows, by a network that guesses where each path ends."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from models.core.blocks import Blocks
from models.core.denoiser import Denoiser
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from tabular.layout import Reads

LATEST = 0.999


class FlowMatching(NeuralModel):
    r"""Follows dx/dt = (E[x₁ | x_t] - x_t) / (1 - t) from x₀ ~ N(0, I) at t = 0 to a row x₁ at t = 1.

    Trained on straight paths x_t = (1 - t) x₀ + t x₁. The network gives the mean of each number's end (squared error,
    preconditioned for unit variance) and a softmax over each category's (cross-entropy over the category's entropy);
    a one-hot block moves towards its softmax. Rows are drawn by Heun's method, and each category by its softmax at the
    end. There is no density: a path of one-hot entries ends in a corner, where volume is lost.

    Eijkelboom, Bartosh, Naesseth, Welling & van de Meent, Variational flow matching for graph generation, 2024,
    arXiv:2406.04843.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the network, and how rows are drawn.

        Attributes:
            hidden: Width of the layers.
            depth: Residual layers.
            steps: Steps of Heun's method, two calls of the network each.
            spread: Standard deviation of the noise that one-hot entries start from.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=100, patience=100, validation=0.02, batch_size=512, learning_rate=2e-3, ema=0.998
        )
        hidden: PositiveInt = 256
        depth: PositiveInt = 4
        steps: Annotated[int, Field(ge=2)] = 50
        spread: Annotated[float, Field(gt=0)] = 1.0

    config: Config
    frequencies: Tensor
    entropy: Tensor

    def build(self) -> None:
        """Make the network."""
        self.blocks = Blocks(self.layout)
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots)
        self.network = Denoiser(numbers + entries, numbers + entries, self.config.hidden, self.config.depth)
        self.register_buffer("frequencies", torch.zeros(entries))
        self.register_buffer("entropy", torch.ones(len(self.blocks.sizes)))

    def prepare(self, x: Tensor) -> None:
        """Start from independent categories, and measure how much there is to tell of each."""
        self.frequencies = self.blocks.log_frequencies(x[:, self.blocks.hots])
        terms = -self.frequencies * self.frequencies.exp()
        self.entropy = torch.zeros_like(self.entropy).index_add(0, self.blocks.owner, terms).clamp(min=0.05)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a row over its columns."""
        n = len(x)
        # One stratified draw of t a row keeps the loss quiet.
        t = (torch.arange(n, device=x.device) + torch.rand(n, generator=generator, device=x.device)) / n
        t = (t * LATEST)[:, None]
        real, hot = x[:, self.blocks.reals], x[:, self.blocks.hots]
        moving, entries = (
            (1 - t) * scale * torch.randn(end.shape, generator=generator, device=x.device) + t * end
            for end, scale in ((real, 1.0), (hot, self.config.spread))
        )
        mean, logits = self.ends(moving, entries, t)
        error = ((mean - real) ** 2 * (t**2 + (1 - t) ** 2) / (1 - t) ** 2 * self.blocks.on(x)).sum(1)
        surprise = (self.blocks.entropies(logits, hot) / self.entropy).sum(1)
        return (error + surprise).mean() / max(1, len(self.blocks.sizes) + real.shape[1])

    def ends(self, moving: Tensor, entries: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return where paths end: means of numbers, shape (n, d), and logits of one-hot entries, shape (n, W)."""
        scale = (t**2 + (1 - t) ** 2).sqrt()
        # Entries at the scale of their noise, whatever the time.
        seen = torch.cat([moving / scale, entries / ((1 - t) * self.config.spread + t)], dim=1)
        out = self.network(seen, t[:, 0]).float()
        numbers = moving.shape[1]
        mean = moving * t / scale**2 + out[:, :numbers] * (1 - t) / scale
        return mean, out[:, numbers:] + self.frequencies

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), along the paths."""
        device, blocks = self.device, self.blocks
        moving = torch.randn(n, len(blocks.reals), generator=generator, device=device)
        entries = torch.randn(n, len(blocks.hots), generator=generator, device=device) * self.config.spread
        # Even in the angle of the path's noise: more steps towards the end, where rows take shape.
        times = torch.sin(torch.linspace(0, torch.pi / 2, self.config.steps + 1, device=device)) * LATEST
        for t, s in zip(times[:-1], times[1:], strict=True):
            here = self._velocity(moving, entries, t)
            ahead = [place + (s - t) * speed for place, speed in zip((moving, entries), here, strict=True)]
            there = self._velocity(ahead[0], ahead[1], s)
            moving, entries = (
                place + (s - t) * (first + second) / 2
                for place, first, second in zip((moving, entries), here, there, strict=True)
            )
        mean, logits = self.ends(moving, entries, times[-1].expand(n, 1))
        return blocks.assemble(mean, blocks.draw(logits, generator))

    def _velocity(self, moving: Tensor, entries: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        mean, logits = self.ends(moving, entries, t.expand(len(moving), 1))
        return (mean - moving) / (1 - t), (self.blocks.shares(logits) - entries) / (1 - t)
