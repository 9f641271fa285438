"""``comet replay``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report
from comet_cli.cli.pictures import check_picture_output


def replay(
    picture: Annotated[str, typer.Argument(metavar="OUT.png", help="A picture that comet made.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="PNG to write.", show_default="OUT-replay.png"
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="A model folder to look in as well."),
    ] = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Make a picture again from its own recipe."""
    with Report(as_json=as_json, quiet=quiet) as report:
        from comet_cli.recipes import replayed_path

        target = replayed_path(picture, output)
        check_picture_output(
            target, force=force, as_json=as_json, selections=[picture], literal=True
        )
        from comet_cli.images import write_png
        from comet_cli.replaying import replay_picture

        with report.progress("rendering") as progress:
            result = replay_picture(
                picture,
                model=model,
                device=device,
                precision=precision,
                note=report.note,
                progress=progress,
            )
        write_png(result.pixels, target, None if no_metadata else result.recipe)
        for change in result.changes:
            report.note(change)
        report.note(result.verdict())
        report.wrote(
            target,
            identical=result.difference == 0,
            difference=result.difference,
            changes=list(result.changes),
        )
