"""Asks sdmetrics about one release: a line of JSON per figure, written as soon as it is there."""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.reports import DiagnosticReport, QualityReport
from sdmetrics.single_table import (
    BinaryDecisionTreeClassifier,
    DCRBaselineProtection,
    DCROverfittingProtection,
    LogisticDetection,
    NewRowSynthesis,
)

# A cross-merge of pandas, of minutes for a few thousand rows: its own examples draw 1,000 rows
# (https://github.com/sdv-dev/SDMetrics/issues/743), and people use it so. One draw is its default.
DRAWN = {"num_rows_subsample": 1000}
KINDS = {"number": "numerical", "category": "categorical", "date": "datetime"}


def main() -> None:
    """Read the folder, compute each figure by itself, keep going where one fails."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    np.random.seed(0)  # noqa: NPY002 - the tool draws from the global generator
    warnings.simplefilter("ignore")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    kinds: dict[str, str] = about["kinds"]
    train, holdout, synthetic = (read(folder / f"{part}.csv", kinds) for part in ("train", "holdout", "synthetic"))
    columns = {
        name: {"sdtype": KINDS[kind]} | ({"datetime_format": "%Y-%m-%d"} if kind == "date" else {})
        for name, kind in kinds.items()
    }
    metadata = {"tables": {"rows": {"columns": columns}}}
    figures = {
        **reports(train, synthetic, metadata),
        **alone(train, holdout, synthetic, metadata),
        "BinaryDecisionTreeClassifier": lambda: tree(train, holdout, synthetic, metadata, about),
    }
    with out.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"versions": {"sdmetrics": version("sdmetrics")}}) + "\n")
        for name, make in figures.items():
            start = time.perf_counter()
            try:
                found: dict[str, object] = {"value": float(make())}
            except Exception as reason:
                found = {"failed": f"{type(reason).__name__}: {reason}"[:200]}
            lines.write(json.dumps({"figure": name, **found, "seconds": time.perf_counter() - start}) + "\n")
            lines.flush()


def read(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """Read texts as texts and dates as dates."""
    text = {name: str for name, kind in kinds.items() if kind == "category"}
    frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name, kind in kinds.items() if kind == "date"})


def reports(train: pd.DataFrame, synthetic: pd.DataFrame, metadata: dict) -> dict[str, Callable[[], float]]:
    """Return what its two reports say; the second figure is part of the first report."""
    quality = QualityReport()

    def overall() -> float:
        quality.generate({"rows": train}, {"rows": synthetic}, metadata, verbose=False)
        return quality.get_score()

    def trends() -> float:
        return quality.get_properties().set_index("Property")["Score"]["Column Pair Trends"]

    def diagnostic() -> float:
        report = DiagnosticReport()
        report.generate({"rows": train}, {"rows": synthetic}, metadata, verbose=False)
        return report.get_score()

    return {"QualityReport": overall, "Column Pair Trends": trends, "DiagnosticReport": diagnostic}


def alone(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, metadata: dict
) -> dict[str, Callable[[], float]]:
    """Return what its single metrics say."""
    return {
        "LogisticDetection": lambda: LogisticDetection.compute(train.copy(), synthetic.copy(), metadata, "rows"),
        "DCROverfittingProtection": lambda: DCROverfittingProtection.compute(
            train, synthetic, holdout, metadata, "rows", **DRAWN
        ),
        "DCRBaselineProtection": lambda: DCRBaselineProtection.compute(train, synthetic, metadata, "rows", **DRAWN),
        # A query of pandas per row: minutes for all rows, hence its own setting for that.
        "NewRowSynthesis": lambda: NewRowSynthesis.compute(
            train.copy(), synthetic.copy(), metadata, "rows", synthetic_sample_size=1000
        ),
    }


def tree(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, metadata: dict, about: dict[str, str]
) -> float:
    """Train on the synthetic rows, score F1 on rows that nobody saw."""
    target, positive = about["target"], about["positive"]
    seen, unseen = (
        frame.dropna(subset=[target]).assign(**{target: lambda rows: rows[target] == positive})
        for frame in (synthetic, holdout)
    )
    return BinaryDecisionTreeClassifier.compute(unseen, seen, metadata, target=target, table_name="rows")


if __name__ == "__main__":
    main()
