"""Times `lookalike audit` as a user runs it: whole process, wall time and peak memory; and each metric by itself."""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.given import Given
from pipeline.registry import metric, metrics
from pipeline.steps import generator
from pipeline.synthesizer import Synthesizer
from tabular.infer import infer_schema
from tabular.table import Table

ROOT = Path(__file__).resolve().parents[1]
ADULT = ROOT.parent / "shared/data/adult"
MILLION = 1_000_000


def main() -> None:
    """Make the tables in a temporary folder, audit them, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("adult", "million"))
    parser.add_argument("--metrics", nargs="*", help="time these metrics one by one, all if none is named")
    parser.add_argument("--rows", type=int, default=MILLION, help="training rows of `million`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make = adult if arguments.table == "adult" else lambda: simulated(arguments.rows)
        for part, frame in make().items():
            frame.to_parquet(folder / f"{part}.parquet", index=False)
            print(f"{part}: {len(frame):,} rows, {frame.shape[1]} columns", flush=True)
        if arguments.metrics is None:
            whole(folder)
        else:
            each(folder, tuple(arguments.metrics) or metrics())


def adult() -> dict[str, pd.DataFrame]:
    """Return adult's training rows, its test rows as holdout, and rows of a Bayesian network."""
    train, holdout = (pd.read_parquet(ADULT / f"{part}.parquet") for part in ("train", "test"))
    table = Table.conform(infer_schema(train, {}), train)
    rng = np.random.default_rng(0)
    made = Synthesizer("bayesian_network", {}, table.schema).fit(table, rng).sample(len(table), rng)
    return {"train": train, "holdout": holdout, "synthetic": made.frame}


def simulated(rows: int) -> dict[str, pd.DataFrame]:
    """Return tables of twenty columns with known dependence; the synthetic rows are a little off."""
    rng = np.random.default_rng(0)
    sizes = {"train": rows, "holdout": max(rows * 3 // 10, 1), "synthetic": rows}
    return {part: _rows(size, 0.1 * (part == "synthetic"), rng) for part, size in sizes.items()}


def _rows(n: int, off: float, rng: np.random.Generator) -> pd.DataFrame:
    hidden = rng.normal(size=(n, 3))
    columns: dict[str, object] = {
        f"amount {place}": np.round(np.exp(hidden[:, place % 3] + rng.normal(off, 0.5, n)), 2) for place in range(8)
    }
    for place in range(9):
        levels = 3 + 4 * place
        score = (hidden[:, place % 3] + rng.normal(off, 1, n)) * levels / 6 + levels / 2
        columns[f"kind {place}"] = np.char.add("value ", np.clip(score, 0, levels - 1).astype(int).astype(str))
    columns["sex"] = np.where(rng.random(n) < 0.5 + 0.02 * off, "female", "male")
    columns["age"] = np.clip(np.round(45 + 12 * hidden[:, 0] + rng.normal(0, 6, n)), 18, 95).astype(int)
    odds = hidden.sum(axis=1) + 0.5 * (columns["sex"] == "male")
    columns["label"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    return pd.DataFrame(columns)


def whole(folder: Path) -> None:
    """Run the command as a process of its own."""
    files = [str(folder / f"{part}.parquet") for part in ("train", "synthetic")]
    command = [sys.executable, "-m", "pipeline", "audit", *files, "--holdout", str(folder / "holdout.parquet")]
    start = time.perf_counter()
    ended = subprocess.run([*command, "--out", str(folder / "audit")], cwd=ROOT, capture_output=True, text=True)
    wall = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(ended.stdout)
    print(ended.stderr[-2_000:] if ended.returncode not in (0, 1, 3, 4) else "", end="")
    print(
        f"exit code {ended.returncode}, wall {wall:.1f} s, CPU {used.ru_utime + used.ru_stime:.1f} s, "
        f"peak memory {used.ru_maxrss / 2**20:.2f} GiB, "
        f"report {(folder / 'audit' / 'report.html').stat().st_size / 2**20:.2f} MiB"
    )


def each(folder: Path, names: tuple[str, ...]) -> None:
    """Measure metrics one by one; the first that needs a shared computation pays for it."""
    paths = [str(folder / f"{part}.parquet") for part in ("train", "synthetic", "holdout")]
    evidence, _, notes = Given.read(ROOT, *paths, None).evidence()
    print("; ".join(notes))
    for name in names:
        kind = metric(name)
        start = time.perf_counter(), time.process_time()
        found = kind(kind.Config())(evidence, generator(0, "audit", name))
        wall, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        ends = "" if found.interval is None else f" [{found.interval.low:.4g}, {found.interval.high:.4g}]"
        gap = (
            "" if found.gap_interval is None else f" gap [{found.gap_interval.low:.4g}, {found.gap_interval.high:.4g}]"
        )
        shown = found.not_computed or f"{found.value:.4g}{ends}, real {found.reference}{gap}"
        print(f"{name:<45}{wall:7.2f} s {cpu:7.2f} CPU s  {shown}", flush=True)


if __name__ == "__main__":
    main()
