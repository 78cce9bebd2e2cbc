"""The commands of the audit: judge anybody's table, list the metrics, print the shape of audit.json."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import Json, Root, err, folder, out, print_json


def audit(
    real: Annotated[str, typer.Argument(help="Real rows: a file or URL.")],
    synthetic: Annotated[str, typer.Argument(help="Synthetic rows, from any tool.")],
    place: Annotated[Path, typer.Option("--out", help="Folder for report.html and audit.json.")],
    holdout: Annotated[str | None, typer.Option(help="Real rows that the generator never saw.")] = None,
    spec: Annotated[Path | None, typer.Option(help="Specification: columns, target, rules and demands.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="Gates that count: structural, analytics, ml [default: the specification's].")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Attack the specification's model too: train it again.")] = False,
    model: Annotated[str | None, typer.Option(help="Which of its models [default: the only one].")] = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Judge anybody's synthetic table; ends with 0 for PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
    from pipeline.appraisal import Wanted, appraise
    from pipeline.tables import show_appraisal
    from pipeline.verdicts import EXIT_CODES
    from pipeline.watching import watching

    with watching(err) as show:
        result = appraise(folder(root), (real, synthetic, holdout), Wanted(spec, policy, deep, model), place, show)
    if as_json:
        print_json(result)
    else:
        show_appraisal(out, place)
    raise typer.Exit(EXIT_CODES[str(result["verdict"])])


def list_metrics(as_json: Json = False) -> None:
    """List the metrics: what each measures, its range and its source."""
    from pipeline.tables import metric_words, show_metrics

    if as_json:
        print_json(metric_words())
    else:
        show_metrics(out)


def schema() -> None:
    """Print the JSON Schema of audit.json."""
    from audit.report.schema_file import json_schema

    typer.echo(json_schema(), nl=False)
