"""Asks mostlyai-qa about one release: a line of JSON per figure, written as soon as it is there."""

import json
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

# Its embedding model comes in its wheel; nothing needs to be asked for over the network.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mostlyai import qa  # noqa: E402


def main() -> None:
    """Read the folder, make the one report that holds all figures."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    np.random.seed(0)  # noqa: NPY002 - the tool draws from the global generator
    warnings.simplefilter("ignore")
    kinds = json.loads((folder / "about.json").read_text(encoding="utf-8"))["kinds"]
    train, holdout, synthetic = (read(folder / f"{part}.csv", kinds) for part in ("train", "holdout", "synthetic"))
    start = time.perf_counter()
    with out.open("w", encoding="utf-8") as lines, tempfile.TemporaryDirectory() as place:
        versions = {name: version(name) for name in ("mostlyai-qa", "torch", "transformers", "model2vec")}
        lines.write(json.dumps({"versions": versions}) + "\n")
        lines.flush()
        try:
            _, found = qa.report(
                syn_tgt_data=synthetic,
                trn_tgt_data=train,
                hol_tgt_data=holdout,
                report_path=Path(place) / "report.html",
            )
            accuracy, similarity, distances = found.accuracy, found.similarity, found.distances
            figures: dict[str, dict[str, object]] = {
                # Of the maximum that it expects of a holdout of the same size: its own reference.
                "accuracy": {"value": accuracy.overall - accuracy.overall_max},
                "trivariate accuracy": {"value": accuracy.trivariate - accuracy.trivariate_max},
                "discriminator AUC": {"value": similarity.discriminator_auc_training_synthetic},
                "DCR share": {"value": distances.dcr_share},
                "identical matches": {"value": distances.ims_training - distances.ims_holdout},
            }
        except Exception as reason:
            figures = {"report": {"failed": f"{type(reason).__name__}: {reason}"[:200]}}
        seconds = (time.perf_counter() - start) / len(figures)
        for name, figure in figures.items():
            lines.write(json.dumps({"figure": name, **figure, "seconds": seconds}) + "\n")


def read(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """Read texts as texts and dates as dates."""
    text = {name: str for name, kind in kinds.items() if kind == "category"}
    frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name, kind in kinds.items() if kind == "date"})


if __name__ == "__main__":
    main()
