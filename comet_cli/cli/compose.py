"""``comet compose``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report
from comet_cli.cli.pictures import check_picture_output
from comet_cli.models.card import STARTS


def compose(
    selections: options.Selections,
    output: options.Output,
    model: options.Model = "auto",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    step_size: options.StepSize = 1.0,
    size: Annotated[
        int | None,
        typer.Option(metavar="R", help="Side in pixels.", show_default="the largest model's"),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="Start from this picture, or from noise, grey or black.",
            show_default="the models' own",
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the descent as an .apng, .gif or .webp."),
    ] = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Put selected components together in one picture.

    Example: comet compose a.z:0,1 b.z:2-3 -o both.png
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_picture_output(
            output,
            force=force,
            as_json=as_json,
            selections=selections,
            literal=literal,
            also_reads=[None if init in STARTS else init],
            also_writes=[trace],
        )
        from comet_cli.resolution import Bench
        from comet_cli.synthesis import compose_picture

        bench = Bench(model=model, device=device, precision=precision, note=report.note)
        with report.progress("descending") as progress:
            recipe = compose_picture(
                selections,
                output,
                bench,
                seed=seed,
                steps=steps,
                step_size=step_size,
                size=size,
                init=init,
                trace=trace,
                literal=literal,
                metadata=not no_metadata,
                progress=progress,
            )
        report.wrote(output, **recipe.settings)
        if trace is not None:
            report.wrote(trace)
