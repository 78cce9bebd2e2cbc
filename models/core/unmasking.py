"""What models share that undo two kinds of noise together: Gaussian noise on numbers, masks on categories."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from models.core.base import Matrix
from models.core.coarse import Coarse
from models.core.denoiser import Denoiser
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase
from models.core.samplers import ahead


class Unmasking(NeuralModel):
    """One network that sees a noisy row and the time t in [0, 1], and gives what the row was.

    A number is z + σ(t) ε; a category is masked with probability t. Categories are masked in a random order at even
    distances, so that few are unmasked at once. All columns' numbers are weighted alike, and categories by their
    entropy; the loss of categories is averaged over the masked ones, which is the bound on the likelihood of the
    classes. A number that its row's state switches off is noise throughout.

    In a share of the training rows some columns, chosen at random, are given: without noise and unmasked whatever t. So
    the same network draws rows given some of their columns, as exactly as it draws rows.
    """

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the network, and how rows are drawn.

        Attributes:
            hidden: Width of the layers.
            depth: Residual layers.
            intervals: Intervals of each number.
            given: Share of the training rows with given columns.
            steps: Steps from noise to rows, one call of the network each.
            fresh: Fresh noise in a draw: 0 for none, 1 for the reverse diffusion.
        """

        hidden: PositiveInt = 384
        depth: PositiveInt = 2
        intervals: Annotated[int, Field(ge=2)] = 32
        given: Annotated[float, Field(ge=0, le=1)] = 0.15
        steps: Annotated[int, Field(ge=2)] = 32
        fresh: Annotated[float, Field(ge=0, le=1)] = 1.0

    config: Config
    frequencies: Tensor
    entropy: Tensor

    @abstractmethod
    def noise_at(self, t: Tensor) -> Tensor:
        """Return σ(t), rising, in standard deviations of a number, at times in [0, 1]."""

    @abstractmethod
    def weight(self, sigma: Tensor) -> Tensor:
        """Return what a squared error of a number counts under noise of standard deviation `sigma` above 0."""

    def build(self) -> None:
        """Make the network."""
        self.coarse = Coarse(self.layout, self.config.intervals)
        self.blocks = self.coarse.target
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots)
        inputs, active = 2 * numbers + entries, numbers + len(self.blocks.sizes)
        hidden, depth, spans = self.config.hidden, self.config.depth, self.coarse.spans()
        self.network = Denoiser(inputs, numbers + entries, hidden, depth, numbers, active, spans)
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
        """Return the mean loss of a row: of numbers the weighted error, of categories the bound over entropy."""
        n, classes = len(x), len(self.blocks.sizes)
        # One stratified draw of t a row keeps the loss quiet.
        t = ((torch.arange(n, device=x.device) + self._uniform(n, generator)) / n)[:, None]
        real, hot = self.blocks.filled(x, generator), x[:, self.blocks.hots]
        given = self._uniform((n, real.shape[1] + classes), generator) < self._uniform((n, 1), generator)
        given &= self._uniform((n, 1), generator) < self.config.given
        known, told = given[:, : real.shape[1]], given[:, real.shape[1] :]
        level = self.noise_at(t)
        sigma = level * ~known
        masked = ((self._turns(n, generator) < t) & ~told).float()
        noisy = real + sigma * torch.randn(real.shape, generator=generator, device=x.device)
        denoised, logits = self.denoise(noisy, hot * (1 - masked)[:, self.blocks.owner], t, sigma)
        error = (self.weight(level) * ~known * (denoised - real) ** 2).sum(1)
        surprise = (self.blocks.entropies(logits, hot) * masked / self.entropy).sum(1)
        surprise = surprise * (classes - told.sum(1)) / masked.sum(1).clamp(min=1)
        return (error + surprise).mean() / max(1, classes + real.shape[1])

    def denoise(self, noisy: Tensor, seen: Tensor, t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return what numbers, shape (n, d), and categories, as logits of shape (n, W), were before the noise."""
        scale = (sigma**2 + 1).rsqrt()
        rows = torch.cat([noisy * scale, (sigma == 0).float(), seen], dim=1)
        out = self.network(rows, t[:, 0]).float()
        numbers = noisy.shape[1]
        denoised = noisy * scale**2 + out[:, :numbers] * sigma * scale
        return denoised, out[:, numbers:] + self.frequencies

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), from noise."""
        nothing = torch.zeros(n, self.blocks.width, device=self.device)
        return self._complete(nothing, torch.zeros(self.blocks.width, dtype=torch.bool, device=self.device), generator)

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, as exactly as the network has learned it.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        rows = self.known_rows(known, mask)
        with self.inference(rng) as generator:
            given = torch.from_numpy(self.coarse.covers(mask)).to(self.device)
            parts = [
                self._complete(self.coarse.split(part), given, generator)
                for part in self.tensor(rows).split(self.chunk)
            ]
            drawn = self.matrix(torch.cat(parts))
        # A number that its row's drawn state switches off is 0, whatever was said of it; what is known stays.
        return np.where(mask, rows, drawn).astype(np.float32)

    def _complete(self, known: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """Go from noise to rows on the blocks that are not known, all others held."""
        blocks, n = self.blocks, len(known)
        given, told = mask[blocks.reals], mask[blocks.hots].float()
        held, seen = blocks.filled(known, generator), known[:, blocks.hots] * told
        times = torch.linspace(1, 0, self.config.steps + 1, device=known.device)
        levels = [*self.noise_at(times).tolist()[:-1], 0.0]
        turns = self._turns(n, generator)
        z = torch.where(given, held, (levels[0] ** 2 + 1) ** 0.5 * self._noise(held, generator))
        past: list[Tensor] = []
        for step in range(self.config.steps):
            t, sigma = times[step].expand(n, 1), (levels[step] * ~given).expand(n, -1)
            denoised, logits = self.denoise(z, seen, t, sigma)
            past = [denoised, *past[:1]]
            around = [levels[step + 1], levels[step], levels[step - 1]]
            z = torch.where(given, held, ahead(z, past, around, self.config.fresh, self._noise(z, generator)))
            turn = ((turns < times[step]) & (turns >= times[step + 1])).float()[:, blocks.owner] * (1 - told)
            seen = seen + blocks.draw(logits, generator) * turn
        return self.coarse.join(blocks.assemble(z, seen))

    def _turns(self, n: int, generator: torch.Generator) -> Tensor:
        """Return the time before which each category is masked, uniform and evenly apart in a row, shape (n, B)."""
        classes = len(self.blocks.sizes)
        order = self._uniform((n, classes), generator).argsort(1)
        return (order + self._uniform((n, 1), generator)) / max(1, classes)

    def _uniform(self, shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, device=self.device)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=generator, device=like.device)
