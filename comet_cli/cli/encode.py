"""``comet encode``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import check_stdout, check_terminal
from comet_cli.cli.verb import REPORT, SERIES, Call, verb
from comet_cli.errors import CometError
from comet_cli.formats.files import STANDARD


@verb(*SERIES, "force", *REPORT)
def encode(
    call: Call,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Pictures, videos; - for stdin.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; a folder takes one file for each picture.",
            show_default="beside the picture; stdout for stdin",
        ),
    ] = None,
    align: options.Align = None,
) -> None:
    """Take pictures apart: face.png into face.z.

    A video or animation becomes a folder with a .z for each frame: dance.gif, dance/dance-00001.z …
    A .z that is there and matches its picture is kept.
    Example: comet encode face.png scene.jpg -o components/
    """
    if images == [STANDARD] and output is None:
        check_terminal("components are", "face.z")
        output = STANDARD
    check_stdout(output, call.as_json)
    from comet_cli.verbs.encode_plan import plan_encoding

    images = _without_components(call, images)
    plan = plan_encoding(images, output=output, align=align, force=call.force)
    from comet_cli.verbs.encode import Encoded, encode_files

    report = call.report

    def tell(result: Encoded) -> None:
        if result.error is not None:
            report.failed(result.source, result.error)
        elif result.components is not None:
            facts = {"source": result.source, **result.components.facts()}
            facts["components"] = len(result.components)
            report.wrote(result.output, **facts, reused=result.reused)

    session = call.session()
    with report.progress("encoding") as progress:
        results = encode_files(
            images,
            session,
            output=output,
            align=align,
            force=call.force,
            progress=progress,
            told=tell,
            plan=plan,
        )
    kept = sum(result.reused for result in results)
    if kept:
        report.note(f"{kept} of {len(results)} already encoded; --fresh encodes them again")
    session.tell_choices()
    if all(result.error is not None for result in results):
        raise CometError(f"none of the {len(results)} pictures could be encoded")


def _without_components(call: Call, images: list[str]) -> list[str]:
    """Leave out the .z files that ``folder/*`` finds the second time."""
    pictures = [image for image in images if not image.endswith(".z")]
    if not pictures or len(pictures) == len(images):
        return images
    call.report.note(f"{len(images) - len(pictures)} of the inputs are .z files, and are left out")
    return pictures
