"""Sensitive groups and the outcome that bias is looked for in: single columns, and all pairs of them."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, PositiveInt

from audit.core import Evidence, NotComputable
from audit.reading import Coded, Codes, bins
from audit.reference import units
from tabular.schema import Column, Schema
from tabular.table import Table

Floats = NDArray[np.float64]
OTHER = "other groups"


class Grouping(NamedTuple):
    """The groups that one sensitive column, or two seen together, cut the rows into.

    Attributes:
        columns: Names of the columns.
        names: Names of the groups, G of them; those beyond the bound on their number share the last one.
        first: The first column's code of each row of holdout and synthetic table.
        second: The second column's code, all 0 where there is one column only.
        place: Group of each pair of codes, shape (codes of the first, codes of the second).
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    first: tuple[Codes, ...]
    second: tuple[Codes, ...] | None
    place: NDArray[np.int64]

    @property
    def label(self) -> str:
        """What people read as the column: `sex`, `sex x race`."""
        return " x ".join(self.columns)

    def codes(self, side: int) -> Codes:
        """Return the group of each row of the holdout (0) or of the synthetic table (1), shape (n,), in [0, G)."""
        second = 0 if self.second is None else self.second[side]
        codes: Codes = self.place[self.first[side], second]
        return codes


class Grouped(BaseModel, frozen=True, extra="forbid"):
    """How sensitive columns are cut into groups.

    Attributes:
        parts: Groups of a number column, cut at quantiles of the training rows.
        categories: Categories of a code column that are groups of their own; the rarer ones are one.
        groups: Most groups over all columns and pairs; of pairs the largest are kept, the rest of each pair are one.
    """

    parts: int = Field(default=4, ge=2)
    categories: PositiveInt = 20
    groups: PositiveInt = 200


class Outcome(NamedTuple):
    """The target as classes.

    Attributes:
        column: Name of the target.
        names: Names of the classes.
        codes: Class of each row of holdout and synthetic table, missing -1.
        judged: The classes whose frequency is compared: of two, the last; of a number, "above the median".
    """

    column: str
    names: tuple[str, ...]
    codes: tuple[Codes, Codes]
    judged: tuple[int, ...]


def sensitive(schema: Schema, but: str | None = None) -> tuple[Column, ...]:
    """Return the sensitive columns that are modelled, without the one named.

    Raises:
        NotComputable: If there is none.
    """
    columns = tuple(column for column in schema.sensitive if column.is_modelled)
    if not columns:
        raise NotComputable("the schema declares no sensitive column that is modelled")
    kept = tuple(column for column in columns if column.name != but)
    if not kept:
        raise NotComputable(f"the only sensitive column {but!r} is the target itself")
    return kept


def groupings(evidence: Evidence, settings: Grouped, but: str | None = None) -> tuple[Grouping, ...]:
    """Return the groups of each sensitive column and of each pair of them; missing is a group.

    Args:
        evidence: What is looked at.
        settings: How columns are cut.
        but: A column that makes no groups: the target, where it is sensitive itself.

    Raises:
        NotComputable: If there is no sensitive column.
    """
    key = f"audit.groups.groupings {settings.model_dump_json()} {but!r}"
    return evidence.shared(key, lambda _: _groupings(evidence, settings, but))


def _groupings(evidence: Evidence, settings: Grouped, but: str | None) -> tuple[Grouping, ...]:
    columns = sensitive(evidence.holdout.schema, but)
    tables = (evidence.holdout, evidence.synthetic)
    coded = {
        column.name: bins(column, evidence.train, tables, settings.parts, settings.categories) for column in columns
    }
    single = [_grouping((name,), (each,)) for name, each in coded.items()]
    pairs = [_grouping(names, (coded[names[0]], coded[names[1]])) for names in combinations(coded, 2)]
    return (*single, *_largest(pairs, max(settings.groups - sum(len(each.names) for each in single), 0)))


def _grouping(columns: tuple[str, ...], coded: tuple[Coded, ...]) -> Grouping:
    """Number the groups that have rows on either side; the others do not exist."""
    second = coded[1] if len(coded) == 2 else None
    width = 1 if second is None else second.size
    size = coded[0].size * width
    seen = np.zeros(size, dtype=bool)
    for side in range(2):
        codes = coded[0].codes[side] * width + (0 if second is None else second.codes[side])
        seen |= np.bincount(codes, minlength=size) > 0
    place = np.full(size, -1)
    place[seen] = np.arange(seen.sum())
    names = coded[0].names if second is None else [f"{a} x {b}" for a in coded[0].names for b in second.names]
    return Grouping(
        columns,
        tuple(name for name, there in zip(names, seen, strict=True) if there),
        coded[0].codes,
        None if second is None else second.codes,
        place.reshape(coded[0].size, width),
    )


def _largest(pairs: list[Grouping], most: int) -> list[Grouping]:
    """Keep the groups that are largest on either side, and make one of the rest of each pair of columns."""
    if sum(len(pair.names) for pair in pairs) <= most:
        return pairs
    shares = [_shares(pair) for pair in pairs]
    ranked = np.argsort(-np.concatenate(shares), kind="stable")[:most]
    kept = np.zeros(sum(len(each) for each in shares), dtype=bool)
    kept[ranked] = True
    found = []
    for pair, keep in zip(pairs, np.split(kept, np.cumsum([len(each) for each in shares])[:-1]), strict=True):
        if not keep.any():
            continue
        code = np.where(keep, np.cumsum(keep) - 1, keep.sum())
        names = [name for name, there in zip(pair.names, keep, strict=True) if there]
        place = np.where(pair.place == -1, -1, code[pair.place])
        found.append(pair._replace(names=tuple(names if keep.all() else [*names, OTHER]), place=place))
    return found


def _shares(grouping: Grouping) -> Floats:
    """Return each group's share on the side where it is larger, shape (G,)."""
    counts = [np.bincount(grouping.codes(side), minlength=len(grouping.names)) for side in range(2)]
    shares: Floats = np.maximum(*(each / max(each.sum(), 1) for each in counts))
    return shares


def outcome(evidence: Evidence, categories: int = 20) -> Outcome:
    """Read the target as classes: categories, the rarer ones pooled, or a number above the training rows' median.

    Raises:
        NotComputable: If there is no target, or it has one class only.
    """
    target = evidence.holdout.schema.target
    if target is None or not target.is_modelled:
        raise NotComputable("the schema declares no target that is modelled")
    tables = (evidence.holdout, evidence.synthetic)
    if target.is_number:
        known = evidence.train.numbers(target.name)
        known = known[~np.isnan(known)]
        if len(known) == 0:
            raise NotComputable(f"the target {target.name!r} has no value in the training table to cut it at")
        middle = float(np.median(known))
        values = (table.numbers(target.name) for table in tables)
        first, second = (np.where(np.isnan(each), -1, each > middle).astype(np.int64) for each in values)
        return Outcome(target.name, (f"≤ {middle:g}", f"> {middle:g}"), (first, second), (1,))
    if len(target.categories) < 2:
        raise NotComputable(f"the target {target.name!r} has one class only; there is nothing to compare")
    if len(target.categories) == 2:
        first, second = (table.codes(target.name) for table in tables)
        return Outcome(target.name, tuple(str(each) for each in target.categories), (first, second), (1,))
    coded = bins(target, evidence.train, tables, categories=categories)
    first, second = (np.where(each == coded.size - 1, -1, each) for each in coded.codes)
    return Outcome(target.name, coded.names[:-1], (first, second), tuple(range(coded.size - 1)))


def independent_share(table: Table, codes: Codes, size: int) -> Floats:
    """Return how many independent rows a row of each group is worth, shape (size,): 1 without a privacy unit.

    In a group whose units have m rows each, (Σm)² / Σm² rows are independent (`audit.reference.independent`).
    """
    rows = np.bincount(codes, minlength=size).astype(np.float64)
    if table.schema.unit is None:
        return np.ones(size)
    unit = units(table)
    pairs, counts = np.unique(codes * (int(unit.max(initial=0)) + 1) + unit, return_counts=True)
    squares = np.bincount(pairs // (int(unit.max(initial=0)) + 1), counts.astype(np.float64) ** 2, minlength=size)
    return np.where(rows > 0, rows / np.maximum(squares, 1.0), 1.0)
