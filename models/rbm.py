"""Restricted Boltzmann machine with Gaussian, softmax and Bernoulli visible units."""

import math
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix, Monitor
from models.core.blocks import Blocks
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from tabular.layout import Layout, Reads

SMALLEST_LOG_SCALE = -2.5


class RBM(NeuralModel):
    r"""p(x) = Σ_h exp(-E(x, h)) / Z over binary hidden units h.

    E = Σ_j (x_j - a_j)² / 2s_j² - b·x_c - c·h - (x_r / s², x_c) W h, with numbers x_r (Gaussian given h, scales s
    learned) and one-hot categories x_c (softmax given h); a number that is off in a row stands in no term. Trained by
    the gradient of F(x) - F(x'), F the free energy, with x' from chains that are kept from step to step (persistent
    contrastive divergence) or start at the batch. Rows are drawn by Gibbs sampling, annealed from independent columns;
    conditional draws by Gibbs sampling with the known blocks held, right in the limit of many sweeps. log Z is
    estimated once, after training, by annealed importance sampling from independent columns: `log_prob` is an estimate,
    and the standard error of log Z stands in `notes["log_z_error"]`.

    Hinton, Training products of experts by minimizing contrastive divergence, 2002, doi:10.1162/089976602760128018;
    persistent chains: Tieleman, 2008, doi:10.1145/1390156.1390290; log Z: Salakhutdinov & Murray, On the quantitative
    analysis of deep belief networks, 2008, doi:10.1145/1390156.1390266.
    """

    reads: ClassVar[Reads] = "one_hot"
    estimated: ClassVar[bool] = True

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the machine, and how its chains run.

        Attributes:
            hidden: Hidden units.
            gibbs: Sweeps of the chains a step.
            persistent: Whether the chains go on from step to step; otherwise they start at the batch.
            chains: Rows in the persistent chains.
            sweeps: Gibbs sweeps of a draw, the first half of them annealed.
            rungs: Temperatures of annealed importance sampling.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=80, validation=0.0, batch_size=256, learning_rate=3e-3, ema=0.999, weight_decay=1e-3
        )
        hidden: PositiveInt = 256
        gibbs: PositiveInt = 5
        persistent: bool = True
        chains: PositiveInt = 512
        sweeps: Annotated[int, Field(ge=2)] = 200
        rungs: Annotated[int, Field(ge=2)] = 1000

    config: Config
    chains: Tensor
    log_z: Tensor

    def build(self) -> None:
        """Make the machine and its chains."""
        self.machine = Machine(self.layout, 0, self.config.hidden)
        self.register_buffer("chains", torch.zeros(self.config.chains, self.layout.width))
        self.register_buffer("log_z", torch.zeros((), dtype=torch.float64))

    def prepare(self, x: Tensor) -> None:
        """Start from independent columns, and the chains from rows of them."""
        self.machine.start(x)
        generator = torch.Generator(x.device).manual_seed(len(x))
        self.chains = self.machine.independent(self.config.chains, generator)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the contrast of free energies whose gradient is that of the likelihood, as the chains estimate it."""
        with torch.no_grad():
            rows = self.chains if self.config.persistent else x
            for _ in range(self.config.gibbs):
                rows = self.machine.sweep(rows, generator)
            if self.config.persistent and self.training:
                self.chains = rows
        return self.machine.free_energy(x).mean() - self.machine.free_energy(rows).mean()

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows, shape (n, D), and estimate log Z."""
        super().fit(x, rng, monitor)
        with self.inference(rng) as generator:
            weights = self.machine.anneal(self.config.chains, self.config.rungs, generator)
        top = weights.max()
        shares = (weights - top).exp()
        self.log_z = top + shares.mean().log()
        self.notes["log_z"] = float(self.log_z)
        self.notes["log_z_error"] = float(shares.std() / shares.mean() / math.sqrt(len(shares)))
        return self

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw rows by Gibbs sampling, annealed from independent columns."""
        rows = self.machine.independent(n, generator)
        for sweep in range(self.config.sweeps):
            rows = self.machine.sweep(rows, generator, min(1.0, 2 * (sweep + 1) / self.config.sweeps))
        return rows

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D), by the estimate of log Z."""
        with self.evaluation():
            parts = [-self.machine.free_energy(part).double().cpu() for part in self.tensor(x).split(self.chunk)]
            return (torch.cat(parts) - self.log_z.cpu()).numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by Gibbs sampling with those held.

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
            held = torch.from_numpy(mask).to(self.device)
            parts = [self._held(part, held, generator) for part in self.tensor(rows).split(self.chunk)]
            drawn = self.matrix(torch.cat(parts))
        return np.where(mask, rows, drawn).astype(np.float32)

    def encode(self, x: Matrix) -> Matrix:
        """Return p(h = 1 | x), shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            return self.matrix(self.machine.up(self.tensor(x)).sigmoid())

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), given hidden units, shape (n, k)."""
        with self.inference(rng) as generator:
            return self.matrix(self.machine.down(self.tensor(z), generator))

    def _held(self, known: Tensor, held: Tensor, generator: torch.Generator) -> Tensor:
        rows = torch.where(held, known, self.machine.independent(len(known), generator))
        for sweep in range(self.config.sweeps):
            rows = self.machine.sweep(rows, generator, min(1.0, 2 * (sweep + 1) / self.config.sweeps))
            rows = self.machine.settled(torch.where(held, known, rows))
        return rows


class Machine(nn.Module):
    """Energies and Gibbs sweeps of one layer over rows of a layout and, after them, Bernoulli units.

    Args:
        layout: Real and one-hot blocks of the rows; None for Bernoulli units alone.
        bits: Number of Bernoulli visible units.
        hidden: Number of hidden units.
    """

    def __init__(self, layout: Layout | None, bits: int, hidden: int) -> None:
        super().__init__()
        self.blocks = Blocks(layout or Layout(reads="one_hot", blocks=()))
        self.bits = bits
        numbers, entries = len(self.blocks.reals), len(self.blocks.hots) + bits
        self.centre = nn.Parameter(torch.zeros(numbers))
        self.log_scale = nn.Parameter(torch.zeros(numbers))
        self.bias = nn.Parameter(torch.zeros(entries))
        self.offset = nn.Parameter(torch.zeros(hidden))
        self.weight = nn.Parameter(torch.randn(numbers + entries, hidden) * 0.01)

    def start(self, x: Tensor) -> None:
        """Take the biases of independent columns from rows, shape (n, D)."""
        with torch.no_grad():
            hot = x[:, self.blocks.hots]
            on = self.blocks.on(x)
            mean = (x[:, self.blocks.reals] * on).sum(0) / on.sum(0).clamp(min=1)
            self.centre.copy_(mean)
            bias = self.blocks.log_frequencies(hot)
            # A number that may be off multiplies the mass of the class that turns it on; this takes it back.
            here = self.blocks.when < self.blocks.width
            place = torch.searchsorted(self.blocks.hots, self.blocks.when[here])
            bias.index_add_(0, place, torch.full((len(place),), -0.5 * math.log(2 * math.pi), device=x.device))
            rest = x[:, self.blocks.width :].mean(0).clamp(0.01, 0.99)
            self.bias.copy_(torch.cat([bias, (rest / (1 - rest)).log()]))

    def up(self, x: Tensor) -> Tensor:
        """Return the hidden units' inputs, shape (n, k), from visible units, shape (n, D + bits)."""
        real = x[:, self.blocks.reals] * self.blocks.on(x[:, : self.blocks.width]) / self._variance()
        return torch.cat([real, x[:, self.blocks.hots], x[:, self.blocks.width :]], dim=1) @ self.weight + self.offset

    def free_energy(self, x: Tensor) -> Tensor:
        """Return F(x) = -log Σ_h exp(-E(x, h)), shape (n,), of visible units, shape (n, D + bits)."""
        return self._visible(x) - nn.functional.softplus(self.up(x)).sum(1)

    def sweep(self, x: Tensor, generator: torch.Generator, beta: float = 1.0) -> Tensor:
        """Draw hidden units given visible ones, and these given them, at inverse temperature β of the hidden terms."""
        chances = (beta * self.up(x)).sigmoid()
        h = (torch.rand(chances.shape, generator=generator, device=x.device) < chances).float()
        return self.down(beta * h, generator)

    def down(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Draw visible units, shape (n, D + bits), given hidden ones, shape (n, k)."""
        pull = h @ self.weight.T
        numbers, entries = len(self.centre), len(self.blocks.hots)
        mean, scale = self.centre + pull[:, :numbers], self._variance().sqrt()
        logits = self.bias + pull[:, numbers:]
        hot = self.blocks.draw(logits[:, :entries] + self._turned_on(mean), generator)
        real = mean + scale * torch.randn(mean.shape, generator=generator, device=h.device)
        x = self.blocks.assemble(real, hot)
        if not self.bits:
            return x
        noise = torch.rand(len(h), self.bits, generator=generator, device=h.device)
        return torch.cat([x, (noise < logits[:, entries:].sigmoid()).float()], dim=1)

    def log_given(self, x: Tensor, h: Tensor) -> Tensor:
        """Return log p(x | h), shape (n,), of visible units, shape (n, D + bits), given hidden ones, shape (n, k)."""
        pull = h @ self.weight.T
        numbers, entries = len(self.centre), len(self.blocks.hots)
        mean, logits = self.centre + pull[:, :numbers], self.bias + pull[:, numbers:]
        surprise = self.blocks.entropies(logits[:, :entries] + self._turned_on(mean), x[:, self.blocks.hots]).sum(1)
        on = self.blocks.on(x[:, : self.blocks.width])
        square = (x[:, self.blocks.reals] - mean) ** 2 / (2 * self._variance())
        normal = (square + self._log_scale() + 0.5 * math.log(2 * math.pi)) * on
        bits = x[:, self.blocks.width :]
        bernoulli = bits * logits[:, entries:] - nn.functional.softplus(logits[:, entries:])
        total: Tensor = bernoulli.sum(1) - surprise - normal.sum(1)
        return total

    def independent(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n rows with the hidden units cut off."""
        return self.down(torch.zeros(n, len(self.offset), device=self.offset.device), generator)

    def settled(self, x: Tensor) -> Tensor:
        """Set numbers that are off to 0."""
        x = x.clone()
        x[:, self.blocks.reals] *= self.blocks.on(x[:, : self.blocks.width])
        return x

    def anneal(self, chains: int, rungs: int, generator: torch.Generator) -> Tensor:
        """Return log-weights of annealed importance sampling, shape (chains,): their mean weight estimates Z.

        From independent columns (β = 0) to the machine (β = 1), in steps of 1 / rungs: Neal, Annealed importance
        sampling, 2001, doi:10.1023/A:1008923215028.
        """
        x = self.independent(chains, generator)
        total = torch.full((chains,), self._base(), dtype=torch.float64, device=x.device)
        for rung in range(rungs):
            before, after = rung / rungs, (rung + 1) / rungs
            up = self.up(x)
            gain = nn.functional.softplus(after * up) - nn.functional.softplus(before * up)
            total += gain.double().sum(1)
            x = self.sweep(x, generator, after)
        return total

    def _base(self) -> float:
        """Return log Z at β = 0: the columns by themselves, and every hidden unit either way."""
        entries = len(self.blocks.hots)
        logits = self.bias[:entries] + self._turned_on(self.centre[None])[0]
        total = len(self.offset) * math.log(2)
        total += sum(float(part.logsumexp(0)) for part in logits.split(self.blocks.sizes)) if entries else 0.0
        total += float(nn.functional.softplus(self.bias[entries:]).sum())
        always = self.blocks.when == self.blocks.width
        return total + float((self._log_scale()[always] + 0.5 * math.log(2 * math.pi)).sum())

    def _turned_on(self, mean: Tensor) -> Tensor:
        """Return the log-mass that numbers add to the classes that turn them on, shape (n, W), given their means."""
        scale = self._log_scale()
        mass = scale + 0.5 * math.log(2 * math.pi) + (mean**2 - self.centre**2) / (2 * scale.exp() ** 2)
        added = torch.zeros(len(mean), self.blocks.width + 1, device=mean.device)
        added = added.index_add(1, self.blocks.when, mass)
        return added[:, self.blocks.hots]

    def _visible(self, x: Tensor) -> Tensor:
        """Return the energy's terms without hidden units, shape (n,)."""
        on = self.blocks.on(x[:, : self.blocks.width])
        square = (x[:, self.blocks.reals] - self.centre) ** 2 / (2 * self._variance())
        rest = torch.cat([x[:, self.blocks.hots], x[:, self.blocks.width :]], dim=1)
        energy: Tensor = (square * on).sum(1) - rest @ self.bias
        return energy

    def _log_scale(self) -> Tensor:
        return self.log_scale.clamp(min=SMALLEST_LOG_SCALE)

    def _variance(self) -> Tensor:
        return (2 * self._log_scale()).exp()
