"""Every family on tables that are hard to hold: very wide, very few rows, very many categories."""

import numpy as np
import pandas as pd
import pytest

from models.core.base import Density
from pipeline.registry import families, family
from pipeline.synthesizer import Synthesizer
from tabular.infer import Override, infer_schema
from tabular.table import Table

BRIEF = {"training": {"epochs": 1}, "device": "cpu"}
# Most codes stand once: left alone, they would be taken for text.
CODE = {"code": Override(kind="categorical")}


def _many(rows=12_000):
    """Return rows of ten thousand categories, most of them once, beside a group that they depend on."""
    rng = np.random.default_rng(0)
    code = np.concatenate([np.arange(10_000), (10_000 * rng.random(rows - 10_000) ** 3).astype(int)])
    group = np.where(rng.random(rows) < 0.9, code % 3, rng.integers(0, 3, rows))
    return pd.DataFrame(
        {"code": [f"c{each:05d}" for each in code], "group": group.astype(str), "x": rng.normal(group)}
    ).sample(frac=1, random_state=0, ignore_index=True)


def _frame(name, shared_data):
    if name == "ten_thousand_categories":
        return _many()
    file = {"communities_crime": "communities_unnormalized", "german_credit": "german_credit"}[name]
    return pd.read_parquet(shared_data / name / f"{file}.parquet")


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", ["communities_crime", "german_credit", "ten_thousand_categories"])
@pytest.mark.parametrize("model", families())
def test_a_hard_table_is_learned_and_drawn(model, name, shared_data):
    frame = _frame(name, shared_data)
    table = Table.conform(infer_schema(frame, CODE if "code" in frame else {}), frame)
    wanted = family(model).Config.model_fields
    settings = {key: value for key, value in BRIEF.items() if key in wanted}
    rng = np.random.default_rng(0)
    fitted = Synthesizer(model, settings, table.schema).fit(table, rng)
    made = fitted.sample(300, rng)
    _, broken = Table.coerce(made.schema, made.frame)
    assert len(made) == 300 and not broken.to_numpy().any()
    if isinstance(fitted.fitted, Density):
        assert np.isfinite(fitted.log_prob(table.take(np.arange(50)), rng)).all()
