"""A table whose columns know nothing of one another: its shuffled control can be told from nothing, and says so."""

import json
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.controls import CONTROLS, NOTHING_TO_BREAK
from audit.core import Estimate
from pipeline.__main__ import main
from pipeline.gates import Asked
from pipeline.spec import Demand
from pipeline.verdicts import SELF_TEST, Findings, Verdict, judge

NAME = "fidelity.column_shapes"
SENTENCE = (
    "control 'shuffled' (training rows, each column shuffled by itself) could not be judged: the columns of this table "
    "are (nearly) independent of one another, so the shuffled control has nothing to break"
)


def verdict(control: Estimate) -> Verdict:
    """Judge rows that meet their one demand, with controls that are right but for the shuffled one."""
    good, wrong = Estimate(value=0.0, reference=0.0), Estimate(value=1_000.0, reference=0.1)
    trends = next(kind.metrics for kind in CONTROLS if kind.name == "shuffled")
    controls = {
        "fresh": {NAME: good},
        **dict.fromkeys(("copy", "paste"), dict.fromkeys(SELF_TEST, wrong)),
        "shuffled": dict.fromkeys(trends, control),
    }
    asked = [Asked(NAME, Demand(at_most=0.1))]
    found = Findings(estimates={NAME: good}, controls=controls)
    return judge(asked, found, dict.fromkeys([NAME, *SELF_TEST], "lower"), date(2030, 1, 1))


def test_a_table_of_independent_columns_is_inconclusive_in_a_plain_sentence() -> None:
    judged = verdict(Estimate(value=None, not_computed=NOTHING_TO_BREAK))
    assert judged.verdict == "inconclusive"
    assert judged.reasons == (SENTENCE,)


def test_shuffled_columns_that_pass_beside_dependent_ones_still_void_the_audit() -> None:
    assert verdict(Estimate(value=0.0, reference=0.1)).verdict == "invalid"


def noise(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {f"x{place}": rng.normal(size=1_500).round(3) for place in range(4)}
    return pd.DataFrame({**columns, "town": rng.choice(["Bern", "Basel", "Zug"], 1_500)})


@pytest.mark.slow
def test_independent_noise_is_audited_as_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(tmp_path / f"{name}.csv") for name in ("real", "made", "holdout")]
    for seed, name in enumerate(names):
        noise(seed).to_csv(name, index=False)
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["lookalike", "audit", *names[:2], "--holdout", names[2], "--out", str(out), "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    result = json.loads(capsys.readouterr().out)
    assert (ended.value.code, result["word"]) == (3, "INCONCLUSIVE"), result["reasons"]
    assert SENTENCE in result["reasons"]
    public = json.loads((out / "audit.public.json").read_text(encoding="utf-8"))
    assert SENTENCE in public["reasons"]
    assert "nothing to break" in (out / "report.html").read_text(encoding="utf-8")
