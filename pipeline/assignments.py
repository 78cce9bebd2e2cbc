"""The command line's `name=value` texts."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from pipeline.errors import Mistake


def pairs(given: Sequence[str] | None, option: str) -> dict[str, str]:
    """Split texts at their first `=`.

    Raises:
        Mistake: If one has none, or no name before it.
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise Mistake(f"{option} {text!r}: wanted name=value")
        found[name.strip()] = value.strip()
    return found


def values(given: Sequence[str] | None) -> Mapping[str, JsonValue]:
    """Read the values of `--set` as YAML: `3` is a number, `[gmm, vae]` a list.

    Raises:
        Mistake: If one is not a value.
    """
    import yaml

    read: dict[str, JsonValue] = {}
    for name, value in pairs(given, "--set").items():
        try:
            read[name] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:
            raise Mistake(f"--set {name}: {value!r} is not a value: {' '.join(str(error).split())}") from error
    return read
