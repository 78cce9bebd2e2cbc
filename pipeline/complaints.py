"""What is wrong with a specification beyond its types: settings of families, impossible combinations, metrics."""

from collections.abc import Container, Iterator, Mapping

import yaml
from pydantic import JsonValue, ValidationError

from pipeline.registry import families, family, metric, metrics


def sentence(place: tuple[int | str, ...], message: str, got: object) -> str:
    """Return one mistake as a sentence: its path in the file, what is wrong, what was got."""
    path = ".".join(str(part) for part in place)
    shown = "" if isinstance(got, dict) else f" (got {got!r})"
    return f"{path or 'the file'}: {message[:1].lower()}{message[1:]}{shown}"


def twice_mistakes(text: str) -> Iterator[str]:
    """Say which settings stand twice in a YAML text; of two YAML itself silently takes the last."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    waiting: list[tuple[tuple[str, ...], yaml.Node | None]] = [((), root)]
    known: set[int] = set()
    while waiting:
        place, node = waiting.pop(0)
        if not isinstance(node, yaml.MappingNode) or id(node) in known:
            continue
        known.add(id(node))  # an alias may lie within what it names
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                lines = f"line {line}" if line == seen[name] else f"lines {seen[name]} and {line}"
                yield f"{'.'.join((*place, name))}: stands twice, in {lines}"
            seen[name] = line
            waiting.append(((*place, name), value))


def model_mistakes(given: object, only: Container[str]) -> list[str]:
    """Check every family's settings against the class that they configure."""
    mistakes: list[str] = []
    for name, settings in given.items() if isinstance(given, dict) else ():
        if name not in families():
            mistakes.append(f"models.{name}: there is no such family; there are {', '.join(families())}")
            continue
        if name not in only:
            continue
        try:
            family(name).Config.model_validate({} if settings is None else settings)
        except ValidationError as error:
            mistakes += [
                sentence(("models", name, *line["loc"]), line["msg"], line.get("input")) for line in error.errors()
            ]
    return mistakes


def combination_mistakes(tree: Mapping[str, JsonValue]) -> list[str]:
    """Check settings that exclude one another, whatever else is wrong."""
    mistakes: list[str] = []
    target, unit, columns = (tree.get(name) for name in ("target", "unit", "columns"))
    if tree.get("task") is not None and target is None:
        mistakes.append("task: there is no target to predict")
    if target is not None and target == unit:
        mistakes.append(f"unit: {unit!r} is the target; a privacy unit is never predicted")
    mistakes += secret_mistakes(tree.get("secrets"), unit)
    taken: dict[JsonValue, str] = {}
    for name, given in columns.items() if isinstance(columns, dict) else ():
        if not isinstance(given, dict):
            continue
        low, high = given.get("minimum"), given.get("maximum")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            mistakes.append(f"columns.{name}.minimum: {low} is above the maximum, {high}")
        if given.get("otherwise") is not None and not given.get("values"):
            mistakes.append(f"columns.{name}.otherwise: there are no values to be other than")
        renamed = given.get("rename") or name
        if not given.get("drop") and taken.setdefault(renamed, name) != name:
            mistakes.append(f"columns.{name}.rename: {taken[renamed]!r} is called {renamed!r} already")
        if given.get("drop") and renamed in (target, unit):
            mistakes.append(f"columns.{name}.drop: it is the {'target' if renamed == target else 'unit'}")
    return mistakes


def secret_mistakes(secrets: object, unit: JsonValue) -> list[str]:
    """Check that no secret is named twice, and none is the privacy unit."""
    mistakes: list[str] = []
    seen: dict[object, int] = {}
    for place, name in enumerate(secrets if isinstance(secrets, list) else ()):
        if isinstance(name, str) and seen.setdefault(name, place) != place:
            mistakes.append(f"secrets.{place}: {name!r} is named already by secrets.{seen[name]}")
        if name is not None and name == unit:
            mistakes.append(f"secrets.{place}: {name!r} is the unit, which no audit looks at")
    return mistakes


def metric_mistakes(tree: Mapping[str, JsonValue]) -> list[str]:
    """Check that demands and the choice name metrics that exist, and fit their direction."""
    mistakes: list[str] = []
    demands = tree.get("demands")
    for name, demand in demands.items() if isinstance(demands, dict) else ():
        if name not in metrics():
            mistakes.append(f"demands.{name}: there is no such metric; there are {', '.join(metrics())}")
            continue
        better = metric(name).better
        if better == "none":
            mistakes.append(f"demands.{name}: this metric is reported only and may not be a gate")
        keys = {key for key, value in demand.items() if value is not None} if isinstance(demand, dict) else set()
        for wrong, direction in (("at_least", "lower"), ("at_most", "higher")):
            if better == direction and wrong in keys:
                mistakes.append(f"demands.{name}.{wrong}: {direction} is better here")
        if better == "higher" and "times_reference" in keys:
            mistakes.append(f"demands.{name}.times_reference: higher is better here; use from_reference or at_least")
    choose = tree.get("choose")
    chosen = choose.get("metric") if isinstance(choose, dict) else None
    if isinstance(chosen, str) and chosen not in metrics():
        mistakes.append(f"choose.metric: there is no metric {chosen!r}; there are {', '.join(metrics())}")
    return mistakes
