"""Chains that follow a model while it learns, weighed so that they stay its own."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Energy = Callable[[Tensor], Tensor]
Sweep = Callable[[Tensor], Tensor]


class Population(nn.Module):
    """Persistent chains with weights: E_model[g(v)] ≈ Σ w_i g(v_i), Σ w_i = 1.

    When parameters move, log w grows by how much the chain's energy falls (Jarzynski's equality), so that modes which
    chains cannot cross between keep their mass; when the effective number of chains is below half, they are resampled.
    Carbone, Hua, Coste & Vanden-Eijnden, Efficient training of energy-based models using Jarzynski equality, 2023,
    arXiv:2305.19414.

    Attributes:
        rows: Where the chains are, shape (n, width).
        weights: Their log-weights, shape (n,).
        energies: Their energies under the parameters of the last step, shape (n,).
        age: Steps since the chains began.
    """

    rows: Tensor
    weights: Tensor
    energies: Tensor
    age: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("weights", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("energies", torch.zeros(size))
        self.register_buffer("age", torch.zeros((), dtype=torch.int64))

    def begin(self, rows: Tensor, energy: Energy) -> None:
        """Take rows, shape (n, width), that are draws of the model as it is."""
        with torch.no_grad():
            self.rows, self.energies = rows, energy(rows)
            self.weights, self.age = torch.zeros_like(self.weights), torch.zeros_like(self.age)

    def expected(self, energy: Energy, sweep: Sweep, sweeps: int, generator: torch.Generator) -> Tensor:
        """Move the chains on, and return their weighed mean energy, whose gradient is the model's expected one."""
        with torch.no_grad():
            rows, weights = self.rows, self.weights + (self.energies - energy(self.rows)).double()
            shares = weights.softmax(0)
            if float((shares**2).sum()) > 2 / len(rows):
                rows, weights = rows[comb(shares, generator)], torch.zeros_like(weights)
                shares = weights.softmax(0)
            for _ in range(sweeps):
                rows = sweep(rows)
        values = energy(rows)
        if self.training:
            self.rows, self.weights, self.energies, self.age = rows, weights, values.detach(), self.age + 1
        return (shares.to(values.dtype) * values).sum()

    def drawn(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n rows of the chains by their weights, shape (n, width)."""
        return self.rows[torch.multinomial(self.weights.softmax(0), n, replacement=True, generator=generator)]


def comb(shares: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many places as there are shares, shape (n,), in proportion to them, from one random comb, shuffled."""
    n = len(shares)
    first = torch.rand(1, generator=generator, device=shares.device, dtype=torch.float64)
    teeth = (torch.arange(n, device=shares.device) + first) / n
    places = torch.searchsorted(shares.double().cumsum(0), teeth).clamp(max=n - 1)
    return places[torch.randperm(n, generator=generator, device=shares.device)]
