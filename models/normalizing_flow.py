"""Normalizing flow: monotone splines, one a column, each shaped by the columns before it."""

import math
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from zuko.transforms import MonotonicRQSTransform

from models.core.base import Matrix
from models.core.layers import BlockLinear, PrefixLinear
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from models.core.resampling import pick
from tabular.layout import Reads

STRETCHES = 6
BUDGET = 4096
FREQUENCIES = 6
LEAST = 1e-12
MOST_CANDIDATES = 1024
STEEP = 1e-4


class NormalizingFlow(NeuralModel):
    r"""An autoregressive flow to uniform noise: v_j = S_j(u_j; x_{<j}), log p(x) = Σ_j log dv_j/dx_j.

    u_j is the column's own scale in [0, 1]: Φ of a normal score, or, for a category, a place in the stretch of the
    classes' cumulated training frequencies (uniform dequantisation). S_j is a monotone rational-quadratic spline of
    [0, 1], from a network of the blocks before j. Because later splines see a category's class and not its place, the
    dequantisation is integrated out exactly: p(class k | before) = S_j(c_k) - S_j(c_{k-1}), and the density of a row is
    exact. Straight splines are independent columns. Rows are drawn by inverting one block after another.

    Durkan, Bekasov, Murray & Papamakarios, Neural spline flows, 2019, arXiv:1906.04032.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the networks.

        Attributes:
            bins: Bins of each spline.
            embedding: Width of a block's embedding.
            hidden: Width of each block's own network; narrower where the table has very many blocks.
            depth: Residual layers of each block's own network.
            particles: Candidates drawn for each row by `sample_given` where the known blocks do not come first.
        """

        training: TrainerConfig = TrainerConfig(epochs=25, patience=5, validation=0.05)
        bins: Annotated[int, Field(ge=2)] = 24
        embedding: PositiveInt = 24
        hidden: PositiveInt = 128
        depth: Annotated[int, Field(ge=0)] = 1
        particles: PositiveInt = 32

    config: Config
    edges: Tensor

    def build(self) -> None:
        """Make embeddings, the blocks' networks and what shapes their splines."""
        wrong = [block.column for block in self.layout.blocks if block.kind == "code"]
        if wrong:
            raise ValueError(f"got blocks of codes ({', '.join(map(repr, wrong[:3]))}), wanted real and one_hot only")
        blocks = self.layout.blocks
        count, width, knots = len(blocks), self.config.embedding, 3 * self.config.bins - 1
        hidden = max(16, min(self.config.hidden, BUDGET // count))
        self.embeddings = nn.ParameterList(
            nn.Parameter(torch.randn(block.width if block.kind == "one_hot" else 2 + 2 * FREQUENCIES, width))
            for block in blocks
        )
        self.first = PrefixLinear(count, width, hidden, STRETCHES)
        self.middle = nn.ModuleList(BlockLinear(count, hidden, hidden) for _ in range(self.config.depth))
        self.last = BlockLinear(count, hidden, knots)
        with torch.no_grad():
            self.last.weight.zero_()
        widths = [block.width if block.kind == "one_hot" else 0 for block in blocks]
        self.places = [sum(widths[:index]) for index in range(count)]
        even = [torch.arange(1, block.width + 1) / block.width for block in blocks if block.kind == "one_hot"]
        self.register_buffer("edges", torch.cat([*even, torch.zeros(0)]))

    def prepare(self, x: Tensor) -> None:
        """Cumulate the classes' frequencies, half a row added to each."""
        parts = []
        for block in self.layout.blocks:
            if block.kind == "one_hot":
                counts = x[:, block.start : block.stop].double().sum(0) + 0.5
                parts.append((counts.cumsum(0) / counts.sum()).float())
        self.edges = torch.cat([*parts, torch.zeros(0, device=x.device)])

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative log-likelihood of a row, in nats."""
        return -self._log_likelihood(x).mean()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw block by block, each by inverting its spline."""
        x = torch.zeros(n, self.layout.width, device=self.device)
        return self._complete(x, [False] * len(self.layout.blocks), generator)[0]

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D); exact."""
        with self.evaluation():
            parts = [self._log_likelihood(part).double().cpu() for part in self.tensor(x).split(self.chunk)]
            return torch.cat(parts).numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks.

        Exact where the known blocks come first. Otherwise by likelihood weighting: candidates are drawn block by block
        with the known ones held fixed, weighted by the density of the known blocks given what stands before them, and
        resampled. `notes` keeps the effective number of candidates, the mean over the rows of the last call, as
        `effective_sample_size`.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        rows = self.known_rows(known, mask)
        flags = [bool(mask[block.start]) for block in self.layout.blocks]
        order = np.lexsort(rows.T) if len(rows) else np.empty(0, dtype=np.int64)
        with self.inference(rng) as generator:
            x = self.tensor(rows[order])
            if flags == sorted(flags, reverse=True):
                parts = [self._complete(part, flags, generator)[0] for part in x.split(self.chunk)]
            else:
                parts = self._resample(x, flags, generator)
            drawn = np.empty_like(rows)
            drawn[order] = self.matrix(torch.cat(parts))
        return np.where(mask, rows, drawn).astype(np.float32)

    def _embed(self, block: int, x: Tensor) -> Tensor:
        """Embed one block's entries, shape (n, w), to shape (n, E)."""
        if self.layout.blocks[block].kind == "one_hot":
            embedded: Tensor = x @ self.embeddings[block]
            return embedded
        angles = x * torch.arange(1, FREQUENCIES + 1, device=x.device) * (math.pi / 4)
        features = torch.cat([x, torch.ones_like(x), angles.sin(), angles.cos()], dim=1)
        embedded = features @ self.embeddings[block]
        return embedded

    def _log_likelihood(self, x: Tensor) -> Tensor:
        parts = [self._embed(index, x[:, block.start : block.stop]) for index, block in enumerate(self.layout.blocks)]
        h = nn.functional.silu(self.first(torch.cat(parts, dim=1)))
        for layer in self.middle:
            h = h + nn.functional.silu(layer(h))
        ends = [self._ends(index, x) for index in range(len(parts))]
        low, high, base = (torch.stack(each, dim=1) for each in zip(*ends, strict=True))
        return self._terms(self.last(h).float().transpose(0, 1), low, high, base).sum(1)

    def _ends(self, index: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a block's stretch of [0, 1], and log φ of a number, 0 of a category, each of shape (n,).

        A number that is off has the stretch of a category that is sure, so it adds nothing.
        """
        block = self.layout.blocks[index]
        part = x[:, block.start : block.stop]
        if block.kind == "one_hot":
            edges = self.edges[self.places[index] : self.places[index] + block.width]
            high = (part @ edges).clamp(max=1.0)
            return part @ nn.functional.pad(edges[:-1], (1, 0)), high, torch.zeros_like(high)
        z = part[:, 0]
        u = torch.special.ndtr(z).clamp(1e-6, 1 - 1e-6)
        on = torch.ones_like(z) if block.when is None else x[:, block.when]
        base = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)) * on
        return u * on, torch.where(on > 0, u, torch.ones_like(u)), base

    def _terms(self, shapes: Tensor, low: Tensor, high: Tensor, base: Tensor) -> Tensor:
        """Return the log-density of blocks, shape (n, b), from their splines' shapes, shape (n, b, k), and ends."""
        spline = self._spline(shapes)
        top, slope = spline.call_and_ladj(2 * high - 1)
        mass = ((top - spline(2 * low - 1)) / 2).clamp(min=LEAST).log()
        return torch.where(base < 0, slope + base, mass)

    def _spline(self, shapes: Tensor) -> MonotonicRQSTransform:
        bins = self.config.bins
        widths, heights, slopes = shapes.split([bins, bins, bins - 1], dim=-1)
        return MonotonicRQSTransform(widths, heights, slopes, bound=1.0, slope=STEEP)

    def _complete(self, x: Tensor, known: list[bool], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the blocks that are not known from first to last.

        Returns:
            Encoded rows, shape (n, D), and the log-density of the known blocks given those before them, shape (n,).
        """
        x, width = x.clone(), self.config.embedding
        z = torch.zeros(len(x), len(known) * width, device=x.device)
        weights = torch.zeros(len(x), device=x.device)
        for index, (block, fixed) in enumerate(zip(self.layout.blocks, known, strict=True)):
            h = nn.functional.silu(self.first.one(index, z[:, : index * width]))
            for layer in self.middle:
                h = h + nn.functional.silu(layer(h, index))
            shapes = self.last(h, index).float()
            if fixed:
                low, high, base = self._ends(index, x)
                weights += self._terms(shapes[:, None], low[:, None], high[:, None], base[:, None])[:, 0]
            else:
                v = torch.rand(len(x), generator=generator, device=x.device)
                u = ((self._spline(shapes).inv(2 * v - 1) + 1) / 2).clamp(0, 1)
                self._place(index, u, x)
            z[:, index * width : (index + 1) * width] = self._embed(index, x[:, block.start : block.stop])
        return x, weights

    def _place(self, index: int, u: Tensor, x: Tensor) -> None:
        """Write what lies at places in [0, 1], shape (n,), into a block of rows, shape (n, D)."""
        block = self.layout.blocks[index]
        if block.kind == "one_hot":
            edges = self.edges[self.places[index] : self.places[index] + block.width]
            drawn = torch.searchsorted(edges, u, right=True).clamp(max=block.width - 1)
            x[:, block.start : block.stop] = nn.functional.one_hot(drawn, block.width).float()
            return
        on = 1.0 if block.when is None else x[:, block.when]
        x[:, block.start] = torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6)) * on

    def _resample(self, x: Tensor, known: list[bool], generator: torch.Generator) -> list[Tensor]:
        """Draw candidates for sorted known rows, shape (n, D), and keep one a row by its weight."""
        candidates = max(self.config.particles, min(self.chunk // len(x), MOST_CANDIDATES)) if len(x) else 1
        parts, effective = [x[:0]], [torch.zeros(0, device=x.device)]
        for part in x.split(max(1, self.chunk // candidates)):
            _, group, sizes = part.unique_consecutive(dim=0, return_inverse=True, return_counts=True)
            drawn, weights = self._complete(part.repeat_interleave(candidates, 0), known, generator)
            picked, size = pick(weights.double(), group, sizes, candidates, generator)
            parts.append(drawn[picked])
            effective.append(size[group])
        if len(x):
            self.notes["effective_sample_size"] = float(torch.cat(effective).mean())
        return parts
