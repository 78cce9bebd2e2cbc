"""The commands of releases: list them, verify one, compare two."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.terminal import Json, Root, err, folder, out, print_json


def releases(as_json: Json = False, root: Root = None) -> None:
    """List the releases."""
    from pipeline.release_tables import release_rows, show_releases

    if as_json:
        print_json(release_rows(folder(root)))
    else:
        show_releases(out, folder(root))


def verify(
    release: Annotated[str, typer.Argument(help="Release, e.g. rand_health-v1.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Recompute every hash of a release; ends with 1 if one differs or the rows are not here."""
    from pipeline import tracing
    from pipeline.release_tables import show_verification, verification

    checks = tracing.verify(folder(root), release)
    if as_json:
        print_json(verification(release, checks))
    else:
        show_verification(out, release, checks)
    if not tracing.verified(checks):
        raise typer.Exit(1)


def diff(
    a: Annotated[str, typer.Argument(help="Release, e.g. rand_health-v1.")],
    b: Annotated[str, typer.Argument(help="Release to compare it with, or new real rows: a file or URL.")],
    check: Annotated[
        bool, typer.Option("--check", help="End with 1 if a gate is worse beyond chance, all gates together.")
    ] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show what changed between two releases, or how a release stands to new real rows, with intervals."""
    from pipeline import tracing
    from pipeline.drifting import since
    from pipeline.release_tables import show_difference, show_drift
    from pipeline.releases import list_releases
    from pipeline.watching import watching

    place = folder(root)
    if b in {release.name for release in list_releases(place)} or not _is_data(place, b):
        difference = tracing.diff(place, a, b)
        drifted, content = difference.audit, difference.model_dump(mode="json")
    else:
        with watching(err) as show:
            drifted = since(place, a, b, show)
        difference, content = None, drifted.model_dump(mode="json")
    if as_json:
        print_json(content)
    elif difference is not None:
        show_difference(out, a, b, difference)
    else:
        show_drift(out, a, "new rows", drifted)
    if check and drifted.alarm.worse:
        raise typer.Exit(1)


def _is_data(root: Path, given: str) -> bool:
    """Return whether a name is that of rows and not of a release."""
    return "://" in given or (root / given).exists() or Path(given).expanduser().exists()
