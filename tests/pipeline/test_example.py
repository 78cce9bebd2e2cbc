"""The example that the README begins with ends with a release that verifies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_ends_with_a_release_that_verifies(tmp_path, monkeypatch, capsys):
    def lookalike(*arguments):
        monkeypatch.setattr(sys, "argv", ["lookalike", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err + captured.out
        return captured.out

    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], [*who, "commit", "-qm", "nothing yet", "--allow-empty"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    ended = json.loads(lookalike("run", str(ROOT / "specs" / "rand_health.yaml"), "--json"))
    assert (ended["verdict"], ended["word"]) == ("accepted", "PASS"), ended
    assert ended["release"] == "rand_health-v1"
    lookalike("verify", "rand_health-v1")
