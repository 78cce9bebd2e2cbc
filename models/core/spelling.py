"""Codes written in the letters of a bounded alphabet, and the grammar that says which letter may come next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tabular.layout import Layout


@dataclass(frozen=True)
class Place:
    """One letter of the word that a block's code is written as.

    Attributes:
        block: Position of the block in the layout.
        before: Letters of the same word before this one.
        size: Letters that may ever stand here.
        unit: What one step of this letter counts in the code.
        last: This letter of the block's last code.
    """

    block: int
    before: int
    size: int
    unit: int
    last: int


class Spelling:
    """Writes the codes 0 .. K - 1 of each block as numbers of fixed length in base `alphabet`, highest digit first.

    A prefix of the last code K - 1 closes the letters above that code's next one; every other prefix is open to all.
    So what keeps to `closed` is the code of a row, always.
    """

    def __init__(self, layout: Layout, alphabet: int) -> None:
        wrong = [block.column for block in layout.blocks if block.kind != "code"]
        if wrong:
            raise ValueError(f"got blocks that are not codes ({', '.join(map(repr, wrong[:3]))}), wanted codes only")
        self.width = len(layout.blocks)
        self.places: list[Place] = []
        for block, last in enumerate(block.cardinality - 1 for block in layout.blocks):
            units = [1]
            while last // units[-1] >= alphabet:
                units.append(units[-1] * alphabet)
            for before, unit in enumerate(reversed(units)):
                letter = last // unit % alphabet
                self.places.append(Place(block, before, alphabet if before else letter + 1, unit, letter))

    def write(self, codes: Tensor) -> Tensor:
        """Write codes, shape (n, D), as letters, shape (n, places)."""
        return torch.stack([codes[:, place.block] // place.unit % place.size for place in self.places], dim=1)

    def read(self, letters: Tensor) -> Tensor:
        """Read letters, shape (n, places), as codes, shape (n, D)."""
        codes = torch.zeros(len(letters), self.width, dtype=torch.int64, device=letters.device)
        for index, place in enumerate(self.places):
            codes[:, place.block] += letters[:, index] * place.unit
        return codes

    def closed(self, index: int, letters: Tensor) -> Tensor | None:
        """Return True where a letter may not stand at a place.

        Args:
            index: The place.
            letters: Letters of rows, shape (n, places), of which those before the place in its word are read.

        Returns:
            A mask, shape (n, size); None where every letter may always stand.
        """
        place = self.places[index]
        if place.last == place.size - 1:
            return None
        limit = torch.tensor([other.last for other in self.places[index - place.before : index]], device=letters.device)
        bound = (letters[:, index - place.before : index] == limit).all(1)
        return bound[:, None] & (torch.arange(place.size, device=letters.device) > place.last)
