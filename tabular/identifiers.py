"""Identifiers made anew: unique values in the manner of the original, none of them a real one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular.schema import Column, Schema

MOST_WHOLE = 2**61
MOST_REAL = 2**52


def is_made_anew(column: Column) -> bool:
    """Whether its values name somebody or something: identifiers and the privacy unit."""
    return column.kind == "identifier" or column.role == "unit"


def synthetic_schema(schema: Schema) -> Schema:
    """Return the schema of synthetic rows: no free text, and identifiers without a trace of the old ones."""
    return Schema(columns=tuple(_renewed(column) for column in schema.columns if column.kind != "text"))


@dataclass(frozen=True)
class Numbering:
    """How the identifiers of one column are numbered.

    Attributes:
        prefix: What text identifiers begin with, and no real one does.
        offset: What whole numbers are counted on from, so that they meet no real one.
    """

    prefix: str
    offset: int

    @classmethod
    def fit(cls, column: Column, taken: pd.Series) -> Self:
        """Keep clear of the real identifiers, shape (n,)."""
        offset = _offset(column, taken.dropna()) if column.physical in ("integer", "real") else 0
        return cls(_prefix(column, taken.dropna()), offset)

    def make(self, column: Column, first: int, n: int) -> pd.Series:
        """Return n identifiers, the first of them number first + 1: plain numbers, or text such as "person-000124"."""
        serial = np.arange(first + 1, first + n + 1)
        if column.physical == "integer":
            return pd.Series(serial + self.offset).astype("Int64")
        if column.physical == "real":
            return pd.Series((serial + self.offset).astype(np.float64))
        return pd.Series(np.char.mod(f"{self.prefix}-%06d", serial)).astype("string")

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return prefix and offset as arrays."""
        prefix = np.frombuffer(self.prefix.encode(), dtype=np.uint8)
        return {"prefix": prefix, "offset": np.array([self.offset], dtype=np.int64)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take the arrays that `state` returned."""
        return cls(arrays["prefix"].tobytes().decode(), int(arrays["offset"][0]))


def _prefix(column: Column, taken: pd.Series) -> str:
    prefix = re.sub(r"[^0-9a-z]+", "-", column.name.lower()).strip("-") or "id"
    texts = taken.astype("string")
    while texts.str.startswith(f"{prefix}-").any():
        prefix = f"synthetic-{prefix}"
    return prefix


def _offset(column: Column, taken: pd.Series) -> int:
    """Return the power of ten above all real numbers; where that is too much, a round number in their widest gap.

    Either gives away no more than an order of magnitude. Numbers beyond ±2^61 (reals: ±2^52) are out of reach anyway.
    """
    whole = column.physical == "integer"
    most = MOST_WHOLE if whole else MOST_REAL
    values = taken.astype("Int64").to_numpy(dtype=np.int64) if whole else taken.to_numpy(dtype=np.float64)
    reached = values[(values >= -most) & (values <= most)]
    offset: int = 10 ** len(str(int(reached.max(initial=0))))
    if offset < most:
        return offset
    ends = np.union1d(reached, np.array([-most, most], dtype=reached.dtype))
    gap = int(np.argmax(np.diff(ends)))
    below, width = int(ends[gap]) + 1, int(ends[gap + 1]) - int(ends[gap])
    unit = 2 ** max(0, (width // 4).bit_length() - 1)
    start: int = -(-(below + width // 4) // unit) * unit
    return start


def _renewed(column: Column) -> Column:
    if not is_made_anew(column):
        return column
    physical = column.physical if column.physical in ("integer", "real") else "text"
    return Column(name=column.name, kind="identifier", physical=physical, role=column.role, note=column.note)
