"""``comet figure``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli.checks import check_picture_outputs
from comet_cli.cli.completion import words
from comet_cli.cli.verb import REPORT, Call, verb

NUMBERS = ("1", "3", "4", "5", "6", "7", "8", "9", "10")  # of the paper's figures with pictures


@verb("output", "device", "precision", "no_metadata", "force", *REPORT)
def figure(
    call: Call,
    number: Annotated[
        int,
        typer.Argument(
            metavar="|".join(NUMBERS), show_default=False, autocompletion=words(*NUMBERS)
        ),
    ],
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the input pictures.",
            show_default="examples/ of the source",
        ),
    ] = None,
) -> None:
    """Make a figure of the paper.

    Example: comet figure 6 -o figure-6.png
    """
    check_picture_outputs([call.output], force=True, as_json=call.as_json)
    from comet_cli.figures.figure import write_figure

    with call.report.progress("panels") as progress:
        made = write_figure(
            number,
            call.output,
            examples=examples,
            device=call.device,
            precision=call.precision,
            metadata=not call.no_metadata,
            force=call.force,
            progress=progress,
        )
    for sentence in made.left_out:
        call.report.note(sentence)
    call.report.wrote(call.output, figure=number, models=made.models, left_out=made.left_out)
