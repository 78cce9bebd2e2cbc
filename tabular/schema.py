"""What a table's columns are and may hold, as one frozen tree that round-trips through JSON."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

Kind = Literal[
    "continuous",
    "integer",
    "semicontinuous",
    "categorical",
    "boolean",
    "ordinal",
    "datetime",
    "date",
    "duration",
    "identifier",
    "text",
    "constant",
]
Role = Literal["feature", "target", "unit"]
Physical = Literal["integer", "real", "text", "boolean", "timestamp", "timestamp_utc", "date", "duration"]
Category = StrictBool | StrictInt | StrictFloat | StrictStr

NUMBER_KINDS: frozenset[Kind] = frozenset({"continuous", "integer", "semicontinuous", "datetime", "date", "duration"})
CODE_KINDS: frozenset[Kind] = frozenset({"categorical", "boolean", "ordinal", "constant"})
UNMODELLED_KINDS: frozenset[Kind] = frozenset({"identifier", "text"})


class Column(BaseModel):
    """One column: how it is stored, what it means and which values it may hold.

    A column is either read as numbers (``NUMBER_KINDS``), as codes of its categories (``CODE_KINDS``), or never
    reaches a model (``UNMODELLED_KINDS``).

    Attributes:
        name: Name in the table.
        kind: Statistical kind.
        physical: Type that its values are stored as.
        nullable: Whether a value may be missing.
        role: `target` is what downstream models predict; `unit` names the privacy unit (a person, a household).
        sensitive: Whether the bias audit looks at it.
        categories: Allowed values of a code column, in order (the order matters for `ordinal`).
        minimum: Smallest allowed number; for times and durations in microseconds (since 1970-01-01 UTC).
        maximum: Largest allowed number, same unit.
        decimals: Decimal places that the values are observed at; None where they have no such grid.
        unique: Whether it is an identifier of which no value may occur twice.
        spikes: Numbers that hold a share of the rows of their own (zero spending), in rising order.
        note: Why this kind was found, one sentence for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    physical: Physical
    nullable: bool = False
    role: Role = "feature"
    sensitive: bool = False
    categories: tuple[Category, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    unique: bool = False
    spikes: tuple[float, ...] = ()
    note: str = ""

    @property
    def is_number(self) -> bool:
        """Whether models and metrics read it as numbers."""
        return self.kind in NUMBER_KINDS

    @property
    def is_code(self) -> bool:
        """Whether models and metrics read it as codes of its categories."""
        return self.kind in CODE_KINDS

    @property
    def is_modelled(self) -> bool:
        """Whether a model ever sees it: identifiers, free text and the privacy unit never reach one."""
        return self.kind not in UNMODELLED_KINDS and self.role != "unit"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"column {self.name!r}: categories hold the same value twice")
        types = {type(value) for value in self.categories}
        if len(types) > 1 and types != {int, float}:
            names = ", ".join(sorted(found.__name__ for found in types))
            raise ValueError(f"column {self.name!r}: got categories of several types ({names}), wanted one")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column {self.name!r}: minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Schema(BaseModel):
    """The columns of a table, in their order.

    Raises:
        ValueError: If two columns share a name, or more than one is the target or the privacy unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[Column, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"columns appear twice: {', '.join(map(repr, twice))}")
        for role in ("target", "unit"):
            if sum(column.role == role for column in self.columns) > 1:
                raise ValueError(f"more than one column has the role {role!r}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def modelled(self) -> tuple[Column, ...]:
        """Columns that models see."""
        return tuple(column for column in self.columns if column.is_modelled)

    @property
    def target(self) -> Column | None:
        """The column that downstream models predict."""
        return next((column for column in self.columns if column.role == "target"), None)

    @property
    def unit(self) -> Column | None:
        """The column that names the privacy unit."""
        return next((column for column in self.columns if column.role == "unit"), None)

    @property
    def sensitive(self) -> tuple[Column, ...]:
        """Columns that the bias audit looks at."""
        return tuple(column for column in self.columns if column.sensitive)

    @property
    def published(self) -> Self:
        """The schema of synthetic tables: this one without its free text."""
        return self.model_copy(update={"columns": tuple(column for column in self.columns if column.kind != "text")})

    def __getitem__(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            KeyError: If there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
