"""``comet replay``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from comet_cli.cli.checks import check_picture_outputs
from comet_cli.cli.verb import REPORT, Call, verb
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import check_inputs, has_place, show, write_output


@verb("device", "precision", "no_metadata", "force", *REPORT)
def replay(
    call: Call,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="OUT.png...", help="Pictures that comet made; - for stdin.", show_default=False
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="PNG to write, for one picture.",
            show_default="OUT-replay.png",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="A model folder to search as well."),
    ] = "auto",
) -> None:
    """Make pictures again from their own recipes.

    Example: comet replay out/*.png
    """
    if len(pictures) > 1 and output is not None:
        raise UsageError(
            "several replays cannot be written to one file; leave -o away, and each goes "
            "beside its picture: OUT-replay.png"
        )
    check_inputs(pictures, together=len(pictures) == 1)
    if output is None:
        pictures = _without_replays(call, pictures)
    targets = [replayed_path(picture, output) for picture in pictures]
    check_picture_outputs(
        targets,
        force=call.force,
        as_json=call.as_json,
        reads=pictures,
        together=False,
        animated=output is None or output.lower().endswith(".apng"),
        made_of=pictures,
    )
    for picture, target in zip(pictures, targets, strict=True):
        try:
            _replay(call, model, picture, target, alone=len(pictures) == 1)
        except CometError as error:
            if len(pictures) == 1:
                raise
            call.report.failed(picture, error)
    if len(call.report.document.get("failed", ())) == len(pictures):
        raise CometError(f"none of the {len(pictures)} pictures could be made again")


def _without_replays(call: Call, pictures: list[str]) -> list[str]:
    """Leave out the replays that ``out/*.png`` finds the second time: they are written anew."""
    made = {replayed_path(p, None) for p in pictures if p != "-" and has_place(p)}
    others = [p for p in pictures if p not in made]
    if not others or len(others) == len(pictures):
        return pictures
    left = len(pictures) - len(others)
    call.report.note(f"{left} of the pictures are replays of others, and are made again as such")
    return others


def _replay(call: Call, model: str, picture: str, target: str, *, alone: bool) -> None:
    from comet_cli.verbs.replay import replay_picture

    report = call.report
    about = "" if alone else f"'{show(picture)}': "
    with report.progress("rendering", pieces=False) as progress:
        result = replay_picture(
            picture,
            model=model,
            device=call.device,
            precision=call.precision,
            note=report.note,
            progress=progress,
        )
    write_output(target, result.png(metadata=not call.no_metadata))
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

    An ``.apng`` stays one; beside what is neither goes a PNG.

    Raises:
        UsageError: standard input without an output.
    """
    if output is not None:
        return output
    if path == "-":
        raise UsageError("a picture from standard input needs an output: -o out.png")
    if not has_place(path):
        raise UsageError(
            f"'{show(path)}' is a pipe or a device, which has no folder for a replay; give an "
            "output: -o out.png"
        )
    root, ending = os.path.splitext(path)
    if ending.lower() not in (".png", ".apng"):
        root, ending = path, ".png"
    return f"{root}-replay{ending.lower()}"
