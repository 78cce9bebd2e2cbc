"""Rows from a database by SQLAlchemy URL and query, read in batches and never written."""

import decimal
import hashlib
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from pipeline.errors import Mistake
from pipeline.places import CONNECT_SECONDS, masked, sentence

BATCH_ROWS = 10_000
DIALECTS = frozenset({"sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "duckdb"})


def is_database(path: str) -> bool:
    """Tell whether a path is a SQLAlchemy URL."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.partition("+")[0].lower() in DIALECTS


def read_query(path: str, query: str, root: Path) -> pa.Table:
    """Run a query and fetch its rows, in one transaction that is rolled back.

    Args:
        path: SQLAlchemy URL, already expanded.
        query: SQL that returns rows.
        root: Folder that SQLite's relative paths start from.

    Raises:
        Mistake: If the server is out of reach, refuses the user or refuses the query.
    """
    url = _url(path, root)
    shown = masked(path)
    secrets = (str(url.password or ""), path)
    try:
        engine = sa.create_engine(url, poolclass=sa.NullPool, **_patience(url))
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise Mistake(f"{shown}: no driver for this database: {sentence(error, secrets)}") from error
    if url.drivername == "postgresql+pg8000":
        sa.event.listen(engine, "connect", lambda raw, _: raw._usock.settimeout(None))
    try:
        with engine.connect() as connection:
            return _fetched(connection.execution_options(stream_results=True, yield_per=BATCH_ROWS), query, shown)
    except sa.exc.InterfaceError as error:
        raise Mistake(f"{shown}: the server cannot be reached: {_words(error, secrets)}") from error
    except sa.exc.DBAPIError as error:
        asked = error.statement is not None
        raise Mistake(
            f"{shown}: {'the query failed' if asked else 'cannot connect'}: {_words(error, secrets)}"
        ) from error
    except sa.exc.SQLAlchemyError as error:
        raise Mistake(f"{shown}: cannot be read: {sentence(error, secrets)}") from error
    finally:
        engine.dispose()


def digest_rows(rows: pa.Table) -> str:
    """Return the sha256 of rows: of their names and types as JSON, then of their values as CSV, in their order."""
    names = [[field.name, str(field.type)] for field in rows.schema]
    digest = hashlib.sha256(json.dumps(names).encode())
    for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
        sink = pa.BufferOutputStream()
        pyarrow.csv.write_csv(batch, sink, pyarrow.csv.WriteOptions(include_header=False))
        digest.update(sink.getvalue())
    return digest.hexdigest()


def _url(path: str, root: Path) -> URL:
    """Return the URL with the driver that is installed, and SQLite's file checked and opened for reading only."""
    try:
        url = make_url(path)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise Mistake(f"{masked(path)}: is not a SQLAlchemy URL") from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+pg8000")
        host = url.query.get("host")
        if isinstance(host, str) and host.startswith("/"):
            socket = f"{host}/.s.PGSQL.{url.query.get('port') or url.port or 5432}"
            query = {key: value for key, value in url.query.items() if key not in ("host", "port")}
            url = url.set(query={**query, "unix_sock": socket})
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise Mistake(f"{path}: names no database file")
        file = (root / url.database).resolve()
        if not file.is_file():
            raise Mistake(f"{path}: there is no such file")
        url = url.set(database=f"file:{file}", query={**url.query, "mode": "ro", "uri": "true"})
    return url


def _patience(url: URL) -> dict[str, dict[str, float]]:
    names = {"postgresql+pg8000": "timeout", "sqlite": "timeout"}
    name = names.get(url.drivername)
    return {"connect_args": {name: CONNECT_SECONDS}} if name else {}


def _fetched(connection: sa.Connection, query: str, shown: str) -> pa.Table:
    result = connection.execute(sa.text(query.replace(":", r"\:")))
    if not result.returns_rows:
        raise Mistake(f"{shown}: the query returns no rows; wanted a SELECT")
    names = list(result.keys())
    batches = [[_array(values) for values in zip(*rows, strict=True)] for rows in result.partitions(BATCH_ROWS)]
    columns = [_joined([batch[place] for batch in batches]) for place in range(len(names))]
    return pa.Table.from_arrays(columns, names=names)


def _array(values: Sequence[object]) -> pa.Array:
    """Return one batch of one column in the narrowest type that holds it, as text where its types are mixed."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float, decimal.Decimal} and len(kinds) > 1:
        return pa.array([None if value is None else float(str(value)) for value in values])
    try:
        if len(kinds) <= 1 and uuid.UUID not in kinds:
            return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError):
        pass
    return pa.array([None if value is None else str(value) for value in values])


def _joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    """Join the batches of one column in the widest type among them."""
    kinds = {part.type for part in parts} - {pa.null()}
    if not kinds:
        return pa.chunked_array([part.cast(pa.null()) for part in parts], type=pa.null())
    if len(kinds) == 1:
        kind = kinds.pop()
    elif all(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) for kind in kinds):
        kind = pa.float64()
    else:
        kind = pa.string()
    return pa.chunked_array([part.cast(kind) for part in parts], type=kind)


def _words(error: sa.exc.DBAPIError, secrets: tuple[str, ...]) -> str:
    """Return what the database itself said, on one line."""
    given = error.orig.args[0] if error.orig is not None and error.orig.args else ""
    if isinstance(given, dict):
        given = given.get("M", "")
    return sentence(ValueError(given or str(error.orig)), secrets)
