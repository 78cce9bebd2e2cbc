"""Progress for people: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipeline.monitoring import Show

LINE_EVERY = 10.0


@contextmanager
def watching(console: Console) -> Iterator[Show]:
    """Give a function that shows progress on a console, by stage."""
    if console.is_terminal:
        with _bars(console) as show:
            yield show
    else:
        yield _lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def show(stage: str, done: float, message: str) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=1.0, said="")
            progress.update(bars[stage], completed=done, said=message)

        yield show


def _lines(console: Console) -> Show:
    """Print a stage's end, and a line every few seconds on the way there."""
    last: dict[str, float] = {}
    started: dict[str, float] = {}

    def show(stage: str, done: float, message: str) -> None:
        now = time.monotonic()
        started.setdefault(stage, now)
        if done >= 1.0 or now - last.get(stage, started[stage]) > LINE_EVERY:
            last[stage] = now
            console.print(f"{stage:<26} {done:>4.0%} {now - started[stage]:>6.1f} s  {message}")

    return show
