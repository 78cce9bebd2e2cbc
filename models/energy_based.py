"""Energy-based model: a network's energy beside a tree's, learned against noise, drawn by Markov chains."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix, Monitor
from models.core.bins import Bins
from models.core.chains import State, adapted, effective_draws, gradient_gibbs, hamiltonian, r_hat
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from models.core.tree import Tree
from tabular.layout import Reads

NORMALISING = 65_536
PILOTS = 64
PILOT_SWEEPS = 120
ACCEPTED = 0.65
WATCHED = 32
WORK = 4_000_000


class EnergyBased(NeuralModel):
    r"""p(x) = exp(-E(x)) / Z with E(x) = -log q(x) - f(x), f a network over numbers and one-hot classes.

    q is the noise: a tree over the classes of the columns, numbers by bins and normal inside each (`Tree`, `Bins`), or
    independent columns. f learns by noise-contrastive estimation, that is by telling rows from draws of q, of which
    there are fresh ones in every step; its optimum is log p_data / q. Z = E_q[exp f(x)] is estimated from draws of q,
    so that `log_prob` is an estimate, with the standard error `notes["log_z_error"]`.

    Rows are drawn by chains: each starts with one of several draws of q, taken in proportion to exp f
    (sampling-importance-resampling), and goes on by sweeps of one further draw of q as a Metropolis-Hastings proposal,
    Gibbs with gradients over classes, and Hamiltonian Monte Carlo over numbers, its steps adapted to two in three
    accepted. All leave p as it is; what is approximate is the start. Conditional draws do the same with the tree's
    draws held to what is known, weighed for that; the effective number of them a row stands in
    `notes["effective_sample_size"]`. How pilot chains from q mixed stands in `notes["r_hat"]` and
    `notes["effective_draws"]`: the worst R̂ and the least effective share of draws, over the energy and each number.

    Gutmann & Hyvärinen, Noise-contrastive estimation of unnormalized statistical models, 2012, JMLR 13:307-361.
    """

    reads: ClassVar[Reads] = "one_hot"
    estimated: ClassVar[bool] = True

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """The network, the noise, and the chains.

        Attributes:
            hidden: Width of the network.
            depth: Hidden layers.
            bins: Most bins of a number.
            noise: What is told from the rows: a `tree` over the columns, or `independent` columns.
            ratio: Draws of noise a row.
            candidates: Draws of q that a chain may start with.
            sweeps: Sweeps of a chain.
            flips: Gibbs steps with gradients a sweep.
            leaps: Leapfrog steps a sweep.
        """

        training: TrainerConfig = TrainerConfig(epochs=40, learning_rate=1e-3, weight_decay=1e-2, patience=6)
        hidden: PositiveInt = 256
        depth: Annotated[int, Field(ge=1)] = 2
        bins: Annotated[int, Field(ge=2)] = 32
        noise: Literal["tree", "independent"] = "tree"
        ratio: PositiveInt = 1
        candidates: PositiveInt = 16
        sweeps: NonNegativeInt = 4
        flips: PositiveInt = 2
        leaps: PositiveInt = 3

    config: Config
    log_z: Tensor
    step: Tensor

    def build(self) -> None:
        """Make the network and room for the noise."""
        self.bins = Bins(self.layout, self.config.bins)
        self.tree = Tree(self.bins.sizes)
        width = len(self.bins.numbers) + sum(self.bins.sizes)
        layers: list[nn.Module] = []
        for _ in range(self.config.depth):
            layers += [nn.Linear(width, self.config.hidden), nn.SiLU()]
            width = self.config.hidden
        last = nn.Linear(width, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)
        self.register_buffer("log_z", torch.zeros((), dtype=torch.float64))
        self.register_buffer("step", torch.full((), 0.2, dtype=torch.float64))

    def prepare(self, x: Tensor) -> None:
        """Cut the bins, and fit the noise."""
        self.bins.fit(x)
        codes, possible = self.bins.classes(x).cpu().numpy(), self.bins.possible().cpu().numpy()
        self.tree.fit(codes, possible, self.config.noise == "tree", np.random.default_rng(len(x)))

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss of telling rows from noise, in nats a row."""
        noise = self._noise(len(x) * self.config.ratio, generator)
        odds = math.log(self.config.ratio)
        real = self._tilt(self.bins.classes(x), x) - odds
        made = self._tilt(*noise) - odds
        return nn.functional.softplus(-real).mean() + self.config.ratio * nn.functional.softplus(made).mean()

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows, shape (n, D), estimate log Z, adapt the chains and see how they mix."""
        super().fit(x, rng, monitor)
        with self.inference(rng) as generator:
            self._normalise(generator)
            self._pilot(generator)
        return self

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw rows by chains."""
        nothing = torch.zeros(self.layout.width, dtype=torch.bool, device=self.device)
        done = [torch.zeros(0, self.layout.width, device=self.device)]
        for start in range(0, n, self._rows):
            known = torch.zeros(min(self._rows, n - start), self.layout.width, device=self.device)
            done.append(self._run(_Held(known, nothing, ~self.bins.possible()[None]), generator)[0])
        return torch.cat(done)

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D), by the estimate of log Z."""
        with self.evaluation():
            done = [torch.zeros(0, dtype=torch.float64)]
            for part in self.tensor(x).split(self._rows):
                codes = self.bins.classes(part)
                base = self.tree.log_prob(codes) + self.bins.log_inside(part)
                done.append((base + self._tilt(codes, part) - self.log_z).cpu())
            return torch.cat(done).numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by chains that hold them.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        rows = self.known_rows(known, mask)
        with self.inference(rng) as generator:
            held = torch.from_numpy(mask).to(self.device)
            parts = self.tensor(rows).split(self._rows)
            drawn = [self._run(_Held(part, held, ~self.bins.allowed(part, mask)), generator) for part in parts]
            if len(known):
                self.notes["effective_sample_size"] = float(torch.cat([effective for _, effective in drawn]).mean())
            filled = self.matrix(torch.cat([x for x, _ in drawn]))
        return np.where(mask, rows, filled).astype(np.float32)

    @property
    def _rows(self) -> int:
        """Rows that chains run at a time."""
        return max(1, WORK // sum(self.bins.sizes))

    def _tilt(self, codes: Tensor, x: Tensor) -> Tensor:
        """Return f, shape (n,), of rows of classes, shape (n, B), and the rows themselves, shape (n, D)."""
        return self._network(x[:, self.bins.reals], self.bins.hot(codes))

    def _network(self, reals: Tensor, hot: Tensor) -> Tensor:
        value: Tensor = self.network(torch.cat([reals, hot], dim=1))[:, 0].double()
        return value

    def _noise(self, n: int, generator: torch.Generator, held: "_Held | None" = None) -> State:
        """Draw classes and rows of q, as far as it goes given what is held."""
        codes = self.tree.draw(n, generator, None if held is None else held.barred)
        rows = self.bins.rows(codes, generator)
        return codes, rows if held is None else torch.where(held.entries, held.rows, rows)

    def _weight(self, state: State, held: "_Held") -> Tensor:
        """Return log p - log of the density that `_noise` draws with, shape (n,), but for a constant."""
        weight = self._tilt(*state)
        return weight + self.tree.weigh(state[0], held.barred) if held.entries.any() else weight

    def _run(self, held: "_Held", generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Run a chain a row; return rows, shape (n, D), and the effective number of draws each started from, (n,)."""
        n = len(held.rows)
        state = self._noise(n, generator, held)
        total = self._weight(state, held)
        squares = 2 * total
        for _ in range(self.config.candidates - 1):
            other = self._noise(n, generator, held)
            weight = self._weight(other, held)
            total, squares = torch.logaddexp(total, weight), torch.logaddexp(squares, 2 * weight)
            taken = torch.rand(n, 1, generator=generator, device=total.device) < (weight - total).exp()[:, None]
            state = torch.where(taken, other[0], state[0]), torch.where(taken, other[1], state[1])
        for _ in range(self.config.sweeps):
            state, _ = self._sweep(state, held, generator)
        return state[1], (2 * total - squares).exp()

    def _sweep(self, state: State, held: "_Held", generator: torch.Generator) -> tuple[State, float]:
        """Move chains once by each kind of step; return them, and the share of trajectories that was accepted."""
        n = len(state[0])
        other = self._noise(n, generator, held)
        chance = (self._weight(other, held) - self._weight(state, held)).exp()
        taken = torch.rand(n, 1, generator=generator, device=chance.device) < chance[:, None]
        state = torch.where(taken, other[0], state[0]), torch.where(taken, other[1], state[1])

        def move(before: State, codes: Tensor) -> State:
            fresh = self.bins.rows(codes, generator)
            rows = torch.where((codes != before[0])[:, self.bins.owner], fresh, before[1])
            return codes, torch.where(held.entries, held.rows, rows)

        for _ in range(self.config.flips):
            state, _ = gradient_gibbs(self._look, move, state, self.bins.sizes, held.barred, generator)
        if not self.bins.numbers:
            return state, ACCEPTED
        reals = self.bins.reals
        free = (self.bins.on(state[0]) & ~held.entries[reals]).float()

        def energy(y: Tensor) -> Tensor:
            rows = state[1].index_copy(1, reals, y)
            codes = self.bins.classes(rows.detach())
            density = self.tree.log_prob(codes) + self.bins.log_inside(rows)
            return -(density + self._network(y, self.bins.hot(codes))).float()

        step = float(self.step)
        y, chance = hamiltonian(energy, state[1][:, reals], free, step, self.config.leaps, generator)
        rows = state[1].index_copy(1, reals, y)
        return (self.bins.classes(rows), rows), float(chance.mean())

    def _look(self, state: State) -> tuple[Tensor, Tensor]:
        """Return log p but for the numbers' places in their bins, shape (n,), and its estimated changes, (n, W)."""
        codes, rows = state
        with torch.enable_grad():
            hot = self.bins.hot(codes).requires_grad_()
            value = self._network(rows[:, self.bins.reals], hot)
            (slope,) = torch.autograd.grad(value.sum(), hot)
        score = self.tree.scores(codes) + slope
        change = score - score.gather(1, codes + self.bins.starts)[:, self.tree.owner]
        return self.tree.log_prob(codes) + value.detach(), change

    def _normalise(self, generator: torch.Generator) -> None:
        """Estimate log Z by draws of q."""
        sizes = [min(self._rows, NORMALISING - start) for start in range(0, NORMALISING, self._rows)]
        tilts = torch.cat([self._tilt(*self._noise(size, generator)) for size in sizes])
        shares = (tilts - tilts.max()).exp()
        self.log_z = tilts.max() + shares.mean().log()
        self.notes["log_z"] = float(self.log_z)
        self.notes["log_z_error"] = float(shares.std() / shares.mean() / math.sqrt(NORMALISING))
        self.notes["noise_effective_share"] = float(shares.mean() ** 2 / (shares**2).mean())

    def _pilot(self, generator: torch.Generator) -> None:
        """Run some chains from q itself: adapt the steps of the first half, judge the second."""
        known = torch.zeros(PILOTS, self.layout.width, device=self.device)
        held = _Held(known, known[0] > 0, ~self.bins.possible()[None])
        state, watched = self._noise(PILOTS, generator), []
        for turn in range(PILOT_SWEEPS):
            state, accepted = self._sweep(state, held, generator)
            if 2 * turn < PILOT_SWEEPS:
                self.step.fill_(adapted(float(self.step), accepted, ACCEPTED, turn))
                continue
            energy = self.tree.log_prob(state[0]) + self.bins.log_inside(state[1]) + self._tilt(*state)
            watched.append(torch.cat([energy[:, None], state[1][:, self.bins.reals[:WATCHED]].double()], dim=1))
        draws = torch.stack(watched).cpu().numpy()
        self.notes["r_hat"] = max(r_hat(draws[:, :, each]) for each in range(draws.shape[2]))
        effective = min(effective_draws(draws[:, :, each]) for each in range(draws.shape[2]))
        self.notes["effective_draws"] = effective / (len(draws) * PILOTS)
        self.notes["leapfrog_step"] = float(self.step)


@dataclass(frozen=True)
class _Held:
    """What chains must keep: rows, shape (n, D), the entries known of them, shape (D,), and barred classes, (n, W)."""

    rows: Tensor
    entries: Tensor
    barred: Tensor
