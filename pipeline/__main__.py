"""The command line: tables for people, `--json` for programs; 2 is the user's mistake, 70 is ours."""

import errno
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from pipeline.assignments import pairs, values
from pipeline.errors import Mistake

app = typer.Typer(
    name="lookalike",
    help="Synthetic tables, generated, audited and released by a pipeline that anyone can trace and verify.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
WIDTH = None if sys.stdout.isatty() else 140
out = Console(highlight=False, markup=False, soft_wrap=True, width=WIDTH)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=WIDTH)
OURS = 70  # EX_SOFTWARE; 1, 3 and 4 are verdicts
PLACES_TROUBLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
)

Root = Annotated[
    Path | None,
    typer.Option(help="The project's folder [default: $LOOKALIKE_ROOT, else the current folder]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="A value in place of the specification's; may be repeated."),
]
SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="Specification, e.g. specs/rand_health.yaml.")]


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="A file, an fsspec URL, or a SQLAlchemy URL.")],
    name: Annotated[str, typer.Option(help="Name of the specification: lower case, digits, underscores.")],
    query: Annotated[str | None, typer.Option(help="SQL, where DATA is a database.")] = None,
    force: Annotated[bool, typer.Option(help="Overwrite specs/NAME.yaml.")] = False,
    root: Root = None,
) -> None:
    """Profile DATA and write specs/NAME.yaml, commented, ready to run."""
    from pipeline.profile import profile
    from pipeline.spec import Source, Spec
    from pipeline.workspace import write_text

    path = _root(root) / "specs" / f"{name}.yaml"
    if path.exists() and not force:
        raise Mistake(f"{path} is there already; --force overwrites it")
    text = profile(Source(path=data, query=query), name, _root(root))
    write_text(path, text)
    spec = Spec.load(path)
    out.print(
        f"wrote {path}: {len(spec.columns)} columns, target {spec.target or 'none'}, models {', '.join(spec.models)}"
    )
    out.print(f"next: lookalike run {path}")


@app.command()
def run(
    spec: SpecFile,
    run: Annotated[str | None, typer.Option(help="Name of the run [default: the time].")] = None,
    changes: Changes = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Go through all stages in this process: from the source to an audited, versioned release."""
    from pipeline.runs import go_through
    from pipeline.tables import show_run
    from pipeline.watching import watching

    with watching(err) as show:
        result, trouble = go_through(spec, _root(root), run, values(changes), show)
    if as_json:
        _print_json(result)
    else:
        show_run(out, _root(root), result)
    if trouble is not None:
        raise trouble


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="ingest, contract, train, generate, check, audit, decide or release.")],
    spec: SpecFile,
    run: Annotated[str, typer.Option(help="Name of the run.")],
    model: Annotated[str | None, typer.Option(help="Family, for train, generate and check.")] = None,
    shard: Annotated[int | None, typer.Option(help="Shard to generate, from 0 [default: all].")] = None,
    question: Annotated[str | None, typer.Option(help="Question to audit [default: all five].")] = None,
    changes: Changes = None,
    root: Root = None,
) -> None:
    """Go through one stage: the door that Airflow and DVC use. Prints one JSON object of names and paths."""
    from pipeline.stages import call
    from pipeline.watching import watching

    with watching(err) as show:
        result = call(
            name,
            spec,
            _root(root),
            run,
            model=model,
            shard=shard,
            question=question,
            changes=values(changes),
            show=show,
        )
    _print_json(result)


@app.command()
def sample(
    source: Annotated[
        str, typer.Argument(metavar="RUN|RELEASE", help="A run (or a spec's name for its latest), or a release.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Rows to draw.")],
    out_file: Annotated[Path, typer.Option("--out", help="File to write: .parquet, .csv, .csv.gz, .jsonl or .arrow.")],
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Value that every row must hold; may be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model of the run [default: the chosen one].")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    root: Root = None,
) -> None:
    """Draw more rows from a run's synthesizer, also with some columns given."""
    from pipeline.drawing import draw

    drawn = draw(_root(root), source, rows, out_file, pairs(given, "--given"), model, seed)
    out.print(f"wrote {drawn.rows:,} rows of {drawn.model} to {out_file}")
    for note in drawn.notes:
        out.print(note)


@app.command()
def audit(
    real: Annotated[str, typer.Argument(help="Real rows: a file or URL.")],
    synthetic: Annotated[str, typer.Argument(help="Synthetic rows, from any tool.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for report.html and audit.json.")],
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
        result = appraise(_root(root), (real, synthetic, holdout), Wanted(spec, policy, deep, model), folder, show)
    if as_json:
        _print_json(result)
    else:
        show_appraisal(out, folder)
    raise typer.Exit(EXIT_CODES[str(result["verdict"])])


@app.command()
def models(as_json: Json = False) -> None:
    """List the families and what each can do."""
    from pipeline.tables import abilities, show_abilities

    if as_json:
        _print_json(abilities())
    else:
        show_abilities(out)


@app.command()
def releases(as_json: Json = False, root: Root = None) -> None:
    """List the releases."""
    from pipeline.release_tables import release_rows, show_releases

    if as_json:
        _print_json(release_rows(_root(root)))
    else:
        show_releases(out, _root(root))


@app.command()
def verify(
    release: Annotated[str, typer.Argument(help="Release, e.g. rand_health-v1.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Recompute every hash of a release; ends with 1 if one differs or the rows are not here."""
    from pipeline import tracing
    from pipeline.release_tables import show_verification, verification

    checks = tracing.verify(_root(root), release)
    if as_json:
        _print_json(verification(release, checks))
    else:
        show_verification(out, release, checks)
    if not tracing.verified(checks):
        raise typer.Exit(1)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="Release, e.g. rand_health-v1.")],
    b: Annotated[str, typer.Argument(help="Release to compare it with.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show what changed between two releases: data, settings, code, estimates."""
    from pipeline import tracing
    from pipeline.release_tables import show_difference

    difference = tracing.diff(_root(root), a, b)
    if as_json:
        _print_json(difference.model_dump(mode="json"))
    else:
        show_difference(out, a, b, difference)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run, or a spec's name for its latest run.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show a run: its estimates with their verdicts, report, release, and how to read the rows."""
    from pipeline.runs import result_of
    from pipeline.tables import show_run

    result = result_of(_root(root), run)
    if as_json:
        _print_json(result)
    else:
        show_run(out, _root(root), result)


def main() -> NoReturn:
    """Run the command line; turn every mistake into one plain sentence."""
    logging.basicConfig(level=os.environ.get("LOOKALIKE_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    try:
        app(standalone_mode=True)
    except Mistake as mistake:
        err.print(f"lookalike: {mistake}")
        sys.exit(2)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in PLACES_TROUBLE:
            where = f" ({error.filename})" if error.filename else ""
            err.print(f"lookalike: {error.strerror}{where}; nothing was left half-written")
            sys.exit(2)
        if os.environ.get("LOOKALIKE_LOG", "").upper() == "DEBUG":
            raise
        err.print(
            f"lookalike: our fault, not yours: {type(error).__name__}: {error} (LOOKALIKE_LOG=DEBUG shows where)",
        )
        sys.exit(OURS)
    sys.exit(0)


def _root(given: Path | None) -> Path:
    root = given or Path(os.environ.get("LOOKALIKE_ROOT") or Path.cwd())
    if not root.is_dir():
        raise Mistake(f"{root}: is not a folder")
    return root.resolve()


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
