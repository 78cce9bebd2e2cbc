"""Independent columns are known as such, dependent ones are not, and nothing is shuffled in vain."""

import numpy as np
import pandas as pd
import pytest

from audit.controls import shuffled
from audit.core import Evidence, NotComputable
from audit.dependence import is_nearly_independent
from tabular.infer import infer_schema
from tabular.table import Table
from tests.audit.conftest import Real

ROWS, JUDGED = 2_000, 400


def table(rng: np.random.Generator, correlation: float = 0.0, rows: int = ROWS) -> Table:
    """Return columns of noise, of which the first two may be correlated; one category is rare."""
    x = rng.normal(size=(rows, 5))
    x[:, 1] = correlation * x[:, 0] + np.sqrt(1 - correlation**2) * x[:, 1]
    frame = pd.DataFrame(x).add_prefix("x")
    frame["town"] = rng.choice(["Bern", "Basel", "Zug", "Chur"], rows, p=[0.5, 0.3, 0.195, 0.005])
    frame["sex"] = rng.choice(["female", "male"], rows)
    return Table.conform(infer_schema(frame, {}), frame)


def share(correlation: float, tables: int = 10) -> float:
    rng = np.random.default_rng(5)
    return float(np.mean([is_nearly_independent(table(rng, correlation), JUDGED, rng) for _ in range(tables)]))


def test_noise_is_independent() -> None:
    assert share(0.0, 20) >= 0.9


def test_correlation_is_not() -> None:
    assert share(0.5) == 0.0


def test_a_column_that_fixes_another_is_not(rng: np.random.Generator) -> None:
    frame = table(rng).frame.assign(again=lambda each: each["sex"].map({"female": "a", "male": "b"}))
    assert not is_nearly_independent(Table.conform(infer_schema(frame, {}), frame), JUDGED, rng)


def test_what_many_pairs_show_together_counts(rng: np.random.Generator) -> None:
    common = rng.normal(size=(ROWS, 1))
    frame = pd.DataFrame(0.35 * common + rng.normal(size=(ROWS, 12))).add_prefix("x")
    assert not is_nearly_independent(Table.conform(infer_schema(frame, {}), frame), 1_000, rng)


def test_real_tables_are_not_independent(real: Real, rng: np.random.Generator) -> None:
    assert not is_nearly_independent(real.train, len(real.holdout) // 2, rng)


def test_one_column_has_nothing_to_depend_on(rng: np.random.Generator) -> None:
    frame = pd.DataFrame({"x": rng.normal(size=100)})
    assert not is_nearly_independent(Table.conform(infer_schema(frame, {}), frame), 50, rng)


def test_the_shuffled_control_has_nothing_to_break_in_noise(rng: np.random.Generator) -> None:
    noise = table(rng)
    evidence = Evidence(noise, table(rng, rows=2 * JUDGED), noise)
    with pytest.raises(NotComputable, match=r"\(nearly\) independent of one another.*nothing to break"):
        shuffled(evidence, rng)
