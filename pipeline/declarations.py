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
        Mistake: If it names a column that there is not, or one that no audit looks at: all mistakes at once.
    """
    if spec is None:
        return Declared()
    mistakes = declared_mistakes(spec, schema)
    if mistakes:
        raise Mistake("\n".join(mistakes))
    rules = tuple(Rule.parse(text) for text in spec.rules)
    return Declared(rules=rules, secrets=spec.secrets, analyses=spec.analyses)


def declared_mistakes(spec: Spec, schema: Schema) -> list[str]:
    """Say what a specification declares that makes no sense for a table of that schema, each with its path."""
    mistakes: list[str] = []
    known = {column.name for column in schema.modelled}
    for place, name in enumerate(spec.secrets):
        if name not in known:
            mistakes.append(f"secrets.{place}: got {name!r}, wanted one of {', '.join(sorted(known))}")
    for place, formula in enumerate(spec.analyses):
        try:
            parsed(formula, schema)
        except NotComputable as error:
            mistakes.append(f"analyses.{place}: {error}")
    return mistakes + rule_mistakes(spec.rules, schema)


def fitting(rules: Sequence[str], schema: Schema) -> tuple[Rule, ...]:
    """Return a specification's rules, each of which makes sense for a table of that schema.

    Raises:
        Mistake: If one does not: it names a column or category that is not there, or compares what cannot be compared.
    """
    mistakes = rule_mistakes(rules, schema)
    if mistakes:
        raise Mistake("\n".join(mistakes))
    return tuple(Rule.parse(text) for text in rules)


def rule_mistakes(rules: Sequence[str], schema: Schema) -> list[str]:
    """Say which rules make no sense for a table of that schema, each with its path."""
    mistakes: list[str] = []
    for place, text in enumerate(rules):
        try:
            Rule.parse(text).check(schema)
        except ValueError as error:
            mistakes.append(f"rules.{place}: {error}")
    return mistakes
