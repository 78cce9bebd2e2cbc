"""policies/<name>.yaml: the gates of a kind of use, and which of them a table can be asked."""

import hashlib
import json
from collections.abc import Container, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import yaml
from pydantic import JsonValue, ValidationError

from audit.core import Declared, Metric, Need
from audit.report.document import NotAsked, Waiver
from audit.report.document import Policy as Record
from pipeline.complaints import metric_mistakes, sentence
from pipeline.errors import Mistake
from pipeline.gates import Asked
from pipeline.registry import metric, metrics
from pipeline.spec import ALL, Demand, Name, Part, Spec
from pipeline.steps import CODE
from pipeline.terminal import say
from pipeline.verdicts import SELF_TEST
from tabular.schema import Schema

FOLDER = "policies"
LONGEST = timedelta(days=366)
DEEP: dict[str, Demand] = {
    "privacy.canaries": Demand(at_most=0.2, fails_beyond=1),
    "privacy.shadow_models": Demand(at_most=0.2, fails_beyond=1),
}


class Policy(Part):
    """A named set of gates.

    Attributes:
        name: Its name, that of its file.
        purpose: What rows that pass it are for.
        gates: What each metric (`question.name`) must show.
    """

    name: Name
    purpose: str
    gates: dict[str, Demand]


def policies(root: Path) -> tuple[str, ...]:
    """Return the names of all policies, the project's own and those that come with the program."""
    return tuple(sorted({path.stem for folder in _folders(root) for path in folder.glob("*.yaml")}))


def policy(name: str, root: Path) -> Policy:
    """Read a policy of the program, or of the project's own `policies/`.

    A project's policy says what it demands beyond privacy and validity: the program's gates of these are asked in any
    case (`asked`).

    Raises:
        Mistake: If there is no such policy, or it is wrong: one line per mistake, each with its path.
    """
    found = [folder / f"{name}.yaml" for folder in _folders(root)]
    path = next((path for path in found if path.exists()), None)
    if path is None:
        raise Mistake(f"policy {name!r}: there is no such policy; there are {', '.join(policies(root))}")
    return _read(path, path.read_text(encoding="utf-8"))


def asked(
    given: Policy, spec: Spec | None, schema: Schema, declared: Declared, *, deep: bool = False
) -> tuple[tuple[Asked, ...], tuple[NotAsked, ...]]:
    """Return the gates that count for a table, and those that it gives nothing to judge by.

    A specification's own demands come on top of the policy's: the stricter of two decides, so none can be loosened but
    by a waiver, which is of the policy's gate alone. A demand of the specification is asked whatever the table has.

    Raises:
        Mistake: If a waiver is of a gate that there is none of.
    """
    own = {} if spec is None else spec.demands
    waivers: Mapping[str, Waiver] = {} if spec is None else spec.waivers
    gates = given.gates | (DEEP if deep else {})
    floor = {name: demand for name, demand in always().items() if gates.get(name) != demand}
    for name in waivers:
        if name not in gates and name not in floor:
            known = ", ".join([*gates, *floor])
            raise Mistake(f"waivers.{name}: policy {given.name!r} has no such gate; there are {known}")
    wanted: list[Asked] = []
    moot: list[NotAsked] = []
    for name, demand in [*gates.items(), *floor.items()]:
        reason = lacking(metric(name), schema, declared)
        if reason is None:
            wanted.append(Asked(name, demand, "policy", waivers.get(name)))
        else:
            moot.append(NotAsked(metric=name, reason=reason))
    for name in [name for name in SELF_TEST if name not in gates and name not in floor]:
        reason = lacking(metric(name), schema, declared)
        moot += [] if reason is None else [NotAsked(metric=name, reason=reason)]
    wanted += [Asked(name, demand, "specification") for name, demand in own.items()]
    return tuple(wanted), tuple(moot)


def load_checked(
    path: Path, root: Path, changes: Mapping[str, JsonValue] | None = None, only: Container[str] = ALL
) -> Spec:
    """Read a specification whose policy and waivers are right too; say which waivers have expired.

    Raises:
        SpecError: With every mistake in it, one a line.
    """
    today = datetime.now(UTC).date()
    spec = Spec.load(path, changes, only, lambda tree: policy_mistakes(tree, root, today))
    for warning in expired(spec, today):
        say(warning)
    return spec


def policy_mistakes(tree: Mapping[str, JsonValue], root: Path, today: date) -> list[str]:
    """Say what is wrong with a specification's policy and waivers, as far as it can be known without the table.

    Args:
        tree: The specification as plain values, which need not be right.
        root: The project's folder.
        today: The day on which waivers are looked at.
    """
    mistakes: list[str] = []
    name, waivers = tree.get("policy", Spec.model_fields["policy"].default), tree.get("waivers")
    gates: Mapping[str, Demand] | None = None
    if isinstance(name, str) and name not in policies(root):
        mistakes.append(f"policy: there is no policy {name!r}; there are {', '.join(policies(root))}")
    elif isinstance(name, str):
        try:
            gates = policy(name, root).gates | always() | (DEEP if tree.get("deep") is True else {})
        except Mistake as mistake:
            mistakes += str(mistake).splitlines()
    for waived, given in waivers.items() if isinstance(waivers, dict) else ():
        if gates is not None and waived not in gates:
            mistakes.append(f"waivers.{waived}: policy {name!r} has no such gate; there are {', '.join(gates)}")
        ends = _day(given.get("expires")) if isinstance(given, dict) else None
        if ends is not None and ends > today + LONGEST:
            mistakes.append(
                f"waivers.{waived}.expires: got {ends}, wanted a day until {today + LONGEST}, {LONGEST.days} days from "
                "today: a waiver without an end is none"
            )
    return mistakes


def expired(spec: Spec, today: date) -> tuple[str, ...]:
    """Return a warning for each waiver that has expired."""
    return tuple(
        f"warning: waivers.{name}: expired on {waiver.expires}; the gate counts again"
        for name, waiver in spec.waivers.items()
        if waiver.expires < today
    )


def _day(given: object) -> date | None:
    """Return a day as YAML or its text has it; None where it is none."""
    if isinstance(given, date):
        return given.date() if isinstance(given, datetime) else given
    try:
        return date.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        return None


def record(given: Policy, spec: Spec | None, audits_so_far: int | None) -> Record:
    """Return what the report says of who set the gates."""
    gates = {name: demand.model_dump(mode="json") for name, demand in given.gates.items()}
    own = {} if spec is None else spec.model_dump(mode="json", include={"demands", "waivers"})
    content = json.dumps({"policy": gates, **own}, sort_keys=True)
    return Record(
        name=given.name,
        purpose=given.purpose,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        audits_so_far=audits_so_far,
    )


def lacking(kind: type[Metric], schema: Schema, declared: Declared) -> str | None:
    """Return why a metric has nothing to judge by in such a table; None where it has."""
    target = schema.target
    modelled = schema.modelled
    groups = [column for column in schema.sensitive if column.is_modelled and column.role != "target"]
    sensitive = any(column.is_number or len(column.categories) > 1 for column in groups)
    held: dict[Need, tuple[bool, str]] = {
        "target": (target is not None and target.is_modelled, "no target is declared"),
        "sensitive": (sensitive, "no sensitive column is declared"),
        "secrets": (bool(declared.secrets) or sensitive or target is not None, "no secret is declared"),
        "rules": (bool(declared.rules), "no rule is declared"),
        "analyses": (bool(declared.analyses), "no analysis is declared"),
        "pairs": (len(modelled) >= 2, "there are no two columns to look at together"),
        "codes": (sum(column.is_code for column in modelled) >= 2, "there are no two columns of categories"),
        "refit": (True, ""),
    }
    return next((reason for need in kind.needs for holds, reason in [held[need]] if not holds), None)


def always() -> dict[str, Demand]:
    """Return the gates that every policy has, whatever it says: those of validity and privacy."""
    path = CODE / FOLDER / "structural.yaml"
    given = _read(path, path.read_text(encoding="utf-8"))
    return {name: demand for name, demand in given.gates.items() if name.startswith(("validity.", "privacy."))}


def _folders(root: Path) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((CODE / FOLDER, root.resolve() / FOLDER)))


@cache
def _read(path: Path, text: str) -> Policy:
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Mistake(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    try:
        read = Policy.model_validate(tree)
    except ValidationError as error:
        lines = [f"{path}: {sentence(line['loc'], line['msg'], line.get('input'))}" for line in error.errors()]
        raise Mistake("\n".join(lines)) from error
    mistakes = metric_mistakes({"demands": tree["gates"]})
    if read.name != path.stem:
        mistakes.append(f"name: got {read.name!r}, wanted the name of the file, {path.stem!r}")
    if not read.gates:
        mistakes.append(f"gates: got none, wanted at least one of {', '.join(metrics())}")
    if mistakes:
        raise Mistake("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return read
