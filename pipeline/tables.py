"""Runs, audits and families as tables for people."""

import inspect
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from audit.report.document import Document, ModelAudit, Verdict
from models.core.base import Conditional, Density, Latent
from pipeline.errors import Mistake
from pipeline.registry import families, family, metric, metrics
from pipeline.verdicts import SPOKEN
from pipeline.workspace import Workspace, read_json

SIGNS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "inconclusive": ("?", "yellow"),
    "invalid": ("!", "magenta"),
    "accepted": ("✓", "green"),
    "refused": ("✗", "red"),
}


def show_run(console: Console, root: Path, result: Mapping[str, JsonValue]) -> None:
    """Show a run: estimates with their verdicts, report, release, and how to read the rows."""
    audit = result.get("audit")
    if audit is None:
        console.print(f"run {result['run']}: not audited yet")
        return
    document = _document(Path(str(audit)))
    spec, run = str(result["run"]).split("/", 1)
    show_document(console, document)
    console.print(f"report   {result['report']}")
    release, rows = result.get("release"), None
    if isinstance(release, str):
        published = read_json(Workspace(root, spec, run).release)
        rows = published.get("path") if isinstance(published, dict) else None
        console.print(f"release  {release}  (lookalike verify {release})")
    else:
        facts = Workspace(root, spec, run).release
        reason = read_json(facts) if facts.exists() else None
        console.print(f"release  none: {reason.get('reason') if isinstance(reason, dict) else 'not published'}")
        chosen = result.get("model")
        synthetic = result.get("synthetic")
        rows = synthetic.get(str(chosen)) if isinstance(synthetic, dict) else None
    if rows is not None:
        console.print(f"rows     import pandas; pandas.read_parquet({str(rows)!r})")


def show_appraisal(console: Console, folder: Path) -> None:
    """Show the audit that was written to a folder."""
    show_document(console, _document(folder / "audit.json"))
    console.print(f"report   {folder / 'report.html'}")


def show_document(console: Console, document: Document) -> None:
    """Show one audit: a row per metric, a column per model, then verdicts with their reasons."""
    table = RichTable(title=f"{document.run.spec}: {document.inputs.train.rows:,} training rows", title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("real rows", justify="right", no_wrap=True)
    for model in document.models:
        table.add_column(model.name, justify="right", no_wrap=True)
    for question, answers in document.models[0].estimates.items():
        for name in answers:
            cells = [_cell(model, f"{question}.{name}") for model in document.models]
            reference = answers[name].estimate.reference
            table.add_row(f"{question}.{name}", "–" if reference is None else f"{reference:.4g}", *cells)
    table.add_section()
    table.add_row("self-test", "", *(_controls(model) for model in document.models))
    table.add_row("verdict", "", *(_word(model.verdict) for model in document.models))
    console.print(table)
    console.print(
        "real rows: what fresh real rows of the same number score; ✓ ✗ ? !: the demand is met, missed, open, void"
    )
    word = _word(document.verdict)
    console.print(word.append(f" by the policy {document.policy.name!r}", style="dim"))
    for reason in document.reasons:
        console.print(f"  {reason}")


def metric_words() -> JsonValue:
    """Return every metric with its own words."""
    return [
        {
            "name": name,
            "title": kind.title,
            "better": kind.better,
            "ideal": kind.ideal,
            "spread": kind.spread,
            "needs": list(kind.needs),
            "definition": kind.definition,
        }
        for name in metrics()
        for kind in [metric(name)]
    ]


def show_metrics(console: Console) -> None:
    """Show the metrics, a row each."""
    table = RichTable("metric", "better", "needs", "definition", show_lines=True)
    for name in metrics():
        kind = metric(name)
        table.add_row(name, kind.better, ", ".join(kind.needs), Text(kind.definition))
    console.print(table)


def abilities() -> JsonValue:
    """Return every family with what it reads and can do."""
    return [
        {
            "name": name,
            "reads": kind.reads,
            "summary": (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " "),
            "log_prob": issubclass(kind, Density),
            "estimated": issubclass(kind, Density) and kind.estimated,
            "conditional": issubclass(kind, Conditional),
            "latent": issubclass(kind, Latent),
            "settings": kind.Config.model_json_schema(),
        }
        for name in families()
        for kind in [family(name)]
    ]


def show_abilities(console: Console) -> None:
    """Show the families, a row each."""
    table = RichTable("family", "reads", "--given", "log_prob", "latent", "what it is")
    rows = abilities()
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict):
            given = "by itself" if row["conditional"] else "by importance resampling"
            density = "no" if not row["log_prob"] else "estimate" if row["estimated"] else "exact"
            latent = "yes" if row["latent"] else "no"
            table.add_row(str(row["name"]), str(row["reads"]), given, density, latent, Text(str(row["summary"])))
    console.print(table)


def show_latent_space(console: Console, result: Mapping[str, JsonValue]) -> None:
    """Show what a linear model reads off a latent space, a row a column."""
    title = f"{result['run']}: latent space of {result['model']}, {result['rows']:,} holdout rows"
    table = RichTable(title=title, title_justify="left")
    table.add_column("column")
    for name in ("measure", "from the latent codes", "from the other columns", "constant"):
        table.add_column(name, justify="right", no_wrap=True)
    probes = result["probes"]
    for probe in probes if isinstance(probes, list) else []:
        if isinstance(probe, dict):
            figures = (_between(probe[key]) for key in ("latent", "others"))
            table.add_row(Text(str(probe["column"])), str(probe["measure"]), *figures, _short(probe["constant"]))
    console.print(table)
    shares, between = result["directions"], result["between_colors"]
    if isinstance(shares, list) and isinstance(between, float):
        first, second = (100 * float(str(share)) for share in shares)
        console.print(
            f"codes of {result['width']} numbers; two directions hold {first:.1f} % and {second:.1f} % of their "
            f"variance; {100 * between:.1f} % of the spread there lies between the values of {result['color']}"
        )
    console.print("the latent codes were made from the whole row, the column itself included; the other columns leave")
    console.print("it out; 95 % intervals, cross-validated over five folds of the holdout")
    if result["page"] is not None:
        console.print(f"wrote {result['page']}: it shows where real rows lie; do not publish it")


def _between(figure: JsonValue) -> str:
    if not isinstance(figure, dict):
        return "–"
    return f"{_short(figure['value'])} [{_short(figure['low'])}, {_short(figure['high'])}]"


def _short(value: JsonValue) -> str:
    return f"{float(str(value)):.3f}"


def _document(path: Path) -> Document:
    try:
        return Document.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Mistake(f"{path}: holds no audit that can be read: {error}") from error


def _cell(model: ModelAudit, metric: str) -> Text:
    answer = model.answer(metric)
    if answer is None or answer.estimate.value is None:
        return Text("not computed", style="dim")
    gates = [gate for gate in model.gates if gate.metric == metric]
    text = Text(f"{answer.estimate.value:.4g}")
    for gate in gates:
        sign, colour = SIGNS[gate.verdict]
        text.append(f" {sign}", style=colour)
        text.append(" waived" if gate.waiver is not None else "", style="dim")
    return text


def _controls(model: ModelAudit) -> Text:
    """Return how many controls went as they must."""
    right = sum(control.right is True for control in model.controls)
    wrong = any(control.right is False for control in model.controls)
    colour = "red" if wrong else "green" if right == len(model.controls) else "yellow"
    return Text(f"{right} of {len(model.controls)} right", style=colour)


def _word(verdict: Verdict) -> Text:
    sign, colour = SIGNS[verdict]
    return Text(f"{sign} {SPOKEN[verdict]}", style=colour)
