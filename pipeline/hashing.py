"""What a table's rows and a folder's files hash to, however they are stored."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.workspace import sha256


def folder_sha256(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder, by relative path."""
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def rows_sha256(path: Path) -> str:
    """Return a hash of the rows of a Parquet file: of names, types, what is missing, and values, in order.

    How the file is cut into row groups, compressed and annotated does not enter it.

    Raises:
        ValueError: If a column's type is neither plain nor text.
    """
    file = pq.ParquetFile(path)
    digests = [[hashlib.sha256() for _ in range(3)] for _ in file.schema_arrow]
    for batch in file.iter_batches():
        for parts, column in zip(digests, batch.columns, strict=True):
            for digest, content in zip(parts, _canonical(column), strict=True):
                digest.update(content.data)
    told = [
        [field.name, str(field.type), *(digest.hexdigest() for digest in parts)]
        for field, parts in zip(file.schema_arrow, digests, strict=True)
    ]
    return hashlib.sha256(json.dumps([file.metadata.num_rows, told]).encode()).hexdigest()


def _canonical(column: pa.Array) -> tuple[NDArray[np.generic], ...]:
    """Return validity, fixed-width part and text of a column as contiguous arrays, with zeros where nothing is."""
    nothing = np.empty(0, dtype=np.uint8)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    valid = np.ascontiguousarray(column.is_valid().to_numpy(zero_copy_only=False))
    kind = column.type
    if pa.types.is_null(kind):
        return valid, nothing, nothing
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        text = pc.fill_null(column.cast(pa.large_binary()), b"")
        _, ends, content = text.buffers()
        offsets = np.frombuffer(ends, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
        letters = nothing if content is None else np.frombuffer(content, dtype=np.uint8)
        return valid, np.diff(offsets), letters[offsets[0] : offsets[-1]] if len(text) else nothing
    if pa.types.is_boolean(kind):
        return valid, pc.fill_null(column, False).cast(pa.uint8()).to_numpy(), nothing
    if pa.types.is_temporal(kind):
        column = column.view(pa.int64() if kind.bit_width == 64 else pa.int32())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"a column of type {kind}: wanted a number, a truth value, a time or a text")
    return valid, np.ascontiguousarray(pc.fill_null(column, 0).to_numpy()), nothing
