"""The commands of releases: list them, verify one, compare two."""

from typing import Annotated

import typer

from pipeline.terminal import Json, Root, folder, out, print_json


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
    b: Annotated[str, typer.Argument(help="Release to compare it with.")],
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Show what changed between two releases: data, settings, code, estimates."""
    from pipeline import tracing
    from pipeline.release_tables import show_difference

    difference = tracing.diff(folder(root), a, b)
    if as_json:
        print_json(difference.model_dump(mode="json"))
    else:
        show_difference(out, a, b, difference)
