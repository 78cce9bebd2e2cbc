"""A small decoder-only transformer: a row of tokens at once, or one token at a time with a cache."""

import math

import torch
from torch import Tensor, nn

Cache = list[tuple[Tensor, Tensor]]


class Decoder(nn.Module):
    """Layers of causal self-attention and feed-forward networks; each hidden state sees its token and those before."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.layers = nn.ModuleList(DecoderLayer(width, depth, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, z: Tensor) -> Tensor:
        """Map embedded tokens, shape (n, t, w), to hidden states, shape (n, t, w)."""
        for layer in self.layers:
            z = layer(z)
        return torch.as_tensor(self.norm(z))

    def cache(self, n: int, length: int) -> Cache:
        """Make room for the keys and values of n rows of so many tokens, a pair a layer."""
        shape = (n, self.heads, length, self.width // self.heads)
        return [(self.norm.weight.new_empty(shape), self.norm.weight.new_empty(shape)) for _ in self.layers]

    def step(self, z: Tensor, cache: Cache, position: int) -> Tensor:
        """Map one embedded token a row, shape (n, w), at a position counted from 0; it joins the cache."""
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            assert isinstance(layer, DecoderLayer)
            z = layer.step(z, keys, values, position)
        return torch.as_tensor(self.norm(z))


class DecoderLayer(nn.Module):
    """z + attention(norm(z)), and then z + network(norm(z))."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for layer in (self.write, self.narrow):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(2 * depth * layer.in_features))
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Map states, shape (n, t, w)."""
        n, length, width = z.shape
        parts = self.read(self.before(z)).view(n, length, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self._think(z + self.write(seen.transpose(1, 2).reshape(n, length, width)))

    def step(self, z: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        """Map one state a row, shape (n, w), and put its key and value in their places."""
        n, width = z.shape
        query, key, value = self.read(self.before(z)).view(n, 3, self.heads, width // self.heads).unbind(1)
        keys[:, :, position], values[:, :, position] = key, value
        past = keys[:, :, : position + 1], values[:, :, : position + 1]
        seen = nn.functional.scaled_dot_product_attention(query[:, :, None], *past)
        return self._think(z + self.write(seen.reshape(n, width)))

    def _think(self, z: Tensor) -> Tensor:
        return torch.as_tensor(z + self.narrow(nn.functional.relu(self.widen(self.between(z)))))
