"""The hash of rows sees every value, name, type and gap, and nothing of how the file is written."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.hashing import folder_sha256, rows_sha256


def written(path: Path, rows: pa.Table, **settings: object) -> str:
    pq.write_table(rows, path, **settings)
    return rows_sha256(path)


def table(rng: np.random.Generator, n: int = 300) -> pa.Table:
    return pa.table(
        {
            "real": pa.array(rng.normal(size=n), mask=rng.random(n) < 0.2),
            "whole": pa.array(rng.integers(-5, 5, size=n), mask=rng.random(n) < 0.2),
            "text": pa.array(rng.choice(["", "a", "bü", None], size=n).tolist(), pa.string()),
            "truth": pa.array(rng.choice([True, False, None], size=n).tolist(), pa.bool_()),
            "moment": pa.array(rng.integers(0, 10**15, size=n).astype("datetime64[us]"), mask=rng.random(n) < 0.2),
            "span": pa.array(rng.integers(0, 10**9, size=n).astype("timedelta64[us]")),
            "nothing": pa.nulls(n),
        }
    )


def test_how_the_file_is_written_does_not_count(tmp_path: Path) -> None:
    rows = table(np.random.default_rng(0))
    one = written(tmp_path / "a", rows)
    assert written(tmp_path / "b", rows, row_group_size=7, compression="gzip", use_dictionary=False) == one
    assert written(tmp_path / "c", rows.replace_schema_metadata({"lookalike.label": "synthetic"})) == one
    assert written(tmp_path / "d", pa.concat_tables([rows.slice(0, 100), rows.slice(100)])) == one
    assert written(tmp_path / "e", rows.slice(0, 0)) != one


@pytest.mark.parametrize("name", ["real", "whole", "text", "truth", "moment", "span"])
def test_every_change_counts(tmp_path: Path, name: str) -> None:
    rows = table(np.random.default_rng(1))
    place = rows.schema.get_field_index(name)
    values = rows[name].to_pylist()
    here = next(index for index, value in enumerate(values) if value is not None)
    other = next(value for value in values if value is not None and value != values[here])
    seen = {written(tmp_path / "a", rows)}
    for changed in (other, None):
        column = pa.array([*values[:here], changed, *values[here + 1 :]], rows.schema.field(name).type)
        seen.add(written(tmp_path / "b", rows.set_column(place, name, column)))
    seen.add(
        written(
            tmp_path / "c", rows.rename_columns([f"{each}!" * (each == name) or each for each in rows.column_names])
        )
    )
    seen.add(written(tmp_path / "d", rows.take(list(range(299, -1, -1)))))
    seen.add(written(tmp_path / "e", rows.remove_column(place)))
    assert len(seen) == 6


def test_texts_do_not_run_together(tmp_path: Path) -> None:
    texts = [["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None]]
    assert len({written(tmp_path / "a", pa.table({"text": pa.array(each, pa.string())})) for each in texts}) == 4


def test_a_nested_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wanted a number, a truth value, a time or a text"):
        written(tmp_path / "a", pa.table({"list": [[1, 2]]}))


def test_a_folder_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text("")
    assert folder_sha256(tmp_path) == {"deep/file": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    with pytest.raises(FileNotFoundError):
        folder_sha256(tmp_path / "absent")
