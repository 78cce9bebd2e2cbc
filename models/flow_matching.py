"""Variational flow matching: straight paths from noise to rows, by a network that guesses where each path ends."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from models.core.coarse import Coarse
from models.core.denoiser import Denoiser
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.samplers import ahead, level
from tabular.layout import Reads

LEAST, MOST = 0.02, 10.0


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
            intervals: Intervals of each number.
            steps: Steps along a path, one call of the network each.
            fresh: Fresh noise in a draw: 0 for the paths themselves, 1 for the diffusion of the same marginals.
            spread: Standard deviation of the noise that one-hot entries start from.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=40, patience=40, validation=0.02, batch_size=256, learning_rate=4e-3, ema=0.998
        )
        hidden: PositiveInt = 384
        depth: PositiveInt = 2
        intervals: Annotated[int, Field(ge=2)] = 32
        steps: Annotated[int, Field(ge=2)] = 32
        fresh: Annotated[float, Field(ge=0, le=1)] = 1.0
        spread: Annotated[float, Field(gt=0)] = 1.0

    config: Config
    frequencies: Tensor
    entropy: Tensor

    def build(self) -> None:
        """Make the network."""
        self.coarse = Coarse(self.layout, self.config.intervals)
        self.blocks = self.coarse.target
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots)
        active = numbers + len(self.blocks.sizes)
        self.network = Denoiser(
            numbers + entries, numbers + entries, self.config.hidden, self.config.depth, numbers, active
        )
        self.register_buffer("frequencies", torch.zeros(entries))
        self.register_buffer("entropy", torch.ones(len(self.blocks.sizes)))

    def prepare(self, x: Tensor) -> None:
        """Start from independent categories, and measure how much there is to tell of each."""
        self.coarse.fit(x)
        self.frequencies = self.blocks.log_frequencies(self.coarse.split(x)[:, self.blocks.hots])
        self.entropy = self.blocks.entropy(self.frequencies).clamp(min=0.05)

    def phases(self) -> Sequence[Phase]:
        """Return one phase, on rows whose numbers are split."""
        return [Phase([Objective("loss", self.loss, list(self.parameters()))], self.coarse.split)]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a row over its columns."""
        n = len(x)
        # One stratified draw of the time a row keeps the loss quiet.
        place = (torch.arange(n, device=x.device) + torch.rand(n, generator=generator, device=x.device)) / n
        t = 1 / (1 + level(place, LEAST, MOST))[:, None]
        real, hot = self.blocks.filled(x, generator), x[:, self.blocks.hots]
        moving, entries = (
            (1 - t) * start + t * end for start, end in zip(self._starts(n, generator), (real, hot), strict=True)
        )
        mean, logits = self.ends(moving, entries, t)
        error = ((mean - real) ** 2 * (t**2 + (1 - t) ** 2) / (1 - t) ** 2).sum(1)
        surprise = (self.blocks.entropies(logits, hot) / self.entropy).sum(1)
        return (error + surprise).mean() / max(1, len(self.blocks.sizes) + real.shape[1])

    def ends(self, moving: Tensor, entries: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return where paths end: means of numbers, shape (n, d), and logits of one-hot entries, shape (n, W).

        A network of zero gives what holds of independent columns: the mean of a standard normal number, and Bayes' rule
        for a category from its own entries.
        """
        scale = (t**2 + (1 - t) ** 2).sqrt()
        alone = self.frequencies + entries * t / ((1 - t) * self.config.spread) ** 2
        # What a category's own entries tell of it, all of it and without their noise.
        out = self.network(torch.cat([moving / scale, self.blocks.shares(alone)], dim=1), t[:, 0]).float()
        numbers = moving.shape[1]
        mean = moving * t / scale**2 + out[:, :numbers] * (1 - t) / scale
        return mean, out[:, numbers:] + alone

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), along the paths."""
        numbers, steps = len(self.blocks.reals), self.config.steps
        levels = [*level(torch.linspace(1, 0, steps), LEAST, MOST).tolist(), 0.0]
        z = torch.cat([torch.zeros(n, numbers, device=self.device), self.frequencies.exp().expand(n, -1)], dim=1)
        z = z + levels[0] * torch.cat(self._starts(n, generator), dim=1)
        past: list[Tensor] = []
        for step in range(steps):
            # x_t = t (x₁ + σ x₀) with σ = (1 - t) / t: the solver works on the bracket.
            t = 1 / (1 + levels[step])
            mean, logits = self.ends(z[:, :numbers] * t, z[:, numbers:] * t, torch.full((n, 1), t, device=z.device))
            past = [torch.cat([mean, self.blocks.shares(logits)], dim=1), *past[:1]]
            around = [levels[step + 1], levels[step], levels[step - 1]]
            z = ahead(z, past, around, self.config.fresh, torch.cat(self._starts(n, generator), dim=1))
        return self.coarse.join(self.blocks.assemble(mean, self.blocks.draw(logits, generator)))

    def _starts(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw where paths start: numbers, shape (n, d), and one-hot entries, shape (n, W)."""
        numbers = torch.randn(n, len(self.blocks.reals), generator=generator, device=self.device)
        entries = torch.randn(n, len(self.blocks.hots), generator=generator, device=self.device)
        return numbers, entries * self.config.spread
