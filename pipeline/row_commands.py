"""Commands about rows: draw new ones, fill in missing cells, tell how probable rows are and where a model puts them."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import Json, Root, err, folder, out, print_json

Source = Annotated[
    str, typer.Argument(metavar="RUN|RELEASE", help="A run (or a spec's name for its latest), or a release.")
]
Model = Annotated[str | None, typer.Option(help="Model of the run [default: the chosen one].")]
OUT = "File to write: .parquet, .csv, .csv.gz, .jsonl or .arrow."


def sample(
    source: Source,
    rows: Annotated[int, typer.Option(min=1, help="Rows to draw.")],
    out_file: Annotated[Path, typer.Option("--out", help=OUT)],
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="What every row must hold: sex=Female, 'age >= 60', 'town in (Zug, Bern)'; may be repeated.",
        ),
    ] = None,
    model: Model = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    root: Root = None,
) -> None:
    """Draw more rows from a run's synthesizer, also on conditions."""
    from pipeline.drawing import draw

    drawn = draw(folder(root), source, rows, out_file, given or [], model, seed)
    out.print(f"wrote {drawn.rows:,} rows of {drawn.model} to {out_file}")
    for note in drawn.notes:
        out.print(note, markup=False)


def fill(
    source: Source,
    file: Annotated[Path, typer.Argument(help="Rows with missing cells, in the columns that the run was trained on.")],
    out_file: Annotated[Path, typer.Option("--out", help=OUT)],
    model: Model = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    root: Root = None,
) -> None:
    """Fill in the missing cells of given rows by draws from a run's synthesizer; cells that are there stay."""
    from pipeline.drawing import fill_file

    drawn = fill_file(folder(root), source, file, out_file, model, seed)
    out.print(f"wrote {drawn.rows:,} rows, filled in by {drawn.model}, to {out_file}")
    for note in drawn.notes:
        out.print(note, markup=False)


def score(
    source: Source,
    file: Annotated[Path | None, typer.Argument(help="Real rows [default: the run's holdout].")] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help=f"Each row's bits, in order. {OUT}")] = None,
    model: Model = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws inside rounded numbers.")] = 0,
    root: Root = None,
) -> None:
    """Tell how probable real rows are under a run's synthesizer, in bits a row: fit, and outlier scores."""
    from pipeline.drawing import score_file

    scored = score_file(folder(root), source, file, out_file, model, seed)
    out.print(f"{scored.rows:,} rows under {scored.model}")
    for note in scored.notes:
        out.print(note, markup=False)


def latent(
    source: Source,
    model: Annotated[
        str | None, typer.Option(help="Model of the run [default: the chosen one, else the first with a latent space].")
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column that colours the rows [default: target, sensitive, first column]."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="Page to write: internal, not to be published.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show a run's latent space: its holdout rows in two dimensions, and what a linear model reads off the codes."""
    from pipeline.representations import latent_space
    from pipeline.tables import show_latent_space
    from pipeline.watching import watching

    with watching(err) as show:
        result = latent_space(folder(root), source, model, color, out_file, seed, show)
    if as_json:
        print_json(result)
    else:
        show_latent_space(out, result)
