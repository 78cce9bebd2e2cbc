"""Weighted candidates to rows: systematic resampling, group by group."""

import torch
from torch import Tensor


def pick(
    weights: Tensor, group: Tensor, sizes: Tensor, candidates: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pick one candidate a row by systematic resampling inside each group.

    Args:
        weights: Log-weights of all candidates, `candidates` a row, row after row, shape (n * candidates,).
        group: Number of each row's group, rising from 0, shape (n,).
        sizes: Rows in each group, shape (g,).
        candidates: Candidates a row.
        generator: Source of one offset a group.

    Returns:
        Positions of the picked candidates, shape (n,), and each group's effective sample size, shape (g,).
    """
    owner = group.repeat_interleave(candidates)
    top = torch.full(sizes.shape, -torch.inf, dtype=weights.dtype, device=weights.device)
    shares = (weights - top.scatter_reduce(0, owner, weights, "amax")[owner]).exp()
    totals = torch.zeros_like(top).index_add(0, owner, shares)
    shares = shares / totals[owner]
    effective = 1 / torch.zeros_like(top).index_add(0, owner, shares**2)
    rank = torch.arange(len(group), device=group.device) - (sizes.cumsum(0) - sizes)[group]
    offset = torch.rand(len(sizes), dtype=weights.dtype, generator=generator, device=weights.device)[group]
    wanted = group + (rank + offset) / sizes[group]
    picked = torch.searchsorted(shares.cumsum(0), wanted, right=True)
    first = (sizes.cumsum(0) - sizes)[group] * candidates
    return picked.clamp(min=first, max=first + sizes[group] * candidates - 1), effective
