import gzip
import json
import os
import shutil
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.errors import Mistake
from pipeline.places import masked
from pipeline.sources import load
from pipeline.spec import Source
from tests.pipeline.reading import read, refusal, write

ROWS = pa.table(
    {
        "whole": pa.array([1, None, 3], pa.int64()),
        "real": pa.array([0.5, 2.25, None]),
        "word": pa.array(["a", None, "größe, 5"]),
        "truth": pa.array([True, False, None]),
    }
)


def as_csv(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(rows, sink)
    return sink.getvalue().to_pybytes()


def as_ipc(rows: pa.Table, stream: bool) -> bytes:
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=2)
    return sink.getvalue().to_pybytes()


def as_json(rows: pa.Table) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows.to_pylist()).encode()


def as_parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


FORMS = {
    "rows.csv": as_csv(ROWS),
    "rows.csv.gz": gzip.compress(as_csv(ROWS)),
    "rows.csv.zst": zstandard.compress(as_csv(ROWS)),
    "rows.parquet": as_parquet(ROWS),
    "rows.arrow": as_ipc(ROWS, stream=False),
    "rows.arrows": as_ipc(ROWS, stream=True),
    "rows.jsonl": as_json(ROWS),
    "rows.jsonl.gz": gzip.compress(as_json(ROWS)),
    "rows.ndjson.zst": zstandard.compress(as_json(ROWS)),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    loaded = read(tmp_path, FORMS[name], name)
    assert loaded.sha256 == sha256(FORMS[name]).hexdigest()
    assert loaded.rows == 3
    assert list(loaded.frame.columns) == ["whole", "real", "word", "truth"]
    assert loaded.frame["whole"].dtype == "Int64"
    assert loaded.frame["whole"].tolist() == [1, pd.NA, 3]
    np.testing.assert_array_equal(loaded.frame["real"], [0.5, 2.25, np.nan])
    assert loaded.frame["word"].tolist() == ["a", None, "größe, 5"]
    assert loaded.frame["truth"].tolist() == [True, False, pd.NA]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.arrows", "rows.csv.gz", "rows.csv.zst"])
def test_a_file_that_ends_too_early_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path, FORMS[name][:-9], name)
    assert name in message
    assert "whole" in message or "truncated" in message


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.jsonl", "rows.csv.gz", "rows.csv"])
def test_bytes_of_another_kind_are_refused(tmp_path: Path, name: str) -> None:
    assert name in refusal(tmp_path, b"\x1f\x8b\x08junk\0\0junk", name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b'{"a": 1}\n{"a": "x"}\n', "changed from number to string"),
        (b'[{"a": 1}]', "one JSON list"),
        (b'{"a": 1\n', "not one JSON object a line"),
        (b'{"a": 1, "a": 2}\n', "twice"),
    ],
)
def test_broken_json_lines_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal(tmp_path, content, "rows.jsonl")


def test_nested_columns_are_left_out_and_said(tmp_path: Path) -> None:
    rows = pa.table({"n": [1, 2], "list": [[1], [2, 3]], "map": [{"a": 1}, {"a": 2}]})
    loaded = read(tmp_path, as_parquet(rows), "rows.parquet")
    assert list(loaded.frame.columns) == ["n"]
    assert len(loaded.notes) == 2


def test_parquet_types_become_plain(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "single": pa.array([0.1, 0.2], pa.float32()),
            "small": pa.array([1, 2], pa.int8()),
            "money": pa.array(["1.50", "2.25"]).cast(pa.decimal128(6, 2)),
            "coded": pa.array(["x", "y"]).dictionary_encode(),
            "day": pa.array([date(2020, 1, 1), date(9999, 12, 31)]),
            "moment": pa.array([datetime(2020, 1, 1, 12), None], pa.timestamp("ns", tz="Europe/Berlin")),
            "clock": pa.array([0, 3_600_000_000], pa.time64("us")),
        }
    )
    frame = read(tmp_path, as_parquet(rows), "rows.parquet").frame
    assert frame["single"].tolist() == [0.1, 0.2]
    assert frame["small"].dtype == "int64"
    assert frame["money"].tolist() == [1.5, 2.25]
    assert frame["coded"].tolist() == ["x", "y"]
    assert frame["day"].dt.year.tolist() == [2020, 9999]
    assert str(frame["moment"].dt.tz) == "UTC"
    assert frame["clock"].dt.total_seconds().tolist() == [0, 3600]


def test_another_sha256_is_refused_with_both(tmp_path: Path) -> None:
    content = b"a,b\n1,2\n3,4\n"
    right = sha256(content).hexdigest()
    assert read(tmp_path, content, sha256=right).sha256 == right
    message = refusal(tmp_path, content, sha256="0" * 64)
    assert right in message
    assert "0" * 64 in message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing.csv", "no such file"),
        ("rowz.csv", "did you mean rows.csv"),
        (".", "is a folder"),
        ("package://no_such_package/x.csv", "no package"),
        ("package://statsmodels/no_such.csv", "no such file"),
        ("package://statsmodels/datasets", "is a folder"),
        ("${NO_SUCH_VARIABLE}/x.csv", "NO_SUCH_VARIABLE"),
        ("nowhere://u:hush@host/x.csv", "nowhere://u:***@host/x.csv"),
        ("sqlite:///nothing.db", "no such file"),
        ("mysql://u:hush@host/x", "no driver"),
    ],
)
def test_places_without_rows_are_refused(tmp_path: Path, path: str, words: str) -> None:
    write(tmp_path, "a,b\n1,2\n")
    query = "select 1" if path.startswith(("sqlite", "mysql")) else None
    with pytest.raises(Mistake) as caught:
        load(Source(path=path, query=query), tmp_path)
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,2\n")
    (tmp_path / "rows.csv").chmod(0)
    if os.access(tmp_path / "rows.csv", os.R_OK):
        (tmp_path / "rows.csv").unlink()
        (tmp_path / "rows.csv").symlink_to(tmp_path / "rows.csv")
    with pytest.raises(Mistake, match="cannot be read"):
        load(Source(path="rows.csv"), tmp_path)


def test_foreign_files_are_named(tmp_path: Path) -> None:
    assert "Excel" in refusal(tmp_path, b"PK\x03\x04stuff", "rows.xlsx")
    assert "source.query" in refusal(tmp_path, "a,b\n1,2\n", query="select 1")


def test_a_packaged_file_is_found_without_importing(tmp_path: Path) -> None:
    loaded = load(Source(path="package://statsmodels/datasets/randhie/src/randhie.csv"), tmp_path)
    assert loaded.rows == 20_190
    assert loaded.sha256 == "fe64f3c8e987779daa6052dd756d9ce277e025330f5549126c7c2f6a3c9c5541"


def test_variables_stand_for_parts_of_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a,b\n1,2\n")
    monkeypatch.setenv("HERE", str(tmp_path))
    assert load(Source(path="${HERE}/rows.csv"), Path("/")).rows == 1


def test_passwords_and_signatures_are_masked() -> None:
    assert masked("postgresql://ann:p@ss/w:rd@db/shop?password=x") == "postgresql://ann:***@db/shop?..."
    assert masked("https://host/f.csv?X-Amz-Signature=abc") == "https://host/f.csv?..."
    assert masked("data/a?b.csv") == "data/a?b.csv"


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read(tmp_path, FORMS["rows.csv.gz"], "rows.csv.gz")
    refusal(tmp_path, FORMS["rows.csv.gz"][:-9], "rows.csv.gz")
    assert list(scratch.iterdir()) == []
    shutil.rmtree(scratch)
