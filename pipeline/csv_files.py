"""CSV files to Arrow rows: delimiter and decimal mark found, every column typed over its whole length."""

import csv
import io
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.encodings import as_utf8
from pipeline.errors import Mistake
from pipeline.places import sentence, unpacked
from pipeline.spec import Source

DELIMITERS = (",", ";", "\t", "|")
NULL_MARKS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null")
SAMPLE_BYTES = 1 << 18
SAMPLE_ROWS = 400
WHOLE = r"^[+-]?[0-9]+$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
DECIMAL_COMMA = r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+),[0-9]+"
LEADING_ZERO = r"^[+-]?0[0-9]"


class Dialect(NamedTuple):
    """How a CSV file is written.

    Attributes:
        delimiter: Between fields.
        decimal: Between whole and fraction of a number.
        spaced: Whether blanks stand between delimiter and value.
    """

    delimiter: str
    decimal: str
    spaced: bool


def read_csv(path: Path, source: Source, shown: str, folder: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Read a CSV file with a line of column names.

    Empty fields and the usual marks (NA, N/A, NaN, null) are missing; a mark inside quotes is missing only where the
    column's other values are numbers or booleans. Codes with leading zeros stay text.

    Args:
        path: The file, packed or not.
        source: What the spec says of it.
        shown: Its name for people.
        folder: Where unpacked or transcoded bytes may lie.

    Returns:
        The rows, and sentences on what was found or is odd.

    Raises:
        Mistake: If the file is empty, broken, without column names, or its rows differ in length.
    """
    text, notes = as_utf8(unpacked(path, shown, folder), source.encoding, shown, folder)
    rows = _sample(text, shown)
    dialect = _dialect(rows, source, shown)
    if dialect.spaced:
        text = _tightened(text, dialect.delimiter, folder)
    strings = _strings(text, dialect, source, shown)
    _refuse_open_quote(strings, text, shown)
    columns = [_typed(strings.column(place), dialect.decimal, source.nulls) for place in range(strings.num_columns)]
    names = [name.strip() for name in strings.column_names]
    odd = [_oddity(name, column) for name, column in zip(names, columns, strict=True)]
    return pa.Table.from_arrays(columns, names=names), (*notes, *filter(None, odd))


def _sample(text: Path, shown: str) -> str:
    """Return the first whole lines of the file."""
    with text.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
        more = bool(file.read(1))
    if b"\0" in head:
        raise Mistake(f"{shown}: holds zero bytes, so it is no text; wanted CSV")
    if not head.strip():
        raise Mistake(f"{shown}: is empty")
    cut = max(head.rfind(b"\n"), head.rfind(b"\r")) + 1 if more else len(head)
    return head[: cut or len(head)].decode("utf-8", errors="ignore")


def _dialect(sample: str, source: Source, shown: str) -> Dialect:
    """Find the delimiter that gives most lines as many fields as the first line names columns."""
    if source.delimiter is not None and len(source.delimiter) != 1:
        raise Mistake(f"source.delimiter: got {source.delimiter!r}, wanted one character")
    best: tuple[tuple[bool, float, int], str, list[list[str]]] | None = None
    for delimiter in (source.delimiter,) if source.delimiter else DELIMITERS:
        rows = _split(sample, delimiter)
        width, count = Counter(map(len, rows[1:] or rows[:1])).most_common(1)[0] if rows else (0, 0)
        share = count / max(len(rows) - 1, 1)
        rank = (len(rows[0]) == width, share, width) if rows else (False, 0.0, 0)
        if width > 1 and (share >= 0.5 or source.delimiter) and (best is None or rank > best[0]):
            best = (rank, delimiter, rows)
    if best is None:
        delimiter = source.delimiter or next((mark for mark in DELIMITERS if mark not in sample), "\x1f")
        return Dialect(delimiter, source.decimal or ".", False)
    (named, _, width), delimiter, rows = best
    if not named:
        raise Mistake(
            f"{shown}: the first line has {_fields(len(rows[0]))} and most other lines have {_fields(width)}; "
            "wanted a first line with one name for each column"
        )
    _refuse_missing_names(rows, shown)
    spaced = sum(line.count(f"{delimiter} ") for line in sample.splitlines()) >= (width - 1) * len(rows) / 2
    return Dialect(delimiter, source.decimal or _decimal(rows, delimiter), spaced)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _split(sample: str, delimiter: str) -> list[list[str]]:
    try:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True)
        return [row for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error:
        return []


def _refuse_missing_names(rows: list[list[str]], shown: str) -> None:
    """Refuse a first line that holds values: numbers above numbers, and no name above any other numbers."""
    first, below = rows[0], list(zip(*(row for row in rows[1:] if len(row) == len(rows[0])), strict=True))
    if not below:
        return
    numeric = [place for place, values in enumerate(below) if any(values) and all(map(_is_number, values))]
    named = [place for place in numeric if not _is_number(first[place])]
    figures = [float(name) for name in first if name.strip() and _is_number(name)]
    rising = len(figures) == len(first) and all(low < high for low, high in zip(figures, figures[1:], strict=False))
    repeated = all(name in values for name, values in zip(first, below, strict=True))
    above = any(first[place].strip() for place in numeric if place not in named)
    if (above and not named and not rising) or repeated:
        start = ", ".join(map(repr, (name.strip() for name in first[:3])))
        raise Mistake(f"{shown}: the first line looks like a row ({start}, ...), wanted the names of the columns")


def _is_number(text: str) -> bool:
    return not text.strip() or re.match(NUMBER, text.strip()) is not None


def _decimal(rows: list[list[str]], delimiter: str) -> str:
    """Return the decimal mark of the numbers in the sample."""
    cells = [cell.strip() for row in rows[1:] for cell in row]
    commas = [cell for cell in cells if re.fullmatch(DECIMAL_COMMA, cell)]
    points = sum(re.fullmatch(r"[+-]?[0-9]*\.[0-9]+", cell) is not None for cell in cells)
    grouped = all(re.fullmatch(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", cell) for cell in commas)
    if delimiter == "," or len(commas) <= points or (grouped and delimiter != ";"):
        return "."
    return ","


def _tightened(text: Path, delimiter: str, folder: Path) -> Path:
    """Write the file again without the blanks after delimiters, which would hide quotes."""
    target = folder / "tightened"
    with text.open(encoding="utf-8", newline="") as wide, target.open("w", encoding="utf-8", newline="") as tight:
        csv.writer(tight, delimiter=delimiter).writerows(
            csv.reader(wide, delimiter=delimiter, skipinitialspace=True, strict=True)
        )
    return target


def _strings(text: Path, dialect: Dialect, source: Source, shown: str) -> pa.Table:
    """Read all columns as text; unquoted null marks are missing."""
    ragged: list[pyarrow.csv.InvalidRow] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    parse = pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=note)
    single = pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24)
    try:
        with pyarrow.csv.open_csv(str(text), single, parse) as reader:
            names = reader.schema.names
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[*NULL_MARKS, *source.nulls],
        )
        return pyarrow.csv.read_csv(str(text), single, parse, convert)
    except (pa.ArrowException, OSError) as error:
        if ragged:
            row = ragged[0]
            raise Mistake(
                f"{shown}: row {row.number} has {_fields(row.actual_columns)}, but the first line has "
                f"{_fields(row.expected_columns)}"
            ) from error
        raise Mistake(f"{shown}: is not CSV: {sentence(error).removeprefix('CSV parse error: ')}") from error


def _refuse_open_quote(strings: pa.Table, text: Path, shown: str) -> None:
    """Refuse a quote that is never closed: the last cell has swallowed all lines from there on."""
    last = strings.column(strings.num_columns - 1)[-1].as_py() if strings.num_rows else None
    if last is None or "\n" not in last:
        return
    with text.open("rb") as file:
        file.seek(-min(text.stat().st_size, 4096), 2)
        tail = file.read().rstrip(b"\r\n ")
    if not tail.endswith(b'"'):
        raise Mistake(f"{shown}: a quote in row {strings.num_rows + 1} is opened and never closed")


def _typed(strings: pa.ChunkedArray, decimal: str, marks: tuple[str, ...]) -> pa.ChunkedArray:
    """Type one column by all of its values: whole numbers, numbers, booleans, else text without outer blanks."""
    text = pc.utf8_trim_whitespace(strings)
    text = pc.if_else(_is_in(text, ("", *marks)), pa.scalar(None, pa.string()), text)
    bare = pc.if_else(_is_in(text, NULL_MARKS), pa.scalar(None, pa.string()), text)
    if bare.null_count == len(bare):
        return pa.chunked_array([pa.nulls(len(bare))]) if text.null_count == len(text) else text
    plain = bare
    if decimal == "," and _all_match(bare, rf"^(?:{DECIMAL_COMMA}|[+-]?[0-9]+(?:[eE][+-]?[0-9]+)?)$"):
        plain = pc.replace_substring(pc.replace_substring(bare, ".", ""), ",", ".")
    if _all_match(plain, NUMBER) and not pc.any(pc.match_substring_regex(plain, LEADING_ZERO)).as_py():
        signless = pc.replace_substring_regex(plain, r"^\+", "")
        whole = _all_match(plain, WHOLE)
        try:
            return signless.cast(pa.int64() if whole else pa.float64())
        except pa.ArrowInvalid:
            return text
    if _all_match(bare, r"^(?i:true|false)$"):
        return pc.equal(pc.utf8_lower(bare), "true")
    return text


def _is_in(text: pa.ChunkedArray, marks: tuple[str, ...]) -> pa.ChunkedArray:
    return pc.is_in(text, value_set=pa.array(marks, pa.string()))


def _all_match(text: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _oddity(name: str, column: pa.ChunkedArray) -> str | None:
    """Say when a text column is all numbers but for a few words, which may mean missing."""
    if not pa.types.is_string(column.type) or not len(column):
        return None
    words = column.filter(pc.invert(pc.match_substring_regex(column, NUMBER)))
    values = pc.unique(words)
    if not 0 < len(words) <= 0.2 * len(column) or len(values) > 3:
        return None
    listed = ", ".join(repr(value) for value in values.to_pylist())
    return (
        f"column {name!r} is numbers but for {listed} ({len(words)} rows); name it in source.nulls if it means missing"
    )
