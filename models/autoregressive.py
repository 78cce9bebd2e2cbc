"""Autoregressive network over discrete codes."""

from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.layers import BlockLinear, PrefixLinear, dropout
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from models.core.resampling import pick
from models.core.waves import Curves, places_of, smoothed
from tabular.layout import Reads

STRETCHES = 6
BUDGET = 4096
MOST_CANDIDATES = 1024


class Autoregressive(NeuralModel):
    """Factorises p(x) = Π_j p(x_j | x_1 .. x_{j-1}) over the code blocks, in the layout's order.

    Each conditional is a softmax over the block's classes, computed by a residual network of the block's own from the
    embeddings, shared by all conditionals, of the blocks before it. Masks make all conditionals of a row one pass.
    Embeddings of a number's neighbouring cells start alike, and its logits have smooth curves over the cells
    beside a weight for each (`models.core.waves`), so that few rows show what cells have in common.

    Bengio & Bengio, Modeling High-Dimensional Discrete Data with Multi-Layer Neural Networks, NeurIPS 12, 1999;
    masking: Germain, Gregor, Murray & Larochelle, MADE: Masked Autoencoder for Distribution Estimation, 2015,
    arXiv:1502.03509.
    """

    reads: ClassVar[Reads] = "codes"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the network.

        Attributes:
            embedding: Width of a block's embedding.
            hidden: Width of each block's own network; narrower where the table has very many columns.
            depth: Residual layers of each block's own network.
            dropout: Share of the embedded entries that training hides.
            particles: Candidates drawn for each row by `sample_given` where the known blocks do not come first.
        """

        training: TrainerConfig = TrainerConfig(epochs=15, patience=4, validation=0.05)
        embedding: PositiveInt = 24
        hidden: PositiveInt = 128
        depth: Annotated[int, Field(ge=0)] = 1
        dropout: float = Field(default=0.0, ge=0, lt=1)
        particles: PositiveInt = 32

    config: Config
    offsets: Tensor

    def build(self) -> None:
        """Make embeddings, the blocks' networks, and one output layer a block."""
        wrong = [block.column for block in self.layout.blocks if block.kind != "code"]
        if wrong:
            raise ValueError(f"got blocks that are not codes ({', '.join(map(repr, wrong[:3]))}), wanted codes only")
        self.sizes = [block.cardinality for block in self.layout.blocks]
        count, width = len(self.sizes), self.config.embedding
        hidden = max(16, min(self.config.hidden, BUDGET // count))
        places = [places_of(block) for block in self.layout.blocks]
        first = [smoothed(torch.randn(size, width), at) for size, at in zip(self.sizes, places, strict=True)]
        self.embeddings = nn.Parameter(torch.cat(first))
        self.register_buffer("offsets", torch.tensor([0, *self.sizes[:-1]]).cumsum(0), persistent=False)
        self.first = PrefixLinear(count, width, hidden, STRETCHES)
        self.middle = nn.ModuleList(BlockLinear(count, hidden, hidden) for _ in range(self.config.depth))
        self.weights = nn.ParameterList(nn.Parameter(torch.zeros(size, hidden)) for size in self.sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in self.sizes)
        self.curves = nn.ModuleList(
            Curves(hidden, size, [(0, at)] if len(at) else []) for size, at in zip(self.sizes, places, strict=True)
        )

    def prepare(self, x: Tensor) -> None:
        """Start from independent columns: biases are log frequencies, with half a row added to each class."""
        self._check(x)
        codes = x.long()
        with torch.no_grad():
            for column, (size, bias) in enumerate(zip(self.sizes, self.biases, strict=True)):
                counts = torch.bincount(codes[:, column], minlength=size).float() + 0.5
                bias.copy_((counts / counts.sum()).log())

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative log-likelihood of a row, in nats."""
        return -self._log_likelihood(x.long(), generator).mean()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw block by block."""
        free = torch.zeros(n, len(self.sizes), dtype=torch.int64, device=self.device)
        return self._complete(free, [False] * len(self.sizes), generator)[0]

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of rows of codes, shape (n, D); exact."""
        with self.evaluation():
            rows = self.tensor(x)
            self._check(rows)
            parts = [self._log_likelihood(part, None).double().cpu() for part in rows.long().split(self.chunk)]
            return torch.cat(parts).numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their codes.

        Exact where the known blocks come first. Otherwise by likelihood weighting: candidates are drawn from left to
        right with the known blocks held fixed, weighted by the probability of the known blocks given what stands
        before them, and resampled. Rows with the same known codes share their candidates. The bias vanishes as
        the effective number of candidates grows; `notes` keeps it as `effective_sample_size`, the mean over the rows
        of the last call of the effective number in the pool that a row was picked from.

        Args:
            known: Rows of codes, shape (n, D); entries outside the mask are ignored.
            mask: True where a code is known, shape (D,).
            rng: Source of all randomness.

        Raises:
            ValueError: If shapes do not fit or a known entry is not a code of its block.
        """
        rows = self.known_rows(known, mask)
        flags = [bool(flag) for flag in mask]
        with self.inference(rng) as generator:
            self._check(self.tensor(rows))
            order = np.lexsort(rows.T) if len(rows) else np.empty(0, dtype=np.int64)
            codes = self.tensor(rows[order]).long()
            if flags == sorted(flags, reverse=True):
                parts = [self._complete(part, flags, generator)[0] for part in codes.split(self.chunk)]
            else:
                parts = self._resample(codes, flags, generator)
            drawn = np.empty_like(rows)
            drawn[order] = self.matrix(torch.cat(parts))
        return drawn

    def _check(self, x: Tensor) -> None:
        """Refuse what is not a code of its block."""
        sizes = torch.tensor(self.sizes, device=x.device)
        wrong = ((x != x.round()) | (x < 0) | (x >= sizes)).any(0).nonzero().flatten().tolist()
        if wrong:
            block = self.layout.blocks[wrong[0]]
            raise ValueError(
                f"column {block.column!r}, block {block.part!r}: got values outside its codes, "
                f"wanted whole numbers from 0 to {block.cardinality - 1}"
            )

    def _log_likelihood(self, codes: Tensor, generator: torch.Generator | None) -> Tensor:
        z = nn.functional.embedding(codes + self.offsets, self.embeddings).flatten(1)
        if self.training and generator is not None and self.config.dropout:
            z = dropout(z, self.config.dropout, generator)
        h = nn.functional.silu(self.first(z))
        for layer in self.middle:
            h = h + nn.functional.silu(layer(h))
        losses = [
            nn.functional.cross_entropy(self._logits(block, part), target, reduction="none")
            for block, (part, target) in enumerate(zip(h.unbind(0), codes.unbind(1), strict=True))
        ]
        return -torch.stack(losses).sum(0)

    def _logits(self, block: int, h: Tensor) -> Tensor:
        """Map a block's own hidden rows, shape (n, hidden), to its classes, shape (n, K)."""
        logits: Tensor = nn.functional.linear(h, self.weights[block], self.biases[block]) + self.curves[block](h)
        return logits

    def _complete(self, codes: Tensor, known: list[bool], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the blocks that are not known from left to right.

        Returns:
            Codes, shape (n, D), and the log-probability of the known blocks given those before them, shape (n,).
        """
        n, width = codes.shape[0], self.config.embedding
        codes = codes.clone()
        z = torch.zeros(n, len(known) * width, device=codes.device)
        weights = torch.zeros(n, device=codes.device)
        for block, fixed in enumerate(known):
            h = nn.functional.silu(self.first.one(block, z[:, : block * width]))
            for layer in self.middle:
                h = h + nn.functional.silu(layer(h, block))
            logits = self._logits(block, h)
            if fixed:
                weights += logits.log_softmax(1).gather(1, codes[:, block, None])[:, 0]
            else:
                codes[:, block] = _draw_classes(logits, generator)
            z[:, block * width : (block + 1) * width] = self.embeddings[codes[:, block] + self.offsets[block]]
        return codes, weights

    def _resample(self, codes: Tensor, known: list[bool], generator: torch.Generator) -> list[Tensor]:
        """Draw candidates for sorted rows of known codes, shape (n, D), and keep one a row by its weight."""
        candidates = max(self.config.particles, min(self.chunk // len(codes), MOST_CANDIDATES)) if len(codes) else 1
        parts, effective = [codes[:0]], [torch.zeros(0, device=codes.device)]
        for part in codes.split(max(1, self.chunk // candidates)):
            _, group, sizes = part.unique_consecutive(dim=0, return_inverse=True, return_counts=True)
            drawn, weights = self._complete(part.repeat_interleave(candidates, 0), known, generator)
            picked, size = pick(weights.double(), group, sizes, candidates, generator)
            parts.append(drawn[picked])
            effective.append(size[group])
        if len(codes):
            pool = torch.cat(effective)
            self.notes["effective_sample_size"] = float(pool.mean())
        return parts


def _draw_classes(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one class a row by inverting the distribution function, shape (n,)."""
    steps = logits.softmax(1).cumsum(1)
    u = torch.rand(len(logits), 1, generator=generator, device=logits.device) * steps[:, -1:]
    return torch.searchsorted(steps, u, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)
