"""``comet decompose``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import Report


def decompose(
    inputs: options.Selections,
    output: options.Output,
    model: options.Model = "auto",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    step_size: options.StepSize = 1.0,
    init: Annotated[
        str,
        typer.Option(
            metavar="START",
            help="Where single components start: noise, grey, black, or auto.",
        ),
    ] = "auto",
    fresh: options.Fresh = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Show each component alone, and all together.

    Example: comet decompose scene.png -o sheet.png
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_picture_output(
            output, force=force, as_json=as_json, selections=inputs, literal=literal
        )
        from comet_cli.inputs.session import Session
        from comet_cli.verbs.decompose import write_decomposition

        session = Session(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        with report.progress("rendering") as progress:
            recipe = write_decomposition(
                inputs,
                output,
                session,
                seed=seed,
                steps=steps,
                step_size=step_size,
                init=init,
                literal=literal,
                metadata=not no_metadata,
                progress=progress,
            )
        report.wrote(output, **recipe.settings)
