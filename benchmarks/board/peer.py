"""Trains one other generator, in an environment of its own, and draws rows; says what it took, line by line.

It runs by its path and imports nothing of this project, whose packages that environment lacks.
"""

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd

# No peer reads missing categories alike; the published protocol makes them a category of their own.
MISSING = "(missing)"


class Wish(TypedDict):
    """What is wanted: rows to draw, epochs or rounds (None: the peer's defaults), minutes of budget, a folder."""

    rows: int
    seed: int
    threads: int
    minutes: float
    epochs: int | None
    scratch: str


class Log:
    """Lines that the parent process reads while this one works."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, name: str) -> None:
        """Say which stage begins."""
        self.tell(stage=name, at=time.time())

    def tell(self, **figures: object) -> None:
        """Write one line."""
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(figures) + "\n")


class Clock:
    """Wall and processor seconds, of this process and those that it started and that ended, since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), self._processor()

    def since(self, stage: str) -> dict[str, float]:
        """Return both, named after a stage."""
        wall, cpu = time.perf_counter() - self.start[0], self._processor() - self.start[1]
        return {f"{stage}_seconds": round(wall, 3), f"{stage}_cpu": round(cpu, 3)}

    @staticmethod
    def _processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used)


class Maker(NamedTuple):
    """One generator, its packages imported.

    Attributes:
        packages: Whose versions count.
        fit: Train on rows.
        sample: Draw so many rows.
    """

    packages: tuple[str, ...]
    fit: Callable[[pd.DataFrame], None]
    sample: Callable[[int], pd.DataFrame]


def peak() -> float:
    """Return the most memory that this process or one that it started held, in GiB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20


def main() -> None:
    """Read the rows, train, draw as many, write them."""
    name, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    wish: Wish = json.loads(sys.argv[4])
    warnings.simplefilter("ignore")
    log = Log(out / "told.jsonl")
    log.stage("start")
    np.random.seed(wish["seed"])  # noqa: NPY002 - the peers draw from the global generator
    coded: list[str] = json.loads((folder / "about.json").read_text(encoding="utf-8"))["codes"]
    frame = pd.read_csv(folder / "train.csv", dtype=dict.fromkeys(coded, str), keep_default_na=False, na_values=[""])
    frame[coded] = frame[coded].fillna(MISSING)
    made = MAKERS[name](coded, wish)
    log.tell(versions={package: version(package) for package in made.packages})
    log.stage("fit")
    clock = Clock()
    made.fit(frame)
    log.tell(**clock.since("fit"))
    log.stage("sample")
    clock = Clock()
    rows = made.sample(wish["rows"])
    log.tell(**clock.since("sample"), peak_gib=round(peak(), 3), drawn=len(rows))
    rows = rows[list(frame.columns)].copy()
    rows[coded] = rows[coded].astype(object).replace(MISSING, None)
    rows.to_csv(out / "rows.csv", index=False)
    log.stage("end")


def sdv(kind: str, coded: list[str], wish: Wish) -> Maker:
    """Return a single-table synthesizer of SDV 2, whose `fit` takes a dictionary of tables."""
    import torch
    from sdv import single_table
    from sdv.metadata import Metadata

    torch.set_num_threads(wish["threads"])
    torch.manual_seed(wish["seed"])
    kept: list[Any] = []

    def fit(frame: pd.DataFrame) -> None:
        columns = {name: {"sdtype": "categorical" if name in coded else "numerical"} for name in frame}
        metadata = Metadata.load_from_dict({"tables": {"rows": {"columns": columns}}})
        settings = {"epochs": wish["epochs"]} if wish["epochs"] and kind != "GaussianCopula" else {}
        kept.append(getattr(single_table, f"{kind}Synthesizer")(metadata, **settings))
        kept[0].fit({"rows": frame})

    def sample(count: int) -> pd.DataFrame:
        found = kept[0].sample(num_rows=count)
        rows: pd.DataFrame = found["rows"] if isinstance(found, dict) else found
        return rows

    return Maker(("sdv", "ctgan", "copulas", "rdt", "torch"), fit, sample)


def argn(coded: list[str], wish: Wish) -> Maker:
    """Return TabularARGN of mostlyai-engine, told its budget, which it stops by."""
    import torch
    from mostlyai import engine

    torch.set_num_threads(wish["threads"])
    engine.set_random_state(wish["seed"])
    place = Path(tempfile.mkdtemp(dir=wish["scratch"]))
    limits = {"max_epochs": wish["epochs"]} if wish["epochs"] else {}

    def fit(frame: pd.DataFrame) -> None:
        kinds = {name: "TABULAR_CATEGORICAL" if name in coded else "TABULAR_NUMERIC_AUTO" for name in frame}
        engine.split(tgt_data=frame, workspace_dir=place, model_type="TABULAR", tgt_encoding_types=kinds)
        engine.analyze(workspace_dir=place)
        engine.encode(workspace_dir=place)
        engine.train(workspace_dir=place, max_training_time=0.9 * wish["minutes"], device="cpu", **limits)

    def sample(count: int) -> pd.DataFrame:
        engine.generate(workspace_dir=place, sample_size=count, device="cpu")
        return pd.read_parquet(place / "SyntheticData")

    return Maker(("mostlyai-engine", "torch"), fit, sample)


def arf(coded: list[str], wish: Wish) -> Maker:
    """Return an adversarial random forest with its defaults."""
    from arfpy.arf import arf as forest

    kept: list[Any] = []

    def fit(frame: pd.DataFrame) -> None:
        kept.append(forest(x=frame.astype(dict.fromkeys(coded, object)), verbose=False, random_state=wish["seed"]))
        kept[0].forde()

    return Maker(("arfpy", "scikit-learn"), fit, lambda count: kept[0].forge(n=count))


def nrgboost(coded: list[str], wish: Wish) -> Maker:
    """Return NRGBoost with the settings of its documentation."""
    from nrgboost import Dataset, NRGBooster

    settings = {
        "num_trees": wish["epochs"] or 200,
        "shrinkage": 0.15,
        "max_leaves": 256,
        "max_ratio_in_leaf": 2,
        "num_model_samples": 80_000,
        "p_refresh": 0.1,
        "num_chains": 16,
        "burn_in": 100,
    }
    kept: list[Any] = []

    def fit(frame: pd.DataFrame) -> None:
        rows = Dataset(frame.astype(dict.fromkeys(coded, "category")))
        kept.append(NRGBooster.fit(rows, settings, seed=wish["seed"]))

    return Maker(("nrgboost", "numba"), fit, lambda count: kept[0].sample(count, num_steps=100))


MAKERS: dict[str, Callable[[list[str], Wish], Maker]] = {
    "sdv_gaussian_copula": lambda coded, wish: sdv("GaussianCopula", coded, wish),
    "sdv_tvae": lambda coded, wish: sdv("TVAE", coded, wish),
    "sdv_ctgan": lambda coded, wish: sdv("CTGAN", coded, wish),
    "tabular_argn": argn,
    "arfpy": arf,
    "nrgboost": nrgboost,
}

if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
