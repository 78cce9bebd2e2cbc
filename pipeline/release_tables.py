"""Releases, their verification and their differences as tables for people and as plain values for programs."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from pipeline.drifting import Drifted
from pipeline.releases import Release, list_releases
from pipeline.tracing import Change, Check, Difference, verified


def release_rows(root: Path) -> list[dict[str, JsonValue]]:
    """Return every release: its name, run, model, rows, where, when and by whom."""
    return [
        {
            "release": release.name,
            "run": f"{release.manifest.spec}/{release.manifest.run}",
            "model": release.manifest.model,
            "rows": release.manifest.rows,
            "path": str(release.rows),
            "here": release.rows.exists(),
            "when": release.manifest.when.isoformat(),
            "who": release.manifest.who,
            "manifest_sha256": release.manifest_sha256,
            "commit": release.commit,
        }
        for release in list_releases(root)
    ]


def show_releases(console: Console, root: Path) -> None:
    """Show all releases, a row each."""
    releases: Sequence[Release] = list_releases(root)
    if not releases:
        console.print("no releases yet")
        return
    table = RichTable("release", "model", "rows", "run", "when", "who", "here")
    for release in releases:
        said = release.manifest
        table.add_row(
            release.name,
            said.model,
            f"{said.rows:,}",
            said.run,
            f"{said.when:%Y-%m-%d %H:%M}",
            Text(said.who),
            "yes" if release.rows.exists() else "no: dvc pull",
        )
    console.print(table)


def verification(release: str, checks: tuple[Check, ...]) -> dict[str, JsonValue]:
    """Return a verification as plain values."""
    return {
        "release": release,
        "verified": verified(checks),
        "checks": [check.model_dump(mode="json") for check in checks],
    }


def show_verification(console: Console, release: str, checks: tuple[Check, ...]) -> None:
    """Show every hash: what the release says, what is here."""
    table = RichTable("", "what", "the release says", "found here")
    for check in checks:
        sign, colour = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}[check.ok]
        found = "not here" if check.found is None else check.found[:24]
        table.add_row(Text(sign, style=colour), Text(check.what), Text(check.expected[:24]), Text(found))
    console.print(table)
    differing = sum(check.ok is False for check in checks)
    unseen = sum(check.ok is None for check in checks)
    result = f"{differing} differ" if differing else "not verified: its rows are not here; `dvc pull` brings them"
    if verified(checks):
        result = "verified: every hash that can be recomputed here agrees"
    console.print(f"{release}: {result}" + (f" ({unseen} cannot be checked here)" if unseen else ""))


def show_difference(console: Console, a: str, b: str, difference: Difference) -> None:
    """Show what changed, a table for each kind of change."""
    for title, changes in (
        ("settings", difference.settings),
        ("content", difference.content),
        ("code", difference.code),
    ):
        if not changes:
            console.print(f"{title}: no change")
            continue
        table = RichTable(title, a, b)
        for change in changes:
            table.add_row(Text(change.what), *_sides(change))
        console.print(table)
    show_drift(console, a, b, difference.audit)


def show_drift(console: Console, a: str, b: str, drifted: Drifted) -> None:
    """Show what the audit finds now beside what it found: gates, then metrics, what is worse first."""
    gates = RichTable("gate", a, b, "wanted")
    for gate in drifted.gates:
        colour = "" if gate.before == gate.after else "yellow"
        gates.add_row(gate.metric, gate.before or "–", Text(gate.after or "–", style=colour), gate.demand)
    console.print(gates)
    table = RichTable("metric", a, b, "difference", "")
    for drift in drifted.metrics:
        ends = "" if drift.interval is None else f" [{drift.interval.low:.3g}, {drift.interval.high:.3g}]"
        gap = "–" if drift.difference is None else f"{drift.difference:+.3g}{ends}"
        word = Text(drift.word, style={"worse": "red", "better": "green"}.get(drift.word, ""))
        table.add_row(drift.metric, _shown(drift.before), _shown(drift.after), gap, word)
    console.print(table)
    for outside in drifted.outside:
        console.print(Text(outside.sentence))
    console.print(Text(drifted.alarm.sentence, style="red" if drifted.alarm.worse else ""))


def _sides(change: Change) -> tuple[Text, Text]:
    colour = "" if change.before == change.after else "yellow"
    return Text(_shown(change.before)), Text(_shown(change.after), style=colour)


def _shown(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "–" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
