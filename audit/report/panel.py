"""One picture of the report with the sentence that says how to read it, and the same figures as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

Cell = float | int | str | None
TABLE_ROWS = 20
TABLE_KEYS = 10


@dataclass(frozen=True)
class Table:
    """A bounded table of plain cells.

    Attributes:
        keys: Names of its columns.
        rows: Its rows, as wide.
        left_out: How many rows there are beyond these.
    """

    keys: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Cell]], most: int = TABLE_ROWS) -> "Table":
        """Take the first rows and the keys that occur in them, in the order of their first occurrence."""
        shown = rows[:most]
        keys = tuple(dict.fromkeys(key for row in shown for key in row))[:TABLE_KEYS]
        return cls(keys, tuple(tuple(row.get(key) for key in keys) for row in shown), max(0, len(rows) - most))

    def numeric(self, place: int) -> bool:
        """Whether a column holds numbers, and so stands to the right."""
        held = [row[place] for row in self.rows if row[place] is not None]
        return bool(held) and all(not isinstance(value, str) for value in held)


@dataclass(frozen=True)
class Strip:
    """One row of a forest plot: its heading if a new group of rows begins, its name, drawing and figures."""

    heading: str | None
    label: str
    drawing: Markup | None
    figures: str
    reference: str
    note: str


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        reads: One sentence that says how to read it.
        drawing: The picture; None where the table alone is shown.
        table: The same figures for those who cannot see it, or who would rather read.
        strips: Rows of a forest plot, which is a table by itself.
        axis: The numbers under the strips.
        value: What the strips measure.
        wide: Whether it needs the whole width.
        spoken: The finding as a sentence, said above the picture.
        left_out: How many rows of the forest plot there are beyond these.
        leads: Whether it is a table that is shown at once.
    """

    title: str
    reads: str
    drawing: Markup | None = None
    table: Table | None = None
    strips: tuple[Strip, ...] = ()
    axis: Markup = field(default_factory=Markup)
    value: str = ""
    wide: bool = False
    spoken: str = ""
    left_out: int = 0
    leads: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is shown at once: pictures are, most plain tables wait behind a summary."""
        return self.leads or self.drawing is not None or bool(self.strips)
