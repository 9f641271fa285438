"""``comet gallery``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import SOME_FAILED, Report, check_stdout, print_error


def gallery(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of pictures.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="HTML to write; - for stdout.",
            show_default="gallery.html in the folder",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Heading.", show_default="the folder's name")
    ] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Make one HTML page of a folder of results.

    It opens anywhere and needs no network.

    Example: comet gallery out/
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_stdout(output, as_json)
        from comet_cli.verbs.gallery import write_gallery

        with report.progress("gallery") as progress:
            made = write_gallery(folder, output=output, title=title, force=force, progress=progress)
        recipes = sum(e.recipe is not None for e in made.exhibits)
        report.wrote(made.output, pictures=len(made.exhibits), recipes=recipes)
        for exhibit in made.failed:
            report.document.setdefault("failed", []).append(
                {"path": exhibit.path, "error": exhibit.error}
            )
            if not as_json:
                print_error(exhibit.error)
        if made.failed:
            report.document["exit_code"] = SOME_FAILED
    if made.failed:
        raise typer.Exit(SOME_FAILED)
