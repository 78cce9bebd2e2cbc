"""A user's own next step: trees trained on released rows and on real ones, both tried on the real holdout."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import JsonValue

from audit.intervals import auc
from audit.learner import Trees, answers, learn
from audit.reading import features
from pipeline.errors import Mistake
from pipeline.making import real_rows, schema_of
from pipeline.spec import Spec
from pipeline.steps import generator
from pipeline.workspace import Workspace, sha256, write_json
from tabular.schema import Column
from tabular.table import Table

LARGEST_SEED = 2**31 - 1


def train_downstream(workspace: Workspace, release: str, rows: Path) -> Path:
    """Train gradient-boosted trees to predict the target, on released and on real rows; record both on the holdout.

    Args:
        workspace: The run that the release came from.
        release: Name of the release.
        rows: The released rows.

    Returns:
        The record, JSON beside the run's other files.

    Raises:
        Mistake: If the table has no target, or no known value of it to learn from.
    """
    schema = schema_of(workspace).published
    target = schema.target
    if target is None or not target.is_modelled:
        raise Mistake(f"run {workspace.run}: the specification names no target to predict")
    synthetic, _ = Table.coerce(schema, pq.read_table(rows).to_pandas(date_as_object=False))
    tables = [
        _labelled(table, target, where)
        for table, where in (
            (real_rows(workspace, "holdout"), "the holdout"),
            (synthetic, "the release"),
            (real_rows(workspace, "train"), "the real training rows"),
        )
    ]
    read = features(tables[-1], tables, [column for column in schema.modelled if column.name != target.name])
    test, *matrices = read.matrices
    truth, *goals = (answers(table, target) for table in tables)
    seed = int(generator(Spec.load(workspace.spec_file).seed, "downstream").integers(LARGEST_SEED))
    scores = [
        _score(truth, learn(x, y, test, read.categorical, target, Trees(), seed), target)
        for x, y in zip(matrices, goals, strict=True)
    ]
    content: dict[str, JsonValue] = {
        "release": release,
        "rows_sha256": sha256(rows),
        "target": target.name,
        "task": "classification" if target.is_code else "regression",
        "holdout_rows": len(truth),
        "trained_on_release": {"rows": len(goals[0]), **scores[0]},
        "trained_on_real": {"rows": len(goals[1]), **scores[1]},
    }
    write_json(workspace.downstream, content)
    return workspace.downstream


def _labelled(table: Table, target: Column, where: str) -> Table:
    known = ~np.isnan(answers(table, target))
    if not known.any():
        raise Mistake(f"target {target.name!r}: no row of {where} has a value of it")
    return table.take(known)


def _score(truth: NDArray[np.float64], answer: NDArray[np.float64], target: Column) -> dict[str, JsonValue]:
    """Score answers: probabilities, shape (n, K), for a code target, numbers, shape (n,), for a number target."""
    if target.is_number:
        error = truth - answer
        spread = float(((truth - truth.mean()) ** 2).sum())
        return {
            "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
            "mean_absolute_error": float(np.abs(error).mean()),
        }
    codes = truth.astype(np.int64)
    seen = np.unique(codes)
    areas = [auc(answer[:, code], codes == code) for code in seen] if len(seen) > 1 else []
    return {
        "accuracy": float((answer.argmax(axis=1) == codes).mean()),
        "roc_auc": float(np.mean(areas)) if areas else None,
    }
