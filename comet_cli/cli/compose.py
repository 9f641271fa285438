"""``comet compose``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_outputs, check_start
from comet_cli.cli.completion import words
from comet_cli.cli.terminal_preview import check_preview, show_preview
from comet_cli.cli.verb import DESCENT, PICTURE, Call, verb
from comet_cli.errors import UsageError
from comet_cli.inputs.compose_request import ComposeRequest, parse_request


@verb(*PICTURE, *DESCENT)
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
            autocompletion=words("noise", "grey", "black"),
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps",
            metavar="X",
            help="Frames a second of an animation.",
            show_default="as long as each frame was shown",
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the descent as an .apng, .gif, .webp or .mp4."),
    ] = None,
    solver: options.Solver = None,
    tolerance: options.Tolerance = None,
    preview: options.Preview = False,
) -> None:
    """Put selected components together in one picture.

    A folder of .z files makes an animation, a frame for each: dance/:0 a.z:1-3 -o new.gif.
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
        fast=call.fast,
        size=size,
        init=init,
        solver=solver,
        tolerance=tolerance,
        fps=fps,
        trace=trace,
        scale=call.scale,
        literal=call.literal,
        metadata=not call.no_metadata,
        force=call.force,
    )
    if request.folders:
        _check_animated(request, preview=preview)
    check_start(request.start)
    check_picture_outputs(
        request.paths,
        force=call.force,
        as_json=call.as_json,
        reads=request.reads,
        also_writes={"--trace": trace},
        animated=bool(request.folders),
    )
    if request.folders:
        _animate(call, request)
        return
    from comet_cli.verbs.compose import write_composition

    with call.report.progress("descending", pieces=False) as progress:
        write_composition(request, call.session(), progress=progress, told=call.report.wrote)
    if preview:
        show_preview(list(request.paths), call.report)


def _check_animated(request: ComposeRequest, *, preview: bool) -> None:
    """Check that an animation can be what was asked for, before torch is imported.

    Raises:
        UsageError: an output that cannot be one, or a preview of it.
    """
    from comet_cli.drawing.animations import check_animation

    if preview:
        raise UsageError("--preview shows a picture, and a folder makes an animation")
    check_animation(request.output)


def _animate(call: Call, request: ComposeRequest) -> None:
    from comet_cli.verbs.compose_animation import write_animation

    with call.report.progress("rendering") as progress:
        recipe = write_animation(request, call.session(), progress=progress)
    call.report.wrote(request.output, frames=len(recipe.rows), **recipe.settings)
