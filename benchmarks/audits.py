"""Puts audit tools side by side on releases whose faults are known: which of their verdicts are right, which wrong."""

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peers.environments import TOOLS, ask, python_of
from benchmarks.peers.record import Cell, Record
from benchmarks.peers.releases import NAMES, reference, write
from benchmarks.peers.sheet import sheet
from tests.audit.releases import CASES, REAL

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Ask every tool about every release, keep each answer as it comes, write the table."""
    arguments = wished()
    data, page = (arguments.out / f"audits.{end}" for end in ("json", "md"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    resumed = arguments.resume and data.exists()
    record = Record(
        command=shlex.join(
            ["python", "-m", "benchmarks.audits", *(each for each in sys.argv[1:] if each != "--resume")]
        ),
        machine=machine(),
        minutes=arguments.minutes,
        cells=Record.model_validate_json(data.read_text(encoding="utf-8")).cells if resumed else [],
    )
    for table in arguments.tables:
        run(table, arguments, record, data)
    save(record, data)
    page.write_text(sheet(record), encoding="utf-8")
    tell(f"written: {data} and {page}")


def wished() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audits", description=__doc__)
    parser.add_argument("--peers", nargs="+", default=list(TOOLS), choices=TOOLS, help="tools to ask")
    parser.add_argument("--tables", nargs="+", default=["world"], choices=REAL, help="tables to make releases of")
    parser.add_argument("--cases", nargs="+", default=list(NAMES), choices=[*CASES, *NAMES], metavar="CASE")
    parser.add_argument("--minutes", type=float, default=15, help="budget of one tool for one release")
    parser.add_argument("--resume", action="store_true", help="keep the answers that the results hold already")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of audits.json and audits.md")
    return parser.parse_args()


def run(table: str, arguments: argparse.Namespace, record: Record, data: Path) -> None:
    """Ask about a table's releases, one tool after another; answers on releases that have changed are dropped."""
    wanted = list(dict.fromkeys([*(reference(case) for case in arguments.cases), *arguments.cases]))
    for case in wanted:
        with tempfile.TemporaryDirectory() as name:
            rows, mixed = write(Path(name), table, case)
            here = [cell for cell in record.cells if (cell.table, cell.case) == (table, case)]
            record.cells = [cell for cell in record.cells if cell not in here or cell.data == mixed]
            done = {cell.tool for cell in here if cell.data == mixed and cell.ended == "done"}
            for tool in (each for each in arguments.peers if each not in done):
                start = time.perf_counter()
                python, missing = python_of(tool)
                cell = Cell(table=table, case=case, tool=tool, rows=rows, data=mixed, ended=missing or "")
                if not missing:
                    cell = ask(cell, python, Path(name), 60 * arguments.minutes)
                record.cells = [each for each in record.cells if each.place != cell.place] + [cell]
                save(record, data)
                tell(f"{table}, {case}, {tool}: {cell.ended}, {time.perf_counter() - start:.0f} s")


def save(record: Record, data: Path) -> None:
    """Write what is known so far, so that an interrupted run can go on."""
    data.write_text(record.model_dump_json(indent=1, exclude_defaults=True) + "\n", encoding="utf-8")


def machine() -> str:
    """Say in words what this ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB of memory, {platform.system()}, "
        f"Python {platform.python_version()}; one thread per tool, shared with other work: hence processor seconds"
    )


def tell(line: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
