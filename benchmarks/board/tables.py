"""The tables of the published protocol: their splits, what their columns are, and rows as comma-separated text."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular.infer import Override, infer_schema
from tabular.schema import Schema
from tabular.table import Table, from_codes, from_numbers

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LOOKALIKE_TABLES") or ROOT.parent / "shared" / "data")
FIRST_SEED = 1234
SIMULATED = 5_000


class Source(NamedTuple):
    """Where a table comes from and how the published protocol prepares it.

    Attributes:
        target: The column to predict.
        categories: Columns of numbers that are categories.
        dropped: Columns that are left out.
        said: What the protocol does, in a sentence.
    """

    target: str
    categories: tuple[str, ...]
    dropped: tuple[str, ...]
    said: str


class Split(NamedTuple):
    """A table as it is put to the generators.

    Attributes:
        train: The rows that they see.
        holdout: The rows that they never see.
        digest: Hash of both.
    """

    train: Table
    holdout: Table
    digest: str


NINETY = "90/10 by a shuffle seeded with 1234, the next seed until no category is missing from the training rows"
REPAID = tuple(f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6))
SOURCES = {
    "adult": Source("income", (), (), "UCI's own training and test files"),
    "default": Source(
        "default payment next month",
        ("SEX", "EDUCATION", "MARRIAGE", *REPAID, "default payment next month"),
        ("ID",),
        f"{NINETY}; without ID",
    ),
    "shoppers": Source("Revenue", ("OperatingSystems", "Browser", "Region", "TrafficType"), (), NINETY),
    "magic": Source("class", (), (), f"{NINETY}; without the first row, which the published code reads as a header"),
    "beijing": Source(
        "pm2.5", ("year", "month", "day", "hour"), ("No",), f"{NINETY}; without No and without rows that miss a value"
    ),
    "simulated": Source("label", (), (), "drawn from one distribution, for trying this command out"),
}
TABLES = tuple(SOURCES)
PUBLISHED = tuple(name for name in TABLES if name != "simulated")


def split(name: str, rows: int | None, seed: int) -> Split:
    """Return a table's training and holdout rows, cut to so many training and half as many holdout rows if wished.

    The schema is read from both: categories and ranges are taken to be known.

    Raises:
        FileNotFoundError: If the table's file is not there.
    """
    source = SOURCES[name]
    parts = [part.drop(columns=list(source.dropped)) for part in _parts(name, seed)]
    whole = pd.concat(parts, ignore_index=True)
    overrides = {column: Override(kind="categorical") for column in source.categories}
    kind = overrides[source.target].kind if source.target in overrides else None
    schema = infer_schema(whole, overrides | {source.target: Override(kind=kind, role="target")})
    tables = [Table.conform(schema, part) for part in parts]
    if rows is not None:
        rng = np.random.default_rng([seed, rows])
        sizes = (rows, max(rows // 2, 1))
        tables = [table.take(rng.permutation(len(table))[:size]) for table, size in zip(tables, sizes, strict=True)]
    text = schema.model_dump_json() + "".join(table.frame.to_csv(index=False) for table in tables)
    return Split(tables[0], tables[1], hashlib.sha256(text.encode()).hexdigest())


def write(table: Table, path: Path) -> None:
    """Write rows as text; missing is nothing."""
    table.frame.to_csv(path, index=False)


def read(path: Path, schema: Schema) -> tuple[Table, int]:
    """Read rows of any generator: numbers on their column's grid and inside its range, categories by their text.

    Returns:
        The rows, and how many cells held no number, an unknown category, or nothing where nothing may be missing.

    Raises:
        ValueError: If a column is missing.
    """
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    absent = [name for name in schema.names if name not in raw]
    if absent:
        raise ValueError(f"{path.name}: got columns {', '.join(raw.columns)}, wanted {', '.join(absent)} too")
    series: dict[str, pd.Series] = {}
    broken = 0
    for column in schema.columns:
        text = raw[column.name]
        if column.is_code:
            known = {str(value): place for place, value in enumerate(column.categories)}
            places: NDArray[np.int64] = np.asarray(text.map(known).fillna(-1), dtype=np.int64)
            series[column.name], found = from_codes(column, places), places != -1
        else:
            values = pd.to_numeric(text.where(text != ""), errors="coerce").to_numpy(dtype=np.float64)
            series[column.name], found = from_numbers(column, values), np.isfinite(values)
        broken += int((~found & ((text != "").to_numpy() | (not column.nullable))).sum())
    return Table(schema, pd.DataFrame(series, columns=list(schema.names))), broken


def simulated(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return rows of a small table with known dependence: numbers, categories, a target."""
    hidden = rng.normal(size=(rows, 2))
    wide = np.exp(hidden[:, 0] + rng.normal(0, 0.5, rows))
    age = np.clip(np.round(45 + 12 * hidden[:, 1] + rng.normal(0, 6, rows)), 18, 95)
    return pd.DataFrame(
        {
            "amount": np.round(wide, 2),
            "age": age.astype(np.int64),
            "score": np.round(hidden.sum(axis=1) + rng.normal(0, 1, rows), 3),
            "kind": np.char.add("kind ", np.clip(np.round(2 + hidden[:, 0]), 0, 4).astype(int).astype(str)),
            "region": rng.choice(["north", "south", "west"], rows, p=[0.5, 0.3, 0.2]),
            "label": np.where(rng.random(rows) < 1 / (1 + np.exp(-hidden.sum(axis=1))), "yes", "no"),
        }
    )


def _parts(name: str, seed: int) -> list[pd.DataFrame]:
    """Return the raw training and holdout rows."""
    if name == "simulated":
        rng = np.random.default_rng(seed)
        return [simulated(SIMULATED, rng), simulated(SIMULATED, rng)]
    if name == "adult":
        return [_file(name, part) for part in ("train", "test")]
    frame = _file(name, name)
    if name in PREPARED:
        frame = PREPARED[name](frame).reset_index(drop=True)
    return _ninety(frame, SOURCES[name].categories)


def _file(name: str, part: str) -> pd.DataFrame:
    path = DATA / name / f"{part}.parquet"
    if not path.is_file():
        raise FileNotFoundError(
            f"table {name!r}: got no file {path}; put the public tables there, or name their folder in LOOKALIKE_TABLES"
        )
    return pd.read_parquet(path)


def _ninety(frame: pd.DataFrame, numbered: tuple[str, ...]) -> list[pd.DataFrame]:
    """Split by the published rule, for which truth values and texts are categories too."""
    coded = [name for name in frame if name in numbered or frame[name].dtype.kind not in "iuf"]
    order = np.arange(len(frame))
    cut, seed = int(0.9 * len(frame)), FIRST_SEED
    while True:
        # The published splits come from this generator, seeded as a whole.
        np.random.RandomState(seed).shuffle(order)  # noqa: NPY002
        train, holdout = frame.iloc[order[:cut]], frame.iloc[order[cut:]]
        if all(set(holdout[name].dropna()) <= set(train[name].dropna()) for name in coded):
            return [train.reset_index(drop=True), holdout.reset_index(drop=True)]
        seed += 1


PREPARED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "magic": lambda frame: frame.iloc[1:],
    "beijing": lambda frame: frame.dropna(),
}
