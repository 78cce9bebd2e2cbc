"""What is measured of a generator's rows: fidelity, utility and leakage, each beside what fresh real rows score."""

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric
from audit.fidelity.alpha_precision import AlphaPrecision
from audit.fidelity.beta_recall import BetaRecall
from audit.fidelity.column_shapes import ColumnShapes
from audit.fidelity.pair_trends import PairTrends
from audit.privacy.exact_copies import ExactCopies
from audit.privacy.membership_epsilon import MembershipEpsilon
from audit.privacy.membership_inference import MembershipInference
from audit.reading import features
from audit.utility.train_synthetic_test_real import TrainSyntheticTestReal
from benchmarks.board.figure import Figure
from pipeline.steps import generator
from tabular.table import Table

ROUNDS, FOLDS, MOST = 150, 3, 20_000
# Errors, of which the ratio to the floor says how many times as far off as fresh real rows.
ERRORS: Mapping[str, type[Metric]] = {"shape": ColumnShapes, "trend": PairTrends}
SCORES: Mapping[str, type[Metric]] = {
    "alpha_precision": AlphaPrecision,
    "beta_recall": BetaRecall,
    "tstr": TrainSyntheticTestReal,
    "membership_auc": MembershipInference,
    "membership_epsilon": MembershipEpsilon,
}
RATE = "found at 1 % false positives"
FEW = "too few holdout rows for 1 % of false positives"
ALL_ROWS = "synthetic, against all real rows"


class Judged(NamedTuple):
    """The three tables of one release.

    Attributes:
        train: Rows that the generator saw.
        holdout: Rows that it did not.
        synthetic: Rows to judge.
    """

    train: Table
    holdout: Table
    synthetic: Table


def measured(rows: Judged, seed: int) -> dict[str, Figure]:
    """Return every figure by its name."""
    evidence = Evidence(*rows, seed=seed)
    found: dict[str, Figure] = {}
    found["sdmetrics_shape"], found["sdmetrics_trend"] = by_sdmetrics(rows, generator(seed, "sdmetrics"))
    found["c2st"] = Figure(value=told_apart(rows, seed))
    for name, kind in {**ERRORS, **SCORES}.items():
        estimate = kind(kind.Config())(evidence, generator(seed, name))
        found[name] = Figure(
            value=estimate.value,
            floor=estimate.reference,
            over=_ratio(estimate.value, estimate.reference) if name in ERRORS else None,
            note=estimate.not_computed or "",
        )
        if kind is MembershipInference:
            found["membership_tpr"] = _rate(estimate)
    copies = ExactCopies(ExactCopies.Config())(evidence, generator(seed, "copies"))
    found["copies"] = Figure(value=copies.value, floor=copies.reference, note=copies.not_computed or "")
    found["copies_of_equal_parts"] = _excess(copies)
    return found


def by_sdmetrics(rows: Judged, rng: np.random.Generator) -> tuple[Figure, Figure]:
    """Return the errors of column shapes and pair trends against all training rows, as the published protocol has them.

    The floor is that of the holdout rows; the ratio compares it with as many synthetic rows.
    """
    few = rows.synthetic.take(rng.permutation(len(rows.synthetic))[: len(rows.holdout)])
    whole, fresh, equal = (errors(rows.train, table) for table in (rows.synthetic, rows.holdout, few))
    shape, trend = (
        Figure(value=value, floor=floor, over=_ratio(same, floor))
        for value, floor, same in zip(whole, fresh, equal, strict=True)
    )
    return shape, trend


def errors(real: Table, other: Table) -> tuple[float, float]:
    """Return sdmetrics' errors of column shapes and of pair trends, 1 - score."""
    # Importing sdmetrics takes seconds, which a run that measures nothing anew need not pay.
    from sdmetrics.reports import QualityReport

    columns = real.schema.modelled
    kinds = {column.name: {"sdtype": "numerical" if column.is_number else "categorical"} for column in columns}
    types = {column.name: "float64" if column.is_number else object for column in columns}
    frames = ({"rows": table.frame[list(types)].astype(types)} for table in (real, other))
    report = QualityReport()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(*frames, {"tables": {"rows": {"columns": kinds}}}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return 1 - float(scores["Column Shapes"]), 1 - float(scores["Column Pair Trends"])


def told_apart(rows: Judged, seed: int) -> float:
    """Return how well boosted trees tell synthetic rows from holdout rows: the AUC of chances out of fold.

    As many rows of either, at most 20,000.
    """
    rng = generator(seed, "c2st")
    size = min(len(rows.holdout), len(rows.synthetic), MOST)
    sides = tuple(table.take(rng.permutation(len(table))[:size]) for table in (rows.holdout, rows.synthetic))
    read = features(rows.train, sides, rows.train.schema.modelled)
    learner = HistGradientBoostingClassifier(
        max_iter=ROUNDS, early_stopping=False, categorical_features=read.categorical, random_state=seed
    )
    made = np.repeat([0, 1], size)
    with threadpool_limits(1):
        chance = cross_val_predict(learner, np.concatenate(read.matrices), made, cv=FOLDS, method="predict_proba")
    return float(roc_auc_score(made, chance[:, 1]))


def libraries() -> dict[str, str]:
    """Return versions of what figures depend on beside this project's own code."""
    return {name: version(name) for name in ("sdmetrics", "scikit-learn", "numpy")}


def _ratio(value: float | None, floor: float | None) -> float | None:
    return None if value is None or floor is None or floor <= 0 else value / floor


def _rate(estimate: Estimate) -> Figure:
    """Return the share of members that the chosen attack finds at one false positive in a hundred."""
    for row in estimate.detail:
        if str(row.get("note", "")).startswith("chosen"):
            found = row.get(RATE)
            return Figure(value=found, note=str(row["note"])) if isinstance(found, float) else Figure(note=FEW)
    return Figure(note=estimate.not_computed or "no attack was chosen")


def _excess(estimate: Estimate) -> Figure:
    """Return the share of rows identical to training rows beyond that identical to as many holdout rows."""
    for row in estimate.detail:
        train, control = row.get("in_train"), row.get("in_control")
        if row.get("rows") == ALL_ROWS and isinstance(train, float) and isinstance(control, float):
            return Figure(value=train - control, floor=0.0)
    return Figure(note=estimate.not_computed or "not computed")
