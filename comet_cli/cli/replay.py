"""``comet replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.checks import check_picture_output
from comet_cli.cli.console import SOME_FAILED, Report, print_error
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import check_distinct, check_inputs, show


def replay(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="OUT.png...", help="Pictures that comet made; - for stdin.", show_default=False
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="PNG to write.", show_default="OUT-replay.png"
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="A model folder to look in as well."),
    ] = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    no_metadata: options.NoMetadata = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Make pictures again from their own recipes.

    Example: comet replay out/*.png
    """
    failed = []
    with Report(as_json=as_json, quiet=quiet) as report:
        if len(pictures) > 1 and output is not None:
            raise UsageError(
                "several replays cannot be written to one file; leave -o away, and each goes "
                "beside its picture: OUT-replay.png"
            )
        check_inputs(pictures)
        targets = [replayed_path(picture, output) for picture in pictures]
        for picture, target in zip(pictures, targets, strict=True):
            check_picture_output(
                target,
                force=force,
                as_json=as_json,
                selections=[picture],
                literal=True,
                also_reads=[other for other in pictures if other != "-"],
            )
        check_distinct([(p, Path(t)) for p, t in zip(pictures, targets, strict=True)])
        settings = {"model": model, "device": device, "precision": precision}
        for picture, target in zip(pictures, targets, strict=True):
            try:
                about = "" if len(pictures) == 1 else f"'{show(picture)}': "
                _replay(report, picture, target, about, not no_metadata, settings)
            except CometError as error:
                if len(pictures) == 1:
                    raise
                failed.append(picture)
                report.document.setdefault("failed", []).append(
                    {"picture": picture, "error": str(error)}
                )
                if not as_json:
                    print_error(str(error))
        if len(failed) == len(pictures):
            raise CometError(f"none of the {len(pictures)} pictures could be made again")
        if failed:
            report.document["exit_code"] = SOME_FAILED
    if failed:
        raise typer.Exit(SOME_FAILED)


def _replay(
    report: Report,
    picture: str,
    target: str,
    about: str,
    metadata: bool,
    settings: dict[str, Any],
) -> None:
    from comet_cli.formats.images import write_png
    from comet_cli.verbs.replay import replay_picture

    with report.progress("rendering") as progress:
        result = replay_picture(picture, note=report.note, progress=progress, **settings)
    write_png(result.pixels, target, result.recipe if metadata else None)
    for change in result.changes:
        report.note(about + change)
    report.note(about + result.verdict())
    report.wrote(
        target,
        identical=result.figures()["difference"] == 0,
        **result.figures(),
        changes=list(result.changes),
    )


def replayed_path(path: str, output: str | None) -> str:
    """Return where a replay goes: ``-o``, or ``out-replay.png`` beside ``out.png``.

    Raises:
        UsageError: standard input without an output.
    """
    if output is not None:
        return output
    if path == "-":
        raise UsageError("a picture from standard input needs an output: -o out.png")
    stem = path[:-4] if path.lower().endswith(".png") else path
    return f"{stem}-replay.png"
