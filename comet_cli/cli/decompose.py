"""``comet decompose``."""

from __future__ import annotations

from comet_cli.cli import options
from comet_cli.cli.verb import DESCENT, SHEET, Call, verb
from comet_cli.inputs.selection import parse_selections


@verb(*SHEET, *DESCENT)
def decompose(
    call: Call,
    inputs: options.Selections,
    output: options.OutputBeside = None,
    init: options.Start = "auto",
) -> None:
    """Show each component alone, and all together.

    Without -o the sheet of scene.png goes to scene-components.png.
    Example: comet decompose scene.png -o sheet.png
    """
    selections = parse_selections(inputs, literal=call.literal)
    call = call.beside(output, selections, "components")
    call.check_picture(s.path for s in selections)
    from comet_cli.verbs.decompose import write_decomposition

    with call.report.progress("rendering") as progress:
        recipe = write_decomposition(
            selections,
            call.output,
            call.session(),
            seed=call.seed,
            steps=call.steps,
            step_size=call.step_size,
            fast=call.fast,
            init=init,
            scale=call.scale,
            metadata=not call.no_metadata,
            progress=progress,
        )
    call.report.wrote(call.output, **recipe.settings)
