"""``comet gradients``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.completion import words
from comet_cli.cli.verb import SHEET, Call, verb
from comet_cli.inputs.selection import parse_selections


@verb(*SHEET)
def gradients(
    call: Call,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Pictures; - for stdin.", show_default=False),
    ],
    output: options.OutputBeside = None,
    npz: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also write the numbers, as a NumPy .npz file."),
    ] = None,
    overlay: Annotated[
        bool,
        typer.Option("--overlay", help="Add a column: the strongest component of each pixel."),
    ] = False,
    each: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write each map as a PNG of its own.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Also write a mask for each component: white where it is strongest."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Masks: white where the gradient is at least X times its largest.",
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            metavar="POINT",
            help="Take gradients at start (where a rendering begins) or image (the picture).",
            autocompletion=words("start", "image"),
        ),
    ] = "start",
    map_kind: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="KIND",
            help="How maps are drawn: signed (around grey), heat or overlay.",
            autocompletion=words("signed", "heat", "overlay"),
        ),
    ] = "signed",
) -> None:
    """Map the gradient of each component's energy.

    Without -o the maps of scene.png go to scene-gradients.png.
    Example: comet gradients scene.png -o maps.png --overlay --masks masks/
    """
    selections = parse_selections(images, literal=call.literal)
    call = call.beside(output, selections, "gradients")
    reads = (s.path for s in selections)
    call.check_picture(reads, also_writes={"--npz": npz}, folders=[each, masks])
    from comet_cli.verbs.gradients import write_gradients

    with call.report.progress("gradients") as progress:
        write_gradients(
            selections,
            call.output,
            call.session(),
            npz=npz,
            each=each,
            masks=masks,
            threshold=threshold,
            at=at,
            map_kind=map_kind,
            with_overlay=overlay,
            seed=call.seed,
            scale=call.scale,
            metadata=not call.no_metadata,
            force=call.force,
            progress=progress,
            told=call.report.wrote,
        )
