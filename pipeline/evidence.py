"""What an audit of one model looks at, read from the run's folder."""

import numpy as np
import pyarrow.parquet as pq

from audit.core import Declared, Evidence
from pipeline.checking import published
from pipeline.errors import Mistake
from pipeline.making import real_rows, schema_of
from pipeline.spec import Spec
from pipeline.workspace import Workspace
from tabular.rules import Rule
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


def declared(spec: Spec | None, schema: Schema) -> Declared:
    """Return what a specification declares beforehand, by the schema's names.

    Raises:
        Mistake: If it names a column that there is not, or one that no audit looks at.
    """
    if spec is None:
        return Declared()
    known = {column.name for column in schema.modelled}
    for place, name in enumerate(spec.secrets):
        if name not in known:
            raise Mistake(f"secrets.{place}: got {name!r}, wanted one of {', '.join(sorted(known))}")
    rules = tuple(Rule.parse(text) for text in spec.rules)
    for place, rule in enumerate(rules):
        try:
            rule.check(schema)
        except ValueError as error:
            raise Mistake(f"rules.{place}: {error}") from error
    return Declared(rules=rules, secrets=spec.secrets, analyses=spec.analyses)


def _columns(table: Table, schema: Schema) -> Table:
    return Table(schema, table.frame[list(schema.names)])
