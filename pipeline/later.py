"""Real rows that came after a release, read with the schema that the release keeps: what lies outside it is told."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from audit.core import Evidence
from audit.report.document import Document
from pipeline.declarations import declared
from pipeline.errors import Mistake
from pipeline.given import source_of
from pipeline.releases import AUDIT, SCHEMA, SPEC, Release
from pipeline.sources import load
from pipeline.spec import Spec
from pipeline.split import split
from pipeline.steps import generator
from pipeline.view import apply
from pipeline.workspace import Workspace, sha256
from tabular.coercion import expects, written
from tabular.schema import Column, Schema
from tabular.table import Table
from tabular.widening import widened

SHOWN = 5


class Outside(BaseModel):
    """Values of one column that the release's schema does not know.

    Attributes:
        column: Name of the column.
        rows: How many of the new rows hold such a value.
        share: Their share of the new rows.
        p: How likely that is where new rows come from where the old ones came from: every one of so many values fell
            among the new rows; corrected for the ways in which the column was looked at.
        sentence: What was found, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    rows: int
    share: float
    p: float
    sentence: str


@dataclass(frozen=True)
class Later:
    """New real rows beside a release's rows.

    Attributes:
        spec: The release's specification.
        evidence: The new rows, split in two, and the release's rows, under one schema.
        schema: The release's, widened to what the new rows hold.
        outside: What of them the release's own schema does not know.
    """

    spec: Spec
    evidence: Evidence
    schema: Schema
    outside: tuple[Outside, ...]


def read(root: Path, release: Release, rows: str) -> Later:
    """Read new real rows for a release.

    Raises:
        Mistake: If columns are missing or too many, or values cannot be read as their column's type: all at once.
    """
    spec = Spec.load(release.folder / SPEC)
    known = _schema(root, release)
    loaded = load(source_of(spec, root, rows), root)
    frame, _ = apply(_of_these(spec, loaded.frame), loaded.frame, strict=False)
    wide = widened(known, frame)
    try:
        whole, unreadable = Table.coerce(wide, frame)
    except ValueError as error:
        raise Mistake(f"{rows}: {error}") from error
    mistakes = _mistakes(known, frame, unreadable)
    if mistakes:
        raise Mistake("\n".join(f"{rows}: {mistake}" for mistake in mistakes))
    schema = wide.published
    real = Table(schema, whole.frame[list(schema.names)])
    train, holdout = split(real.frame, spec.unit, spec.holdout, generator(0, "audit", "split"))
    made = pq.read_table(release.rows).to_pandas(date_as_object=False)
    synthetic, broken = Table.coerce(schema, made)
    evidence = Evidence(
        *(real.take(train), real.take(holdout), synthetic),
        np.asarray(broken.to_numpy().any(axis=1)),
        declared=declared(spec, schema),
        seed=spec.seed,
    )
    return Later(spec, evidence, schema, outside(known.published, real, _rows_before(release)))


def outside(known: Schema, real: Table, before: int) -> tuple[Outside, ...]:
    """Return what of new rows a schema does not know, column by column.

    Args:
        known: The schema.
        real: New rows, under a schema widened to hold them.
        before: How many rows the schema was found from.
    """
    found = [_outside(column, real, before) for column in known.modelled]
    return tuple(each for each in found if each is not None)


def anywhere(found: tuple[Outside, ...], columns: int) -> float:
    """Return how likely what was found in the least likely of so many columns is, where nothing changed."""
    return min([1.0, *(columns * each.p for each in found)])


def unlikely(counts: list[int], looks: int, new: int, before: int) -> float:
    """Return how likely it is that all of so many values fall among the new rows, for the least likely of the counts.

    Where new and old rows come from one population any of them is as likely to hold a value as another, so that all k
    lie among the new ones with chance C(new, k) / C(new + before, k). It is corrected for the number of looks.
    """

    def log_choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    chances = [math.exp(log_choose(new, count) - log_choose(new + before, count)) for count in counts]
    return min([1.0, *(looks * chance for chance in chances)])


def _outside(column: Column, real: Table, before: int) -> Outside | None:
    series = real.frame[column.name]
    missing = 0 if column.nullable else int(series.isna().sum())
    said = [f"{missing} are missing, where none was"] if missing else []
    if column.is_code:
        held = series.value_counts()
        new = {each: int(held[each]) for each in real.schema[column.name].categories if each not in column.categories}
        new = {each: count for each, count in new.items() if count}
        counts, looks = list(new.values()), len(real.schema[column.name].categories) + 1
        shown = ", ".join(map(repr, list(new)[:SHOWN])) + (f" and {len(new) - SHOWN} more" if len(new) > SHOWN else "")
        said += [f"{sum(counts)} hold categories that the release does not know ({shown})"] if new else []
    else:
        values = real.numbers(column.name)
        with np.errstate(invalid="ignore"):
            below = 0 if column.minimum is None else int((values < column.minimum).sum())
            above = 0 if column.maximum is None else int((values > column.maximum).sum())
        counts, looks = [each for each in (below, above) if each], 3
        said += [f"{below} lie below {written(column, column.minimum)}"] if below and column.minimum is not None else []
        said += [f"{above} lie above {written(column, column.maximum)}"] if above and column.maximum is not None else []
    if not said:
        return None
    rows = missing + sum(counts)
    return Outside(
        column=column.name,
        rows=rows,
        share=rows / len(real),
        p=unlikely([*counts, *([missing] if missing else [])], looks, len(real), before),
        sentence=f"column {column.name!r}: of {len(real)} new rows {', '.join(said)}",
    )


def _mistakes(known: Schema, frame: pd.DataFrame, unreadable: pd.DataFrame) -> list[str]:
    """Say what makes rows unfit to be compared with a release."""
    names = list(map(str, frame.columns))
    missing = [repr(name) for name in known.names if name not in names]
    surplus = [repr(name) for name in names if name not in known.names]
    found = [f"there is no column {', '.join(missing)}, which the release has"] if missing else []
    found += [f"there is a column {', '.join(surplus)}, which the release does not have"] if surplus else []
    for column in known.columns:
        if column.name not in names:
            continue
        given = frame[column.name].reset_index(drop=True)
        odd = unreadable[column.name].to_numpy() & given.notna().to_numpy()
        if odd.any():
            free = column.model_copy(update={"minimum": None, "maximum": None})
            first = int(np.argmax(odd))
            found.append(
                f"column {column.name!r}: {int(odd.sum())} of {len(given)} values cannot be read "
                f"(first: {given.iloc[first]!r} in row {first + 1}), wanted {expects(free)}"
            )
    return found


def _of_these(spec: Spec, frame: pd.DataFrame) -> Spec:
    """Return the specification without what it says of columns that are not there; they are told all at once later."""
    names = {str(name) for name in frame.columns}
    columns = {name: given for name, given in spec.columns.items() if name in names}
    there = names | {given.rename for given in columns.values() if given.rename is not None}
    roles = {role: name if name in there else None for role, name in (("target", spec.target), ("unit", spec.unit))}
    return spec.model_copy(update={"columns": columns, **roles})


def _schema(root: Path, release: Release) -> Schema:
    """Return the schema that a release keeps, or the run that it was made from, where that is still here.

    Raises:
        Mistake: If neither is.
    """
    if (release.folder / SCHEMA).exists():
        return Schema.model_validate_json((release.folder / SCHEMA).read_bytes())
    workspace = Workspace(root, release.manifest.spec, release.manifest.run)
    if workspace.train.exists() and sha256(workspace.train) == release.manifest.hashes.train:
        return Schema.model_validate_json(workspace.schema.read_bytes())
    raise Mistake(
        f"release {release.name}: has no {SCHEMA}, for an older version made it, and its run is not here; release anew"
    )


def _rows_before(release: Release) -> int:
    inputs = Document.from_json((release.folder / AUDIT).read_text(encoding="utf-8")).inputs
    return inputs.train.rows + inputs.holdout.rows
