"""Who takes part: rows that show what figures mean, this project's families, and peers in their own environments."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.board import ours, workers
from benchmarks.board.cells import DONE, ROOT, Cell, Store, key_of
from benchmarks.board.measures import Judged, libraries, measured
from benchmarks.board.tables import Split, read, write
from benchmarks.peers.environments import python_of
from tabular.table import Table

HERE = ROOT / "benchmarks" / "board"
ANCHORS = {
    "fresh real rows": "one half of the holdout, against the other",
    "bootstrap": "training rows drawn with replacement",
    "shuffled columns": "each training column shuffled by itself",
}
# By peer, the file of pinned versions, and what is taken out again because it does not go with these versions of torch.
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sdv_gaussian_copula": ("sdv", ()),
    "sdv_tvae": ("sdv", ()),
    "sdv_ctgan": ("sdv", ()),
    "tabular_argn": ("mostlyai-engine", ("torchvision", "torchaudio")),
    "arfpy": ("arfpy", ()),
    "nrgboost": ("nrgboost", ()),
}


class Terms(NamedTuple):
    """What is the same for all.

    Attributes:
        minutes: Budget of a training, and of a drawing.
        threads: Threads of each.
        seed: Where random numbers come from.
        epochs: Epochs, or rounds, of peers; None for their defaults.
    """

    minutes: float
    threads: int
    seed: int
    epochs: int | None


class Contest:
    """Trains and measures on one table, and keeps what it finds."""

    def __init__(self, table: str, parts: Split, terms: Terms, store: Store, tell: Callable[[str], None]) -> None:
        self.table, self.parts, self.terms, self.store, self.tell = table, parts, terms, store, tell
        self.measuring = key_of(
            {**libraries(), "seed": terms.seed, "rows": parts.digest}, [HERE / "measures.py", HERE / "tables.py"]
        )

    def take(self, model: str, side: str) -> Cell:
        """Return what is known of one generator, found out now as far as it is not known."""
        minutes = 0 if side == "anchor" else self.terms.minutes
        key = self._key(model, side)
        cell = self.store.known(Cell(table=self.table, model=model, side=side, key=key, minutes=minutes))
        if not cell.drawn and not cell.out_of_budget:
            cell = self._anchor(cell) if side == "anchor" else self._made(cell)
            self.store.keep(cell)
        if cell.ended == DONE and cell.measured != self.measuring:
            cell = self._measured(cell)
            self.store.keep(cell)
        return cell

    def _key(self, model: str, side: str) -> str:
        facts = {"model": model, "side": side, "rows": self.parts.digest, "seed": self.terms.seed}
        if side == "anchor":
            return key_of(facts, [])
        facts["threads"] = self.terms.threads
        if side == "peer":
            facts["epochs"] = self.terms.epochs or 0
            return key_of(facts, [HERE / "peer.py", HERE / f"{PEERS[model][0]}.txt"])
        return key_of(facts, [HERE / "ours.py", ROOT / "models" / f"{model}.py"])

    def _made(self, cell: Cell) -> Cell:
        """Train, in a process of its own, and draw as many rows as there are training rows."""
        python, missing = Path(sys.executable), None
        wish: dict[str, object] = {"rows": len(self.parts.train), **self.terms._asdict()}
        if cell.side == "peer":
            pins, removed = PEERS[cell.model]
            self.tell(f"{cell.table}, {cell.model}: environment {pins}")
            python, missing = python_of(pins, HERE / f"{pins}.txt", removed)
        else:
            wish["settings"] = ours.settings_of(cell.model, self.terms.minutes, self.terms.threads)
        if missing:
            return cell.model_copy(update={"ended": missing})
        self.tell(f"{cell.table}, {cell.model}: training")
        with tempfile.TemporaryDirectory() as name:
            folder, out, scratch = (Path(name) / part for part in ("given", "out", "scratch"))
            for each in (folder, out, scratch):
                each.mkdir()
            self._lay_out(folder, cell.side == "ours")
            wish["scratch"] = str(scratch)
            command = (
                workers.ours(cell.model, folder, out, wish)
                if cell.side == "ours"
                else workers.peer(python, cell.model, folder, out, wish)
            )
            made = workers.run(cell, command, out, self.terms.minutes, self.terms.threads)
            if made.ended == DONE:
                shutil.copy(out / "rows.csv", self.store.rows(made))
            return made

    def _lay_out(self, folder: Path, with_holdout: bool) -> None:
        schema = self.parts.train.schema
        write(self.parts.train, folder / "train.csv")
        (folder / "schema.json").write_text(schema.model_dump_json(), encoding="utf-8")
        codes = [column.name for column in schema.columns if column.is_code]
        (folder / "about.json").write_text(json.dumps({"codes": codes}), encoding="utf-8")
        if with_holdout:
            write(self.parts.holdout, folder / "holdout.csv")

    def _anchor(self, cell: Cell) -> Cell:
        rows = anchor(cell.model, self.parts, np.random.default_rng([self.terms.seed, 7]))
        write(rows.synthetic, self.store.rows(cell))
        return cell.model_copy(update={"drawn": len(rows.synthetic)})

    def _measured(self, cell: Cell) -> Cell:
        train, holdout = self.parts.train, self.parts.holdout
        if cell.side == "anchor":
            holdout = anchor(cell.model, self.parts, np.random.default_rng([self.terms.seed, 7])).holdout
        try:
            synthetic, broken = read(self.store.rows(cell), train.schema)
            self.tell(f"{cell.table}, {cell.model}: measuring")
            figures = measured(Judged(train, holdout, synthetic), self.terms.seed)
        except ValueError as reason:
            return cell.model_copy(update={"ended": f"rows not measured: {str(reason)[:200]}"})
        return cell.model_copy(update={"figures": figures, "measured": self.measuring, "broken": broken})


def anchor(name: str, parts: Split, rng: np.random.Generator) -> Judged:
    """Return the tables of an anchor: real rows whose figures are known beforehand."""
    train, holdout = parts.train, parts.holdout
    if name == "fresh real rows":
        order = rng.permutation(len(holdout))
        return Judged(train, holdout.take(order[::2]), holdout.take(order[1::2]))
    if name == "bootstrap":
        return Judged(train, holdout, train.take(rng.integers(len(train), size=len(train))))
    shuffled = {str(column): values.iloc[rng.permutation(len(train))].array for column, values in train.frame.items()}
    return Judged(train, holdout, Table(train.schema, train.frame.assign(**shuffled)))
