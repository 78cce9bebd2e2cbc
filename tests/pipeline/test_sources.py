import gzip
import json
import os
import shutil
import sqlite3
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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import Mistake
from pipeline.places import masked
from pipeline.sources import Loaded, load
from pipeline.spec import Source

ROWS = pa.table(
    {
        "whole": pa.array([1, None, 3], pa.int64()),
        "real": pa.array([0.5, 2.25, None]),
        "word": pa.array(["a", None, "größe, 5"]),
        "truth": pa.array([True, False, None]),
    }
)


def write(folder: Path, content: bytes | str, name: str = "rows.csv") -> str:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def read(folder: Path, content: bytes | str, name: str = "rows.csv", **said: object) -> Loaded:
    return load(Source.model_validate({"path": write(folder, content, name), **said}), folder)


def refusal(folder: Path, content: bytes | str, name: str = "rows.csv", **said: object) -> str:
    with pytest.raises(Mistake) as caught:
        read(folder, content, name, **said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    packed=st.booleans(),
    data=st.data(),
)
def test_csv_round_trip(
    tmp_path: Path, numbers: list[int | None], delimiter: str, packed: bool, data: st.DataObject
) -> None:
    letters = st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"')
    words = st.lists(st.text(letters, min_size=1), min_size=len(numbers), max_size=len(numbers))
    texts = [f"w{text}{delimiter} x" for text in data.draw(words)]
    frame = pd.DataFrame({"number": pd.array(numbers, "Int64"), "text": texts, "more": 0.5})
    content = frame.to_csv(index=False, sep=delimiter).encode()
    loaded = read(tmp_path, gzip.compress(content) if packed else content, delimiter=delimiter)
    assert loaded.frame["text"].tolist() == texts
    if frame["number"].notna().any():
        assert loaded.frame["number"].tolist() == frame["number"].tolist()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    content = "name,of,it;note\n".replace(",", " ").replace(";", delimiter) + "".join(
        f'{place}{delimiter}"a, b; c | d"\n' for place in range(5)
    )
    loaded = read(tmp_path, content)
    assert loaded.frame.shape == (5, 2)
    assert loaded.frame["note"][0] == "a, b; c | d"


def test_a_decimal_comma_is_found_beside_semicolons(tmp_path: Path) -> None:
    frame = read(tmp_path, "price;name\n1,5;x\n1.234,25;y\n7;z\n;q\n").frame
    np.testing.assert_array_equal(frame["price"], [1.5, 1234.25, 7, np.nan])


def test_thousands_with_commas_between_tabs_are_no_fractions(tmp_path: Path) -> None:
    assert read(tmp_path, "price\tname\n1,500\tx\n2,250\ty\n").frame["price"].tolist() == ["1,500", "2,250"]


def test_codes_keep_their_leading_zeros(tmp_path: Path) -> None:
    frame = read(tmp_path, "zip,share,long\n00501,0.5,12345678901234567890\n90210,0.25,1\n").frame
    assert frame["zip"].tolist() == ["00501", "90210"]
    assert frame["share"].tolist() == [0.5, 0.25]
    assert frame["long"].tolist() == ["12345678901234567890", "1"]


def test_marks_of_missing_values(tmp_path: Path) -> None:
    frame = read(tmp_path, 'n,word,quoted,own\n1,NA,"NA",?\nNaN,null,"x",3\nN/A,y,"",4\n', nulls=["?"]).frame
    assert frame["n"].isna().tolist() == [False, True, True]
    assert frame["word"].tolist() == [None, None, "y"]
    assert frame["quoted"].tolist() == ["NA", "x", None]
    assert frame["own"].isna().tolist() == [True, False, False]
    assert frame["own"].dtype == "Int64"


def test_types_hold_over_the_whole_length(tmp_path: Path) -> None:
    lines = "7,a text that fills more than one block of the reader\n" * 400_000
    frame = read(tmp_path, f"n,pad\n{lines}1.5,x\n").frame
    assert frame["n"].dtype == "float64"
    assert frame["n"].iloc[-1] == 1.5


def test_a_column_that_is_almost_numbers_is_pointed_out(tmp_path: Path) -> None:
    notes = read(tmp_path, "n,m\n" + "".join(f"{n},1\n" for n in range(20)) + "?,1\n").notes
    assert any("'?' (1 rows)" in note and "source.nulls" in note for note in notes)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig", "utf-32"])
def test_encodings_are_found(tmp_path: Path, encoding: str) -> None:
    content = "name,n\nMüller,1\nJosé,2\nGroß,3\n".encode(encoding)
    assert read(tmp_path, content).frame["name"].tolist() == ["Müller", "José", "Groß"]


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_a_long_enough_text_of_another_script_is_found(tmp_path: Path, encoding: str) -> None:
    names = ["Иван Петров", "Александра Смирнова", "Пётр Кузнецов", "Мария Иванова", "Сергей Соколов"]
    content = "имя,число\n" + "".join(f"{name},{place}\n" for place, name in enumerate(names))
    loaded = read(tmp_path, content.encode(encoding))
    assert loaded.frame.iloc[:, 0].tolist() == names
    assert "not UTF-8" in loaded.notes[0]


@pytest.mark.parametrize("broken", [b"\xc3\x28", b"\xff", b"caf\xc3\xa9 \xff", b"\xe2\x28\xa1", b"\x80\x81"])
def test_broken_utf8_is_refused(tmp_path: Path, broken: bytes) -> None:
    assert "broken UTF-8" in refusal(tmp_path, b"a,b\nx," + broken + b"\n")


def test_an_encoding_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    assert "position 10" in refusal(tmp_path, b"name,b\nJos\xe9,1\n", encoding="utf-8")
    assert "'klingon'" in refusal(tmp_path, b"a,b\n1,2\n", encoding="klingon")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n \n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "row 3 has 2 fields"),
        ("a,b\n1,2\n1,2,3\n1,2\n", "row 3 has 3 fields"),
        ("a,b,a\n1,2,3\n4,5,6\n", "more than one column is called 'a'"),
        ("a, a \n1,2\n4,5\n", "more than one column is called 'a'"),
        ('a,b\n1,2\n2,"never closed\n3,4\n', "row 3 is opened and never closed"),
        (b"a,b\n1,\x00\n", "zero bytes"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "looks like a row"),
        ("junk about the file\n1,2,3\n4,5,6\n", "first line has 1 field and most other lines have 3 fields"),
    ],
)
def test_broken_csv_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, words: str) -> None:
    assert words in refusal(tmp_path, content)


def test_numbers_in_order_may_be_names(tmp_path: Path) -> None:
    assert list(read(tmp_path, "0,1,2\n1.5,2,x\n2.5,3,y\n").frame.columns) == ["0", "1", "2"]


def test_names_lose_their_blanks_and_none_stays_without(tmp_path: Path) -> None:
    loaded = read(tmp_path, ', age ,"the name"\n0, 31 , "a, b"\n1, 42 , c\n')
    assert list(loaded.frame.columns) == ["column_1", "age", "the name"]
    assert loaded.frame["age"].tolist() == [31, 42]
    assert loaded.frame["the name"].tolist() == ["a, b", "c"]
    assert "'column_1'" in loaded.notes[0]


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


def test_the_original_adult_files_are_refused_for_want_of_names(shared_data: Path, tmp_path: Path) -> None:
    for name, words in (("adult.data.gz", "looks like a row"), ("adult.test.gz", "1 field")):
        with pytest.raises(Mistake, match=words):
            load(Source(path=str(shared_data / "adult" / name)), tmp_path)


def test_adult_with_names_equals_the_clean_table(shared_data: Path, tmp_path: Path) -> None:
    clean = pd.read_parquet(shared_data / "adult" / "train.parquet")
    body = gzip.decompress((shared_data / "adult" / "adult.data.gz").read_bytes())
    content = ", ".join(clean.columns).encode() + b"\n" + body
    frame = read(tmp_path, gzip.compress(content, 1), "adult.data.gz", nulls=["?"]).frame
    assert list(frame.columns) == list(clean.columns)
    for name in clean.columns:
        assert frame[name].where(frame[name].notna(), None).tolist() == clean[name].tolist(), name


def fill(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table sale (id integer, price real, word text, odd)")
        rows = [(n, n / 4, f"w{n % 7}" if n % 5 else None, n if n % 2 else f"t{n}") for n in range(25_000)]
        connection.executemany("insert into sale values (?, ?, ?, ?)", rows)
    connection.close()


def test_sqlite_is_read_in_batches_and_never_written(tmp_path: Path) -> None:
    fill(tmp_path / "shop.db")
    source = Source(
        path="sqlite:///shop.db", query="select * from sale where word is null or word <> ':no' order by id"
    )
    loaded = load(source, tmp_path)
    assert loaded.rows == 25_000
    assert loaded.frame["id"].tolist() == list(range(25_000))
    assert loaded.frame["price"].dtype == "float64"
    assert loaded.frame["word"].isna().sum() == 5_000
    assert loaded.frame["odd"].tolist()[:4] == ["t0", "1", "t2", "3"]
    assert load(source, tmp_path).sha256 == loaded.sha256
    fewer = source.model_copy(update={"query": "select * from sale limit 10"})
    assert load(fewer, tmp_path).sha256 != loaded.sha256
    before = sha256((tmp_path / "shop.db").read_bytes()).hexdigest()
    with pytest.raises(Mistake):
        load(source.model_copy(update={"query": "delete from sale"}), tmp_path)
    assert sha256((tmp_path / "shop.db").read_bytes()).hexdigest() == before


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select * from no_such_table", "no_such_table"),
        ("selec 1", "syntax"),
        ("select * from sale where id < 0", "no rows"),
        (None, "source.query"),
        ("select id, id from sale", "more than one column is called 'id'"),
    ],
)
def test_queries_that_give_nothing_are_refused(tmp_path: Path, query: str | None, words: str) -> None:
    fill(tmp_path / "shop.db")
    with pytest.raises(Mistake) as caught:
        load(Source(path="sqlite:///shop.db", query=query), tmp_path)
    assert words in str(caught.value)


def test_postgresql_gives_its_types(postgres, tmp_path: Path) -> None:
    query = """
        select n::int as whole, n / 4.0 as money, (n / 3.0)::float8 as real, 'w' || n % 3 as word, n % 2 = 0 as truth,
               date '2020-01-01' + n as day, timestamp '2020-01-01 10:00' + n * interval '1 hour' as moment,
               timestamptz '2020-01-01 10:00+02' as zoned, md5(n::text)::uuid as code, nullif(n, 3) as gap,
               n * interval '1 minute' as took
        from generate_series(1, 12000) n order by n"""
    frame = load(Source(path=postgres.url(), query=query), tmp_path).frame
    assert len(frame) == 12_000
    assert frame["whole"].tolist()[-1] == 12_000
    assert frame["money"].tolist()[:2] == [0.25, 0.5]
    assert frame["word"][0] == "w1"
    assert frame["truth"].tolist()[:2] == [False, True]
    assert str(frame["day"][0].date()) == "2020-01-02"
    assert frame["moment"][0] == pd.Timestamp("2020-01-01 11:00")
    assert frame["zoned"][0] == pd.Timestamp("2020-01-01 08:00", tz="UTC")
    assert len(frame["code"][0]) == 36
    assert frame["gap"].dtype == "Int64"
    assert frame["gap"].isna().sum() == 1
    assert frame["took"][1] == pd.Timedelta(minutes=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong-password"}, "password authentication failed"),
        ({"database": "no_such_database"}, "no_such_database"),
    ],
)
def test_postgresql_that_refuses(postgres, tmp_path: Path, change: dict[str, str], words: str) -> None:
    with pytest.raises(Mistake) as caught:
        load(Source(path=postgres.url(**change), query="select 1 as n"), tmp_path)
    assert words in str(caught.value)
    assert "wrong-password" not in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_postgresql_says_what_is_wrong_with_a_query(postgres, tmp_path: Path) -> None:
    with pytest.raises(Mistake, match='relation "no_such_table" does not exist'):
        load(Source(path=postgres.url(), query="select * from no_such_table"), tmp_path)


def test_a_password_may_come_from_the_environment(postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    path = postgres.url("${SHOP_PASSWORD}")
    assert load(Source(path=path, query="select 1 as n union select 2"), tmp_path).rows == 2


def test_a_server_out_of_reach_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match=r"ann:\*\*\*@127.0.0.1:1/shop: the server cannot be reached"):
        load(Source(path="postgresql://ann:hush@127.0.0.1:1/shop", query="select 1"), tmp_path)


def test_s3_gives_the_same_rows_as_the_disk(store, tmp_path: Path) -> None:
    import s3fs

    bucket = s3fs.S3FileSystem(**store.options, skip_instance_cache=True)
    bucket.mkdir("shop")
    for name in ("rows.csv.gz", "rows.parquet"):
        bucket.pipe(f"shop/day/{name}", FORMS[name])
        loaded = load(Source(path=f"s3://shop/day/{name}", options=store.options), tmp_path)
        assert loaded.sha256 == sha256(FORMS[name]).hexdigest()
        pd.testing.assert_frame_equal(loaded.frame, read(tmp_path, FORMS[name], name).frame)
    for path in ("s3://shop/day/nothing.csv", "s3://no-such-bucket/rows.csv"):
        with pytest.raises(Mistake, match="no such file or bucket"):
            load(Source(path=path, options=store.options), tmp_path)


def test_s3_without_credentials_is_refused(store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    options = {"endpoint_url": store.options["endpoint_url"]}
    with pytest.raises(Mistake, match=r"s3://shop/rows.csv: .*[Cc]redentials"):
        load(Source(path="s3://shop/rows.csv", options=options), tmp_path)


def test_s3_out_of_reach_is_refused(tmp_path: Path) -> None:
    options = {"endpoint_url": "http://127.0.0.1:1", "key": "tester", "secret": "very-secret"}
    with pytest.raises(Mistake) as caught:
        load(Source(path="s3://shop/rows.csv", options=options), tmp_path)
    assert "127.0.0.1:1" in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read(tmp_path, FORMS["rows.csv.gz"], "rows.csv.gz")
    refusal(tmp_path, FORMS["rows.csv.gz"][:-9], "rows.csv.gz")
    assert list(scratch.iterdir()) == []
    shutil.rmtree(scratch)
