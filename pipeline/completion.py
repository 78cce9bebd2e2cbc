"""Rows that hold conditions, and rows whose missing cells are filled in, drawn from a synthesizer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.core.base import Conditional, Matrix
from models.core.importance import resample_given
from pipeline.conditions import Conditions
from pipeline.errors import Mistake
from pipeline.synthesizer import Synthesizer
from tabular.schema import Category, Column
from tabular.table import Table

POOL = 8192
ROUNDS = 24
REFILLS = 5


@dataclass(frozen=True)
class Completed:
    """Rows, and what is to be known of how they were made.

    Attributes:
        table: The rows.
        notes: Sentences for people: how exact the draw is, and its effective sample size.
    """

    table: Table
    notes: tuple[str, ...]


def draw_given(synthesizer: Synthesizer, wanted: Conditions, n: int, rng: np.random.Generator) -> Completed:
    """Draw n rows that hold the conditions.

    Equalities go to the model. Other conditions are met by drawing from it in at most `ROUNDS` pools: rows that hold
    them are exact draws; where fewer than n were found, the columns that the conditions look at are drawn again from
    the rows found, and the model draws the others given them.

    Raises:
        Mistake: If a value is not allowed, or no row of all pools holds the conditions.
    """
    try:
        known, mask = synthesizer.encoder.encode_known(wanted.equal)
    except ValueError as error:
        raise Mistake(f"--given: {error}") from error
    if not wanted.others:
        x, notes = complete(synthesizer, np.tile(known, (n, 1)), mask, rng)
        return Completed(synthesizer.encoder.decode(x, rng, given=wanted.equal), notes)
    pool = _pool(synthesizer, wanted, known, mask, n, rng)
    told = " and ".join(f"{rule.text!r}" for rule in wanted.others)
    if not len(pool.rows):
        raise Mistake(
            f"--given {told}: none of {pool.drawn:,} rows drawn holds it, so the model gives it next to no chance"
        )
    share = f"{len(pool.rows):,} of {pool.drawn:,} rows drawn hold {told}"
    if len(pool.rows) >= n:
        rows = synthesizer.encoder.renumbered(pool.rows.take(np.arange(n)))
        return Completed(rows, (*pool.notes, f"{share}: the rows are such draws"))
    seeds = rng.integers(0, len(pool.rows), size=n)
    settled = {*wanted.equal, *wanted.columns(pool.rows.schema)}
    for block in synthesizer.encoder.layout.blocks:
        mask[block.start : block.stop] = block.column in settled
    x, notes = complete(synthesizer, pool.x[seeds], mask, rng)
    rows = synthesizer.encoder.decode(x, rng)
    held = pool.rows.take(seeds).frame
    frame = rows.frame.assign(**{name: held[name] for name in settled})
    told = f"{share}, fewer than the {n:,} wanted: what the condition looks at is drawn from those, the rest given it"
    return Completed(Table(rows.schema, frame), (*notes, told))


def complete(
    synthesizer: Synthesizer, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Matrix, tuple[str, ...]]:
    """Draw encoded rows, shape (n, D), given their entries under a mask, shape (D,); say how well that went."""
    model = synthesizer.fitted
    if not mask.any():
        return model.sample(len(known), rng), ()
    if isinstance(model, Conditional):
        model.notes.pop("effective_sample_size", None)
        x = model.sample_given(known, mask, rng)
        size = model.notes.get("effective_sample_size")
        said = "" if size is None else f"effective sample size {float(size):,.0f} a row"
        return x, (said,) if said else ()
    x, effective = resample_given(model, known, mask, rng)
    least = float(np.median(effective)) if len(effective) else 0.0
    told = (
        f"{synthesizer.name} cannot condition by itself: by importance resampling, effective sample size {least:,.0f}"
    )
    return x, (told,)


def fill(synthesizer: Synthesizer, rows: Table, rng: np.random.Generator) -> Completed:
    """Fill in the missing cells of rows of the synthesizer's schema, given the cells that are there.

    Rows that lack the same columns are drawn together. A model of a column that may be missing can draw that it is:
    such cells are drawn again, up to `REFILLS` times in all, and then left missing.
    """
    modelled = synthesizer.encoder.schema.modelled
    gone = np.column_stack([rows.frame[column.name].isna().to_numpy() for column in modelled])
    frame, left = rows.frame.reset_index(drop=True), gone.copy()
    notes: dict[str, None] = {}
    for _ in range(REFILLS):
        lacking = np.flatnonzero(left.any(axis=1))
        patterns, member = np.unique(left[lacking], axis=0, return_inverse=True)
        for index, pattern in enumerate(patterns):
            here = lacking[member == index]
            names = [column.name for column, lacks in zip(modelled, pattern, strict=True) if lacks]
            drawn, said = _drawn(synthesizer, Table(rows.schema, frame.iloc[here]), names, rng)
            notes |= dict.fromkeys(said)
            for name in names:
                frame.loc[here, name] = drawn.frame[name].set_axis(here)
        left &= np.column_stack([frame[column.name].isna().to_numpy() for column in modelled])
    told = f"filled {int(gone.sum()) - int(left.sum()):,} of {int(gone.sum()):,} missing cells"
    return Completed(Table(rows.schema, frame), (f"{told} in {int(gone.any(axis=1).sum()):,} rows", *notes))


@dataclass(frozen=True)
class _Pool:
    """Rows that hold the conditions, encoded and decoded, out of how many drawn."""

    x: Matrix
    rows: Table
    drawn: int
    notes: tuple[str, ...]


def _pool(
    synthesizer: Synthesizer,
    wanted: Conditions,
    known: Matrix,
    mask: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
) -> _Pool:
    """Draw rows that hold the equalities, shape (D,) under a mask, until n hold the rest or `ROUNDS` are over."""
    matrices: list[Matrix] = []
    tables: list[pd.DataFrame] = []
    drawn = 0
    notes: tuple[str, ...] = ()
    while sum(len(x) for x in matrices) < n and len(matrices) < ROUNDS:
        x, notes = complete(synthesizer, np.tile(known, (max(POOL, n), 1)), mask, rng)
        rows = synthesizer.encoder.decode(x, rng, given=wanted.equal)
        held = wanted.hold(rows)
        matrices.append(x[held])
        tables.append(rows.take(held).frame)
        drawn += len(rows)
    schema = synthesizer.encoder.output_schema
    return _Pool(np.concatenate(matrices), Table(schema, pd.concat(tables, ignore_index=True)), drawn, notes)


def _drawn(
    synthesizer: Synthesizer, rows: Table, names: list[str], rng: np.random.Generator
) -> tuple[Table, tuple[str, ...]]:
    """Draw some columns given the others, which these rows have."""
    schema = rows.schema
    held = {name: pd.Series([_some(schema[name])] * len(rows), dtype=object) for name in names}
    whole, _ = Table.coerce(schema, rows.frame.reset_index(drop=True).assign(**held))
    x = synthesizer.encoder.encode(whole, rng)
    mask = np.ones(x.shape[1], dtype=bool)
    for block in synthesizer.encoder.layout.blocks:
        mask[block.start : block.stop] = block.column not in names
    drawn, notes = complete(synthesizer, x, mask, rng)
    return synthesizer.encoder.decode(drawn, rng), notes


def _some(column: Column) -> Category | None:
    """Return some value that the column allows, to hold a place."""
    if column.is_code:
        return column.categories[0] if column.categories else None
    return column.minimum if column.minimum is not None else 0.0
