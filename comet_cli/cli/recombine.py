"""``comet recombine``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import Report
from comet_cli.cli.terminal_preview import check_preview, show_preview


def recombine(
    inputs: options.Selections,
    output: options.Output,
    components: options.Components = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add one component after the other instead.")
    ] = False,
    all_mixtures: Annotated[
        bool, typer.Option("--all", help="Every one of the 2^K mixtures of two pictures instead.")
    ] = False,
    interpolate: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS",
            help="Go from one picture's value of each component to the other's instead.",
            show_default=False,
        ),
    ] = None,
    each: options.Each = None,
    model: options.Model = "auto",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    step_size: options.StepSize = 1.0,
    init: Annotated[
        str,
        typer.Option(metavar="START", help="Start: noise, grey, black, or auto."),
    ] = "auto",
    preview: options.Preview = False,
    fresh: options.Fresh = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Swap components between pictures, in a grid.

    Under each cell stands the selection that comet compose makes it from.
    Example: comet recombine a.png b.png -o swaps.png --components 0,2
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        if preview:
            check_preview(output)
        check_picture_output(
            output, force=force, as_json=as_json, selections=inputs, literal=literal
        )
        from comet_cli.inputs.session import Session
        from comet_cli.verbs.recombine import cell_paths, write_recombination

        session = Session(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        with report.progress("rendering") as progress:
            recipe = write_recombination(
                inputs,
                output,
                session,
                add=add,
                all_mixtures=all_mixtures,
                interpolate=interpolate,
                components=components,
                each=each,
                seed=seed,
                steps=steps,
                step_size=step_size,
                init=init,
                literal=literal,
                metadata=not no_metadata,
                force=force,
                progress=progress,
            )
        report.wrote(output, **recipe.settings)
        for cell, path in [] if each is None else cell_paths(recipe, each):
            report.wrote(path, selection=cell.selection)
        if preview:
            show_preview([output], report)
