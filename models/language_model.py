"""Language model: a decoder-only transformer over rows written as keys and letters, under the schema's grammar."""

import math
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.decoder import Decoder
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from models.core.spelling import Place, Spelling
from models.core.waves import FEWEST, even, places_of, smoothed
from tabular.layout import Block, Reads

TOKENS_A_PASS = 1 << 17


class LanguageModel(NeuralModel):
    """Writes a row as a text and factorises p(row) = Π_t p(letter_t | letters and keys before it, key_t).

    The text is a list of words, one for each block of codes: the block's key, then its code in letters of an alphabet
    of bounded size (`models/core/spelling.py`). Keys are given, not guessed, for the order of the columns is chosen:
    a key is therefore no token of its own, but added to the token before its letter. The grammar closes every letter
    that no code continues with, so that probabilities of valid rows sum to one and no other row can be written.
    Letters have one embedding each for reading and writing, a letter at another place of the row being another token.

    Any-order training: in each training row a random set of columns comes first, then the others. So any columns can
    be given: `sample_given` puts them first, which is exact for the model of that order. `sample` and `log_prob` use
    the layout's order. The models of two orders are one network, and agree as far as training made them.

    Borisov, Seßler, Leemann, Pawelczyk & Kasneci, Language Models are Realistic Tabular Data Generators, 2022,
    arXiv:2210.06280. What differs: the network is small and learns from the table alone, and rows need no parsing.
    """

    reads: ClassVar[Reads] = "codes"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the network, and how rows are written.

        Attributes:
            hidden: Width of the hidden states; a multiple of `heads`.
            depth: Layers.
            heads: Attention heads of a layer.
            alphabet: Most letters at one place; a block with more codes is written in several letters.
            shuffled: Share of the training rows whose columns come in another order than the layout's.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=8, patience=4, validation=0.05, batch_size=128, learning_rate=4e-3, ema=0.998
        )
        hidden: PositiveInt = 64
        depth: PositiveInt = 3
        heads: PositiveInt = 4
        alphabet: int = Field(default=256, ge=2)
        shuffled: float = Field(default=1.0, ge=0, le=1)

        @model_validator(mode="after")
        def _even_heads(self) -> Self:
            if self.hidden % self.heads:
                raise ValueError(f"hidden: got {self.hidden}, wanted a multiple of heads ({self.heads})")
            return self

    config: Config
    columns: Tensor
    offsets: Tensor

    def build(self) -> None:
        """Make the tokens' and keys' embeddings, the decoder, and a last map that starts from zero."""
        width, blocks = self.config.hidden, self.layout.blocks
        self.spelling = Spelling(self.layout, self.config.alphabet)
        self.sizes = [place.size for place in self.spelling.places]
        self.names = list(dict.fromkeys(block.column for block in blocks))
        columns = [self.names.index(blocks[place.block].column) for place in self.spelling.places]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("offsets", torch.tensor([0, *self.sizes[:-1]]).cumsum(0), persistent=False)
        first = [smoothed(torch.randn(place.size, width), _where(place, blocks)) for place in self.spelling.places]
        self.tokens = nn.Parameter(torch.cat(first) / math.sqrt(width))
        self.biases = nn.Parameter(torch.zeros(sum(self.sizes)))
        self.keys = nn.Parameter(torch.randn(len(self.sizes), width))
        self.begin = nn.Parameter(torch.randn(width))
        self.decoder = Decoder(width, self.config.depth, self.config.heads)
        self.last = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.last.weight)

    def prepare(self, x: Tensor) -> None:
        """Start from independent letters: biases are log frequencies, with half a row added to each letter."""
        self._check(x)
        letters = self.spelling.write(x.long())
        with torch.no_grad():
            for index, bias in enumerate(self.biases.split(self.sizes)):
                counts = torch.bincount(letters[:, index], minlength=self.sizes[index]).float() + 0.5
                bias.copy_((counts / counts.sum()).log())

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative log-likelihood of a row, in nats; while validating, in the layout's order alone."""
        if self.training:
            return -self._log_likelihood(x.long(), self._orders(len(x), generator)).mean()
        return -self._in_passes(x.long(), self._order([])).mean()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Write n rows in the layout's order."""
        free = torch.zeros(n, self.layout.width, dtype=torch.int64, device=self.device)
        return self._complete(free, np.zeros(self.layout.width, dtype=np.bool_), generator)

    def log_prob(self, x: Matrix, first: Sequence[str] = ()) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), exact for one order of the columns.

        Args:
            x: Rows of codes, shape (n, D).
            first: Columns that come first, in this order, before the others in the layout's; none by default, which
                is the order that `sample` writes in.

        Raises:
            ValueError: If a column is unknown or named twice, or an entry is not a code of its block.
        """
        unknown = [name for name in first if name not in self.names]
        if unknown or len(set(first)) < len(first):
            raise ValueError(f"first: got {list(first)}, wanted columns of the layout, each at most once")
        with self.evaluation():
            rows = self.tensor(x)
            self._check(rows)
            return self._in_passes(rows.long(), self._order(first)).double().cpu().numpy()

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their codes: the known ones are read first, and the others written after them.

        Args:
            known: Rows of codes, shape (n, D); entries outside the mask are ignored.
            mask: True where a code is known, shape (D,).
            rng: Source of all randomness.

        Raises:
            ValueError: If shapes do not fit or a known entry is not a code of its block.
        """
        with self.inference(rng) as generator:
            rows = self.tensor(self.known_rows(known, mask))
            self._check(rows)
            return self.matrix(self._complete(rows.long(), mask, generator))

    def _check(self, x: Tensor) -> None:
        """Refuse what is not a code of its block."""
        sizes = torch.tensor([block.cardinality for block in self.layout.blocks], device=x.device)
        wrong = ((x != x.round()) | (x < 0) | (x >= sizes)).any(0).nonzero().flatten().tolist()
        if wrong:
            block = self.layout.blocks[wrong[0]]
            raise ValueError(
                f"column {block.column!r}, block {block.part!r}: got values outside its codes, "
                f"wanted whole numbers from 0 to {block.cardinality - 1}"
            )

    def _order(self, first: Sequence[str]) -> Tensor:
        """Return the places in the order of their columns, shape (places,)."""
        names = [*first, *(name for name in self.names if name not in first)]
        rank = torch.tensor([names.index(name) for name in self.names], device=self.device)
        return rank[self.columns].argsort(stable=True)

    def _orders(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw an order of the places a row, shape (n, places): the layout's, or a random set of columns first."""
        u = torch.rand(n, len(self.names) + 2, generator=generator, device=self.device)
        later = (u[:, 2:] >= u[:, :1]) & (u[:, 1:2] < self.config.shuffled)
        return later[:, self.columns].to(torch.uint8).argsort(dim=1, stable=True)

    def _in_passes(self, codes: Tensor, order: Tensor) -> Tensor:
        """Return log p, shape (n,), under one order of the places, with bounded memory."""
        parts = codes.split(max(1, TOKENS_A_PASS // len(order)))
        return torch.cat([self._log_likelihood(part, order.expand(len(part), -1)) for part in parts])

    def _log_likelihood(self, codes: Tensor, orders: Tensor) -> Tensor:
        """Return log p, shape (n,), of codes, shape (n, D), each row under its own order of the places."""
        letters = self.spelling.write(codes)
        before = (letters + self.offsets).gather(1, orders[:, :-1])
        begin = self.begin.expand(len(codes), 1, -1)
        z = torch.cat([begin, self._read(before)], dim=1) + nn.functional.embedding(orders, self.keys)
        h = self.last(self.decoder(z))
        h = h.gather(1, orders.argsort(dim=1)[..., None].expand_as(h))
        losses = [
            nn.functional.cross_entropy(self._logits(index, state, letters), letters[:, index], reduction="none")
            for index, state in enumerate(h.unbind(1))
        ]
        return -torch.stack(losses).sum(0)

    def _read(self, tokens: Tensor) -> Tensor:
        """Embed tokens, of any shape, with entries of about unit size."""
        return nn.functional.embedding(tokens, self.tokens) * math.sqrt(self.config.hidden)

    def _logits(self, index: int, h: Tensor, letters: Tensor) -> Tensor:
        """Return the logits of a place's letters, shape (n, size), -∞ where the grammar closes one."""
        start = sum(self.sizes[:index])
        span = slice(start, start + self.sizes[index])
        logits = nn.functional.linear(h, self.tokens[span]).float() + self.biases[span]
        closed = self.spelling.closed(index, letters)
        return logits if closed is None else logits.masked_fill(closed, -torch.inf)

    def _complete(self, codes: Tensor, known: NDArray[np.bool_], generator: torch.Generator) -> Tensor:
        """Write the blocks that are not known after those that are, shape (n, D)."""
        fixed = [bool(known[place.block]) for place in self.spelling.places]
        order = sorted(range(len(fixed)), key=lambda index: not fixed[index])
        rows = self.spelling.write(codes)
        for letters in rows.split(max(1, TOKENS_A_PASS // len(order))):
            cache = self.decoder.cache(len(letters), len(order))
            z = self.begin.expand(len(letters), -1)
            for position, index in enumerate(order):
                h = self.decoder.step(z + self.keys[index], cache, position)
                if not fixed[index]:
                    letters[:, index] = _draw_letters(self._logits(index, self.last(h), letters), generator)
                z = self._read(letters[:, index] + self.offsets[index])
        return self.spelling.read(rows)


def _where(place: Place, blocks: Sequence[Block]) -> Tensor:
    """Return where the letters of a number's place lie, in (0, 1): on the line of its values, or of what came before.

    The letters after the last that lies anywhere are left out; of what is no number, all are.
    """
    codes = places_of(blocks[place.block])
    if not len(codes) or place.size < FEWEST:
        return torch.zeros(0)
    if place.before:
        return even(place.size)
    letter = torch.arange(len(codes)) // place.unit
    total: Tensor = torch.bincount(letter, codes)
    return total / torch.bincount(letter)


def _draw_letters(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one letter a row by inverting the distribution function, shape (n,); a closed one is never drawn."""
    steps = logits.softmax(1).cumsum(1)
    total = steps[:, -1:]
    u = torch.rand(len(logits), 1, generator=generator, device=logits.device) * total
    # Rounding may bring u up to the total, which no step exceeds: below it, a step that rises is always found.
    below = torch.nextafter(total, torch.zeros_like(total))
    return torch.searchsorted(steps, u.minimum(below), right=True).squeeze(1)
