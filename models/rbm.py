"""Restricted Boltzmann machine with softmax and Bernoulli visible units; numbers enter by bins."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix, Monitor
from models.core.bins import Bins
from models.core.choices import choose, log_chances
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.population import Population, comb
from tabular.layout import Reads

WORK = 4_000_000
BARRED = -1e6
FRESH = 60


class RBM(NeuralModel):
    r"""p(v) = Σ_h exp(-E(v, h)) / Z over hidden units h of ±½, E = -b·v - c·h - (v - v̄)ᵀ W h.

    v is a row as one-hot classes, softmax given h. A number enters by its bin (`Bins`: bins are cut where the other
    columns change; inside one the number is normal, cut at its edges), joined with the state that turns it on. v̄ is
    the training rows' mean, so that the gradient is centred. It is that of F(v) - F(v'), F the free energy, with v'
    from chains that are kept from step to step and weighed (`Population`), or that start at the batch. Rows are
    drawn by Gibbs sampling, annealed from independent columns and resampled by weight (sequential Monte Carlo);
    conditional draws by annealed Gibbs sampling among what fits the known, without weights: both right in the limit of
    many sweeps. log Z is estimated once, after training, by annealed importance sampling
    from independent columns: `log_prob` is an estimate, with the standard error `notes["log_z_error"]`.

    Hinton, Training products of experts by minimizing contrastive divergence, 2002, doi:10.1162/089976602760128018;
    persistent chains: Tieleman, 2008, doi:10.1145/1390156.1390290; centring: Montavon & Müller, Deep Boltzmann machines
    and the centering trick, 2012, doi:10.1007/978-3-642-35289-8_33; log Z: Salakhutdinov & Murray, On the quantitative
    analysis of deep belief networks, 2008, doi:10.1145/1390156.1390266; draws: Del Moral, Doucet & Jasra, Sequential
    Monte Carlo samplers, 2006, doi:10.1111/j.1467-9868.2006.00553.x.
    """

    reads: ClassVar[Reads] = "one_hot"
    estimated: ClassVar[bool] = True

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Size of the machine, and how its chains run.

        Attributes:
            hidden: Hidden units.
            bins: Most bins of a number.
            gibbs: Sweeps of the chains a step.
            persistent: Whether the chains go on from step to step; otherwise they start at the batch.
            chains: Rows in the persistent chains.
            refresh: Steps after which the chains begin anew, so that errors in the mass of modes do not add up.
            sweeps: Gibbs sweeps of a draw, the first three quarters of them annealed.
            rungs: Temperatures of annealed importance sampling.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=32, validation=0.0, batch_size=256, learning_rate=3e-3, ema=0.998, weight_decay=1e-4, clip=100.0
        )
        hidden: PositiveInt = 256
        bins: Annotated[int, Field(ge=2)] = 32
        gibbs: PositiveInt = 3
        persistent: bool = True
        chains: PositiveInt = 256
        refresh: PositiveInt = 100
        sweeps: Annotated[int, Field(ge=2)] = 60
        rungs: Annotated[int, Field(ge=2)] = 1000

    config: Config
    log_z: Tensor

    def build(self) -> None:
        """Make the machine and its chains."""
        self.bins = Bins(self.layout, self.config.bins)
        self.machine = Machine(self.bins.sizes, 0, self.config.hidden)
        self.chains = Population(self.config.chains, self.machine.width)
        self.register_buffer("log_z", torch.zeros((), dtype=torch.float64))

    def prepare(self, x: Tensor) -> None:
        """Cut the bins, start from independent columns, and the chains from rows of them."""
        self.bins.fit(x)
        codes = self.bins.classes(x)
        self.machine.start(self.bins.log_frequencies(codes), torch.zeros(len(x), 0, device=x.device))
        rows = self.machine.independent(self.config.chains, torch.Generator(x.device).manual_seed(len(x)))
        self.chains.begin(rows, self.machine.free_energy)

    def phases(self) -> Sequence[Phase]:
        """Return the descent on the rows' classes."""
        return [Phase([Objective("loss", self.loss, list(self.parameters()))], self.bins.classes)]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the contrast of free energies whose gradient is that of the likelihood, as the chains estimate it."""
        units, machine = self.bins.hot(x), self.machine
        sweeps = self.config.gibbs
        if self.config.persistent:
            made = machine.expected(self.chains, sweeps, self.config.refresh, generator)
            return machine.free_energy(units).mean() - made
        with torch.no_grad():
            rows = units
            for _ in range(sweeps):
                rows = machine.sweep(rows, generator)
        return machine.free_energy(units).mean() - machine.free_energy(rows).mean()

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows, shape (n, D), and estimate log Z."""
        super().fit(x, rng, monitor)
        with self.inference(rng) as generator:
            weights = self.machine.anneal(self.config.chains, self.config.rungs, generator)
        shares = (weights - weights.max()).exp()
        self.log_z = weights.max() + shares.mean().log()
        self.notes["log_z"] = float(self.log_z)
        self.notes["log_z_error"] = float(shares.std(correction=0) / shares.mean() / math.sqrt(len(shares)))
        return self

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw rows by Gibbs sampling, annealed from independent columns."""
        return self._settle(torch.ones(n, 1, dtype=torch.bool, device=self.device), generator)

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D), by the estimate of log Z."""
        with self.evaluation():
            parts = [self._log_prob(part).cpu() for part in self.tensor(x).split(self.chunk)]
            return torch.cat(parts).numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by Gibbs sampling among the classes that fit.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        rows = self.known_rows(known, mask)
        with self.inference(rng) as generator:
            parts = [
                self._settle(self.bins.allowed(part, mask), generator) for part in self.tensor(rows).split(self.chunk)
            ]
            drawn = self.matrix(torch.cat(parts))
        return np.where(mask, rows, drawn).astype(np.float32)

    def encode(self, x: Matrix) -> Matrix:
        """Return p(h = ½ | x), shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            return self.matrix(self.machine.up(self.bins.hot(self.bins.classes(self.tensor(x)))).sigmoid())

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), given hidden units, shape (n, k), 1 where a unit is ½, else 0."""
        with self.inference(rng) as generator:
            return self.matrix(self._rows(self.machine.down(self.tensor(z), generator), generator))

    def _log_prob(self, x: Tensor) -> Tensor:
        units = self.bins.hot(self.bins.classes(x))
        return self.bins.log_inside(x) - self.machine.free_energy(units).double() - self.log_z

    def _settle(self, allowed: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, shape (n, D), by annealed Gibbs sampling among allowed classes, shape (n, W); (n, 1) for all."""
        done = [torch.zeros(0, self.layout.width, device=allowed.device)]
        for part in allowed.split(max(1, WORK // max(1, self.machine.width))):
            barred = (~part).float() * BARRED if part.shape[1] > 1 else None
            done.append(self._rows(self.machine.settle(len(part), self.config.sweeps, generator, barred), generator))
        return torch.cat(done)

    def _rows(self, units: Tensor, generator: torch.Generator) -> Tensor:
        parts = [part.argmax(1) for part in units.split(self.bins.sizes, dim=1)]
        return self.bins.rows(torch.stack(parts, dim=1), generator)


class Machine(nn.Module):
    """Energies and Gibbs sweeps of one layer over softmax blocks and, after them, Bernoulli units, all of 0 and 1.

    Hidden units are handed over as 0 and 1 too; the energy sees them as -½ and ½.

    Args:
        sizes: Entries of each softmax block.
        bits: Number of Bernoulli visible units.
        hidden: Number of hidden units.
    """

    starts: Tensor
    middle: Tensor

    def __init__(self, sizes: Sequence[int], bits: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.bits, self.entries = list(sizes), bits, sum(sizes)
        self.width = self.entries + bits
        first = torch.tensor([0, *self.sizes], dtype=torch.int64).cumsum(0)[:-1]
        self.register_buffer("starts", first, persistent=False)
        self.register_buffer("middle", torch.zeros(self.width))
        self.bias = nn.Parameter(torch.zeros(self.width))
        self.offset = nn.Parameter(torch.zeros(hidden))
        self.weight = nn.Parameter(torch.randn(self.width, hidden) * 0.01)

    def start(self, log_frequencies: Tensor, bits: Tensor) -> None:
        """Take biases and middle from log shares of classes, shape (W,), and rows of Bernoulli units, (n, bits)."""
        rest = bits.mean(0).clamp(0.01, 0.99)
        with torch.no_grad():
            self.middle.copy_(torch.cat([log_frequencies.exp(), rest]))
            self.bias.copy_(torch.cat([log_frequencies, (rest / (1 - rest)).log()]))

    def up(self, v: Tensor) -> Tensor:
        """Return the hidden units' inputs, shape (n, k), from visible units, shape (n, W + bits)."""
        return v @ self.weight + (self.offset - self.middle @ self.weight)

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F(v) = -log Σ_h exp(-E(v, h)), shape (n,), of visible units, shape (n, W + bits)."""
        return -(v @ self.bias) - _log_sum(self.up(v))

    def sweep(self, v: Tensor, generator: torch.Generator, beta: float = 1.0, barred: Tensor | None = None) -> Tensor:
        """Draw hidden units given visible ones, and these given them, at inverse temperature β of the hidden terms."""
        chances = (beta * self.up(v)).sigmoid()
        h = (torch.rand(chances.shape, generator=generator, device=v.device) < chances).float()
        return self.down(h, generator, beta, barred)

    def down(self, h: Tensor, generator: torch.Generator, beta: float = 1.0, barred: Tensor | None = None) -> Tensor:
        """Draw visible units, shape (n, W + bits), given hidden ones, shape (n, k), but no barred classes."""
        logits = self.bias + beta * ((h - 0.5) @ self.weight.T)
        classes = logits[:, : self.entries] if barred is None else logits[:, : self.entries] + barred
        v = torch.zeros(len(h), self.width, device=h.device)
        v.scatter_(1, choose(classes, self.sizes, self.starts, generator), 1.0)
        if self.bits:
            noise = torch.rand(len(h), self.bits, generator=generator, device=h.device)
            v[:, self.entries :] = (noise < logits[:, self.entries :].sigmoid()).float()
        return v

    def log_given(self, v: Tensor, h: Tensor) -> Tensor:
        """Return log p(v | h), shape (n,), of visible units, shape (n, W + bits), given hidden ones, shape (n, k)."""
        logits = self.bias + (h - 0.5) @ self.weight.T
        classes = (v[:, : self.entries] * log_chances(logits[:, : self.entries], self.sizes)).sum(1)
        bits, rest = v[:, self.entries :], logits[:, self.entries :]
        total: Tensor = classes + (bits * rest - nn.functional.softplus(rest)).sum(1)
        return total

    def independent(self, n: int, generator: torch.Generator, barred: Tensor | None = None) -> Tensor:
        """Draw n rows with the hidden units cut off."""
        return self.down(torch.full((n, len(self.offset)), 0.5, device=self.offset.device), generator, 1.0, barred)

    def settle(self, n: int, sweeps: int, generator: torch.Generator, barred: Tensor | None = None) -> Tensor:
        """Draw n rows, shape (n, W + bits), by sweeps that cool from independent columns, the last quarter at β = 1.

        Where nothing is barred, rows are resampled by their weights whenever half of them would do: sequential Monte
        Carlo, which gives every mode its own mass.
        """
        v = self.independent(n, generator, barred)
        weights = torch.zeros(n, dtype=torch.float64, device=v.device)
        before = 0.0
        for sweep in range(sweeps):
            beta = min(1.0, (sweep + 1) / (0.75 * sweeps))
            if barred is None and before < 1 and n:
                up = self.up(v)
                weights += (_log_sum(beta * up) - _log_sum(before * up)).double()
                shares = weights.softmax(0)
                if beta == 1 or float((shares**2).sum()) > 2 / n:
                    v, weights = v[comb(shares, generator)], torch.zeros_like(weights)
            v, before = self.sweep(v, generator, beta, barred), beta
        return v

    def expected(self, chains: Population, sweeps: int, refresh: int, generator: torch.Generator) -> Tensor:
        """Return the mean free energy of chains that go on, and begin anew by `settle` after so many steps."""
        if self.training and int(chains.age) >= refresh:
            with torch.no_grad():
                chains.begin(self.settle(len(chains.rows), FRESH, generator), self.free_energy)
        return chains.expected(self.free_energy, lambda v: self.sweep(v, generator), sweeps, generator)

    def anneal(self, chains: int, rungs: int, generator: torch.Generator) -> Tensor:
        """Return log-weights of annealed importance sampling, shape (chains,): their mean weight estimates Z.

        From independent columns (β = 0) to the machine (β = 1), in steps of 1 / rungs: Neal, Annealed importance
        sampling, 2001, doi:10.1023/A:1008923215028.
        """
        v = self.independent(chains, generator)
        total = torch.full((chains,), self._base(), dtype=torch.float64, device=v.device)
        for rung in range(rungs):
            before, after = rung / rungs, (rung + 1) / rungs
            up = self.up(v)
            total += (_log_sum(after * up) - _log_sum(before * up)).double()
            v = self.sweep(v, generator, after)
        return total

    def _base(self) -> float:
        """Return log Z at β = 0: the columns by themselves, and every hidden unit either way."""
        parts = self.bias[: self.entries].split(self.sizes) if self.sizes else []
        total = len(self.offset) * math.log(2) + sum(float(part.logsumexp(0)) for part in parts)
        return total + float(nn.functional.softplus(self.bias[self.entries :]).sum())


def _log_sum(up: Tensor) -> Tensor:
    """Return Σ log 2cosh(u / 2) over hidden units, shape (n,), of their inputs, shape (n, k)."""
    total: Tensor = (nn.functional.softplus(up) - up / 2).sum(1)
    return total
