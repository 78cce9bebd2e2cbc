"""Latent diffusion: an auto-encoder that loses next to nothing, and a diffusion over its codes."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.coarse import Coarse
from models.core.denoiser import Denoiser
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.samplers import ahead, level
from tabular.layout import Reads

LEAST, MOST = 0.1, 5.0
A_COLUMN, MOST_LATENT = 4, 256
LOG_SCALES = (-6.0, 0.0)
LEAST_PLACE = 0.25


class LatentDiffusion(NeuralModel):
    r"""p(x) = ∫ p(x|z) p(z) dz: p(x|z) from a variational auto-encoder, p(z) by diffusion over its codes.

    Numbers are split first, into the class of an interval and a place in it. First phase: the negative ELBO with a KL
    weight `beta` far below 1, so that codes keep nearly all of a row. The decoder is a network with a softmax for each
    class and a normal for each place; the encoder is q(z|x) = N(Ax + b, diag s²). It is linear so that the expected
    code under noise, y = z + σ ε, is known from the expected row: E[z|y] = (σ² (A E[x|y] + b) + s² y) / (σ² + s²),
    without approximation. Second phase: a denoiser gives E[x|y], the softmax of each class by cross-entropy over its
    entropy and each place by squared error, at noise levels even in the logarithm. It starts from Bayes' rule for each
    class as if codes were normal, and learns from classes, not from distances among codes, and so far sooner. Codes are
    drawn from σ = 5 down by a second-order multistep solver, with fresh noise, and decoded: given its code, a row's
    columns are independent. Codes of given rows are the encoder's standardised means.

    Zhang, Zhang, Srinivasan, Shen, Qin, Faloutsos, Rangwala & Karypis, Mixed-type tabular data synthesis with
    score-based diffusion in latent space (TabSyn), 2023, arXiv:2310.09656. Codes denoised by way of classes: Dieleman,
    Sartran, Roshannai, Savinov, Ganin, Richemond, Doucet, Strudel, Dyer, Durkan, Hawthorne, Leblond, Grathwohl & Adler,
    Continuous diffusion for categorical data, 2022, arXiv:2211.15089.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the networks, and how rows are drawn.

        Attributes:
            latent: Width of the codes; None for four a column, 256 at most.
            hidden: Width of the denoiser's layers.
            depth: Residual layers of the denoiser.
            decoder: Width of the decoder's layers.
            intervals: Intervals of each number.
            beta: Weight of the KL term: the more, the less of a row its code keeps.
            autoencoder: Epochs of the auto-encoder, as a share of the configured ones.
            steps: Steps from noise to codes, one call of the denoiser each.
            fresh: Fresh noise in a draw: 0 for none, 1 for the reverse diffusion.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=20, patience=20, validation=0.02, batch_size=256, learning_rate=4e-3, ema=0.998
        )
        latent: PositiveInt | None = None
        hidden: PositiveInt = 384
        depth: PositiveInt = 2
        decoder: PositiveInt = 256
        intervals: Annotated[int, Field(ge=2)] = 32
        beta: PositiveFloat = 0.03
        autoencoder: PositiveFloat = 0.4
        steps: Annotated[int, Field(ge=2)] = 14
        fresh: Annotated[float, Field(ge=0, le=1)] = 1.0

    config: Config
    centre: Tensor
    scale: Tensor
    axes: Tensor
    variances: Tensor
    midpoints: Tensor
    frequencies: Tensor
    entropy: Tensor

    def build(self) -> None:
        """Make the encoder, the decoder and the denoiser."""
        hidden, depth, inner = self.config.hidden, self.config.depth, self.config.decoder
        self.coarse = Coarse(self.layout, self.config.intervals)
        self.blocks = self.coarse.target
        columns = {block.column for block in self.layout.blocks}
        self.width = self.config.latent or min(A_COLUMN * len(columns), MOST_LATENT)
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots)
        self.encoder = nn.Linear(numbers + entries, self.width)
        self.log_spread = nn.Parameter(torch.full((self.width,), -1.0))
        self.decoder = nn.Sequential(
            nn.Linear(self.width, inner),
            nn.SiLU(),
            nn.Linear(inner, inner),
            nn.SiLU(),
            nn.Linear(inner, self.blocks.width),
        )
        self.log_scale = nn.Parameter(torch.zeros(numbers))
        inputs, active = self.width + entries, self.width + len(self.blocks.sizes)
        self.denoiser = Denoiser(inputs, numbers + entries, hidden, depth, 0, active, self.coarse.spans())
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))
        self.register_buffer("axes", torch.eye(self.width))
        self.register_buffer("variances", torch.ones(self.width))
        self.register_buffer("midpoints", torch.zeros(entries, self.width))
        self.register_buffer("frequencies", torch.zeros(entries))
        self.register_buffer("entropy", torch.ones(len(self.blocks.sizes)))

    def prepare(self, x: Tensor) -> None:
        """Start from independent columns, and measure how much there is to tell of each."""
        self.coarse.fit(x)
        self.frequencies = self.blocks.log_frequencies(self.coarse.split(x)[:, self.blocks.hots])
        self.entropy = self.blocks.entropy(self.frequencies).clamp(min=0.05)

    def phases(self) -> Sequence[Phase]:
        """Return the auto-encoder's phase, then the diffusion's, both on rows whose numbers are split."""
        first = [*self.encoder.parameters(), *self.decoder.parameters(), self.log_spread, self.log_scale]
        return [
            Phase([Objective("elbo", self.loss, first)], self.coarse.split, share=self.config.autoencoder),
            Phase([Objective("denoising", self.denoising, list(self.denoiser.parameters()))], self._standardised),
        ]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative ELBO of a row, in nats, with `beta` for the KL term's weight."""
        mean, spread = self.encoder(x).float(), self._spread()
        z = mean + spread * self._noise(mean, generator)
        divergence = 0.5 * (mean**2 + spread**2 - 1 - 2 * spread.log()).sum(1)
        places, logits, scale = self._decoded(z)
        numbers = 0.5 * ((x[:, self.blocks.reals] - places) / scale) ** 2 + scale.log() + 0.5 * math.log(2 * math.pi)
        surprise = self.blocks.entropies(logits, x[:, self.blocks.hots]).sum(1) + (numbers * self.blocks.on(x)).sum(1)
        bound: Tensor = (self.config.beta * divergence + surprise).mean()
        return bound

    def denoising(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss of a row over its columns, given its code under noise."""
        mean = self._means(x)
        # One stratified draw of the noise level a row keeps the loss quiet.
        place = torch.arange(len(x), device=x.device) + torch.rand(len(x), generator=generator, device=x.device)
        sigma = (math.log(LEAST) + place / len(x) * math.log(MOST / LEAST)).exp()[:, None]
        noise = (sigma**2 + (self._spread() / self.scale) ** 2).sqrt()
        places, logits = self.denoise(mean + noise * self._noise(mean, generator), sigma)
        error = ((places - x[:, self.blocks.reals]) ** 2 * self.blocks.on(x)).sum(1)
        surprise = (self.blocks.entropies(logits, x[:, self.blocks.hots]) / self.entropy).sum(1)
        return (error + surprise).mean() / (len(self.blocks.sizes) + len(self.blocks.reals))

    def denoise(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return what rows are told to be by codes under noise: means of places, and logits of one-hot entries.

        Args:
            z: Codes, shape (n, k).
            sigma: Noise levels, shape (n, 1).
        """
        # Bayes' rule for each class as if all codes were normal around its own: the network starts from there.
        power = 1 / (self.variances + sigma**2)
        alone = self.frequencies + (z @ self.axes * power) @ self.midpoints.T - 0.5 * power @ self.midpoints.T**2
        rows = torch.cat([z * (sigma**2 + 1).rsqrt(), self.blocks.shares(alone)], dim=1)
        out = self.denoiser(rows, sigma[:, 0].log() / 4).float()
        numbers = len(self.blocks.reals)
        return out[:, :numbers], out[:, numbers:] + alone

    def expected(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return expected codes without noise, shape (n, k), given codes under noise and its levels, shape (n, 1)."""
        places, logits = self.denoise(z, sigma)
        mean = self._means(self.blocks.assemble(places, self.blocks.shares(logits)))
        spread = self._spread() / self.scale
        return (sigma**2 * mean + spread**2 * z) / (sigma**2 + spread**2)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes by the diffusion and decode them."""
        levels = [*level(torch.linspace(1, 0, self.config.steps + 1), LEAST, MOST).tolist()[:-1], 0.0]
        like = torch.zeros(n, self.width, device=self.device)
        z = (levels[0] ** 2 + 1) ** 0.5 * self._noise(like, generator)
        past: list[Tensor] = []
        for step in range(self.config.steps):
            past = [self.expected(z, torch.full((n, 1), levels[step], device=z.device)), *past[:1]]
            around = [levels[step + 1], levels[step], levels[step - 1]]
            z = ahead(z, past, around, self.config.fresh, self._noise(z, generator))
        return self._rows(z, generator)

    def encode(self, x: Matrix) -> Matrix:
        """Return standardised codes, shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            return self.matrix(self._means(self.coarse.split(self.tensor(x))))

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), given standardised codes, shape (n, k)."""
        with self.inference(rng) as generator:
            return self.matrix(self._rows(self.tensor(z), generator))

    def _standardised(self, x: Tensor) -> Tensor:
        """Keep how all rows' codes lie, their own noise included; return the rows with numbers split."""
        rows: Tensor = self.coarse.split(x)
        z = self.encoder(rows)
        self.centre = z.mean(0)
        self.scale = (z.var(0, unbiased=False) + self._spread() ** 2).sqrt()
        z, hot = self._means(rows), rows[:, self.blocks.hots]
        variances, axes = torch.linalg.eigh(
            (z.T @ z / len(z) + torch.diag((self._spread() / self.scale) ** 2)).double()
        )
        self.variances, self.axes = variances.float().clamp(min=1e-3), axes.float()
        self.midpoints = hot.T @ z / (hot.sum(0)[:, None] + 1) @ self.axes
        return rows

    def _means(self, x: Tensor) -> Tensor:
        """Return the standardised means of the codes, shape (n, k), of rows with numbers split, shape (n, D')."""
        mean: Tensor = (self.encoder(x).float() - self.centre) / self.scale
        return mean

    def _spread(self) -> Tensor:
        """Return the standard deviation of codes around their means, shape (k,)."""
        return self.log_spread.clamp(*LOG_SCALES).exp()

    def _decoded(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means of places, logits of one-hot entries, and scales of places, given codes not standardised."""
        out, numbers = self.decoder(z).float(), len(self.blocks.reals)
        scale = self.log_scale.clamp(min=math.log(LEAST_PLACE)).exp()
        return out[:, :numbers], out[:, numbers:] + self.frequencies, scale

    def _rows(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Draw encoded rows, shape (n, D), given standardised codes, shape (n, k)."""
        places, logits, scale = self._decoded(z * self.scale + self.centre)
        hot = self.blocks.draw(logits, generator)
        return self.coarse.join(self.blocks.assemble(places + scale * self._noise(places, generator), hot))

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=generator, device=like.device)
