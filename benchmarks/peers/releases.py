"""The known-answer releases that tools are asked about, and the files that they read them from."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tabular.table import Table
from tests.audit.releases import CASES, NOT_WELL, REAL, Real, coarse

SEED = 17
FRESH = "fresh real rows"
COARSE = {"fresh rows of a coarse table": "fresh real rows", "copy of a coarse table": "copy"}
# A column is missing or is of another type: what a tool says of that is a crash or none, so they are asked for by name.
UNREADABLE = ("number out of range", "column of the wrong type", "missing column")
NAMES = (*(name for name in CASES if name not in UNREADABLE), *COARSE)


def answers(table: str, case: str) -> Mapping[str, frozenset[str]]:
    """Return the verdicts that are right, by question."""
    if case in COARSE:
        # Six columns of few values: a copy of them is what fresh rows are, so that nobody can say that all is well.
        return {"privacy": NOT_WELL} if COARSE[case] == "copy" else {}
    return CASES[case].answers(table)


def reference(case: str) -> str:
    """Return the case whose figures are what real rows score."""
    return next(iter(COARSE)) if case in COARSE else FRESH


def release(table: str, case: str) -> tuple[Real, Table | pd.DataFrame]:
    """Return the real rows and the release, the same ones at every call."""
    real = REAL[table]()
    if case in COARSE:
        real = coarse(real)
    made = CASES[COARSE.get(case, case)].make(real, np.random.default_rng(SEED))
    return real, made


def write(folder: Path, table: str, case: str) -> tuple[dict[str, int], str]:
    """Write what tools read: three tables as CSV, and what is known of their columns; return their rows and hash."""
    real, made = release(table, case)
    frames = {
        "train": real.train.frame,
        "holdout": real.holdout.frame,
        "synthetic": made if isinstance(made, pd.DataFrame) else made.frame,
    }
    mixed = hashlib.sha256()
    for part, frame in frames.items():
        frame.to_csv(folder / f"{part}.csv", index=False)
        mixed.update((folder / f"{part}.csv").read_bytes())
    columns = real.train.schema.columns
    kinds = {
        each.name: "category" if each.is_code else "date" if each.physical == "date" else "number" for each in columns
    }
    about = {
        "kinds": kinds,
        "target": real.target[0],
        "positive": real.target[1],
        "sensitive": next(name for name in (real.wronged[0], real.small[0]) if name in kinds),
        "secrets": [name for name in (real.target[0], real.small[0], real.number) if name in kinds],
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    return {part: len(frame) for part, frame in frames.items()}, mixed.hexdigest()[:16]
