"""Score-based model: ∇ log p of rows under every amount of noise, followed back from noise to rows."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from models.core.base import Matrix
from models.core.coarse import Coarse
from models.core.denoiser import Denoiser
from models.core.langevin import annealed_langevin, predictor_corrector
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.samplers import ahead
from tabular.layout import Reads

MOST_EXACT = 48


class ScoreBased(NeuralModel):
    r"""The variance-exploding diffusion dx = √(dσ²/dt) dw, undone by its score s(x; σ) = (E[x₀ | x] - x) / σ².

    A number is an interval and a place in it; one-hot entries are relaxed to real coordinates. The network gives
    E[x₀ | x]: of numbers a mean (squared error, preconditioned for unit variance), of a category a softmax over its
    corners, which is the form of the exact answer (cross-entropy over the category's entropy); both are denoising score
    matching. Rows are drawn from σ = most to least by the probability-flow equation, by predictor and corrector, or by
    annealed Langevin dynamics, and each category by its softmax at the end. `log_density` integrates that equation for
    the density of relaxed rows under the least noise; it is no probability of categories, so this family gives no bits
    a row. With one interval it is the density of the numbers themselves.

    Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, Score-based generative modeling through stochastic differential
    equations, 2021, arXiv:2011.13456. Denoising: Vincent, 2011, doi:10.1162/NECO_a_00142.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the network, the range of noise, and how rows are drawn.

        Attributes:
            hidden: Width of the layers.
            depth: Residual layers.
            intervals: Intervals of each number, 1 leaves it whole: relaxed to reals, many intervals drown under noise.
            least: Smallest noise, in standard deviations of a number.
            most: Largest noise.
            sampler: `ode` (the probability-flow equation), `predictor_corrector` or `langevin`.
            levels: Noise levels of a draw.
            ratio: Signal to noise of a Langevin step; None for 0.1 of the corrector, 0.4 of `langevin` alone.
            repeats: Langevin steps a level, of `langevin` alone.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=40, patience=40, validation=0.02, batch_size=256, learning_rate=4e-3, ema=0.998
        )
        hidden: PositiveInt = 384
        depth: PositiveInt = 2
        intervals: PositiveInt = 1
        least: PositiveFloat = 0.01
        most: PositiveFloat = 20.0
        sampler: Literal["ode", "predictor_corrector", "langevin"] = "ode"
        levels: Annotated[int, Field(ge=2)] = 40
        ratio: Annotated[float, Field(ge=0)] | None = None
        repeats: PositiveInt = 10

    config: Config
    frequencies: Tensor
    entropy: Tensor

    def build(self) -> None:
        """Make the network."""
        self.coarse = Coarse(self.layout, self.config.intervals)
        self.blocks = self.coarse.target
        self.numbers = len(self.blocks.reals)
        width, active = self.numbers + len(self.blocks.hots), self.numbers + len(self.blocks.sizes)
        hidden, depth, spans = self.config.hidden, self.config.depth, self.coarse.spans()
        self.network = Denoiser(width, width, hidden, depth, self.numbers, active, spans)
        self.register_buffer("frequencies", torch.zeros(len(self.blocks.hots)))
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
        """Return the mean loss of a row over its columns, noise even in its logarithm."""
        n = len(x)
        # One stratified draw of the noise level a row keeps the loss quiet.
        place = (torch.arange(n, device=x.device) + torch.rand(n, generator=generator, device=x.device)) / n
        sigma = self._level(place)[:, None]
        rows = self._relaxed(x, generator)
        noisy = rows + sigma * torch.randn(rows.shape, generator=generator, device=x.device)
        mean, logits = self._ends(noisy, sigma)
        real, hot = rows[:, : self.numbers], rows[:, self.numbers :]
        error = ((mean - real) ** 2 * (sigma**2 + 1) / sigma**2).sum(1)
        surprise = (self.blocks.entropies(logits, hot) / self.entropy).sum(1)
        return (error + surprise).mean() / max(1, len(self.blocks.sizes) + self.numbers)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ∇ log p, shape (n, d + W), of relaxed rows under noise of levels, shape (n,)."""
        return (self._denoise(x, sigma) - x) / sigma[:, None] ** 2

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), from noise."""
        width = self.numbers + len(self.blocks.hots)
        x = torch.randn(n, width, generator=generator, device=self.device) * self.config.most
        levels = self._level(torch.linspace(1, 0, self.config.levels, device=self.device))
        if self.config.sampler == "ode":
            x = self._flowed(x, levels.tolist())
        elif self.config.sampler == "langevin":
            ratio = 0.4 if self.config.ratio is None else self.config.ratio
            x = annealed_langevin(self.score, x, levels, self.config.repeats, ratio, generator)
        else:
            ratio = 0.1 if self.config.ratio is None else self.config.ratio
            x = predictor_corrector(self.score, x, levels, ratio, generator)
        mean, logits = self._ends(x, levels[-1:].expand(n)[:, None])
        return self.coarse.join(self.blocks.assemble(mean, self.blocks.draw(logits, generator)))

    def _flowed(self, x: Tensor, levels: list[float]) -> Tensor:
        """Follow the probability-flow equation from relaxed rows at the first level to the last."""
        past: list[Tensor] = []
        for place, after in enumerate(levels[1:]):
            around = [after, levels[place], *levels[max(place - 1, 0) : place]]
            past = [self._denoise(x, x.new_full((len(x),), levels[place])), *past[:1]]
            x = ahead(x, past, around, 0.0, x)
        return x

    def log_density(self, x: Matrix, rng: np.random.Generator, probes: int = 1) -> NDArray[np.float64]:
        """Return log p in nats, shape (n,), of relaxed rows under the least noise, by the probability-flow equation.

        d log p / dσ = σ ∇·s along dx/dσ = -σ s, from the normal of the largest noise. The divergence is exact for
        `MOST_EXACT` coordinates at most, else Hutchinson's estimate, 1990, doi:10.1080/03610919008812866.

        Args:
            x: Encoded rows, shape (n, D).
            rng: Source of the probes.
            probes: Random signs a row, of the estimate alone.
        """
        with self.inference(rng) as generator:
            rows = self._relaxed(self.coarse.split(self.tensor(x)), generator)
            parts = [self._integrate(part, probes, generator) for part in rows.split(1024)]
            return torch.cat(parts).cpu().numpy()

    def _integrate(self, x: Tensor, probes: int, generator: torch.Generator) -> Tensor:
        levels = self._level(torch.linspace(0, 1, self.config.levels, device=x.device))
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for level, after in zip(levels[:-1], levels[1:], strict=True):
            step = after - level
            slope, trace = self._flow(x, level, probes, generator)
            ahead, trace_ahead = self._flow(x + step * slope, after, probes, generator)
            x = x + step * (slope + ahead) / 2
            total += (step * (trace + trace_ahead) / 2).double()
        last = self.config.most**2 + 1
        normal = -0.5 * ((x**2).sum(1) / last + x.shape[1] * math.log(2 * math.pi * last))
        return total + normal.double()

    def _flow(self, x: Tensor, level: Tensor, probes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return dx/dσ, shape (n, D), and its divergence, shape (n,)."""
        sigma, width = level.expand(len(x)), x.shape[1]
        exact = width <= MOST_EXACT
        if exact:
            directions = [column.expand(len(x), width) for column in torch.eye(width, device=x.device)]
        else:
            signs = [torch.randint(0, 2, x.shape, generator=generator, device=x.device) for _ in range(probes)]
            directions = [sign.float() * 2 - 1 for sign in signs]
        with torch.enable_grad():
            rows = x.detach().requires_grad_(True)
            value = -level * self.score(rows, sigma)
            pulls = [torch.autograd.grad(value, rows, each, retain_graph=True)[0] for each in directions]
        traces = [(pull * each).sum(1) for pull, each in zip(pulls, directions, strict=True)]
        return value.detach(), torch.stack(traces).sum(0) / (1 if exact else probes)

    def _relaxed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.cat([self.blocks.filled(x, generator), x[:, self.blocks.hots]], dim=1)

    def _level(self, place: Tensor) -> Tensor:
        """Return noise levels at places in [0, 1], even in the logarithm."""
        low, high = self.config.least, self.config.most
        return low * (high / low) ** place

    def _denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        mean, logits = self._ends(x, sigma[:, None])
        return torch.cat([mean, self.blocks.shares(logits)], dim=1)

    def _ends(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of numbers, shape (n, d), and logits of entries, shape (n, W), without the noise."""
        total = (sigma**2 + 1).sqrt()
        numbers, entries = x[:, : self.numbers] / total, x[:, self.numbers :]
        # Between corners of one block the noise itself tells: log N(x; corner, σ²) up to what all corners share.
        alone = self.frequencies + entries / sigma**2
        out = self.network(torch.cat([numbers, self.blocks.shares(alone)], dim=1), sigma[:, 0].log() / 4).float()
        return numbers / total + out[:, : self.numbers] * sigma / total, out[:, self.numbers :] + alone
