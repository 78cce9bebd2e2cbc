"""Diffusion of mixed rows: Gaussian noise on numbers, masks on categories, a noise schedule of each column's own."""

from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.blocks import Blocks
from models.core.denoiser import Denoiser
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from tabular.layout import Reads

LEAST, MOST = 0.002, 20.0
EARLIEST = 1e-3


class Diffusion(NeuralModel):
    r"""Inverts x_t, t in [0, 1]: a number is z + σ_j(t) ε, a category is masked with probability t^{k_j}.

    σ_j(t) = (a^{1/ρ_j} + t (b^{1/ρ_j} - a^{1/ρ_j}))^{ρ_j}; ρ_j and k_j are learned, one a column. One network sees the
    noisy row and t. It gives each number's denoised value (squared error, preconditioned for unit variance) and each
    masked category's softmax (cross-entropy, weighted k_j / t: together the bound on the likelihood of the classes).
    Rows are drawn from t = 1 to 0: each step goes back a little, with fresh noise and masks, takes Heun's step in every
    number's own σ_j, and unmasks categories by draws from their softmax. All columns' numbers are weighted alike, and
    categories by their entropy.

    Conditional draws hold the known blocks at their values (numbers under fresh noise of the step's level), and go back
    and forth over each step `repaint` times, so that known and unknown agree; an approximation.

    Shi, Xu, Chen, Cai, Kapoor, Leskovec & Ermon, TabDiff: a mixed-type diffusion model for tabular data generation,
    2024, arXiv:2410.20626. Going back and forth: Lugmayr et al., RePaint, 2022, arXiv:2201.09865.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the network, and how rows are drawn.

        Attributes:
            hidden: Width of the layers.
            depth: Residual layers.
            steps: Steps from noise to rows.
            churn: Share of a step's noise that is added afresh before it.
            repaint: Passes over each step of a conditional draw.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=100, patience=100, validation=0.02, batch_size=512, learning_rate=2e-3, ema=0.998
        )
        hidden: PositiveInt = 256
        depth: PositiveInt = 4
        steps: Annotated[int, Field(ge=2)] = 50
        churn: Annotated[float, Field(ge=0, le=1)] = 0.3
        repaint: PositiveInt = 2

    config: Config
    frequencies: Tensor
    entropy: Tensor

    def build(self) -> None:
        """Make the network and the columns' schedules."""
        self.blocks = Blocks(self.layout)
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots)
        self.network = Denoiser(numbers + entries, numbers + entries, self.config.hidden, self.config.depth)
        self.curves = nn.Parameter(torch.full((numbers,), 1.0))
        self.powers = nn.Parameter(torch.zeros(len(self.blocks.sizes)))
        self.register_buffer("frequencies", torch.zeros(entries))
        self.register_buffer("entropy", torch.ones(len(self.blocks.sizes)))

    def prepare(self, x: Tensor) -> None:
        """Start from independent categories, and measure how much there is to tell of each."""
        hot = x[:, self.blocks.hots]
        self.frequencies = self.blocks.log_frequencies(hot)
        terms = -self.frequencies * self.frequencies.exp()
        self.entropy = torch.zeros_like(self.entropy).index_add(0, self.blocks.owner, terms).clamp(min=0.05)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a row: of numbers the unit-weighted error, of categories the bound over entropy."""
        n = len(x)
        # One stratified draw of t a row keeps the loss quiet.
        t = (torch.arange(n, device=x.device) + torch.rand(n, generator=generator, device=x.device)) / n
        t = t.clamp(min=EARLIEST)[:, None]
        real, hot = x[:, self.blocks.reals], x[:, self.blocks.hots]
        sigma = self.sigma(t)
        noisy = real + sigma * torch.randn(real.shape, generator=generator, device=x.device)
        power = self.power()
        chance = t**power
        uniform = torch.rand(chance.shape, generator=generator, device=x.device)
        # A straight-through mask: the schedule's powers learn from the weight alone.
        masked = (uniform < chance.detach()).float()
        seen = hot * (1 - masked)[:, self.blocks.owner]
        denoised, logits = self.denoise(noisy, seen, t, sigma)
        weight = (sigma**2 + 1) / sigma**2
        on = self.blocks.on(x)
        error = (weight * (denoised - real) ** 2 * on).sum(1)
        surprise = (self.blocks.entropies(logits, hot) * masked * power / t / self.entropy).sum(1)
        return (error + surprise).mean() / max(1, len(self.blocks.sizes) + real.shape[1])

    def sigma(self, t: Tensor) -> Tensor:
        """Return the noise of each number at times, shape (n, 1): shape (n, d)."""
        rho = 2 + 5 * nn.functional.softplus(self.curves) / nn.functional.softplus(torch.ones(()))
        low, high = LEAST ** (1 / rho), MOST ** (1 / rho)
        return (low + t * (high - low)) ** rho

    def power(self) -> Tensor:
        """Return k of each category, shape (B,)."""
        return 0.5 + 0.5 * nn.functional.softplus(self.powers) / nn.functional.softplus(torch.zeros(()))

    def denoise(self, noisy: Tensor, seen: Tensor, t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return what numbers, shape (n, d), and categories, as logits of shape (n, W), were before the noise."""
        scale = (sigma**2 + 1).rsqrt()
        rows = torch.cat([noisy * scale, seen], dim=1)
        out = self.network(rows, t[:, 0]).float()
        numbers = noisy.shape[1]
        denoised = noisy * scale**2 + out[:, :numbers] * sigma * scale
        return denoised, out[:, numbers:] + self.frequencies

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), from noise."""
        nothing = torch.zeros(n, self.layout.width, device=self.device)
        return self._complete(nothing, torch.zeros(self.layout.width, dtype=torch.bool, device=self.device), generator)

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by inpainting: an approximation.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        if known.ndim != 2 or known.shape[1] != self.layout.width or mask.shape != (self.layout.width,):
            raise ValueError(f"got {known.shape} and a mask {mask.shape}, wanted (n, {self.layout.width}) and its row")
        rows = np.where(mask, known, 0).astype(np.float32)
        with self.inference(rng) as generator:
            given = torch.from_numpy(mask).to(self.device)
            parts = [self._complete(part, given, generator) for part in self.tensor(rows).split(self.chunk)]
            drawn = self.matrix(torch.cat(parts))
        # A number that its row's drawn state switches off is 0, whatever was said of it; what is known stays.
        return np.where(mask, rows, drawn).astype(np.float32)

    def _complete(self, known: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """Run the reverse process on the blocks that are not known."""
        blocks = self.blocks
        real, hot = known[:, blocks.reals], known[:, blocks.hots]
        kept, told = mask[blocks.reals].float(), mask[blocks.hots].float()
        passes = self.config.repaint if bool(mask.any()) else 1
        times = torch.linspace(1, 0, self.config.steps + 1, device=known.device)
        z = self.sigma(times[:1, None]) * self._noise(real, generator)
        seen = hot * told
        for t, s in zip(times[:-1, None], times[1:, None], strict=True):
            for turn in range(passes):
                z = self._hold(z, real, kept, self.sigma(t), generator)
                seen = seen * (1 - told) + hot * told
                ahead, unmasked = self._step(z, seen, t, s, generator)
                if turn + 1 == passes:
                    z, seen = ahead, unmasked
                else:
                    spread = (self.sigma(t) ** 2 - self._floor(s) ** 2).clamp(min=0).sqrt()
                    z = ahead + spread * self._noise(ahead, generator)
        return blocks.assemble(torch.where(kept.bool(), real, z), seen * (1 - told) + hot * told)

    def _step(self, z: Tensor, seen: Tensor, t: Tensor, s: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Go from time t to s < t, shapes (1, 1): numbers by Heun, categories by unmasking."""
        n, power, after = len(z), self.power(), self._floor(s)
        raised = (t + self.config.churn * (t - s)).clamp(max=1)
        if float(raised) > float(t):
            z = z + (self.sigma(raised) ** 2 - self.sigma(t) ** 2).clamp(min=0).sqrt() * self._noise(z, generator)
            kept = torch.rand(n, len(power), generator=generator, device=z.device) * (1 - t**power) < 1 - raised**power
            seen = seen * kept.float()[:, self.blocks.owner]
        t, sigma = raised, self.sigma(raised)
        denoised, logits = self.denoise(z, seen, t.expand(n, 1), sigma)
        slope = (z - denoised) / sigma
        ahead = z + (after - sigma) * slope
        drawn = self.blocks.draw(logits, generator)
        free = torch.rand(n, len(power), generator=generator, device=z.device) >= (s / t) ** power
        open_ = torch.zeros(n, len(power), device=z.device).index_add(1, self.blocks.owner, seen) < 0.5
        opened = seen + drawn * (free & open_).float()[:, self.blocks.owner]
        if float(s) > 0:
            again, _ = self.denoise(ahead, opened, s.expand(n, 1), after)
            ahead = z + (after - sigma) * 0.5 * (slope + (ahead - again) / after)
        return ahead, opened

    def _hold(self, z: Tensor, real: Tensor, kept: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """Put known numbers, under noise of the level, in place of drawn ones."""
        if not bool(kept.any()):
            return z
        return z * (1 - kept) + (real + sigma * self._noise(real, generator)) * kept

    def _floor(self, s: Tensor) -> Tensor:
        """Return the noise at a time, shape (1, d); none at 0."""
        return self.sigma(s) if float(s) > 0 else torch.zeros(1, len(self.curves), device=s.device)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=generator, device=like.device)
