"""``comet recombine``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_page, check_picture_outputs
from comet_cli.cli.terminal_preview import check_preview, show_preview
from comet_cli.cli.verb import DESCENT, PICTURE, Call, verb
from comet_cli.errors import UsageError
from comet_cli.inputs.selection import parse_selections


@verb(*(name for name in PICTURE if name != "output"), *DESCENT)
def recombine(
    call: Call,
    inputs: options.Selections,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="PNG to write; - for stdout."),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also, or only, a page: click which component comes from which picture.",
        ),
    ] = None,
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
    for option, given in (
        ("--add", add),
        ("--all", all_mixtures),
        ("--interpolate", interpolate is not None),
        ("--each", each is not None),
        ("--preview", preview),
    ):
        if given and output is None:
            raise UsageError(f"{option} is about the grid, which needs a place: -o grid.png")
    if output is None and html is None:
        raise UsageError("there is nothing to write; give -o grid.png, or --html page.html")
    check_page(html)
    if preview:
        check_preview(output or "")
    selections = parse_selections(inputs, literal=call.literal)
    check_picture_outputs(
        [] if output is None else [output],
        force=call.force,
        as_json=call.as_json,
        reads=[s.path for s in selections],
        also_writes={"--html": html},
        folders=[each],
    )
    from comet_cli.verbs.recombine import write_recombination

    with call.report.progress("rendering") as progress:
        write_recombination(
            selections,
            output,
            call.session(),
            html=html,
            add=add,
            all_mixtures=all_mixtures,
            interpolate=interpolate,
            components=components,
            each=each,
            seed=call.seed,
            steps=call.steps,
            step_size=call.step_size,
            fast=call.fast,
            init=init,
            scale=call.scale,
            metadata=not call.no_metadata,
            force=call.force,
            progress=progress,
            told=call.report.wrote,
        )
    if preview:
        show_preview([output or ""], call.report)
