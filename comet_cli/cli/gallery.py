"""``comet gallery``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comet_cli.cli.console import check_stdout
from comet_cli.cli.verb import REPORT, Call, verb

if TYPE_CHECKING:
    from comet_cli.drawing.gallery_page import Exhibit


@verb("force", *REPORT)
def gallery(
    call: Call,
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
        str | None,
        typer.Option(metavar="TEXT", help="Heading of the page.", show_default="the folder's name"),
    ] = None,
) -> None:
    """Make one HTML page of a folder of results.

    It opens anywhere and needs no network.

    Example: comet gallery out/
    """
    check_stdout(output, call.as_json)
    from comet_cli.verbs.gallery import write_gallery

    def tell(exhibit: Exhibit) -> None:
        if exhibit.error:
            call.report.failed(Path(folder, exhibit.path), exhibit.error)

    with call.report.progress("gallery") as progress:
        made = write_gallery(
            folder, output=output, title=title, force=call.force, progress=progress, told=tell
        )
    recipes = sum(e.recipe is not None for e in made.exhibits)
    call.report.wrote(made.output, pictures=len(made.exhibits), recipes=recipes)
