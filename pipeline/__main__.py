"""The command line: tables for people, `--json` for programs; 2 is the user's mistake, 70 is ours."""

import errno
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline.assignments import values
from pipeline.audit_commands import audit, list_metrics, schema
from pipeline.errors import Mistake
from pipeline.release_commands import diff, releases, verify
from pipeline.row_commands import fill, latent, sample, score
from pipeline.terminal import Json, Root, err, folder, out, print_json

app = typer.Typer(
    name="lookalike",
    help="Synthetic tables, generated, audited and released by a pipeline that anyone can trace and verify.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
OURS = 70  # EX_SOFTWARE; 1, 3 and 4 are verdicts
PLACES_TROUBLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG),
)

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

    path = folder(root) / "specs" / f"{name}.yaml"
    if path.exists() and not force:
        raise Mistake(f"{path} is there already; --force overwrites it")
    text = profile(Source(path=data, query=query), name, folder(root))
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
        result, trouble = go_through(spec, folder(root), run, values(changes), show)
    if as_json:
        print_json(result)
    else:
        show_run(out, folder(root), result)
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
            folder(root),
            run,
            model=model,
            shard=shard,
            question=question,
            changes=values(changes),
            show=show,
        )
    print_json(result)


@app.command()
def models(as_json: Json = False) -> None:
    """List the families and what each can do."""
    from pipeline.tables import abilities, show_abilities

    if as_json:
        print_json(abilities())
    else:
        show_abilities(out)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run, or a spec's name for its latest run.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show a run: its estimates with their verdicts, report, release, and how to read the rows."""
    from pipeline.runs import result_of
    from pipeline.tables import show_run

    result = result_of(folder(root), run)
    if as_json:
        print_json(result)
    else:
        show_run(out, folder(root), result)


app.command()(sample)
app.command()(fill)
app.command()(score)
app.command()(latent)
app.command()(audit)
app.command("metrics")(list_metrics)
app.command()(schema)
app.command()(releases)
app.command()(verify)
app.command()(diff)


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


if __name__ == "__main__":
    main()
