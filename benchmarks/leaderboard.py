"""Trains every family and every peer on the published tables, measures their rows alike, and writes one leaderboard.

Each generator runs in a process of its own with the same rows, threads and budget; what was found stays under
data/benchmarks/leaderboard, so that a run that was interrupted goes on where it stopped.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.board.cells import ROOT, Record, Store, replace
from benchmarks.board.contest import ANCHORS, PEERS, Contest, Terms
from benchmarks.board.plot import plot
from benchmarks.board.sheet import sheet
from benchmarks.board.tables import PUBLISHED, SOURCES, TABLES, split
from pipeline.registry import families

RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / "data" / "benchmarks" / "leaderboard"


def main(words: list[str] | None = None) -> None:
    """Go through tables and generators, and write what is known after each."""
    given = sys.argv[1:] if words is None else words
    arguments = wished(given)
    terms = Terms(arguments.minutes, arguments.threads, arguments.seed, arguments.peer_epochs)
    record = Record(
        command=shlex.join(["python", "-m", "benchmarks.leaderboard", *given]),
        machine=machine(),
        code=code(),
        minutes=terms.minutes,
        threads=terms.threads,
        seed=terms.seed,
        sdmetrics=version("sdmetrics"),
    )
    for folder in (arguments.work, arguments.out):
        folder.mkdir(parents=True, exist_ok=True)
    (arguments.work / ".gitignore").write_text("*\n", encoding="utf-8")
    sides = [(name, "anchor") for name in ANCHORS]
    sides += [*((name, "ours") for name in arguments.models), *((name, "peer") for name in arguments.peers)]
    for table in arguments.tables:
        try:
            parts = split(table, arguments.rows, terms.seed)
        except FileNotFoundError as absent:
            sys.exit(f"error: {absent}")
        record.splits[table] = (
            f"{SOURCES[table].said}; {len(parts.train):,} training and {len(parts.holdout):,} holdout rows"
            + ("" if arguments.rows is None else " (cut)")
        )
        contest = Contest(table, parts, terms, Store(arguments.work), tell)
        for place, (model, side) in enumerate(sides, 1):
            start = time.perf_counter()
            cell = contest.take(model, side)
            record.cells.append(cell)
            save(record, arguments.out)
            tell(f"{table}, {model} ({place} of {len(sides)}): {cell.ended}, {time.perf_counter() - start:.0f} s")
    tell(f"written: {arguments.out / 'leaderboard'}.md, .json and .svg")


def wished(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("--tables", nargs="+", default=list(PUBLISHED), choices=TABLES, metavar="TABLE")
    parser.add_argument("--models", nargs="*", default=["all"], metavar="MODEL", help="families, or all, or none")
    parser.add_argument("--peers", nargs="*", default=["all"], metavar="PEER", help="peers, or all, or none")
    parser.add_argument(
        "--minutes", type=_positive, default=10.0, help="wall-clock budget of one training, and of one drawing"
    )
    parser.add_argument("--threads", type=_count, default=1, help="threads of every generator")
    parser.add_argument("--rows", type=_count, help="cut tables to so many training rows, to try the command out")
    parser.add_argument("--peer-epochs", type=_count, help="epochs or rounds of peers, to try the command out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of leaderboard.md, .json and .svg")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of what is kept between calls")
    found = parser.parse_args(words)
    for what, known in (("models", families()), ("peers", tuple(PEERS))):
        asked = getattr(found, what)
        strange = [name for name in asked if name not in (*known, "all", "none")]
        if strange:
            parser.error(f"--{what}: got {', '.join(strange)}, wanted all, none or some of {', '.join(known)}")
        chosen = known if "all" in asked else tuple(name for name in known if name in asked)
        setattr(found, what, chosen)
    return found


def save(record: Record, folder: Path) -> None:
    """Write the results, so that an interrupted run leaves what it found."""
    replace(folder / "leaderboard.json", record.model_dump_json(indent=1, exclude_defaults=True) + "\n")
    replace(folder / "leaderboard.md", sheet(record))
    replace(folder / "leaderboard.svg", plot(record))


def machine() -> str:
    """Say in words what this ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB of memory, {platform.system()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} when it began"
    )


def code() -> str:
    """Return the commit, and whether files had changed since."""
    asked = [["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
    commit, changes = (subprocess.run(each, cwd=ROOT, capture_output=True, text=True).stdout.strip() for each in asked)
    return f"{commit or 'an unknown commit'}{' and uncommitted changes' if changes else ''}"


def tell(line: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"got {text}, wanted more than 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, wanted 1 or more")
    return value


if __name__ == "__main__":
    main()
