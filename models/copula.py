"""Mixture of Gaussian copulas over ordered groups, with each column's own frequencies as margins."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt
from scipy.special import logsumexp

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.columns import Codes, Columns, Floats, Mask
from models.core.latent_classes import classes
from models.core.latent_normals import correlations, edges, integrate
from tabular.layout import Layout

ROWS = 50_000
CHUNK = 200_000


class Copula(GenerativeModel):
    r"""p(x) = Σ_k π_k P(z_j in (Φ⁻¹ F_kj(x_j - 1), Φ⁻¹ F_kj(x_j)] for all j), z ~ N(0, R_k).

    By Sklar's theorem a distribution is its margins F and a copula, here a Gaussian one in each of K latent classes.
    Columns are ordered groups (`Columns`); within a group nothing depends on the score. Classes come first, by
    expectation-maximisation as if columns were independent in them; then the margins; then the correlations of the
    scores, from draws of them within their groups (`correlations`), so that ties do not weaken them.

    Rectangles have no closed form: `log_prob` weighs `draws` fixed scores a class (`integrate`). That estimate is
    itself a distribution: it sums to one. Conditional draws weigh `draws` random scores of the known columns a class
    and keep one; the effective number of them stands in `notes["effective_sample_size"]`. The other columns
    follow exactly.

    Joe, Dependence modeling with copulas, 2014, doi:10.1201/b17116.
    """

    reads = "codes"
    estimated = True

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """Number of classes, and how hard correlations and probabilities are looked for.

        Attributes:
            components: K; `auto` takes one a thousand rows, at most 32.
            sweeps: Turns through all columns in the search for correlations.
            pull: Rows that the correlations within all classes are worth in each class, for each column.
            smoothing: Rows that the column's margin is worth in each class.
            draws: Scores weighed a row and class.
        """

        components: PositiveInt | Literal["auto"] = "auto"
        sweeps: PositiveInt = 24
        pull: NonNegativeFloat = 2.0
        smoothing: Annotated[float, Field(gt=0)] = 2.0
        draws: PositiveInt = 8

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout)
        self._columns = Columns(layout)
        self._weights: Floats = np.zeros(0)
        self._margins: list[Floats] = []
        self._settle(np.zeros((0, 0, 0)))

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Find classes, margins and correlations of encoded rows, shape (n, D).

        Raises:
            ValueError: If there is no row, or a code lies outside its block.
        """
        if not len(x):
            raise ValueError("copula: got no training rows, wanted at least one")
        monitor = monitor or Silent()
        groups, _ = self._columns.fit(x, rng).read(x)
        asked = self.config.components
        size = min(max(len(x) // 1000, 1), 32) if asked == "auto" else min(asked, len(x))
        margins = [column.margin for column in self._columns.columns]
        member = classes(groups, margins, size, rng, monitor)
        rows = np.bincount(member, minlength=size).astype(np.float64)
        self._weights, self._margins = (rows + 1) / (rows + 1).sum(), []
        for j, margin in enumerate(margins):
            counts = np.bincount(member * len(margin) + groups[:, j], minlength=size * len(margin))
            smooth = counts.reshape(size, -1) + self.config.smoothing * margin
            self._margins.append(smooth / smooth.sum(axis=1, keepdims=True))
        monitor.progress(0.5, f"{size} classes")
        some = np.arange(len(x)) if len(x) <= ROWS else np.sort(rng.choice(len(x), ROWS, replace=False))
        pull = self.config.pull * groups.shape[1]
        self._settle(correlations(groups[some], member[some], self._margins, self.config.sweeps, pull, rng))
        monitor.progress(1.0, "correlations found")
        self.notes = {"components": float(size)}
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D)."""
        heap = np.cumsum(self._weights)
        member = np.minimum(np.searchsorted(heap, rng.random(n) * heap[-1], side="right"), len(heap) - 1)
        normal = rng.standard_normal((len(self._margins), n))
        order = np.arange(len(self._margins))
        return self._columns.write(self._find(member, normal, order), rng)

    def log_prob(self, x: Matrix) -> Floats:
        """Estimate log p(x) in nats, shape (n,), of encoded rows, shape (n, D): the same at every call."""
        groups, inside = self._columns.read(x)
        count, draws = groups.shape[1], self.config.draws
        steps = 2.0 ** (np.arange(1, count + 1) / (count + 1))
        heights = np.mod(0.5 + steps[:, None, None] * np.arange(1, draws + 1), 1.0)
        rows = max(1, CHUNK // (draws * count))
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            known = list(groups[part].T)
            each = [self._weigh(k, np.arange(count), known, heights)[0] for k in range(len(self._weights))]
            inside[part] += logsumexp(np.hstack(each), axis=1) - np.log(draws)
        return inside

    def sample_given(self, known: Matrix, mask: Mask, rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by weighing scores of the known columns."""
        told = self._columns.given(known, mask)
        if not told:
            return self.sample(len(known), rng)
        order = np.array([*told, *(j for j in range(len(self._margins)) if j not in told)], dtype=np.int64)
        groups = np.empty((len(known), len(order)), dtype=np.int64)
        widest = max([1, *(each.shape[1] for each in told.values() if each.ndim > 1)])
        rows = max(1, CHUNK // (self.config.draws * max(len(order) * len(self._weights), widest)))
        effective = 0.0
        for start in range(0, len(known), rows):
            part = slice(start, start + rows)
            groups[part], found = self._fill([each[part] for each in told.values()], order, rng)
            effective += found
        if len(known):
            self.notes["effective_sample_size"] = effective / len(known)
        return self._columns.write_given(groups, known, mask, rng)

    def state(self) -> State:
        """Return the columns' groups, and the weights, margins and correlations of the classes."""
        return {
            **self._columns.state(),
            "weights": self._weights,
            "correlations": self._correlations,
            **{f"margin.{j}": margin for j, margin in enumerate(self._margins)},
        }

    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned."""
        self._columns.load_state(arrays)
        sizes = self._columns.sizes
        classes = len(arrays["weights"]) if "weights" in arrays else 0
        shapes: dict[str, tuple[int, ...]] = {"weights": (classes,), "correlations": (classes, len(sizes), len(sizes))}
        shapes |= {f"margin.{j}": (classes, size) for j, size in enumerate(sizes)}
        for name, shape in shapes.items():
            if name not in arrays or arrays[name].shape != shape or not classes:
                got = arrays[name].shape if name in arrays else "nothing"
                raise ValueError(f"copula: array {name!r}: got {got}, wanted shape {shape}")
        self._weights = arrays["weights"].astype(np.float64)
        self._margins = [arrays[f"margin.{j}"].astype(np.float64) for j in range(len(sizes))]
        self._settle(arrays["correlations"].astype(np.float64))
        return self

    def _settle(self, correlations: Floats) -> None:
        """Keep the correlations, and the ends of all groups."""
        self._correlations, self._ends = correlations, edges(self._margins)

    def _weigh(
        self, k: int, order: Codes, known: Sequence[Codes | Floats], heights: Floats
    ) -> tuple[Floats, Floats, Codes]:
        """Weigh draws of the first few columns of an order in a class, as `integrate` does, and the class itself."""
        factor = np.linalg.cholesky(self._correlations[k][np.ix_(order, order)])
        ends = [self._ends[j][k] for j in order[: len(known)]]
        weight, normal, groups = integrate(factor, ends, known, heights)
        return weight + np.log(self._weights[k]), normal, groups

    def _fill(self, known: list[Codes | Floats], order: Codes, rng: np.random.Generator) -> tuple[Codes, float]:
        """Draw groups, shape (n, d), given those of the first columns of an order; and the sum of effective sizes."""
        n, draws = len(known[0]), self.config.draws
        each = [self._weigh(k, order, known, rng.random((len(known), n, draws))) for k in range(len(self._weights))]
        weight = np.hstack([weight for weight, _, _ in each])
        share = np.exp(weight - weight.max(axis=1, keepdims=True))
        heap = np.cumsum(share, axis=1)
        picked = np.minimum((heap <= rng.random((n, 1)) * heap[:, -1:]).sum(axis=1), heap.shape[1] - 1)
        member, draw = np.divmod(picked, draws)
        normal = rng.standard_normal((len(order), n))
        fixed = np.empty((len(known), n), dtype=np.int64)
        for k, (_, behind, groups) in enumerate(each):
            own = np.flatnonzero(member == k)
            normal[: len(known), own], fixed[:, own] = behind[:, own, draw[own]], groups[:, own, draw[own]]
        found = self._find(member, normal, order)
        found[:, order[: len(known)]] = fixed.T
        return found, float((share.sum(axis=1) ** 2 / (share**2).sum(axis=1)).sum())

    def _find(self, member: Codes, normal: Floats, order: Codes) -> Codes:
        """Return the groups, shape (n, d), that independent normals in an order of the columns, (d, n), lead to."""
        groups = np.empty(normal.shape[::-1], dtype=np.int64)
        for k in np.unique(member):
            own = np.flatnonzero(member == k)
            factor = np.linalg.cholesky(self._correlations[k][np.ix_(order, order)])
            score = factor @ normal[:, own]
            for place, j in enumerate(order):
                groups[own, j] = np.searchsorted(self._ends[j][k, 1:-1], score[place], side="left")
        return groups
