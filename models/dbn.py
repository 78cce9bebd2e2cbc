"""Deep belief network: a restricted Boltzmann machine over the hidden units of another, and directed layers below."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.bins import Bins
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from models.core.population import Population
from models.rbm import WORK, Machine
from tabular.layout import Reads


class DBN(NeuralModel):
    r"""p(v) = Σ_{h, g} p(v | h) p(h, g), with p(h, g) a restricted Boltzmann machine and p(v | h) one layer downwards.

    v is a row as one-hot classes, numbers by bins, as in `rbm`. Greedy: the lower machine learns the rows, the upper
    one the lower's hidden units given rows. Then up-down fine-tuning of all together: h is drawn from the recognition
    layer q(h | v), p(v | h) and the upper machine learn to give v and h (by persistent contrastive divergence), and q
    learns to recover the units of the upper machine's chains from what the lower layer makes of them. Rows are drawn by
    Gibbs sampling in the upper machine, annealed and resampled by weight as in `rbm`, then once downwards.

    Hinton, Osindero & Teh, A fast learning algorithm for deep belief nets, 2006, doi:10.1162/neco.2006.18.7.1527.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the layers, and how chains run.

        Attributes:
            hidden: Units of the first hidden layer.
            top: Units of the second.
            bins: Most bins of a number.
            gibbs: Sweeps of the chains a step.
            chains: Rows in the persistent chains.
            refresh: Steps after which the chains begin anew.
            greedy: Epochs of each greedy phase, as a share of the configured ones.
            sweeps: Gibbs sweeps of a draw, the first three quarters of them annealed.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=24, validation=0.0, batch_size=256, learning_rate=2e-3, ema=0.998, weight_decay=1e-4, clip=100.0
        )
        hidden: PositiveInt = 256
        top: PositiveInt = 256
        bins: Annotated[int, Field(ge=2)] = 32
        gibbs: PositiveInt = 3
        chains: PositiveInt = 256
        refresh: PositiveInt = 100
        greedy: PositiveFloat = 0.5
        sweeps: Annotated[int, Field(ge=2)] = 60

    config: Config

    def build(self) -> None:
        """Make both machines, the recognition layer and the chains."""
        self.bins = Bins(self.layout, self.config.bins)
        self.lower = Machine(self.bins.sizes, 0, self.config.hidden)
        self.upper = Machine((), self.config.hidden, self.config.top)
        self.recognition = nn.Linear(self.lower.width, self.config.hidden)
        self.rows = Population(self.config.chains, self.lower.width)
        self.units = Population(self.config.chains, self.config.hidden)

    def prepare(self, x: Tensor) -> None:
        """Cut the bins, and start from independent columns."""
        self.bins.fit(x)
        log_frequencies = self.bins.log_frequencies(self.bins.classes(x))
        self.lower.start(log_frequencies, torch.zeros(1, 0, device=x.device))
        rows = self.lower.independent(self.config.chains, torch.Generator(x.device).manual_seed(len(x)))
        self.rows.begin(rows, self.lower.free_energy)

    def phases(self) -> Sequence[Phase]:
        """Return one greedy phase a machine, then the fine-tuning of all."""
        greedy = self.config.greedy
        return [
            Phase([Objective("lower", self._lower, list(self.lower.parameters()))], self.bins.classes, greedy),
            Phase([Objective("upper", self._upper, list(self.upper.parameters()))], self._raised, greedy),
            Phase([Objective("up-down", self.loss, list(self.parameters()))], self._recognised),
        ]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the sum of the up pass's and the down pass's losses, of classes, shape (b, B)."""
        v = self.bins.hot(x)
        with torch.no_grad():
            h = _flip(self.recognition(v), generator)
        up = self._upper(h, generator) - self.lower.log_given(v, h).mean()
        with torch.no_grad():
            dreamed = self.units.drawn(len(x), generator)
            fantasy = self.lower.down(dreamed, generator)
        down = nn.functional.binary_cross_entropy_with_logits(self.recognition(fantasy), dreamed)
        return up + down * self.config.hidden

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw hidden units by the upper machine, and rows from them."""
        done = [torch.zeros(0, self.layout.width, device=self.device)]
        size = max(1, WORK // self.lower.width)
        for start in range(0, n, size):
            units = self.upper.settle(min(size, n - start), self.config.sweeps, generator)
            done.append(self._below(units, generator))
        return torch.cat(done)

    def encode(self, x: Matrix) -> Matrix:
        """Return the top units' chances, shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            v = self.bins.hot(self.bins.classes(self.tensor(x)))
            return self.matrix(self.upper.up(self.recognition(v).sigmoid()).sigmoid())

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), given top units, shape (n, k), of 0 and 1."""
        with self.inference(rng) as generator:
            return self.matrix(self._below(self.upper.down(self.tensor(z), generator), generator))

    def _below(self, units: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, shape (n, D), given the first layer's units, shape (n, k)."""
        parts = [part.argmax(1) for part in self.lower.down(units, generator).split(self.bins.sizes, dim=1)]
        return self.bins.rows(torch.stack(parts, dim=1), generator)

    def _lower(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self._contrast(self.lower, self.rows, self.bins.hot(x), generator)

    def _upper(self, h: Tensor, generator: torch.Generator) -> Tensor:
        return self._contrast(self.upper, self.units, h, generator)

    def _contrast(self, machine: Machine, chains: Population, v: Tensor, generator: torch.Generator) -> Tensor:
        """Return the contrast of free energies of visible units, shape (b, width), and of a machine's chains."""
        made = machine.expected(chains, self.config.gibbs, self.config.refresh, generator)
        return machine.free_energy(v).mean() - made

    def _raised(self, x: Tensor) -> Tensor:
        """Draw the lower machine's hidden units of all rows, and start the upper one and its chains from them."""
        generator = torch.Generator(x.device).manual_seed(len(x))
        parts = [self.bins.hot(self.bins.classes(part)) for part in x.split(self.chunk)]
        h = torch.cat([_flip(self.lower.up(part), generator) for part in parts])
        self.upper.start(torch.zeros(0, device=x.device), h)
        self.units.begin(self.upper.independent(self.config.chains, generator), self.upper.free_energy)
        return h

    def _recognised(self, x: Tensor) -> Tensor:
        """Start the recognition layer where the lower machine's hidden units are; return the rows' classes."""
        with torch.no_grad():
            self.recognition.weight.copy_(self.lower.weight.T)
            self.recognition.bias.copy_(self.lower.offset - self.lower.middle @ self.lower.weight)
        return self.bins.classes(x)


def _flip(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw units that are 1 with the chance that logits say."""
    noise = torch.rand(logits.shape, generator=generator, device=logits.device)
    return (noise < logits.sigmoid()).float()
