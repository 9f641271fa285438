"""``comet figure``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import Report


def figure(
    number: Annotated[int, typer.Argument(metavar="1|3|4|5|6|7|8|9|10", show_default=False)],
    output: options.Output,
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of the inputs.", show_default="examples/ of the source"
        ),
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Make a figure of the paper.

    Example: comet figure 6 -o figure-6.png
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_picture_output(output, force=True, as_json=as_json, selections=[])
        from comet_cli.figures.figure import write_figure

        with report.progress("panels") as progress:
            made = write_figure(
                number,
                output,
                examples=examples,
                device=device,
                precision=precision,
                seed=seed,
                metadata=not no_metadata,
                force=force,
                progress=progress,
            )
        for sentence in made.left_out:
            report.note(sentence)
        report.wrote(output, figure=number, models=made.models, left_out=made.left_out)
