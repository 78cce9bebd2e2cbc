"""A commented specification for any source: what was found, why, and what else can be said."""

import re
from pathlib import Path

import pandas as pd
import yaml

from pipeline.errors import Mistake
from pipeline.guesses import guess_target, is_sensitive, repeating_units
from pipeline.registry import families
from pipeline.remarks import about, is_told, spoken
from pipeline.sources import Loaded, load
from pipeline.spec import Source, Spec
from tabular.infer import infer_schema
from tabular.schema import Schema

MOST_COMMENTED = 300
LONGEST_KEY = 1000
DEFAULT_MODELS = ("independent", "bayesian_network", "autoregressive")
POLICY = """\
# The gates that rows must pass to be released: policies/<name>.yaml; structural (possible rows for tests), analytics
# (counting and regressing) or ml (training models). Privacy gates are the same in all of them.
policy: analytics
# demands: { fidelity.detection: { at_most: 0.55 } } # beyond the policy's; they tighten and never loosen it
# waivers: { bias.group_prevalence: { reason: why, author: who, expires: 2027-06-30 } } # gates that shall not count
# secrets: [COLUMN] # what an attacker would like to know; the sensitive columns and the target where none is named
# analyses: ["COLUMN ~ COLUMN + COLUMN"] # regressions that will be run on the rows
# rules: ["if COLUMN = VALUE then COLUMN >= VALUE"] # what every row must keep
"""
TAIL = """\
# Of several accepted models, this metric picks the one to release.
choose: { metric: fidelity.detection }

release:
  enabled: true # false: judge only, publish nothing
  remote: data/remote # a folder, or a URL that DVC knows (s3://bucket/path)

schedule: null # a cron expression or "@weekly"; null runs by hand only
seed: 0 # the same seed gives the same rows
"""


def profile(source: Source, name: str, root: Path) -> str:
    """Read a source and write a specification of it that runs as it is.

    Args:
        source: Where the rows are; a path that is not there under `root` may be relative to the current folder.
        name: Name of the specification.
        root: The project's folder.

    Returns:
        YAML with comments, which `Spec.load` reads.

    Raises:
        Mistake: If the source cannot be read or makes no specification.
    """
    placed = source.model_copy(update={"path": _placed(source.path, root)})
    loaded = load(placed, root)
    try:
        schema = infer_schema(loaded.frame, {})
    except ValueError as error:
        raise Mistake(f"{source.path}: {error}") from error
    target = guess_target(schema, loaded.frame)
    text = "\n".join(
        [
            _head(name, placed, loaded),
            _columns(schema, loaded.frame),
            _roles(schema, loaded.frame, target),
            _models(),
            _rows(loaded),
            POLICY,
            TAIL,
        ]
    )
    Spec.of(yaml.safe_load(text), f"specs/{name}.yaml")
    return text


def _placed(path: str, root: Path) -> str:
    """Return a local path relative to the project where it lies inside it, else absolute; URLs as they are."""
    if "://" in path or "${" in path:
        return path
    plain = Path(path).expanduser()
    full = root / plain if (root / plain).exists() or not plain.exists() else plain.resolve()
    resolved = full.resolve()
    return str(resolved.relative_to(root.resolve())) if resolved.is_relative_to(root.resolve()) else str(resolved)


def _scalar(value: object) -> str:
    """Write one value as YAML that reads back as the same value, on one line."""
    if isinstance(value, str) and re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]", value):
        return _quoted(value)
    return yaml.safe_dump(value, allow_unicode=True, width=float("inf")).removesuffix("...\n").strip("\n")


def _quoted(value: str) -> str:
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf")).strip("\n")


def _comment(text: str) -> str:
    """Return text that is safe behind a `#`: one line, printable, not long."""
    plain = "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
    return plain if len(plain) <= 160 else plain[:157] + "..."


def _head(name: str, source: Source, loaded: Loaded) -> str:
    lines = [
        f"# {loaded.rows:,} rows and {loaded.frame.shape[1]:,} columns, profiled by `lookalike init`.",
        "# Every line may be changed; a wrong one is refused by name. What is left out is found anew at each run.",
        "# Comments are safe to share: ranges are rounded outwards, categories named if 10 rows or more hold them.",
        f"name: {_scalar(name)}",
        "",
        "source:",
        f"  path: {_scalar(source.path)}",
    ]
    given = source.model_dump(mode="json", exclude_defaults=True, exclude={"path", "sha256"})
    lines += [
        f"  {key}: {yaml.safe_dump(value, default_flow_style=True, width=float('inf')).strip()}".removesuffix("\n...")
        for key, value in given.items()
    ]
    if source.query is None:
        lines.append(f"  # sha256: {loaded.sha256} # as a setting it refuses any other bytes")
    lines += [f"  # {_comment(spoken(note, loaded.frame))}" for note in loaded.notes]
    return "\n".join(lines) + "\n"


def _columns(schema: Schema, frame: pd.DataFrame) -> str:
    lines = [
        "# Kinds: continuous, integer, semicontinuous (spikes), categorical, boolean, ordinal (categories in order),",
        "# datetime, date, duration, identifier (made anew), text (left out), constant. Also: drop, rename, values,",
        "# otherwise, sensitive, categories, minimum, maximum, nullable, decimals.",
        "columns:",
    ]
    for place, column in enumerate(schema.columns):
        said: dict[str, object] = {"kind": column.kind}
        if is_sensitive(column):
            said["sensitive"] = True
        if column.kind == "ordinal" and is_told(frame[column.name]):
            said["categories"] = list(column.categories)
        if column.kind == "constant" and not column.categories:
            said = {}
        values = ", ".join(f"{key}: {_flow(value)}" for key, value in said.items())
        comment = f" # {_comment(about(column, frame[column.name]))}" if place < MOST_COMMENTED else ""
        lines.append(
            f"  {_key(column.name)}: {{ {values} }}{comment}" if said else f"  {_key(column.name)}: {{}}{comment}"
        )
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """Write a column's name as a mapping key: quoted wherever plain text would not read back as it."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) is not None
    key = name if plain and yaml.safe_load(name) == name else _quoted(name)
    return key if len(key) <= LONGEST_KEY else f"? {key}\n  "


def _flow(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.strip("\n").removesuffix("...").strip("\n")


def _roles(schema: Schema, frame: pd.DataFrame, target: str | None) -> str:
    lines = ["other_columns: keep # of columns that are not listed above", ""]
    if target is None:
        lines += [
            "# The column that downstream models predict; without one, utility is not judged.",
            "# target: COLUMN",
            "# task: classification # or regression",
        ]
    else:
        kind = schema[target].kind
        task = "classification" if schema[target].is_code else "regression"
        lines += [
            f"target: {_scalar(target)} # guessed by its name; the column that downstream models predict",
            f"task: {task} # for it is {kind}",
        ]
    lines += [
        "",
        "# The privacy unit: a column that names the person (household, patient) behind a row. Its rows stay on one",
        "# side of the split. Without it every row counts as one person.",
        "# unit: COLUMN",
    ]
    lines += [
        f"# Column {_comment(repr(name))} repeats like one: {_comment(why)}"
        for name, why in repeating_units(schema, frame)
    ]
    lines += ["holdout: 0.3 # share of rows, by unit, that no model ever sees", ""]
    return "\n".join(lines)


def _models() -> str:
    known = families()
    chosen = [name for name in DEFAULT_MODELS if name in known]
    lines = ["# Families to train, each with its settings; `lookalike models` lists them.", "models:"]
    lines += [f"  {name}: {{}}" for name in chosen]
    lines += [f"  # {name}: {{}}" for name in known if name not in chosen]
    return "\n".join(lines) + "\n"


def _rows(loaded: Loaded) -> str:
    return "rows: null # synthetic rows; null for as many as training rows\n"
