"""A step is done once; what changed is done anew; files appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.steps import fingerprint, generator, once, seconds
from pipeline.workspace import Workspace, replacing, replacing_folder, sha256, write_json, write_parquet, write_text


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, "toy", "r1")


def test_the_same_inputs_are_a_no_op_and_others_are_not(workspace):
    done = []

    def action():
        done.append(1)
        write_text(workspace.report, f"page {len(done)}")

    assert once(workspace, "decide", "a", [workspace.report], action)
    assert not once(workspace, "decide", "a", [workspace.report], action)
    assert once(workspace, "decide", "b", [workspace.report], action)
    workspace.report.unlink()
    assert once(workspace, "decide", "b", [workspace.report], action)
    write_text(workspace.report, "tampered")
    assert once(workspace, "decide", "b", [workspace.report], action)
    assert len(done) == 4
    assert seconds(workspace, "decide") is not None
    assert seconds(workspace, "never") is None


def test_a_step_that_fails_is_not_done(workspace):
    def action():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        once(workspace, "train.x", "a", [workspace.report], action)
    assert not workspace.done("train.x").exists()


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError("killed")
    assert list(path.parent.iterdir()) == []
    write_text(path, "whole")
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "whole"
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("half")
        raise RuntimeError("killed")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["deep"]


def test_json_never_holds_what_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path):
    rows = pa.table({"x": [1.5, None, 3.0], "word": ["a", None, "ü"]})
    for name in ("a", "b"):
        write_parquet(tmp_path / name, rows, {"label": "synthetic"})
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    assert pq.read_table(tmp_path / "a").equals(rows)
    assert pq.read_schema(tmp_path / "a").metadata[b"label"] == b"synthetic"


def test_a_purpose_has_its_own_random_numbers():
    def draw(*names):
        return generator(7, *names).integers(0, 2**62, 4).tolist()

    assert draw("train", "gmm") == draw("train", "gmm")
    assert draw("train", "gmm") != draw("train", "vae")
    assert draw("train", "gmm") != generator(8, "train", "gmm").integers(0, 2**62, 4).tolist()
    assert not np.array_equal(draw("generate", "gmm", "0"), draw("generate", "gmm", "1"))


def test_a_fingerprint_depends_on_settings_and_bytes(tmp_path):
    path = tmp_path / "rows"
    path.write_text("1")
    first = fingerprint({"seed": 1}, [path])
    assert first == fingerprint({"seed": 1}, [path])
    assert first != fingerprint({"seed": 2}, [path])
    path.write_text("2")
    assert first != fingerprint({"seed": 1}, [path])


def test_what_a_killed_process_left_is_removed(tmp_path):
    code = (
        "import os, pathlib\n"
        "from pipeline.workspace import replacing\n"
        "with replacing(pathlib.Path('x.txt')) as partial:\n"
        "    partial.write_text('half')\n"
        "    os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / "x.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
