"""Where a source's bytes are: environment variables, packages, local files and fsspec URLs, all as one local file."""

import hashlib
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os import environ
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue

from pipeline.errors import Mistake

COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
CONNECT_SECONDS = 10


def expand(value: JsonValue, where: str) -> JsonValue:
    """Replace every `${NAME}` in texts from the environment, at any depth.

    Raises:
        Mistake: If the environment lacks one; names the variable and the setting.
    """
    if isinstance(value, str):
        for name in re.findall(r"\$\{([^}]*)\}", value):
            if name not in environ:
                raise Mistake(f"{where}: names the environment variable {name}, which is not set")
        return re.sub(r"\$\{([^}]*)\}", lambda found: environ[found[1]], value)
    if isinstance(value, dict):
        return {key: expand(below, f"{where}.{key}") for key, below in value.items()}
    if isinstance(value, list):
        return [expand(below, where) for below in value]
    return value


def masked(path: str) -> str:
    """Return a path or URL as people may see it: without a password and without the query of a signed URL."""
    if "://" not in path:
        return path
    bare = re.sub(r"\?.*$", "?...", path, flags=re.DOTALL)
    return re.sub(r"://([^/@:]*):.*@", r"://\1:***@", bare)


def sentence(error: BaseException, secrets: tuple[str, ...] = ()) -> str:
    """Return an error's own words as one line, without the secrets."""
    words = " ".join((str(error) or type(error).__name__).split())
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        words = words.replace(secret, "***")
    return words if len(words) <= 300 else words[:297] + "..."


def secrets_of(value: JsonValue) -> tuple[str, ...]:
    """Return every text in storage options that must not be echoed, by the name of its key."""
    if isinstance(value, dict):
        found: list[str] = []
        for key, below in value.items():
            hidden = re.search(r"key|secret|token|pass|credential|sas", key, re.IGNORECASE) is not None
            found += [below] if hidden and isinstance(below, str) else secrets_of(below)
        return tuple(found)
    return ()


@contextmanager
def local_file(path: str, options: dict[str, JsonValue], root: Path) -> Iterator[Path]:
    """Give a source's bytes as a file on this machine, for as long as the block lasts.

    Args:
        path: A path (relative to `root` or absolute), `package://module/file` or an fsspec URL, already expanded.
        options: fsspec storage options, already expanded.
        root: The project's folder.

    Raises:
        Mistake: If nothing readable is there.
    """
    if path.startswith("package://"):
        yield _checked(_packaged(path), path)
    elif path.startswith("file://"):
        yield _checked(Path(path.removeprefix("file://")), path)
    elif "://" in path:
        with tempfile.TemporaryDirectory(prefix="lookalike-") as folder:
            yield _fetched(path, options, Path(folder) / "bytes")
    else:
        yield _checked(root / Path(path).expanduser(), path)


def digest(path: Path, shown: str) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal.

    Raises:
        Mistake: If it cannot be read to its end.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Mistake(f"{shown}: cannot be read: {error.strerror or error}") from error


def unpacked(path: Path, shown: str, folder: Path) -> Path:
    """Return the file itself, or its unpacked bytes inside `folder` where it is gzip or zstd by its first bytes.

    Raises:
        Mistake: If the packed bytes are broken or end too early.
    """
    with path.open("rb") as file:
        start = file.read(4)
    codec = next((name for magic, name in COMPRESSIONS.items() if start.startswith(magic)), None)
    if codec is None:
        return path
    target = folder / "unpacked"
    try:
        with pa.input_stream(str(path), compression=codec) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except OSError as error:
        if error.errno is not None:
            raise Mistake(f"{shown}: cannot be unpacked: {error.strerror or error}") from error
        raise Mistake(f"{shown}: is a broken or truncated {codec} file: {sentence(error)}") from error
    return target


def _packaged(path: str) -> Path:
    module, _, rest = path.removeprefix("package://").partition("/")
    try:
        spec = importlib.util.find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise Mistake(f"{path}: no package {module!r} is installed")
    return Path(next(iter(spec.submodule_search_locations))) / rest


def _checked(path: Path, shown: str) -> Path:
    """Return the path if a file is there that can be opened."""
    try:
        if path.is_dir():
            raise Mistake(f"{shown}: is a folder, wanted a file")
        with path.open("rb"):
            return path
    except FileNotFoundError as error:
        near = get_close_matches(path.name, [other.name for other in _siblings(path)], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Mistake(f"{shown}: there is no such file{hint}") from error
    except OSError as error:
        raise Mistake(f"{shown}: cannot be read: {error.strerror or error}") from error


def _siblings(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())[:1000] if path.parent.is_dir() else []


def _fetched(url: str, options: dict[str, JsonValue], target: Path) -> Path:
    """Copy a remote file to `target`."""
    import fsspec

    shown = masked(url)
    secrets = secrets_of(options)
    given: dict[str, JsonValue] = dict(options)
    if url.startswith(("s3://", "s3a://")):
        patience: JsonValue = {"connect_timeout": CONNECT_SECONDS, "retries": {"max_attempts": 1}}
        given = {"config_kwargs": patience, "skip_instance_cache": True, **given}
    try:
        with fsspec.open(url, "rb", **given) as remote, target.open("wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
    except FileNotFoundError as error:
        raise Mistake(f"{shown}: there is no such file or bucket") from error
    except PermissionError as error:
        raise Mistake(f"{shown}: access is refused: {sentence(error, secrets)}") from error
    except IsADirectoryError as error:
        raise Mistake(f"{shown}: is a folder, wanted a file") from error
    except ImportError as error:
        raise Mistake(f"{shown}: cannot be read without a further package: {sentence(error, secrets)}") from error
    except Exception as error:  # every store has errors of its own (botocore, aiohttp, ...), without a common class
        raise Mistake(f"{shown}: cannot be read: {sentence(error, secrets)}") from error
    return target
