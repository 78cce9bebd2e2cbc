"""Encoder and model as one thing: learns from a table, gives tables, is saved as JSON and safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from models.core.base import Density, GenerativeModel, Monitor
from pipeline.errors import Mistake
from pipeline.registry import family
from pipeline.workspace import replacing_folder
from tabular.encoding import TableEncoder
from tabular.layout import Layout
from tabular.schema import Schema
from tabular.table import Table

FORMAT = 1
DESCRIPTION = "synthesizer.json"
ARRAYS = "state.safetensors"
DRAWS = 8


class Description(BaseModel):
    """What `synthesizer.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    family: str
    settings: dict[str, JsonValue]
    data: Schema
    layout: Layout
    notes: dict[str, float | str] = {}


class Synthesizer:
    """A generative family over tables: rows are encoded, modelled, drawn and decoded.

    Attributes:
        name: Name of the family.
        settings: Its settings; what is not given is the family's default.
    """

    def __init__(self, name: str, settings: Mapping[str, JsonValue], schema: Schema) -> None:
        self.name = name
        self.settings = dict(settings)
        self.kind = family(name)
        self.encoder = TableEncoder(schema, self.kind.reads)
        self.model: GenerativeModel | None = None

    @property
    def schema(self) -> Schema:
        """Schema of the tables that `sample` gives."""
        return self.encoder.output_schema

    @property
    def fitted(self) -> GenerativeModel:
        """The fitted model.

        Raises:
            ValueError: If `fit` or `load` was not called.
        """
        if self.model is None:
            raise ValueError(f"synthesizer {self.name!r}: not fitted")
        return self.model

    def fit(self, table: Table, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Learn from real rows, whatever their order."""
        self.encoder.fit(table)
        model = self.kind(self.kind.Config.model_validate(self.settings), self.encoder.layout)
        rows = table.take(_shuffled(table, rng))
        self.model = model.fit(self.encoder.encode(rows, rng), rng, monitor)
        return self

    def sample(self, n: int, rng: np.random.Generator, first: int = 0) -> Table:
        """Draw n synthetic rows; identifiers are numbered from `first`, so that shards never share one."""
        return self.encoder.decode(self.fitted.sample(n, rng), rng, first)

    def log_prob(self, table: Table, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the log-probability of real rows in nats, shape (n,), at the precision of each column.

        log P(row) = log p(x) + log of what the row stands for in the encoded space, so that families that read codes
        and families that read real numbers compare. Numbers that stand for a stretch of a real block are drawn inside
        it, `DRAWS` times: the mean of p is taken, as for dequantised data.

        Theis, van den Oord & Bethge, A note on the evaluation of generative models, 2015, arXiv:1511.01844.

        Raises:
            Mistake: If the family has no density.
        """
        model = self.fitted
        if not isinstance(model, Density):
            raise Mistake(f"model {self.name!r} has no density: `lookalike models` lists which have")
        drawn = any(block.kind == "real" for block in self.encoder.layout.blocks)
        each = [model.log_prob(self.encoder.encode(table, rng)) for _ in range(DRAWS if drawn else 1)]
        total: NDArray[np.float64] = np.logaddexp.reduce(each, axis=0) - np.log(len(each))
        return total + self.encoder.log_measure(table)

    def save(self, folder: Path) -> None:
        """Write the folder, all or nothing; the same synthesizer gives the same bytes."""
        description = Description(
            family=self.name,
            settings=self.settings,
            data=self.encoder.schema,
            layout=self.encoder.layout,
            notes=self.fitted.notes,
        )
        arrays = {f"encoder/{key}": value for key, value in self.encoder.state().items()}
        arrays |= {f"model/{key}": value for key, value in self.fitted.state().items()}
        with replacing_folder(folder) as partial:
            (partial / DESCRIPTION).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
            (partial / ARRAYS).write_bytes(save(_contiguous(arrays)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved synthesizer.

        Raises:
            Mistake: If the folder does not hold one, or one of another format.
        """
        try:
            description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
            arrays = load_file(folder / ARRAYS)
        except (OSError, ValueError, SafetensorError) as error:
            raise Mistake(f"{folder}: holds no synthesizer that can be read: {error}") from error
        if description.format != FORMAT:
            raise Mistake(f"{folder}: synthesizer of format {description.format}, this version reads {FORMAT}")
        synthesizer = cls(description.family, description.settings, description.data)
        synthesizer.encoder.load_state(_below(arrays, "encoder/"))
        config = synthesizer.kind.Config.model_validate(description.settings)
        synthesizer.model = synthesizer.kind(config, description.layout).load_state(_below(arrays, "model/"))
        synthesizer.model.notes.update(description.notes)
        return synthesizer


def _shuffled(table: Table, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rows' positions in random order, those of one privacy unit side by side."""
    unit = table.schema.unit
    if unit is None:
        return rng.permutation(len(table))
    numbers, names = pd.factorize(table.frame[unit.name])
    places = rng.permutation(len(names) + 1)  # one more: rows without a unit have the number -1
    return np.argsort(places[numbers], kind="stable")


def _contiguous(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    return {key: np.require(value, requirements="C") for key, value in sorted(arrays.items())}


def _below(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> dict[str, NDArray[np.generic]]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
