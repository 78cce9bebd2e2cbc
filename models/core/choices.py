"""Draws of one class from each of several softmax blocks side by side, in one pass."""

from collections.abc import Sequence

import torch
from torch import Tensor


def choose(logits: Tensor, sizes: Sequence[int], starts: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one entry a block from its softmax, by inverting the distribution function.

    Args:
        logits: Blocks side by side, shape (n, W).
        sizes: Entries of each block.
        starts: First entry of each block, shape (B,).
        generator: Source of all randomness.

    Returns:
        The chosen entries, counted over all blocks, shape (n, B).
    """
    if not sizes:
        return torch.zeros(len(logits), 0, dtype=torch.int64, device=logits.device)
    shares = torch.cat([part.softmax(1) for part in logits.split(list(sizes), dim=1)], dim=1)
    # In double precision, for a sum over a hundred blocks in single precision would miss what has a chance of 1e-5.
    heap = shares.double().cumsum(1)
    ends = starts + torch.tensor(sizes, device=starts.device) - 1
    above = heap[:, ends]
    below = torch.cat([torch.zeros_like(above[:, :1]), above[:, :-1]], dim=1)
    noise = torch.rand(above.shape, generator=generator, device=logits.device, dtype=torch.float64)
    chosen = torch.searchsorted(heap, below + noise * (above - below), right=True)
    return torch.minimum(torch.maximum(chosen, starts), ends)


def log_chances(logits: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return each block's log-softmax side by side, shape (n, W)."""
    parts = [part.log_softmax(1) for part in logits.split(list(sizes), dim=1)] if sizes else []
    return torch.cat(parts, dim=1) if parts else logits
