"""The latent space of a run's model: holdout rows encoded, laid out and probed, as a page and as figures."""

from pathlib import Path

from pydantic import JsonValue

from audit.core import NotComputable
from audit.report.representation import explained, render
from audit.representation import Figure, Representation, looked_at, represent
from models.core.base import Latent
from pipeline.drawing import where
from pipeline.errors import Mistake
from pipeline.making import real_rows
from pipeline.monitoring import Show
from pipeline.registry import families, family
from pipeline.runs import find
from pipeline.steps import generator
from pipeline.synthesizer import Synthesizer
from pipeline.workspace import Workspace, read_json, write_text
from tabular.schema import Column, Schema


def latent_space(
    root: Path, source: str, model: str | None, colour: str | None, path: Path | None, seed: int, show: Show
) -> dict[str, JsonValue]:
    """Encode a run's holdout rows, lay them out in two dimensions and probe every column.

    Args:
        root: The project's folder.
        source: A run, a spec's name for its latest run, or a release.
        model: Model of the run; where None, the chosen one, else the first that has a latent space.
        colour: The column that colours the rows; where None, the target, else the first sensitive one, else the first.
        path: Page to write; none where None.
        seed: Seed of the draws.
        show: Progress.

    Returns:
        The figures, without the places of rows.

    Raises:
        Mistake: If there is no such run, model or column, the model has no latent space, the run has too few holdout
            rows, or the page would lie among the releases.
    """
    if path is not None:
        _check_place(root, path)
    workspace, model = where(root, source, model or _with_latent_space(root, source))
    synthesizer = Synthesizer.load(workspace.synthesizer(model))
    fitted = synthesizer.fitted
    if not isinstance(fitted, Latent):
        raise Mistake(f"model {model!r} has no latent space; {_able()}")
    rng = generator(seed, "latent", model)
    coloured = _colour(synthesizer.encoder.schema, colour)
    show(f"latent {model}", 0.0, "encoding")
    try:
        rows = looked_at(real_rows(workspace, "holdout"), rng)
        z = fitted.encode(synthesizer.encoder.encode(rows, rng))
        found = represent(z, rows, coloured, rng, lambda done, said: show(f"latent {model}", done, said))
    except (NotComputable, ValueError) as error:
        raise Mistake(f"{workspace.holdout}: {error}") from error
    show(f"latent {model}", 1.0, "done")
    run = f"{workspace.spec}/{workspace.run}"
    if path is not None:
        write_text(path, render(found, model, run))
    return _figures(found, model, run, path)


def _check_place(root: Path, path: Path) -> None:
    if path.suffix != ".html":
        raise Mistake(f"{path}: wanted a name that ends in .html")
    if path.resolve().is_relative_to(root / "data" / "releases"):
        raise Mistake(f"{path}: the page shows where real rows lie and is never released; write it elsewhere")


def _with_latent_space(root: Path, source: str) -> str | None:
    """Return the run's model to look at where none is named: the chosen one, else the first with a latent space.

    Raises:
        Mistake: If there is no such run, or it has no such model.
    """
    from pipeline.releases import list_releases

    if any(release.name == source for release in list_releases(root)):
        return None
    workspace = find(root, source)
    there = _fitted(workspace)
    able = [name for name in there if issubclass(family(name), Latent)]
    if not able:
        raise Mistake(
            f"run {source}: none of its models ({', '.join(there) or 'none is fitted'}) has a latent space; {_able()}"
        )
    verdict = read_json(workspace.verdict) if workspace.verdict.exists() else None
    chosen = verdict.get("model") if isinstance(verdict, dict) else None
    return str(chosen) if chosen in able else able[0]


def _fitted(workspace: Workspace) -> list[str]:
    """Return the models of a run whose synthesizers are there."""
    found = (path.name for path in (workspace.home / "models").glob("*") if workspace.synthesizer(path.name).is_dir())
    return sorted(name for name in found if name in families())


def _able() -> str:
    """Say which families have a latent space."""
    return f"families that have one: {', '.join(name for name in families() if issubclass(family(name), Latent))}"


def _colour(schema: Schema, name: str | None) -> Column:
    """Return the column that colours the rows.

    Raises:
        Mistake: If there is none of that name that models see.
    """
    if name is None:
        return schema.target or next(iter((*schema.sensitive, *schema.modelled)))
    if name not in schema.names or not schema[name].is_modelled:
        known = ", ".join(column.name for column in schema.modelled)
        raise Mistake(f"--color: there is no modelled column {name!r}; there are {known}")
    return schema[name]


def _figures(found: Representation, model: str, run: str, path: Path | None) -> dict[str, JsonValue]:
    probes: list[JsonValue] = [
        {
            "column": probe.column,
            "measure": probe.measure,
            "rows": probe.rows,
            "latent": _figure(probe.codes),
            "others": None if probe.others is None else _figure(probe.others),
            "constant": probe.constant,
        }
        for probe in found.probes
    ]
    return {
        "run": run,
        "model": model,
        "rows": found.rows,
        "width": found.width,
        "directions": list(found.shares),
        "color": found.colour.name,
        "between_colors": explained(found),
        "probes": probes,
        "left_out": list(found.left_out),
        "page": None if path is None else str(path),
    }


def _figure(figure: Figure) -> JsonValue:
    return {"value": figure.value, "low": figure.interval.low, "high": figure.interval.high}
