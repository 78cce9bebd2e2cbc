"""Asks SynthEval about one release: a line of JSON per figure, written as soon as it is there."""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from syntheval import SynthEval
from syntheval.utils.configuration import AnalysisConfig

# Of its own presets, those whose cost allows so many rows; each with the settings of the preset `full_eval`.
METRICS = {
    "h_dist": {},
    "corr_diff": {"mixed_corr": True},
    "p_mse": {"k_folds": 5, "max_iter": 100, "solver": "liblinear"},
    "auroc_diff": {"model": "log_reg", "num_boots": 1},
    "hit_rate": {"thres_percent": 0.0333},
    "mia": {"num_eval_iter": 5},
    "eps_risk": {},
    "statistical_parity": {},
}


def main() -> None:
    """Read the folder, compute each figure by itself, keep going where one fails."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    np.random.seed(0)  # noqa: NPY002 - the tool draws from the global generator
    warnings.simplefilter("ignore")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    kinds: dict[str, str] = about["kinds"]
    train, holdout, synthetic = (read(folder / f"{part}.csv", kinds) for part in ("train", "holdout", "synthetic"))
    words = [name for name, kind in kinds.items() if kind == "category"]
    with out.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps({"versions": {"syntheval": version("syntheval")}}) + "\n")
        lines.flush()
        for name, settings in METRICS.items():
            start = time.perf_counter()
            found: dict[str, dict[str, object]]
            try:
                # It refuses missing values unless told to drop those rows, or to ignore them, which breaks its metrics.
                tool = SynthEval(
                    train,
                    holdout,
                    cat_cols=words,
                    missing_directive="drop",
                    verbose=False,
                    enable_plots=False,
                    console="off",
                )
                target = AnalysisConfig(tool.real, target_vars=about["target"], sensitive_vars=[about["sensitive"]])
                shown = tool.evaluate(synthetic, analysis_target=target, **{name: settings})
                found = {row["metric"]: {"value": float(row["val"])} for row in shown.to_dict("records")}
            except Exception as reason:
                found = {name: {"failed": f"{type(reason).__name__}: {reason}"[:200]}}
            seconds = (time.perf_counter() - start) / len(found)
            for figure, line in found.items():
                lines.write(json.dumps({"figure": figure, **line, "seconds": seconds}) + "\n")
            lines.flush()


def read(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """Read texts as texts and dates as numbers of days, which it has no type for."""
    text = {name: str for name, kind in kinds.items() if kind == "category"}
    frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    dates = {
        name: (pd.to_datetime(frame[name]) - pd.Timestamp("1970-01-01")).dt.days
        for name, kind in kinds.items()
        if kind == "date"
    }
    return frame.assign(**dates)


if __name__ == "__main__":
    main()
