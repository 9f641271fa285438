"""``comet compose``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_outputs
from comet_cli.cli.terminal_preview import check_preview, show_preview
from comet_cli.cli.verb import PICTURE, Call, verb
from comet_cli.inputs.compose_request import parse_request


@verb(*PICTURE, "steps", "step_size")
def compose(
    call: Call,
    selections: options.Selections,
    seeds: options.Seeds = None,
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
        typer.Option(metavar="FILE", help="Write the descent as an .apng, .gif, .webp or .mp4."),
    ] = None,
    solver: options.Solver = "gd",
    tolerance: options.Tolerance = None,
    preview: options.Preview = False,
) -> None:
    """Put selected components together in one picture.

    A selection may end in a region, a mask or x,y,w,h in pixels: b.z:1@left.png, b.z:1@8,8,32,32.
    Example: comet compose a.z:0,1 b.z:2-3 -o both.png
    """
    if preview:
        check_preview(call.output)
    request = parse_request(
        selections,
        call.output,
        seed=call.seed,
        seeds=seeds,
        steps=call.steps,
        step_size=call.step_size,
        size=size,
        init=init,
        solver=solver,
        tolerance=tolerance,
        trace=trace,
        scale=call.scale,
        literal=call.literal,
        metadata=not call.no_metadata,
        force=call.force,
    )
    check_picture_outputs(
        request.paths,
        force=call.force,
        as_json=call.as_json,
        reads=request.reads,
        also_writes=[trace],
    )
    from comet_cli.verbs.compose import write_composition

    with call.report.progress("descending", pieces=False) as progress:
        recipes = write_composition(request, call.session(), progress=progress)
    for path, recipe in zip(request.paths, recipes, strict=True):
        call.report.wrote(path, **recipe.settings)
    if trace is not None:
        call.report.wrote(trace)
    if preview:
        show_preview(list(request.paths), call.report)
