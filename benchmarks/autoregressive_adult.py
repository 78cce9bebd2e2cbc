"""Measures a family on the adult table: seconds of fit and sample, and sdmetrics' shapes and trends errors."""

import argparse
import logging
import resource
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sdmetrics.reports.single_table import QualityReport

from models.core.base import Silent
from pipeline.registry import family
from tabular.encoding import TableEncoder
from tabular.schema import Column, Schema
from tabular.table import Table

DEFAULT = Path(__file__).resolve().parents[2] / "shared/data/adult/train.parquet"


class Log(Silent):
    """Shows progress."""

    def progress(self, done: float, message: str) -> None:
        """Print a line."""
        print(f"  {done:4.0%}  {message}", flush=True)


def main() -> None:
    """Fit, sample as many rows as there are, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--family", default="autoregressive")
    parser.add_argument("--config", default="{}", help="settings of the family as JSON")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    frame = pd.read_parquet(arguments.path)
    schema = plain_schema(frame)
    table = Table.conform(schema, frame)
    made = family(arguments.family)
    encoder = TableEncoder(schema, made.reads).fit(table)
    x = encoder.encode(table)
    rng = np.random.default_rng(arguments.seed)
    model = made(made.Config.model_validate_json(arguments.config), encoder.layout)
    print(f"{arguments.family}: {x.shape[0]} rows, {x.shape[1]} matrix columns")
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(x, rng, Log())
    print(f"fit:    {time.perf_counter() - wall:6.1f} s wall, {time.process_time() - cpu:6.1f} s CPU; {model.notes}")
    wall, cpu = time.perf_counter(), time.process_time()
    synthetic = encoder.decode(model.sample(len(x), rng), rng)
    print(f"sample: {time.perf_counter() - wall:6.1f} s wall, {time.process_time() - cpu:6.1f} s CPU")
    shapes, trends, pairs = errors(schema, table.frame, synthetic.frame)
    print(f"sdmetrics {version('sdmetrics')}: shapes error {shapes:.2%}, trends error {trends:.2%}")
    print(pairs.to_string(index=False))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def plain_schema(frame: pd.DataFrame) -> Schema:
    """Read text as categories and numbers as integers or reals."""
    columns = []
    for name in frame:
        series = frame[name]
        nullable = bool(series.isna().any())
        if series.dtype == object:
            words = tuple(sorted(series.dropna().unique()))
            column = Column(name=name, kind="categorical", physical="text", nullable=nullable, categories=words)
        else:
            whole = pd.api.types.is_integer_dtype(series)
            column = Column(
                name=name,
                kind="integer" if whole else "continuous",
                physical="integer" if whole else "real",
                nullable=nullable,
                minimum=float(series.min()),
                maximum=float(series.max()),
                decimals=0 if whole else None,
            )
        columns.append(column)
    return Schema(columns=tuple(columns))


def errors(schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame) -> tuple[float, float, pd.DataFrame]:
    """Return sdmetrics' shapes and trends errors (1 - score), and the worst columns and pairs."""
    kinds = {c.name: {"sdtype": "numerical" if c.is_number else "categorical"} for c in schema.columns}
    report = QualityReport()
    frames: list[Any] = [_plain(schema, frame) for frame in (real, synthetic)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(*frames, {"columns": kinds}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    pairs = report.get_details("Column Pair Trends").nsmallest(8, "Score")[["Column 1", "Column 2", "Metric", "Score"]]
    shapes = report.get_details("Column Shapes").nsmallest(4, "Score")[["Column", "Metric", "Score"]]
    worst = pd.concat([shapes.rename(columns={"Column": "Column 1"}), pairs])
    return 1 - scores["Column Shapes"], 1 - scores["Column Pair Trends"], worst


def _plain(schema: Schema, frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            c.name: frame[c.name].astype("float64") if c.is_number else frame[c.name].astype(object)
            for c in schema.columns
        }
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
