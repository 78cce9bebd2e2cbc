"""Parquet, Arrow and JSON Lines files to Arrow rows, and Arrow rows to a frame of plain types."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import Mistake
from pipeline.places import sentence

BATCH_ROWS = 65_536


def read_parquet(path: Path, shown: str) -> pa.Table:
    """Read Parquet in batches.

    Raises:
        Mistake: If the file is broken or ends too early.
    """
    try:
        with pq.ParquetFile(path) as file:
            return pa.Table.from_batches(file.iter_batches(batch_size=BATCH_ROWS), schema=file.schema_arrow)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Mistake(f"{shown}: is not a whole Parquet file: {sentence(error)}") from error


def read_arrow(path: Path, shown: str) -> pa.Table:
    """Read Arrow IPC, the file format or the stream format, in batches.

    Raises:
        Mistake: If the file is broken or ends too early.
    """
    try:
        with pa.OSFile(str(path)) as file:
            if file.read(6) == b"ARROW1":
                reader = pa.ipc.open_file(file)
                batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
                return pa.Table.from_batches(batches, schema=reader.schema)
            file.seek(0)
            stream = pa.ipc.open_stream(file)
            return pa.Table.from_batches(stream, schema=stream.schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Mistake(f"{shown}: is not a whole Arrow file: {sentence(error)}") from error


def read_json_lines(path: Path, shown: str) -> pa.Table:
    """Read one JSON object a line, in UTF-8.

    Raises:
        Mistake: If a line is not an object, or a value changes its type from line to line.
    """
    with path.open("rb") as file:
        start = file.read(4096).lstrip()
    if not start:
        raise Mistake(f"{shown}: is empty")
    if start.startswith(b"["):
        raise Mistake(f"{shown}: is one JSON list, wanted one JSON object a line")
    try:
        return pyarrow.json.read_json(
            str(path), parse_options=pyarrow.json.ParseOptions(newlines_in_values=not _one_a_line(path))
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        words = re.sub(r"^JSON parse error: | in row [0-9]+$", "", sentence(error))
        raise Mistake(f"{shown}: is not one JSON object a line: {words}") from error


def to_frame(rows: pa.Table) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return Arrow rows as a frame of plain pandas types, and a sentence for each column that was left out.

    Whole numbers and booleans keep their type beside missing values; decimals become floats; single-precision floats
    become the shortest double that prints alike; times of day become durations. Columns of lists, structures, maps or
    raw bytes hold no single value and are left out.
    """
    series: dict[str, pd.Series] = {}
    notes: list[str] = []
    for name in rows.column_names:
        column = rows.column(name)
        if name.startswith("__index_level_"):
            notes.append(f"column {name!r} is the row index that pandas had stored; left out")
            continue
        plain = _plain(column)
        if plain is None:
            notes.append(f"column {name!r} holds {column.type}, not single values; left out")
            continue
        series[name] = _series(plain)
    return pd.DataFrame(series), tuple(notes)


def _one_a_line(path: Path) -> bool:
    """Tell whether the first line is a whole object."""
    with path.open("rb") as file:
        return file.readline().rstrip().endswith(b"}")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Cast to null, int64, float64, bool, string, timestamp, date or duration; None where there is no such cast."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_uint64(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column.cast(pa.float64())
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_time(kind):
        whole = column.cast(pa.time64("us") if pa.types.is_time32(kind) else kind, safe=False)
        return whole.cast(pa.time64("us"), safe=False).cast(pa.int64()).cast(pa.duration("us"))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        try:
            return column.cast(pa.large_binary()).cast(pa.large_string())
        except pa.ArrowInvalid:
            return None
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, tz="UTC"))
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if text or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column
    moment = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_duration(kind)
    return column if moment else None


def _series(column: pa.ChunkedArray) -> pd.Series:
    kind = column.type
    if pa.types.is_int64(kind) and column.null_count:
        return pd.Series(pd.arrays.IntegerArray(pc.fill_null(column, 0).to_numpy().copy(), _missing(column)))
    if pa.types.is_boolean(kind) and column.null_count:
        return pd.Series(pd.arrays.BooleanArray(pc.fill_null(column, False).to_numpy().copy(), _missing(column)))
    if pa.types.is_null(kind):
        return pd.Series([None] * len(column), dtype=object)
    return pd.Series(column.to_pandas(date_as_object=False).reset_index(drop=True))


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = pc.is_null(column).to_numpy().copy()
    return mask
