"""``comet compose``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import Report
from comet_cli.cli.terminal_preview import check_preview, show_preview
from comet_cli.errors import UsageError
from comet_cli.inputs.modifiers import split_arguments
from comet_cli.inputs.seed_lists import parse_seeds, seed_paths
from comet_cli.models.card import STARTS


def compose(
    selections: options.Selections,
    output: options.Output,
    model: options.Model = "auto",
    seed: options.Seed = 0,
    seeds: options.Seeds = None,
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
        typer.Option(metavar="FILE", help="Write the descent as an .apng, .gif, .webp or .mp4."),
    ] = None,
    solver: options.Solver = "gd",
    tolerance: options.Tolerance = None,
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
    """Put selected components together in one picture.

    A selection may end in a region, a mask or x,y,w,h in pixels: b.z:1@left.png, b.z:1@8,8,32,32.
    Example: comet compose a.z:0,1 b.z:2-3 -o both.png
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        if seeds is not None and seed != 0:
            raise UsageError("--seed and --seeds are both given; give one of them")
        if preview:
            check_preview(output)
        outputs = [] if seeds is None else seed_paths(output, parse_seeds(seeds))
        plain, further = split_arguments(selections, literal=literal)
        for path in outputs or [output]:
            check_picture_output(
                path,
                force=force,
                as_json=as_json,
                selections=plain,
                literal=literal,
                also_reads=[None if init in STARTS else init, *further],
                also_writes=[trace],
            )
        from comet_cli.inputs.session import Session
        from comet_cli.verbs.compose import compose_picture, compose_pictures

        session = Session(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        settings: dict[str, Any] = {
            "seeds": seeds,
            "steps": steps,
            "step_size": step_size,
            "size": size,
            "init": init,
            "solver": solver,
            "tolerance": tolerance,
            "literal": literal,
            "metadata": not no_metadata,
        }
        with report.progress("descending") as progress:
            if outputs:
                recipes = compose_pictures(
                    selections, outputs, session, trace=trace, progress=progress, **settings
                )
            else:
                recipes = [
                    compose_picture(
                        selections,
                        output,
                        session,
                        seed=seed,
                        trace=trace,
                        progress=progress,
                        **settings,
                    )
                ]
        for path, recipe in zip(outputs or [output], recipes, strict=True):
            report.wrote(path, **recipe.settings)
        if trace is not None:
            report.wrote(trace)
        if preview:
            show_preview(outputs or [output], report)
