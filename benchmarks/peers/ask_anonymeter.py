"""Asks anonymeter about one release: a line of JSON per figure, written as soon as it is there."""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator

# Its default. Its documentation calls 500 to 1,000 control records enough for good accuracy.
ATTACKS = 500


def main() -> None:
    """Read the folder, compute each figure by itself, keep going where one fails."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    np.random.seed(0)  # noqa: NPY002 - the tool draws from the global generator
    warnings.simplefilter("ignore")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    kinds: dict[str, str] = about["kinds"]
    train, holdout, synthetic = (read(folder / f"{part}.csv", kinds) for part in ("train", "holdout", "synthetic"))
    frames = {"ori": train, "syn": synthetic, "control": holdout}
    with out.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"versions": {"anonymeter": version("anonymeter")}}) + "\n")
        for name, make in figures(frames, about).items():
            start = time.perf_counter()
            try:
                value, low, high = make()
                found: dict[str, object] = {"value": value, "low": low, "high": high}
            except Exception as reason:
                found = {"failed": f"{type(reason).__name__}: {reason}"[:200]}
            lines.write(json.dumps({"figure": name, **found, "seconds": time.perf_counter() - start}) + "\n")
            lines.flush()


def read(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """Read texts as texts and dates as numbers of days; the distance of its neighbours knows numbers and texts only."""
    text = {name: str for name, kind in kinds.items() if kind == "category"}
    frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    for name, kind in kinds.items():
        if kind == "date":
            frame[name] = (pd.to_datetime(frame[name]) - pd.Timestamp("1970-01-01")).dt.days
        elif kind == "category":
            frame[name] = frame[name].fillna("missing")
        else:
            frame[name] = frame[name].astype(float).fillna(-1.0)
    return frame


def figures(frames: dict[str, pd.DataFrame], about: dict) -> dict[str, Callable[[], tuple[float, float, float]]]:
    """Return its three attacks, that of inference once per secret."""
    columns = list(frames["ori"].columns)
    halves = (columns[::2], columns[1::2])
    found = {
        "singling out": lambda: risk(
            SinglingOutEvaluator(**frames, n_attacks=ATTACKS, max_attempts=200_000, seed=0),
            mode="multivariate",
        ),
        "linkability": lambda: risk(
            LinkabilityEvaluator(**frames, n_attacks=ATTACKS, aux_cols=halves, n_neighbors=1), n_jobs=1
        ),
    }
    for secret in about["secrets"]:
        known = [name for name in columns if name != secret]
        regression = about["kinds"][secret] == "number"
        found[f"inference of {secret}"] = lambda known=known, secret=secret, regression=regression: risk(
            InferenceEvaluator(**frames, aux_cols=known, secret=secret, regression=regression, n_attacks=ATTACKS),
            n_jobs=1,
        )
    return found


def risk(evaluator, **settings: object) -> tuple[float, float, float]:  # noqa: ANN001
    """Return the risk in excess of what the attack achieves on the control rows, with its interval."""
    found = evaluator.evaluate(**settings).risk()
    return float(found.value), float(found.ci[0]), float(found.ci[1])


if __name__ == "__main__":
    main()
