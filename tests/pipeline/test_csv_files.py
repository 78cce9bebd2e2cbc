import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import Mistake
from pipeline.sources import load
from pipeline.spec import Source
from tests.pipeline.reading import read, refusal


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
