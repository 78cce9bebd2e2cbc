"""Layers that families share."""

import math

import torch
from torch import Tensor, nn


def dropout(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a random share of the entries to zero and scale up the others, by the given generator."""
    kept = torch.empty_like(x).uniform_(generator=generator) >= share
    return x * kept / (1 - share)


class BlockLinear(nn.Module):
    """B linear maps side by side: from (B, n, i) to (B, n, o)."""

    def __init__(self, blocks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(blocks, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(blocks, 1, outputs))

    def forward(self, x: Tensor, block: int | None = None) -> Tensor:
        """Map all blocks, or a single one from (n, i) to (n, o)."""
        if block is None:
            return torch.baddbmm(self.bias, x, self.weight)
        return torch.addmm(self.bias[block], x, self.weight[block])


class PrefixLinear(nn.Module):
    """B linear maps side by side, of which map b reads the embeddings of the entries before b alone.

    The blocks are cut into a few stretches, each one matrix product over the prefix that its last block sees; a mask
    closes what the stretch's earlier blocks must not see.
    """

    def __init__(self, blocks: int, embedding: int, outputs: int, stretches: int) -> None:
        super().__init__()
        self.embedding, self.outputs = embedding, outputs
        size = math.ceil(blocks / stretches)
        self.bounds = [(start, min(start + size, blocks)) for start in range(0, blocks, size)]
        self.weights = nn.ParameterList()
        self.bias = nn.Parameter(torch.empty(blocks, 1, outputs).uniform_(-1, 1) / 4)
        for index, (start, stop) in enumerate(self.bounds):
            seen = torch.arange(start, stop) * embedding
            mask = (torch.arange(stop * embedding) < seen[:, None]).float().repeat_interleave(outputs, dim=0)
            self.register_buffer(f"mask{index}", mask, persistent=False)
            bound = (3 / seen.clamp(min=embedding)).sqrt().repeat_interleave(outputs)[:, None]
            weight = torch.empty(len(mask), stop * embedding).uniform_(-1, 1) * bound * mask
            self.weights.append(nn.Parameter(weight))

    def forward(self, z: Tensor) -> Tensor:
        """Map embeddings, shape (n, B * E), to (B, n, o)."""
        parts = []
        for index, ((start, stop), weight) in enumerate(zip(self.bounds, self.weights, strict=True)):
            masked = weight * self.get_buffer(f"mask{index}")
            flat = nn.functional.linear(z[:, : stop * self.embedding], masked)
            parts.append(flat.view(len(z), stop - start, self.outputs))
        return torch.cat(parts, dim=1).transpose(0, 1) + self.bias

    def one(self, block: int, prefix: Tensor) -> Tensor:
        """Map a single block from the embeddings before it, shape (n, block * E), to (n, o)."""
        size = self.bounds[0][1]
        row = (block % size) * self.outputs
        weight = self.weights[block // size][row : row + self.outputs, : block * self.embedding]
        return nn.functional.linear(prefix, weight) + self.bias[block]
