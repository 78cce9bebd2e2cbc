"""`lookalike init` and `lookalike run` on real tables, with no hand editing: each ends in a report and a verdict."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

TABLES = ("adult", "default", "shoppers", "magic", "beijing", "german_credit", "storms")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", TABLES)
def test_init_and_run(shared_data, tmp_path, name):
    data = shared_data / name / ("train.parquet" if name == "adult" else f"{name}.parquet")
    lookalike = [sys.executable, "-m", "pipeline"]
    place = {"cwd": ROOT, "check": True, "capture_output": True, "text": True}
    subprocess.run([*lookalike, "init", data, "--name", name, "--root", tmp_path], **place)
    spec = tmp_path / "specs" / f"{name}.yaml"
    done = subprocess.run([*lookalike, "run", spec, "--run", "r", "--json", "--root", tmp_path], **place)
    result = json.loads(done.stdout)
    assert result["verdict"] in ("accepted", "refused", "inconclusive", "invalid")
    assert Path(result["report"]).stat().st_size < 3_000_000
    audit = json.loads(Path(result["audit"]).read_text())
    for model, path in result["synthetic"].items():
        assert len(pd.read_parquet(path)) == audit["inputs"]["train"]["rows"], model
