"""Anybody's tables: what is taken for a rule of the real rows, and what is not."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.given import Given
from pipeline.spec import Spec

ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path, synthetic: pd.DataFrame, spec: Spec | None = None):
    rng = np.random.default_rng(0)
    real = pd.DataFrame(
        {
            "amount": np.round(rng.gamma(2, 20, 400), 2),
            "gap": np.round(rng.normal(0, 10, 400), 2),
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 400), "D"),
            "sex": rng.choice(["female", "male"], 400),
            "class": rng.choice(["yes", "no"], 400),
        }
    )
    paths = [str(folder / f"{name}.parquet") for name in ("real", "synthetic", "holdout")]
    for path, frame in zip(paths, (real.iloc[:200], synthetic, real.iloc[200:]), strict=True):
        frame.to_parquet(path, index=False)
    return Given.read(ROOT, *paths, spec).evidence()


BEYOND = pd.DataFrame(
    {
        "amount": [9_999.0, -1.0, 5.0],
        "gap": [-500.0, 500.0, 0.0],
        "day": pd.to_datetime(["1999-01-01", "2050-01-01", "2021-01-01"]),
        "sex": ["female", "male", "male"],
        "class": ["yes", "no", "maybe"],
    }
)


def test_the_largest_of_the_rows_at_hand_is_no_rule(tmp_path: Path) -> None:
    evidence, _, _ = read(tmp_path, BEYOND)
    # Below zero where no amount is, and a class that no real row has.
    assert evidence.broken.tolist() == [False, True, True]


def test_a_declared_end_is_a_rule(tmp_path: Path) -> None:
    tree = {"name": "toy", "source": {"path": "x.parquet"}, "models": {"independent": {}}}
    spec = Spec.of({**tree, "columns": {"amount": {"maximum": 1_000}, "gap": {"minimum": -100}}}, "toy.yaml")
    evidence, schema, _ = read(tmp_path, BEYOND, spec)
    assert evidence.broken.tolist() == [True, True, True]
    assert (schema["amount"].maximum, schema["gap"].minimum, schema["gap"].maximum) == (1_000, -100, None)


def test_target_and_groups_are_taken_by_their_names_and_said(tmp_path: Path) -> None:
    evidence, schema, notes = read(tmp_path, BEYOND)
    assert schema.target is not None and schema.target.name == "class"
    assert [column.name for column in schema.sensitive] == ["sex"]
    assert notes == ("taken as the target by its name: 'class'", "taken as sensitive by their names: 'sex'")
    assert len(evidence.train) == len(evidence.holdout) == 200
