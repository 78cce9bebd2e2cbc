"""Laws of whole tables through their encoders."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from tabular.encoding import TableEncoder
from tabular.identifiers import Numbering
from tabular.infer import infer_schema
from tabular.layout import Block, Layout, Reads
from tabular.schema import Column, Physical, Schema
from tabular.table import Table

READS: tuple[Reads, ...] = ("codes", "one_hot")


def make_frame(n: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "person": [f"p{i // 4}" for i in range(n)],
            "sex": rng.choice(["f", "m"], size=n),
            "city": rng.choice([f"town-{i}" for i in range(300)], size=n),
            "income": np.where(rng.random(n) < 0.3, 0.0, np.round(rng.lognormal(9, 1, size=n), 2)),
            "visits": rng.poisson(4, size=n),
            "seen": pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 10**6, size=n), unit="min"),
            "born": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 20_000, size=n), unit="D"),
            "stay": pd.to_timedelta(rng.exponential(1e6, size=n), unit="s"),
            "member": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "land": "NL",
            "void": None,
            "remark": [f"what person {i} said" for i in range(n)],
            "row_id": np.arange(n) + 7001,
        }
    )
    frame.loc[::9, ["sex", "income", "visits", "seen", "member", "stay"]] = None
    return frame


def unit_as_category(schema: Schema, frame: pd.DataFrame) -> Schema:
    person = Column(
        name="person", kind="categorical", physical="text", role="unit", categories=tuple(frame["person"].unique())
    )
    return Schema(columns=(person, *schema.columns[1:]))


@pytest.fixture(scope="module")
def table() -> Table:
    frame = make_frame()
    return Table.conform(unit_as_category(infer_schema(frame, {}), frame), frame)


@pytest.mark.parametrize("reads", READS)
def test_a_table_goes_to_a_matrix_and_back(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    x = encoder.encode(table)
    assert x.shape == (len(table), encoder.layout.width)
    assert np.isfinite(x).all()
    assert [b.column for b in encoder.layout.blocks if b.start == encoder.layout.of(b.column)[0].start] == [
        column.name for column in table.schema.modelled
    ]
    back = encoder.decode(x, np.random.default_rng(0))
    Table.conform(back.schema, back.frame)
    for column in table.schema.modelled:
        if column.is_code:
            assert np.array_equal(back.codes(column.name), table.codes(column.name)), column.name
        else:
            old, new = table.numbers(column.name), back.numbers(column.name)
            assert np.array_equal(np.isnan(old), np.isnan(new))
            assert np.corrcoef(old[~np.isnan(old)], new[~np.isnan(old)])[0, 1] > 0.95, column.name


@pytest.mark.parametrize("reads", READS)
def test_times_keep_their_grid(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    back = encoder.decode(encoder.encode(table), np.random.default_rng(0)).frame
    assert (back["seen"].dropna().dt.second == 0).all()
    assert (back["born"] == back["born"].dt.normalize()).all()


@pytest.mark.parametrize("reads", READS)
def test_the_same_generator_gives_the_same_bytes_and_a_state_all_there_is(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    x = encoder.encode(table)
    arrays = load(save({key: np.ascontiguousarray(array) for key, array in encoder.state().items()}))
    again = TableEncoder(table.schema, reads).load_state(arrays)
    assert again.layout == encoder.layout
    assert again.encode(table).tobytes() == x.tobytes()
    first, second = (each.decode(x, np.random.default_rng(5)).to_arrow() for each in (encoder, again))
    assert first.equals(second)


@pytest.mark.parametrize("reads", READS)
def test_a_state_that_lacks_an_array_is_refused(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    for key in encoder.state():
        arrays = {other: array for other, array in encoder.state().items() if other != key}
        with pytest.raises(ValueError, match="lacks the array"):
            TableEncoder(table.schema, reads).load_state(arrays)


@pytest.mark.parametrize("reads", READS)
def test_any_matrix_decodes_inside_the_schema(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    x = (np.random.default_rng(1).normal(size=(400, encoder.layout.width)) * 50).astype(np.float32)
    x[::5] = np.nan
    decoded = encoder.decode(x, np.random.default_rng(0))
    assert decoded.schema == encoder.output_schema
    Table.conform(decoded.schema, decoded.frame)
    assert len(encoder.decode(x[:0], np.random.default_rng(0))) == 0
    with pytest.raises(ValueError, match="shape"):
        encoder.decode(x[:, 1:], np.random.default_rng(0))


def test_names_are_made_anew_and_free_text_is_left_out(table: Table):
    encoder = TableEncoder(table.schema, "codes").fit(table)
    x = encoder.encode(table)
    shards = [encoder.decode(x[:300], np.random.default_rng(0), first) for first in (0, 300)]
    rows = pd.concat([shard.frame for shard in shards])
    assert "remark" not in rows
    assert rows["row_id"].tolist() == list(range(10_001, 10_601))
    assert rows["person"].iloc[[0, 599]].tolist() == ["person-000001", "person-000600"]
    assert not rows["person"].isin(table.frame["person"]).any()
    person = encoder.output_schema["person"]
    assert (person.kind, person.role, person.categories) == ("identifier", "unit", ())
    assert "person" not in {block.column for block in encoder.layout.blocks}


@pytest.mark.parametrize("physical", ["integer", "real"])
@given(
    ids=st.lists(
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**19 // 2), st.integers(0, 500)),
        min_size=1,
        max_size=50,
    )
)
@settings(max_examples=60, deadline=None)
def test_new_numbers_meet_no_real_one_and_never_repeat(physical: Physical, ids: list[int]):
    column = Column(name="row_id", kind="identifier", physical=physical)
    taken = pd.Series(ids, dtype="Int64" if physical == "integer" else "float64")
    numbering = Numbering.fit(column, taken)
    again = Numbering.from_state(load(save(numbering.state())))
    made = pd.concat([again.make(column, first, 400) for first in (0, 400)], ignore_index=True)
    assert made.is_unique
    assert made.dtype == taken.dtype
    assert not made.isin(taken).any()
    assert made.equals(numbering.make(column, 0, 800))


def test_new_numbers_give_away_an_order_of_magnitude_alone():
    column = Column(name="row_id", kind="identifier", physical="integer")
    for largest in (1000, 7654, 9999):
        taken = pd.Series([3, None, largest], dtype="Int64")
        assert Numbering.fit(column, taken).make(column, 0, 2).tolist() == [10_001, 10_002]


def test_new_names_never_begin_like_real_ones():
    frame = pd.DataFrame({"Case No.": [f"case-no-{i:06d}" for i in range(20)], "x": [1, 1, 2, 3] * 5})
    table = Table.conform(infer_schema(frame, {}), frame)
    encoder = TableEncoder(table.schema, "codes").fit(table)
    made = encoder.decode(encoder.encode(table), np.random.default_rng(0)).frame["Case No."]
    assert made.iloc[0] == "synthetic-case-no-000001"
    assert TableEncoder(table.schema, "codes").load_state(encoder.state()).state().keys() == encoder.state().keys()


@pytest.mark.parametrize("reads", READS)
def test_given_values_fill_whole_blocks_and_come_out_exactly(table: Table, reads: Reads):
    encoder = TableEncoder(table.schema, reads).fit(table)
    given = {"sex": "f", "income": 1234.56, "seen": "2019-06-01T12:00", "visits": "3", "member": True}
    known, mask = encoder.encode_known(given)
    assert known.shape == mask.shape == (encoder.layout.width,)
    for block in encoder.layout.blocks:
        assert (mask[block.start : block.stop] == (block.column in given)).all()
    assert not known[~mask].any()
    x = np.where(mask, known, encoder.encode(table))
    loose = encoder.decode(x, np.random.default_rng(0)).frame
    assert set(loose["sex"]) == {"f"}
    assert set(loose["visits"]) == {3}
    assert loose["income"].between(600, 2500).all()
    exact = encoder.decode(x, np.random.default_rng(0), given=given).frame
    assert set(exact["income"]) == {1234.56}
    assert set(exact["seen"]) == {pd.Timestamp("2019-06-01T12:00")}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sex": "x"}, r"column 'sex': got 'x', wanted one of 'f', 'm'$"),
        ({"city": "Rome"}, r"wanted one of .* and \d+ more"),
        ({"visits": 900}, r"column 'visits': got 900, wanted a whole number from 0 to \d+"),
        ({"visits": "many"}, "column 'visits': got 'many'"),
        ({"born": "1900-01-01"}, r"wanted a date from 19\d\d-\d\d-\d\d to"),
        ({"person": "p1"}, "column 'person' cannot be given; columns that can: 'sex', 'city'"),
        ({"remark": "x"}, "column 'remark' cannot be given"),
        ({"nowhere": 1}, "column 'nowhere' cannot be given"),
    ],
)
def test_a_given_value_that_cannot_be_is_refused(table: Table, given: dict[str, str | int], words: str):
    encoder = TableEncoder(table.schema, "one_hot").fit(table)
    with pytest.raises(ValueError, match=words):
        encoder.encode_known(given)


def test_a_missing_value_that_training_never_had_is_named(table: Table):
    encoder = TableEncoder(table.schema, "codes").fit(table)
    frame = table.frame.copy()
    frame.loc[3, "city"] = None
    with pytest.raises(ValueError, match="column 'city': a value is missing"):
        encoder.encode(Table(table.schema, frame))


def test_nothing_to_learn_is_refused():
    frame = pd.DataFrame({"id": [f"a{i}" for i in range(30)]})
    table = Table.conform(infer_schema(frame, {}), frame)
    with pytest.raises(ValueError, match="no column that a model could learn"):
        TableEncoder(table.schema, "codes").fit(table)
    schema = Schema(columns=(Column(name="x", kind="continuous", physical="real"),))
    with pytest.raises(ValueError, match="without rows"):
        TableEncoder(schema, "codes").fit(Table.conform(schema, pd.DataFrame({"x": []})))


def test_a_layout_with_a_gap_or_an_overlap_is_refused():
    first = Block(column="a", part="x", start=0, stop=1, kind="code", cardinality=3)
    for start, stop in ((2, 3), (0, 1), (1, 1)):
        second = Block(column="b", part="x", start=start, stop=stop, kind="code", cardinality=3)
        with pytest.raises(ValueError, match="wanted a start of 1"):
            Layout(reads="codes", blocks=(first, second))


@pytest.mark.parametrize("reads", READS)
def test_adult_is_encoded_and_decoded_well_under_a_second(shared_data: Path, reads: Reads):
    frame = pd.read_parquet(shared_data / "adult" / "train.parquet")
    table = Table.conform(infer_schema(frame, {}), frame)
    encoder = TableEncoder(table.schema, reads).fit(table)
    start = time.process_time()
    back = encoder.decode(encoder.encode(table), np.random.default_rng(0))
    assert time.process_time() - start < 0.5
    for column in table.schema.modelled:
        if column.is_code:
            assert np.array_equal(back.codes(column.name), table.codes(column.name))
            continue
        old, new = np.sort(table.numbers(column.name)), np.sort(back.numbers(column.name))
        points = np.union1d(old, new)
        steps = np.searchsorted(old, points, side="right") - np.searchsorted(new, points, side="right")
        assert np.abs(steps).max() / len(old) < 0.001, column.name
