"""`comet train`: from a recipe to a model folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.console import INTERRUPTED, Report


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: runs/ and the recipe's name."),
    ] = None,
    max_time: Annotated[
        float | None, typer.Option("--max-time", metavar="MINUTES", help="Stop after this time.")
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model by a recipe; called again, it goes on where it stopped.

    Ends by writing a model folder that -m DIR uses at once, also when --max-time, SIGTERM or
    Ctrl-C ended it.
    """
    from comet_cli.training.run import train_recipe

    folder = output or Path("runs") / recipe.stem

    with Report(as_json=as_json, quiet=quiet) as report:

        def say(line: dict[str, Any]) -> None:
            report.note("  ".join(f"{name} {value}" for name, value in line.items()))

        card, result = train_recipe(
            recipe,
            folder,
            max_seconds=math.inf if max_time is None else max_time * 60,
            device=device,
            report=say,
        )
        if not result.finished:
            report.note(
                f"stopped at iteration {result.iteration}; the same command goes on from there"
            )
        report.wrote(
            folder,
            iteration=result.iteration,
            finished=result.finished,
            seconds=round(result.seconds, 1),
            figures=card.figures,
        )
        if result.interrupted:  # inside, so that --json prints the error alone
            raise typer.Exit(INTERRUPTED)
