"""Latent diffusion: an auto-encoder that loses next to nothing, and a diffusion over its codes."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.denoiser import Denoiser
from models.core.heads import MixedHead
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.samplers import ahead, level
from tabular.layout import Reads

LEAST, MOST = 0.005, 10.0
CENTRE, SPREAD = -1.2, 1.2
MOST_LATENT = 64


class LatentDiffusion(NeuralModel):
    r"""p(x) = ∫ p(x|z) p(z) dz with z = E(x) from a variational auto-encoder and p(z) a diffusion.

    First phase: the negative ELBO with a KL weight that falls from `beta` to `beta` / 100, so that codes keep nearly
    all of a row and are still smooth. Second phase: a denoiser of the standardised codes z + σ ε,
    min E ‖D(z + σ ε; σ) - z‖² (σ² + 1) / σ², log σ ~ N(-1.2, 1.2²). Rows are drawn by Heun's method from σ = 80 to 0
    and decoded. Codes of given rows are the encoder's means.

    Zhang, Zhang, Srinivasan, Shen, Qin, Faloutsos, Rangwala & Karypis, Mixed-type tabular data synthesis with
    score-based diffusion in latent space (TabSyn), 2023, arXiv:2310.09656.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the networks, and how rows are drawn.

        Attributes:
            latent: Width of the codes; None for three a block, 64 at most.
            hidden: Width of the layers.
            depth: Residual layers of the denoiser.
            beta: Weight of the KL term at first.
            autoencoder: Epochs of the auto-encoder, as a share of the configured ones.
            steps: Noise levels of a draw.
            fresh: Fresh noise in a draw: 0 for none, 1 for the reverse diffusion.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=100, patience=100, validation=0.02, batch_size=512, learning_rate=2e-3, ema=0.998
        )
        latent: PositiveInt | None = None
        hidden: PositiveInt = 256
        depth: PositiveInt = 4
        beta: PositiveFloat = 1e-2
        autoencoder: PositiveFloat = 0.4
        steps: Annotated[int, Field(ge=2)] = 50
        fresh: Annotated[float, Field(ge=0, le=1)] = 1.0

    config: Config
    centre: Tensor
    scale: Tensor

    def build(self) -> None:
        """Make the encoder, the decoder with its head of mixed likelihoods, and the denoiser."""
        hidden = self.config.hidden
        self.width = self.config.latent or min(3 * len(self.layout.blocks), MOST_LATENT)
        self.encoder = nn.Sequential(
            nn.Linear(self.layout.width, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.codes = nn.Linear(hidden, 2 * self.width)
        self.decoder = nn.Sequential(nn.Linear(self.width, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.head = MixedHead(self.layout, hidden)
        self.denoiser = Denoiser(self.width, self.width, hidden, self.config.depth)
        self.register_buffer("centre", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def phases(self) -> Sequence[Phase]:
        """Return the auto-encoder's phase, then the diffusion's."""
        first = [*self.encoder.parameters(), *self.codes.parameters()]
        first += [*self.decoder.parameters(), *self.head.parameters()]
        return [
            Phase([Objective("elbo", self.loss, first)], share=self.config.autoencoder),
            Phase([Objective("denoising", self._denoising, list(self.denoiser.parameters()))], self._standardised),
        ]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative ELBO of a row, in nats, with the KL weight of the moment."""
        mean, log_variance = self.codes(self.encoder(x)).float().chunk(2, dim=1)
        z = mean + torch.randn(mean.shape, generator=generator, device=mean.device) * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        fit: Tensor = self.head.log_likelihood(self.decoder(z), x)
        bound: Tensor = (self.config.beta * 100**-self.done * divergence - fit).mean()
        return bound

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes by the diffusion and decode them."""
        times = torch.linspace(1, 0, self.config.steps + 1)
        levels = [*level(times, LEAST, MOST).tolist()[:-1], 0.0]
        z = self._noise(n, generator) * (levels[0] ** 2 + 1) ** 0.5
        past: list[Tensor] = []
        for step in range(self.config.steps):
            past = [self._denoise(z, torch.full((n,), levels[step], device=z.device)), *past[:1]]
            around = [levels[step + 1], levels[step], levels[step - 1]]
            z = ahead(z, past, around, self.config.fresh, self._noise(n, generator))
        return self.head.draw(self.decoder(z * self.scale + self.centre), generator)

    def encode(self, x: Matrix) -> Matrix:
        """Return standardised codes, shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            return self.matrix((self._means(self.tensor(x)) - self.centre) / self.scale)

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), given standardised codes, shape (n, k)."""
        with self.inference(rng) as generator:
            return self.matrix(self.head.draw(self.decoder(self.tensor(z) * self.scale + self.centre), generator))

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.width, generator=generator, device=self.device)

    def _means(self, x: Tensor) -> Tensor:
        mean: Tensor = self.codes(self.encoder(x)).float()[:, : self.width]
        return mean

    def _standardised(self, x: Tensor) -> Tensor:
        """Take the codes of all rows, and keep their centre and scale."""
        z = torch.cat([self._means(part) for part in x.split(self.chunk)])
        self.centre = z.mean(0)
        self.scale = z.std(0, unbiased=False).clamp(min=1e-3)
        return (z - self.centre) / self.scale

    def _denoising(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean preconditioned error of the denoiser a code."""
        noise = torch.randn(len(z), generator=generator, device=z.device)
        sigma = (CENTRE + SPREAD * noise).exp()[:, None]
        noisy = z + sigma * torch.randn(z.shape, generator=generator, device=z.device)
        error = (self._denoise(noisy, sigma[:, 0]) - z) ** 2
        loss: Tensor = (error * (sigma**2 + 1) / sigma**2).mean()
        return loss

    def _denoise(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Return expected codes without noise, shape (n, k), preconditioned for unit variance."""
        sigma = sigma[:, None]
        total = (sigma**2 + 1).sqrt()
        out: Tensor = self.denoiser(z / total, sigma[:, 0].log() / 4).float()
        return z / total**2 + out * sigma / total
