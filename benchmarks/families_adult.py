"""Measures every family on the adult table: seconds of fit and sample, and sdmetrics' shapes and trends errors."""

import argparse
import json
import resource
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.reports.single_table import QualityReport

from pipeline.registry import families, family
from tabular.encoding import TableEncoder
from tabular.infer import infer_schema
from tabular.schema import Schema
from tabular.table import Table

DEFAULT = Path(__file__).resolve().parents[2] / "shared/data/adult/train.parquet"


def main() -> None:
    """Fit each family, sample as many rows as there are, compare, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--models", nargs="+", default=list(families()), choices=families())
    parser.add_argument("--settings", default="{}", help='settings by family as JSON: {"gmm": {"components": 8}}')
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = json.loads(arguments.settings)
    frame = pd.read_parquet(arguments.path)
    table = Table.conform(infer_schema(frame, {}), frame)
    print(f"{len(table)} rows, {len(table.schema.columns)} columns; sdmetrics {version('sdmetrics')}, errors in %")
    print(f"{'family':<20}{'shapes':>8}{'trends':>8}{'fit s':>9}{'CPU s':>9}{'sample s':>10}{'CPU s':>8}  notes")
    for name in arguments.models:
        print(measure(name, settings.get(name, {}), table, np.random.default_rng(arguments.seed)), flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def measure(name: str, settings: dict[str, object], table: Table, rng: np.random.Generator) -> str:
    """Return a family's line of the table."""
    kind = family(name)
    encoder = TableEncoder(table.schema, kind.reads).fit(table)
    x = encoder.encode(table, rng)
    model = kind(kind.Config.model_validate(settings), encoder.layout)
    start = time.perf_counter(), time.process_time()
    model.fit(x, rng)
    fitted = time.perf_counter(), time.process_time()
    synthetic = encoder.decode(model.sample(len(x), rng), rng)
    done = time.perf_counter(), time.process_time()
    shapes, trends = errors(table.schema, table.frame, synthetic.frame)
    notes = ", ".join(
        f"{key} {value:.6g}" if isinstance(value, float) else str(value) for key, value in model.notes.items()
    )
    return (
        f"{name:<20}{100 * shapes:8.2f}{100 * trends:8.2f}{fitted[0] - start[0]:9.1f}{fitted[1] - start[1]:9.1f}"
        f"{done[0] - fitted[0]:10.1f}{done[1] - fitted[1]:8.1f}  {notes}"
    )


def errors(schema: Schema, real: pd.DataFrame, synthetic: pd.DataFrame) -> tuple[float, float]:
    """Return sdmetrics' shapes and trends errors, 1 - score."""
    kinds = {column.name: {"sdtype": "numerical" if column.is_number else "categorical"} for column in schema.columns}
    numbers = {column.name: "float64" if column.is_number else object for column in schema.columns}
    report = QualityReport()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(real.astype(numbers), synthetic.astype(numbers), {"columns": kinds}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return 1 - scores["Column Shapes"], 1 - scores["Column Pair Trends"]


if __name__ == "__main__":
    main()
