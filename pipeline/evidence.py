"""What an audit of one model looks at, read from the run's folder."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from audit.core import Evidence, Names
from pipeline.declarations import declared
from pipeline.making import real_rows, schema_of
from pipeline.spec import Spec
from pipeline.workspace import Workspace
from tabular.schema import Schema
from tabular.table import Table


def gather(workspace: Workspace, name: str, spec: Spec) -> Evidence:
    """Read what an audit of one model looks at."""
    schema = schema_of(workspace).published
    rows = pq.read_table(workspace.synthetic(name)).to_pandas(date_as_object=False)
    synthetic, broken = Table.coerce(schema, rows)
    real = [real_rows(workspace, part) for part in ("train", "holdout")]
    mask = np.asarray(broken.to_numpy().any(axis=1))
    known = declared(spec, schema)
    names = names_of(real[0].schema, real[0].frame, real[1].frame, rows)
    train, holdout = (_columns(each, schema) for each in real)
    return Evidence(train, holdout, synthetic, mask, declared=known, seed=spec.seed, names=names)


def names_of(schema: Schema, train: pd.DataFrame, holdout: pd.DataFrame, made: pd.DataFrame) -> tuple[Names, ...]:
    """Return the columns of names and free text that real and synthetic rows both have, which no table models."""
    return tuple(
        Names(column.name, train[column.name], holdout[column.name], made[column.name])
        for column in schema.columns
        if not column.is_modelled and column.name in made and column.name in train
    )


def _columns(table: Table, schema: Schema) -> Table:
    return Table(schema, table.frame[list(schema.names)])
