"""Tables that somebody gives to the audit: real rows, synthetic rows of any tool, and what is said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audit.core import Evidence
from pipeline.declarations import declared
from pipeline.errors import Mistake
from pipeline.evidence import names_of
from pipeline.guesses import guess_target, is_sensitive
from pipeline.sources import Loaded, load
from pipeline.spec import Source, Spec
from pipeline.split import split
from pipeline.steps import generator
from pipeline.view import apply
from tabular.infer import Override, infer_schema
from tabular.schema import Schema
from tabular.table import Table

HELD_BACK = 0.3
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Given:
    """What the user gave: the real rows, the holdout if any, the synthetic rows, and the specification if any."""

    real: Loaded
    holdout: Loaded | None
    synthetic: Loaded
    spec: Spec | None

    @classmethod
    def read(cls, root: Path, real: str, synthetic: str, holdout: str | None, spec: Spec | None) -> "Given":
        """Read the tables; how to read them (delimiter, encoding, ...) is the specification's, if there is one.

        Raises:
            Mistake: If a source cannot be read.
        """
        return cls(
            load(source_of(spec, root, real), root),
            None if holdout is None else load(source_of(spec, root, holdout), root),
            load(source_of(spec, root, synthetic), root),
            spec,
        )

    def evidence(self) -> tuple[Evidence, Schema, tuple[str, ...]]:
        """Bring the tables to one schema, which the real rows alone decide.

        Returns:
            The evidence, its schema, and what was guessed where no specification says it.

        Raises:
            Mistake: If the tables make no evidence.
        """
        parts = [self.real.frame] + ([] if self.holdout is None else [self.holdout.frame])
        frame = pd.concat(parts, ignore_index=True)
        overrides: Mapping[str, Override] = {}
        notes: tuple[str, ...] = ()
        if self.spec is not None:
            frame, overrides = apply(self.spec, frame)
        try:
            whole = infer_schema(frame, overrides)
            schema = _unbounded(whole.published, overrides)
            if self.spec is None:
                schema, notes = _guessed(schema, frame)
            real = Table.conform(schema, frame)
        except ValueError as error:
            raise Mistake(f"the real rows: {error}") from error
        rows = self.made(schema)
        missing = [name for name in schema.names if name not in rows.columns and schema[name].is_modelled]
        if len(missing) == len(schema.modelled):
            raise Mistake(f"the synthetic table shares no column with the real one; wanted {', '.join(missing[:10])}")
        synthetic, broken = Table.coerce(schema, rows)
        mask = np.asarray(broken[[column.name for column in schema.modelled]].to_numpy().any(axis=1))
        seed = 0 if self.spec is None else self.spec.seed
        known = declared(self.spec, schema)
        train, holdout = self._sides(real)
        names = names_of(whole, frame.iloc[train], frame.iloc[holdout], rows)
        tables = (real.take(train), real.take(holdout), synthetic)
        return Evidence(*tables, mask, declared=known, seed=seed, names=names), schema, notes

    def made(self, schema: Schema) -> pd.DataFrame:
        """Return the synthetic rows as they were given, under the schema's names.

        Raises:
            Mistake: If the specification's columns are not theirs.
        """
        rows = self.synthetic.frame
        if self.spec is None or set(schema.names) <= set(rows.columns):
            return rows
        return apply(self.spec, rows)[0]

    def _sides(self, real: Table) -> tuple[Rows, Rows]:
        """Return which of the real rows the generator learned from, and which it never saw."""
        if self.holdout is not None:
            n = len(self.real.frame)
            return np.arange(n), np.arange(n, len(real))
        unit = None if self.spec is None else self.spec.unit
        return split(real.frame, unit, HELD_BACK, generator(0, "audit", "split"))


def source_of(spec: Spec | None, root: Path, path: str) -> Source:
    """Return how to read a table: as the specification says, if there is one, but from another place."""
    if "://" not in path and not (root / path).exists():
        path = str(Path(path).expanduser().resolve())
    if spec is None:
        return Source(path=path)
    return spec.source.model_copy(update={"path": path, "sha256": None, "format": None, "query": None})


def _unbounded(schema: Schema, declared: Mapping[str, Override]) -> Schema:
    """Take the ends of a column's range for a rule only where somebody declared them.

    The largest of the rows at hand is no limit of the next ones: fresh real rows go beyond it too. That none lies below
    zero is kept, for amounts and counts are written so.
    """
    columns = []
    for column in schema.columns:
        said = declared.get(column.name, Override())
        amount = column.kind not in ("date", "datetime") and column.minimum is not None and column.minimum >= 0
        lowest = column.minimum if said.minimum is not None else 0.0 if amount else None
        highest = column.maximum if said.maximum is not None else None
        changes = {"minimum": lowest, "maximum": highest}
        columns.append(column.model_copy(update=changes) if column.is_number else column)
    return schema.model_copy(update={"columns": tuple(columns)})


def _guessed(schema: Schema, frame: pd.DataFrame) -> tuple[Schema, tuple[str, ...]]:
    """Take target and sensitive columns by their names, as a new specification would."""
    target = guess_target(schema, frame)
    columns = [
        column.model_copy(
            update={"role": "target" if column.name == target else column.role, "sensitive": is_sensitive(column)}
        )
        for column in schema.columns
    ]
    sensitive = [column.name for column in columns if column.sensitive]
    notes = [] if target is None else [f"taken as the target by its name: {target!r}"]
    notes += [f"taken as sensitive by their names: {', '.join(map(repr, sensitive))}"] if sensitive else []
    return schema.model_copy(update={"columns": tuple(columns)}), tuple(notes)
