"""``comet gradients``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import Report


def gradients(
    images: options.Selections,
    output: options.Output,
    npz: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the numbers, as .npz.")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Add a column: the strongest component a pixel.")
    ] = False,
    each: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also write each map as a PNG of its own.")
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Also write a mask a component: white where it is the strongest."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Masks: white where it pulls X times as hard as at its peak, or more."
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(metavar="POINT", help="start: where a rendering begins; image: the picture."),
    ] = "start",
    map_kind: Annotated[
        str, typer.Option("--map", metavar="KIND", help="signed (around grey), heat or overlay.")
    ] = "signed",
    model: options.Model = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Map the gradient of each component's energy.

    Example: comet gradients scene.png -o maps.png --overlay --masks masks/
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_picture_output(
            output,
            force=force,
            as_json=as_json,
            selections=images,
            literal=literal,
            also_writes=[npz],
        )
        from comet_cli.inputs.session import Session
        from comet_cli.verbs.gradients import write_gradients

        session = Session(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        with report.progress("gradients") as progress:
            written = write_gradients(
                images,
                output,
                session,
                npz=npz,
                each=each,
                masks=masks,
                threshold=threshold,
                at=at,
                map_kind=map_kind,
                with_overlay=overlay,
                seed=seed,
                literal=literal,
                metadata=not no_metadata,
                force=force,
                progress=progress,
            )
        for path in written:
            report.wrote(path)
