"""Measures how near to unseen rows a family comes, and what it copies: one line for each of five public tables."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from audit.core import Evidence
from audit.privacy.exact_copies import hashes
from audit.privacy.membership_epsilon import MembershipEpsilon
from benchmarks.families_adult import errors
from pipeline.registry import families, family
from tabular.encoding import TableEncoder
from tabular.infer import infer_schema
from tabular.table import Table

DEFAULT = Path(__file__).resolve().parents[2] / "shared/data"
TABLES = ("adult", "default", "magic", "beijing", "shoppers")
COUNTERS = ("ID", "No")
MOST = 20_000
FOLDS = 3


def main() -> None:
    """Fit on the training part of each table, sample as many rows, compare with both parts, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--model", default="sequential_trees", choices=families())
    parser.add_argument("--settings", default="{}", help='settings of the family as JSON: {"leaf": 50}')
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "C2ST: ROC AUC of gradient-boosted trees against the holdout, 0.5 where none is told apart; copies: % of rows"
    )
    print(
        "identical to one of as many training rows, chance: holdout rows; epsilon: lower bound by membership attacks;"
    )
    print(
        "CPU and wall seconds of fit and sampling; sdmetrics' shapes and trends errors in %, against the training rows"
    )
    print(
        f"{'table':<10}{'rows':>7}{'C2ST':>8}{'copies':>8}{'chance':>8}{'excess':>8}{'epsilon':>9}"
        f"{'CPU s':>7}{'wall s':>8}{'shapes':>8}{'trends':>8}"
    )
    for name in arguments.tables:
        train, holdout = parts(arguments.folder, name)
        settings = json.loads(arguments.settings)
        print(measure(name, train, holdout, made(arguments.model, settings), arguments.seed), flush=True)


def parts(folder: Path, name: str) -> tuple[Table, Table]:
    """Return training rows and holdout: adult's own test rows, elsewhere a random fifth."""
    if name == "adult":
        train, holdout = (pd.read_parquet(folder / name / f"{part}.parquet") for part in ("train", "test"))
    else:
        frame = pd.read_parquet(folder / name / f"{name}.parquet").drop(columns=list(COUNTERS), errors="ignore")
        frame = frame.iloc[np.random.default_rng(0).permutation(len(frame))].reset_index(drop=True)
        holdout, train = frame.iloc[: len(frame) // 5], frame.iloc[len(frame) // 5 :]
    schema = infer_schema(pd.concat([train, holdout], ignore_index=True), {})
    return Table.conform(schema, train.reset_index(drop=True)), Table.conform(schema, holdout.reset_index(drop=True))


def made(name: str, settings: dict[str, object]) -> Callable[[Table, np.random.Generator], Table]:
    """Return what fits a family to a table and samples as many rows."""
    kind = family(name)

    def rows(table: Table, rng: np.random.Generator) -> Table:
        encoder = TableEncoder(table.schema, kind.reads).fit(table)
        model = kind(kind.Config.model_validate(settings), encoder.layout).fit(encoder.encode(table), rng)
        return encoder.decode(model.sample(len(table), rng), rng)

    return rows


def measure(
    name: str, train: Table, holdout: Table, make: Callable[[Table, np.random.Generator], Table], seed: int
) -> str:
    """Return a table's line."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter(), time.process_time()
    synthetic = make(train, rng)
    wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    area = detected(synthetic, holdout, rng)
    copied, chance = copies(synthetic, train, holdout, rng)
    epsilon = MembershipEpsilon(MembershipEpsilon.Config())(Evidence(train, holdout, synthetic), rng).value
    shapes, trends = errors(train.schema, train.frame, synthetic.frame)
    return (
        f"{name:<10}{len(train):>7}{area:8.3f}{100 * copied:8.2f}{100 * chance:8.2f}{100 * (copied - chance):8.2f}"
        f"{epsilon:9.2f}{cpu:7.1f}{wall:8.1f}{100 * shapes:8.2f}{100 * trends:8.2f}"
    )


def detected(synthetic: Table, holdout: Table, rng: np.random.Generator) -> float:
    """Return the area under the ROC curve of a classifier that tells as many synthetic and holdout rows apart."""
    size = min(len(synthetic), len(holdout), MOST)
    x = np.vstack([features(each)[rng.choice(len(each), size, replace=False)] for each in (synthetic, holdout)])
    y = np.repeat([1, 0], size)
    areas = []
    for fit, judge in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        judged = HistGradientBoostingClassifier(max_iter=150, random_state=0).fit(x[fit], y[fit])
        areas.append(roc_auc_score(y[judge], judged.predict_proba(x[judge])[:, 1]))
    return float(np.mean(areas))


def features(table: Table) -> np.ndarray:
    """Return numbers as they are and categories as their positions, missing as NaN, shape (n, columns)."""
    columns = []
    for column in table.schema.columns:
        codes = table.numbers(column.name) if column.is_number else table.codes(column.name).astype(np.float64)
        columns.append(codes if column.is_number else np.where(codes < 0, np.nan, codes))
    return np.column_stack(columns)


def copies(synthetic: Table, train: Table, holdout: Table, rng: np.random.Generator) -> tuple[float, float]:
    """Return the shares of synthetic rows identical to one of as many training rows, and of holdout rows."""
    size = min(len(train), len(holdout))
    shares = []
    for each in (train, holdout):
        some = hashes(each)[rng.choice(len(each), size, replace=False)]
        shares.append(float(np.isin(hashes(synthetic), some).mean()))
    return shares[0], shares[1]


if __name__ == "__main__":
    main()
