"""What a specification declares beforehand, held against the schema: rules, secrets, analyses."""

from collections.abc import Sequence

from audit.core import Declared, NotComputable
from audit.regression import parsed
from pipeline.errors import Mistake
from pipeline.spec import Spec
from tabular.rules import Rule
from tabular.schema import Schema


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
    for place, formula in enumerate(spec.analyses):
        try:
            parsed(formula, schema)
        except NotComputable as error:
            raise Mistake(f"analyses.{place}: {error}") from error
    return Declared(rules=fitting(spec.rules, schema), secrets=spec.secrets, analyses=spec.analyses)


def fitting(rules: Sequence[str], schema: Schema) -> tuple[Rule, ...]:
    """Return a specification's rules, each of which makes sense for a table of that schema.

    Raises:
        Mistake: If one does not: it names a column or category that is not there, or compares what cannot be compared.
    """
    found = tuple(Rule.parse(text) for text in rules)
    for place, rule in enumerate(found):
        try:
            rule.check(schema)
        except ValueError as error:
            raise Mistake(f"rules.{place}: {error}") from error
    return found
