"""The order of a number's classes, which a one-hot entry does not tell: cosines of where they lie."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tabular.layout import Block

READ, SAID = 24, 6
ROUGH = 0.3
FEWEST = 4
NUMBERS = ("coarse", "fine")


def places_of(block: Block) -> Tensor:
    """Return where the classes of a block of codes lie, in (0, 1), shape (K,): those that lie nowhere are left out.

    None of them does, shape (0,), where the codes are no number's, or too few for their order to matter.
    """
    if block.part not in NUMBERS or block.cardinality < FEWEST:
        return torch.zeros(0)
    at = torch.arange(block.cardinality).float() if block.places is None else torch.tensor(block.places)
    return (at + 0.5) / (at.max() + 1)


def even(size: int) -> Tensor:
    """Return the middles of so many equal steps in (0, 1), shape (size,)."""
    return (torch.arange(size) + 0.5) / size


def cosines(places: Tensor, count: int) -> Tensor:
    """Return cosines of rising frequency, of unit mean square, at places in (0, 1), shape (K,): shape (K, count)."""
    return math.sqrt(2) * torch.cos(math.pi * places[:, None] * torch.arange(1, count + 1, device=places.device))


def smoothed(weights: Tensor, places: Tensor) -> Tensor:
    """Return first weights of classes, shape (K, m), that neighbours nearly share, of the same scale as those given.

    A column is a random smooth function of where the classes lie, cosines of random amplitudes that fall with the
    frequency, and a little of what is given. What a network learns of one class it so begins to know of its
    neighbours, which few rows would not show, and nothing keeps it from telling them apart.

    Args:
        weights: Independent random numbers, shape (K, m).
        places: Where the first classes lie, in (0, 1); the others stay as they are.
    """
    if not len(places):
        return weights
    count = min(READ, len(places))
    falling = 1 / torch.arange(1, count + 1)
    curves = cosines(places, count) @ (falling[:, None] / falling.norm() * torch.randn(count, weights.shape[1]))
    given = weights[: len(places)]
    near = (curves * given.std() + ROUGH * given) / math.sqrt(1 + ROUGH**2)
    return torch.cat([near, weights[len(places) :]])


class Curves(nn.Module):
    """Linear maps to the few lowest cosines over where classes lie, beside a map to each class by itself; 0 at first.

    So what moves a number's distribution up or down is one weight to learn, not one for each of its classes.

    Args:
        inputs: Width of what goes in.
        outputs: Width of what comes out.
        spans: By number, the output of its first class, from the end where it is negative, and where its classes lie,
            in (0, 1).
    """

    cosines: Tensor

    def __init__(self, inputs: int, outputs: int, spans: Sequence[tuple[int, Tensor]]) -> None:
        super().__init__()
        table = torch.zeros(SAID * len(spans), outputs)
        for index, (start, places) in enumerate(spans):
            first = start % outputs
            table[index * SAID : (index + 1) * SAID, first : first + len(places)] = cosines(places, SAID).T
        self.register_buffer("cosines", table, persistent=False)
        self.weight = nn.Parameter(torch.zeros(len(table), inputs))
        self.bias = nn.Parameter(torch.zeros(len(table)))

    def forward(self, h: Tensor) -> Tensor:
        """Map rows, shape (n, inputs), to what to add to their outputs, shape (n, outputs)."""
        out: Tensor = nn.functional.linear(h, self.weight, self.bias) @ self.cosines
        return out
