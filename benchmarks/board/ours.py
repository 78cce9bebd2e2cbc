"""Trains one of this project's families in a process of its own and draws rows; says what it took, line by line."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.board.peer import Clock, Log, peak
from benchmarks.board.tables import read, write
from models.core.base import Density
from pipeline.registry import family
from pipeline.synthesizer import Synthesizer
from tabular.schema import Schema

SCORED = 5_000
# Families that are trained in several phases, each of which is given the budget of its own.
PHASES = {"dbn": 3, "latent_diffusion": 2}
# What encoding, the last epoch and the kept weights take is left of the budget.
SHARE = 0.9


def settings_of(name: str, minutes: float, threads: int) -> dict[str, object]:
    """Return the settings of a family: its defaults, and where it has a training loop, the budget and the threads."""
    if "training" not in family(name).Config.model_fields:
        return {}
    return {"training": {"minutes": SHARE * minutes / PHASES.get(name, 1), "threads": threads}}


def main() -> None:
    """Read the rows, train, draw as many, write them; then score the holdout where the family has a density."""
    name, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    wish = json.loads(sys.argv[4])
    log = Log(out / "told.jsonl")
    log.stage("start")
    schema = Schema.model_validate_json((folder / "schema.json").read_bytes())
    train, _ = read(folder / "train.csv", schema)
    rng = np.random.default_rng(wish["seed"])
    synthesizer = Synthesizer(name, wish["settings"], schema)
    log.tell(versions={"lookalike": version("lookalike")})
    log.stage("fit")
    clock = Clock()
    synthesizer.fit(train, rng)
    log.tell(**clock.since("fit"), notes=synthesizer.fitted.notes)
    log.stage("sample")
    clock = Clock()
    rows = synthesizer.sample(wish["rows"], rng)
    log.tell(**clock.since("sample"), peak_gib=round(peak(), 3), drawn=len(rows))
    write(rows, out / "rows.csv")
    if isinstance(synthesizer.fitted, Density):
        log.stage("score")
        log.tell(**scored(synthesizer, folder, schema, rng))
    log.stage("end")


def scored(synthesizer: Synthesizer, folder: Path, schema: Schema, rng: np.random.Generator) -> dict[str, object]:
    """Return the mean surprise of holdout rows, in bits, and how many of the rows are impossible to the family."""
    holdout, _ = read(folder / "holdout.csv", schema)
    if len(holdout) > SCORED:
        holdout = holdout.take(rng.permutation(len(holdout))[:SCORED])
    bits = -synthesizer.log_prob(holdout, rng) / np.log(2)
    possible = np.isfinite(bits)
    return {
        "bits": float(bits[possible].mean()) if possible.any() else None,
        "impossible": int((~possible).sum()),
        "estimated": synthesizer.kind.estimated,
    }


if __name__ == "__main__":
    main()
