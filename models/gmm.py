"""Finite mixture: Gaussians over the real blocks and independent categories over the others, within each component."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.special import logsumexp

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.mixture import (
    CHUNK,
    Floats,
    Mask,
    Mixture,
    Plan,
    Split,
    Whole,
    conditional,
    log_joint,
    maximise,
    start,
    step,
)
from tabular.layout import Layout

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
PATIENCE = 2
ENOUGH = 16
WORK = 1e11


class GMM(GenerativeModel):
    r"""Mixture of K components, p(x) = Σ_k π_k N(x_real | μ_k, Σ_k) ∏_b Cat(x_b | θ_kb).

    The Gaussian covers the numbers that mean something in the row: where a block's `when` is off, it is integrated
    out. Fitted by expectation-maximisation from k-means++ seeds; a pseudo-row in each component keeps covariances
    regular and probabilities above 0. Density and conditional draws (the posterior of the component, then conditional
    Gaussians and categories) are exact.

    Dempster, Laird & Rubin, Maximum likelihood from incomplete data via the EM algorithm, 1977,
    doi:10.1111/j.2517-6161.1977.tb01600.x; the number of components by Schwarz, Estimating the dimension of a model,
    1978, doi:10.1214/aos/1176344136.
    """

    reads = "one_hot"

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """Size of the mixture and when to stop.

        Attributes:
            components: K; `auto` raises it to 16 at least, and until the Bayesian information criterion, counting the
                categories that a component holds, has twice been no better, or about half a minute of work is done.
            covariance: Of the real blocks within a component; `auto` is `full` where there are at most 64 patterns of
                which numbers mean something, and otherwise full only among the numbers that always do.
            rows: Most rows that the fit looks at; a random choice where there are more.
            iterations: Most steps of expectation-maximisation.
            tolerance: Stops when the mean log-likelihood rises by less, in nats per row.
            floor: Smallest variance along any direction.
        """

        components: PositiveInt | Literal["auto"] = "auto"
        covariance: Literal["auto", "full", "diagonal"] = "auto"
        rows: PositiveInt = 50_000
        iterations: PositiveInt = 100
        tolerance: PositiveFloat = 1e-3
        floor: Annotated[float, Field(gt=0, le=1)] = 1e-3

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self._plan = Plan(layout)
        self._groups: tuple[Whole, ...] = ()
        self._mixture = Mixture(np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0, 0)), np.zeros((0, 0)))

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows, shape (n, D).

        Raises:
            ValueError: If there is no row, or a one-hot block does not hold exactly one 1.
        """
        if not len(x):
            raise ValueError("gmm: got no training rows, wanted at least one")
        rows = x if len(x) <= self.config.rows else x[np.sort(rng.choice(len(x), self.config.rows, replace=False))]
        monitor, hot, on = monitor or Silent(), self._plan.entries(rows), self._plan.on(rows)
        real = np.where(on, rows[:, self._plan.real], 0.0).astype(np.float64)
        self._groups = self._plan.groups(on, self.config.covariance)
        splits = [Split.of(group, on) for group in self._groups]
        self._search(splits, real, hot, rng, monitor)
        monitor.progress(1.0, f"{len(self._mixture.weights)} components chosen")
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D)."""
        nothing = np.zeros((n, self.layout.width), dtype=np.float32)
        return self.sample_given(nothing, np.zeros(self.layout.width, dtype=bool), rng)

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, exactly.

        Raises:
            ValueError: If a number is known without the block that tells whether it means anything.
        """
        needs = mask[self._plan.real] & (self._plan.when >= 0)
        if not mask[self._plan.when[needs]].all():
            raise ValueError("gmm: a number is known, but not the state block of its column; give both or neither")
        x = np.where(mask, known, 0.0).astype(np.float32)
        for begin in range(0, len(x), CHUNK):
            self._fill(x[begin : begin + CHUNK], mask, rng)
        return x

    def log_prob(self, x: Matrix) -> Floats:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D): of the numbers that mean something."""
        hot = self._plan.entries(x)
        log_prob = np.empty(len(x))
        for begin in range(0, len(x), CHUNK):
            rows = slice(begin, begin + CHUNK)
            on, real = self._plan.on(x[rows]), x[rows][:, self._plan.real].astype(np.float64)
            splits = [Split.of(group, on) for group in self._groups]
            joint = log_joint(self._mixture, splits, real, hot[rows].astype(np.float64))
            log_prob[rows] = logsumexp(joint, axis=1)
        return log_prob

    def state(self) -> State:
        """Return the parameters, and the group of each number."""
        member = np.zeros(len(self._plan.real), dtype=np.int64)
        for index, group in enumerate(self._groups):
            member[group] = index
        mixture = self._mixture
        return {
            "weights": mixture.weights,
            "means": mixture.means,
            "covariances": mixture.covariances,
            "chances": mixture.chances,
            "groups": member,
        }

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        numbers, entries = len(self._plan.real), len(self._plan.hot)
        size = len(arrays["weights"]) if "weights" in arrays else 0
        shapes = {
            "weights": (size,),
            "means": (size, numbers),
            "covariances": (size, numbers, numbers),
            "chances": (size, entries),
            "groups": (numbers,),
        }
        for name, shape in shapes.items():
            if name not in arrays or arrays[name].shape != shape:
                got = arrays[name].shape if name in arrays else "nothing"
                raise ValueError(f"gmm: array {name!r}: got {got}, wanted shape {shape}")
        weights, means, covariances, chances = (arrays[name].astype(np.float64) for name in list(shapes)[:4])
        self._mixture = Mixture(weights, means, covariances, chances)
        member = arrays["groups"].astype(np.int64)
        self._groups = tuple(np.flatnonzero(member == index) for index in range(int(member.max(initial=-1)) + 1))
        return self

    def _search(
        self, splits: list[Split], real: Floats, hot: Matrix, rng: np.random.Generator, monitor: Monitor
    ) -> None:
        """Climb with more and more components; keep the best by the Bayesian information criterion."""
        asked = self.config.components
        sizes = [min(size, len(real)) for size in (GRID if asked == "auto" else (asked,))]
        best, worse, spent, steps = np.inf, 0, 0.0, 0
        for done, size in enumerate(sorted(set(sizes))):
            monitor.progress(done / len(sizes), f"{size} components")
            effort = len(real) * self._width() * (size + 8.0)
            if done and spent + steps * effort > WORK:
                break
            mixture, log_likelihood, steps = self._climb(size, splits, real, hot, rng)
            spent += steps * effort
            bic = self._parameters(mixture, len(real)) * float(np.log(len(real))) - 2 * log_likelihood
            worse = 0 if bic < best else worse + 1
            # Few components may gain nothing where many do: a board's fields have neither a centre nor a slope.
            if worse >= PATIENCE and size >= ENOUGH:
                break
            if worse:
                continue
            best, self._mixture = bic, mixture
            self.notes = {
                "components": float(size),
                "bic": bic,
                "log_likelihood": log_likelihood / len(real),
                "iterations": float(steps),
                "covariance_groups": float(len(self._groups)),
            }

    def _climb(
        self, size: int, splits: list[Split], real: Floats, hot: Matrix, rng: np.random.Generator
    ) -> tuple[Mixture, float, int]:
        """Run EM with that many components; return them, the log-likelihood and the steps taken."""
        mixture, prior = start(size, self._plan, splits, real, hot, rng)
        before, steps = -np.inf, 0
        while True:
            moments = step(mixture, splits, real, hot)
            if steps >= self.config.iterations or moments.log_likelihood - before < self.config.tolerance * len(real):
                return mixture, moments.log_likelihood, steps
            before, steps = moments.log_likelihood, steps + 1
            mixture = maximise(mixture, moments, prior, splits, self.config.floor)

    def _width(self) -> int:
        """Return how many sums a step of EM keeps of each component."""
        return 1 + len(self._plan.hot) + sum(len(group) * (len(group) + 3) // 2 for group in self._groups)

    def _parameters(self, mixture: Mixture, n: int) -> int:
        """Return the number of free parameters; a category that a component expects in no row of n is none."""
        size = len(mixture.weights)
        pairs = sum(len(group) * (len(group) + 1) // 2 for group in self._groups)
        held = int((n * mixture.weights[:, None] * mixture.chances >= 1).sum())
        return size * (1 + len(self._plan.real) + pairs) - 1 + max(held - size * len(self._plan.names), 0)

    def _fill(self, x: Matrix, mask: Mask, rng: np.random.Generator) -> None:
        """Draw what is not known of some rows, in place: component, then categories, then numbers."""
        plan, mixture = self._plan, self._mixture
        known = self._plan.on(x) & mask[plan.real]
        real, hot = x[:, plan.real].astype(np.float64), x[:, plan.hot].astype(np.float64)
        splits = [Split.of(group, known) for group in self._groups]
        joint = log_joint(mixture, splits, real, hot)
        component = _choose(np.exp(joint - joint.max(axis=1, keepdims=True)), rng)
        for first, stop in zip(plan.ends[:-1], plan.ends[1:], strict=True):
            if not mask[plan.hot[first]]:
                code = _choose(mixture.chances[component, first:stop], rng)
                x[np.arange(len(x)), plan.hot[first + code]] = 1.0
        drawn = self._numbers(real, splits, component, rng)
        drawn[~plan.on(x)] = 0.0
        free = ~mask[plan.real]
        x[:, plan.real[free]] = drawn[:, free]

    def _numbers(self, real: Floats, splits: list[Split], component: Whole, rng: np.random.Generator) -> Floats:
        """Draw numbers, shape (n, d), from their component's Gaussian given those that are known."""
        noise, drawn = rng.standard_normal(real.shape), real.copy()
        for split in splits:
            mean = self._mixture.means[:, split.group]
            covariance = self._mixture.covariances[:, split.group[:, None], split.group]
            for index, pattern in enumerate(split.patterns):
                here, there = split.group[pattern], split.group[~pattern]
                _, _, slope, rest = conditional(mean, covariance, pattern)
                root = np.linalg.cholesky(rest)
                for k in np.unique(component[split.member == index]):
                    rows = np.flatnonzero((split.member == index) & (component == k))
                    centred = real[np.ix_(rows, here)] - mean[k, pattern]
                    spread = noise[np.ix_(rows, there)] @ root[k].T
                    drawn[np.ix_(rows, there)] = mean[k, ~pattern] + centred @ slope[k].T + spread
        return drawn


def _choose(weights: Floats, rng: np.random.Generator) -> Whole:
    """Draw a position in each row of weights, shape (n, K), in proportion to them."""
    heap = np.cumsum(weights, axis=1)
    passed = (heap <= rng.random((len(heap), 1)) * heap[:, -1:]).sum(axis=1)
    chosen: Whole = np.minimum(passed, weights.shape[1] - 1).astype(np.int64)
    return chosen
