"""The spec's view of the source: columns dropped, renamed and put into words, and what is known of them beforehand."""

from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches

import pandas as pd

from pipeline.errors import Mistake
from pipeline.spec import ColumnSpec, Spec
from tabular.infer import Override
from tabular.schema import Category, Role

TRUE_TEXTS = ("true", "yes", "on")
FALSE_TEXTS = ("false", "no", "off")


def apply(spec: Spec, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Override]]:
    """Bring the rows of a source to the columns that the spec asks for.

    Columns that become the target or the privacy unit stay even where `other_columns: drop` does not list them.

    Args:
        spec: The specification.
        frame: Rows as loaded, shape (n, columns of the source).

    Returns:
        The frame, shape (n, columns kept), under the new names, and what the spec says of them, by new name.

    Raises:
        Mistake: If the spec and the columns do not fit together, or there are fewer than two rows.
    """
    source = [str(name) for name in frame.columns]
    for name in spec.columns:
        if name not in source:
            raise Mistake(f"columns.{name}: the source has no such column{_nearest(name, source)}")
    if len(frame) < 2:
        raise Mistake(f"{spec.source.path}: got {len(frame)} rows, wanted at least 2")
    names = _kept(spec, source)
    _check_roles(spec, names)
    series: dict[str, pd.Series] = {}
    overrides: dict[str, Override] = {}
    for old, new in names.items():
        given = spec.columns.get(old, ColumnSpec())
        role: Role = "target" if new == spec.target else "unit" if new == spec.unit else "feature"
        series[new] = frame[old] if given.values is None else _words(old, given, frame[old])
        if old in spec.columns or role != "feature":
            overrides[new] = _override(given, role, series[new])
    return pd.DataFrame(series), overrides


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
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        olds = [old for old, new in names.items() if new == twice[0]]
        raise Mistake(f"columns: {' and '.join(map(repr, olds))} would all be called {twice[0]!r}")
    if not names:
        raise Mistake("columns: every column of the source is dropped")
    return names


def _check_roles(spec: Spec, names: Mapping[str, str]) -> None:
    for role, name in (("target", spec.target), ("unit", spec.unit)):
        if name is None or name in names.values():
            continue
        if name in names:
            raise Mistake(f"{role}: {name!r} is renamed to {names[name]!r}; name it so here too")
        raise Mistake(f"{role}: there is no column {name!r}{_nearest(name, list(names.values()))}")


def _words(name: str, given: ColumnSpec, column: pd.Series) -> pd.Series:
    """Put words in the place of values; missing stays missing."""
    words = given.values or {}
    present = pd.Series(column.dropna().unique())
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    by_key = {_key(value, numeric): word for value, word in words.items()}
    found = {value: by_key.get(_key(value, numeric), given.otherwise) for value in present.tolist()}
    unnamed = [value for value, word in found.items() if word is None]
    if unnamed:
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
