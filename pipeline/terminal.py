"""What every command shares: where it prints, the project's folder, JSON for programs."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.errors import Mistake

WIDTH = None if sys.stdout.isatty() else 140
out = Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=WIDTH)

Root = Annotated[
    Path | None,
    typer.Option(help="The project's folder [default: $LOOKALIKE_ROOT, else the current folder]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]


def folder(given: Path | None) -> Path:
    """Return the project's folder.

    Raises:
        Mistake: If it is none.
    """
    root = given or Path(os.environ.get("LOOKALIKE_ROOT") or Path.cwd())
    if not root.is_dir():
        raise Mistake(f"{root}: is not a folder")
    return root.resolve()


def say(sentence: str) -> None:
    """Say a sentence that no progress line may overwrite, on standard error."""
    err.print(sentence)


def print_json(content: Any) -> None:
    """Print one JSON object."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
