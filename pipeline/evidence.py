"""What an audit of one model looks at, read from the run's folder."""

import numpy as np
import pyarrow.parquet as pq

from audit.core import Evidence
from pipeline.checking import published
from pipeline.declarations import declared
from pipeline.making import real_rows, schema_of
from pipeline.spec import Spec
from pipeline.workspace import Workspace
from tabular.schema import Schema
from tabular.table import Table


def gather(workspace: Workspace, name: str, spec: Spec) -> Evidence:
    """Read what an audit of one model looks at."""
    schema = published(schema_of(workspace))
    rows = pq.read_table(workspace.synthetic(name)).to_pandas(date_as_object=False)
    synthetic, broken = Table.coerce(schema, rows)
    train, holdout = (_columns(real_rows(workspace, part), schema) for part in ("train", "holdout"))
    mask = np.asarray(broken.to_numpy().any(axis=1))
    return Evidence(train, holdout, synthetic, mask, declared=declared(spec, schema), seed=spec.seed)


def _columns(table: Table, schema: Schema) -> Table:
    return Table(schema, table.frame[list(schema.names)])
