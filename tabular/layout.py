"""Where each column lies in the encoded matrix."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

BlockKind = Literal["real", "one_hot", "code"]
Reads = Literal["one_hot", "codes"]


class Block(BaseModel):
    """A stretch of the matrix that belongs to one column.

    Attributes:
        column: Name of the column.
        part: Which part of it: a column may need more than one block.
        start: First matrix column.
        stop: One past the last matrix column.
        kind: `real`: width 1, about standard normal. `one_hot`: width = cardinality, a single 1 per row.
            `code`: width 1, whole numbers 0 .. cardinality - 1.
        cardinality: Number of classes of a `one_hot` or `code` block; 1 for `real`.
        when: For a `real` block: the matrix column that must be 1 for this number to mean anything
            (elsewhere it holds 0); None where it always does.
        places: For a `code` block: where the classes lie on the line of the values that they stand for, bins at whole
            numbers; a last class beyond these, a missing value, lies nowhere. None where classes rise with their
            codes, or stand for no numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    part: str
    start: int
    stop: int
    kind: BlockKind
    cardinality: int = 1
    when: int | None = None
    places: tuple[float, ...] | None = None

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return self.stop - self.start


class Layout(BaseModel):
    """The blocks of a matrix, side by side without a gap.

    Raises:
        ValueError: If blocks leave a gap or overlap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reads: Reads
    blocks: tuple[Block, ...]

    @model_validator(mode="after")
    def _gapless(self) -> Self:
        start = 0
        for block in self.blocks:
            if block.start != start or block.stop <= start:
                raise ValueError(
                    f"block {block.column!r}/{block.part!r} spans {block.start}:{block.stop}, wanted a start of {start}"
                )
            start = block.stop
        return self

    @property
    def width(self) -> int:
        """Number of matrix columns, D."""
        return self.blocks[-1].stop if self.blocks else 0

    def of(self, column: str) -> tuple[Block, ...]:
        """Return the blocks of one column, in order."""
        return tuple(block for block in self.blocks if block.column == column)
