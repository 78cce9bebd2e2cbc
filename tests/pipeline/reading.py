"""Rows written to a folder and read back as a source: what came, or the sentence of the refusal."""

from pathlib import Path

import pytest

from pipeline.errors import Mistake
from pipeline.sources import Loaded, load
from pipeline.spec import Source


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
