"""The spec's view of the source: columns dropped, renamed and put into words, and what is known of them beforehand."""

from collections import Counter
from difflib import get_close_matches

import pandas as pd

from pipeline.errors import Mistake
from pipeline.spec import ColumnSpec, Spec
from tabular.infer import Override
from tabular.rule_grammar import Condition
from tabular.rules import Rule
from tabular.schema import Category, Role

TRUE_TEXTS = ("true", "yes", "on")
FALSE_TEXTS = ("false", "no", "off")


def apply(spec: Spec, frame: pd.DataFrame, *, strict: bool = True) -> tuple[pd.DataFrame, dict[str, Override]]:
    """Bring the rows of a source to the columns that the spec asks for.

    Columns that become the target or the privacy unit stay even where `other_columns: drop` does not list them.

    Args:
        spec: The specification.
        frame: Rows as loaded, shape (n, columns of the source).
        strict: Whether a value that the spec has no word for is refused; its text is its word where not.

    Returns:
        The frame, shape (n, columns kept), under the new names, and what the spec says of them, by new name.

    Raises:
        Mistake: If the spec and the columns do not fit together, or there are fewer than two rows.
    """
    source = [str(name) for name in frame.columns]
    mistakes = view_mistakes(spec, source)
    if mistakes:
        raise Mistake("\n".join(mistakes))
    if len(frame) < 2:
        raise Mistake(f"{spec.source.path}: got {len(frame)} rows, wanted at least 2")
    names = _kept(spec, source)
    series: dict[str, pd.Series] = {}
    overrides: dict[str, Override] = {}
    for old, new in names.items():
        given = spec.columns.get(old, ColumnSpec())
        role: Role = "target" if new == spec.target else "unit" if new == spec.unit else "feature"
        series[new] = frame[old] if given.values is None else _words(old, given, frame[old], strict)
        if old in spec.columns or role != "feature":
            overrides[new] = _override(given, role, series[new])
    return pd.DataFrame(series), overrides


def view_mistakes(spec: Spec, source: list[str]) -> list[str]:
    """Say which columns a specification names that there are none of, all at once.

    Args:
        spec: The specification.
        source: Names of the source's columns.
    """
    mistakes = [
        f"columns.{name}: the source has no such column{_nearest(name, source)}"
        for name in spec.columns
        if name not in source
    ]
    names = _kept(spec, source)
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    for both in twice:
        olds = [old for old, new in names.items() if new == both]
        mistakes.append(f"columns: {' and '.join(map(repr, olds))} would all be called {both!r}")
    if not names:
        mistakes.append("columns: every column of the source is dropped")
    roles = (("target", spec.target), ("unit", spec.unit))
    return mistakes + _unknown([(path, name) for path, name in roles if name is not None], names)


def naming_mistakes(spec: Spec, source: list[str]) -> list[str]:
    """Say which columns a specification names anywhere that there are none of: in its view, its secrets and its rules.

    Args:
        spec: The specification.
        source: Names of the source's columns.
    """
    asked = [(f"secrets.{place}", name) for place, name in enumerate(spec.secrets)]
    asked += [
        (f"rules.{place}", name)
        for place, text in enumerate(spec.rules)
        for name in dict.fromkeys(each.column for each in _conditions(Rule.parse(text)))
    ]
    return view_mistakes(spec, source) + _unknown(asked, _kept(spec, source))


def _unknown(asked: list[tuple[str, str]], names: dict[str, str]) -> list[str]:
    """Say which names, each with its path, are none of the columns' new names, by their old ones."""
    mistakes: list[str] = []
    news = list(names.values())
    for path, name in asked:
        if name in news:
            continue
        if name in names:
            mistakes.append(f"{path}: {name!r} is renamed to {names[name]!r}; name it so here too")
        else:
            mistakes.append(f"{path}: there is no column {name!r}{_nearest(name, news)}")
    return mistakes


def _conditions(rule: Rule) -> tuple[Condition, ...]:
    return (*rule.sentence.given, *rule.sentence.then)


def _nearest(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1) or [other for other in names if other.lower() == name.lower()]
    return f"; did you mean {near[0]!r}?" if near else ""


def _kept(spec: Spec, source: list[str]) -> dict[str, str]:
    """Return the new name of each column that stays, by its old name, in the source's order."""
    wanted = {spec.target, spec.unit}
    names: dict[str, str] = {}
    for name in source:
        given = spec.columns.get(name)
        if (given is None and (spec.other_columns == "keep" or name in wanted)) or (given and not given.drop):
            names[name] = given.rename if given is not None and given.rename is not None else name
    return names


def _words(name: str, given: ColumnSpec, column: pd.Series, strict: bool) -> pd.Series:
    """Put words in the place of values; missing stays missing."""
    words = given.values or {}
    present = pd.Series(column.dropna().unique())
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    by_key = {_key(value, numeric): word for value, word in words.items()}
    found = {value: by_key.get(_key(value, numeric), given.otherwise) for value in present.tolist()}
    unnamed = [value for value, word in found.items() if word is None]
    if unnamed and not strict:
        found |= {value: f"{value:.15g}" if numeric else str(value) for value in unnamed}
    elif unnamed:
        listed = ", ".join(map(repr, unnamed[:5])) + (", ..." if len(unnamed) > 5 else "")
        raise Mistake(f"columns.{name}.values: names no word for {listed}; name them, or set `otherwise`")
    return column.astype(object).where(column.notna(), None).map(found, na_action="ignore")


def _key(value: Category, numeric: bool) -> Category:
    """Return what makes two spellings of a value equal: 1, 1.0 and true in a number column, yes and true in text.

    YAML reads a bare `yes` as true, so a true key must find the text "yes".
    """
    if numeric:
        try:
            return float(value)
        except ValueError:
            return str(value)
    text = str(value)
    if text.lower() in TRUE_TEXTS:
        return True
    return False if text.lower() in FALSE_TEXTS else text


def _override(given: ColumnSpec, role: Role, column: pd.Series) -> Override:
    """Say beforehand what schema inference need not find; words become categories in the order that the spec has."""
    categories, kind = given.categories, given.kind
    if given.values is not None:
        kind = kind or "categorical"
        order = dict.fromkeys([*given.values.values(), *([given.otherwise] if given.otherwise is not None else [])])
        present = set(column.dropna().unique())
        categories = categories or tuple(word for word in order if word in present)
    return Override(
        kind=kind,
        role=role,
        sensitive=given.sensitive,
        categories=categories,
        minimum=given.minimum,
        maximum=given.maximum,
        nullable=given.nullable,
        decimals=given.decimals,
    )
