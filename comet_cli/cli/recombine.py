"""``comet recombine``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.terminal_preview import check_preview, show_preview
from comet_cli.cli.verb import PICTURE, Call, verb
from comet_cli.inputs.selection import parse_selections


@verb(*PICTURE, "steps", "step_size")
def recombine(
    call: Call,
    inputs: options.Selections,
    components: options.Components = None,
    add: Annotated[
        bool, typer.Option("--add", help="Instead: add one component after the other.")
    ] = False,
    all_mixtures: Annotated[
        bool, typer.Option("--all", help="Instead: every mixture of two pictures (2^K).")
    ] = False,
    interpolate: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS",
            help="Instead: go from one picture to the other, component by component.",
            show_default=False,
        ),
    ] = None,
    each: options.Each = None,
    init: options.Start = "auto",
    preview: options.Preview = False,
) -> None:
    """Swap components between pictures, in a grid.

    Under each cell stands the selection that comet compose makes it from.
    Example: comet recombine a.png b.png -o swaps.png --components 0,2
    """
    if preview:
        check_preview(call.output)
    selections = parse_selections(inputs, literal=call.literal)
    call.check_picture(s.path for s in selections)
    from comet_cli.verbs.recombine import cell_paths, write_recombination

    with call.report.progress("rendering") as progress:
        recipe = write_recombination(
            selections,
            call.output,
            call.session(),
            add=add,
            all_mixtures=all_mixtures,
            interpolate=interpolate,
            components=components,
            each=each,
            seed=call.seed,
            steps=call.steps,
            step_size=call.step_size,
            init=init,
            scale=call.scale,
            metadata=not call.no_metadata,
            force=call.force,
            progress=progress,
        )
    call.report.wrote(call.output, **recipe.settings)
    for cell, path in [] if each is None else cell_paths(recipe, each):
        call.report.wrote(path, selection=cell.selection)
    if preview:
        show_preview([call.output], call.report)
