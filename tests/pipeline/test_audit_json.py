"""`lookalike audit --json` as a program meets it: one object on standard output, a word, paths, an exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.verdicts import EXIT_CODES, SPOKEN

ROOT = Path(__file__).resolve().parents[2]
PATHS = {
    "report": "report.html",
    "audit": "audit.json",
    "public_report": "report.public.html",
    "public_audit": "audit.public.json",
}


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    return pd.DataFrame(
        {
            "age": age,
            "pay": np.round(age * 100 + rng.normal(0, 400, rows), 2),
            "town": rng.choice(["Bern", "Basel", "Zug"], rows),
            "bought": np.where(rng.random(rows) < age / 100, "yes", "no"),
        }
    )


def run(folder: Path, *arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "pipeline"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real rows, a holdout, a copy of the real rows, and fresh ones."""
    folder = tmp_path_factory.mktemp("json")
    people(900, 0).to_csv(folder / "real.csv", index=False)
    people(600, 1).to_csv(folder / "holdout.csv", index=False)
    people(900, 0).sample(frac=1, random_state=0).to_csv(folder / "copy.csv", index=False)
    people(900, 2).to_csv(folder / "fresh.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("rows", "more", "codes"),
    [
        ("copy", ("--holdout", "holdout.csv"), (1, 4)),
        pytest.param("fresh", ("--holdout", "holdout.csv"), (0, 3), marks=pytest.mark.slow),
        pytest.param("fresh", (), (3,), marks=pytest.mark.slow),
    ],
)
def test_one_object_tells_the_word_the_paths_and_the_exit_code(
    folder: Path, rows: str, more: tuple[str, ...], codes: tuple[int, ...]
) -> None:
    ended = run(folder, "audit", "real.csv", f"{rows}.csv", "--policy", "structural", "--out", "out", "--json", *more)
    result = json.loads(ended.stdout)
    assert ended.returncode == EXIT_CODES[result["verdict"]]
    assert ended.returncode in codes, result["reasons"]
    assert result["word"] == SPOKEN[result["verdict"]] in {"PASS", "FAIL", "INCONCLUSIVE", "INVALID"}
    assert result["reasons"] and all(isinstance(each, str) for each in result["reasons"])
    assert {key: Path(result[key]).name for key in PATHS} == PATHS
    editions = {}
    for key in PATHS:
        text = (folder / result[key]).read_text(encoding="utf-8")
        editions[key] = json.loads(text) if key.endswith("audit") else text
    assert [editions[key]["edition"] for key in ("audit", "public_audit")] == ["internal", "public"]
    assert editions["audit"]["verdict"] == editions["public_audit"]["verdict"] == result["verdict"]
    for key in ("report", "public_report"):
        assert re.search(r'class="verdict-word">(\w+)<', editions[key])[1] == result["word"]


def test_every_word_has_its_own_exit_code() -> None:
    assert {SPOKEN[word]: code for word, code in EXIT_CODES.items()} == {
        "PASS": 0,
        "FAIL": 1,
        "INCONCLUSIVE": 3,
        "INVALID": 4,
    }


def test_a_mistake_prints_no_object_and_ends_with_2(folder: Path) -> None:
    ended = run(folder, "audit", "nowhere.csv", "copy.csv", "--out", "out", "--json")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "nowhere.csv" in ended.stderr and "Traceback" not in ended.stderr


def test_a_fault_of_the_program_ends_with_70(folder: Path) -> None:
    code = (
        "from pipeline.__main__ import app, main\n"
        "@app.command()\n"
        "def fault() -> None:\n"
        "    raise ZeroDivisionError('one by none')\n"
        "main()\n"
    )
    ended = run(folder, "fault", code=code)
    assert (ended.returncode, ended.stdout) == (70, "")
    assert "our fault, not yours: ZeroDivisionError: one by none" in ended.stderr
