import sqlite3
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import Mistake
from pipeline.sources import load
from pipeline.spec import Source


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
    rows = pd.DataFrame({"whole": pd.array([1, None, 3], "Int64"), "word": ["a", None, "größe, 5"]})
    rows.to_csv(tmp_path / "rows.csv.gz", index=False)
    rows.to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv.gz", "rows.parquet"):
        content = (tmp_path / name).read_bytes()
        bucket.pipe(f"shop/day/{name}", content)
        loaded = load(Source(path=f"s3://shop/day/{name}", options=store.options), tmp_path)
        assert loaded.sha256 == sha256(content).hexdigest()
        pd.testing.assert_frame_equal(loaded.frame, load(Source(path=name), tmp_path).frame)
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
