"""``comet encode``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import SOME_FAILED, Report, check_stdout
from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import STANDARD


def encode(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures; - for stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; an existing folder takes a file a picture.",
            show_default="beside the picture; stdout for stdin",
        ),
    ] = None,
    align: options.Align = None,
    model: options.Model = "auto",
    fresh: options.Fresh = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Take pictures apart: face.png into face.z.

    A .z that is there and matches its picture is kept.
    Example: comet encode face.png scene.jpg -o components/
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        if images == [STANDARD] and output is None:
            if sys.stdout.isatty():
                raise UsageError(
                    "components are no text for a terminal; give an output: -o face.z, or a pipe"
                )
            output = STANDARD
        check_stdout(output, as_json)
        from comet_cli.inputs.session import Session
        from comet_cli.verbs.encode import encode_files

        session = Session(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        with report.progress("encoding") as progress:
            results = encode_files(
                images, session, output=output, align=align, force=force, progress=progress
            )
        for result in results:
            if result.components is not None:
                facts = {"source": result.source, **result.components.facts()}
                facts["components"] = len(result.components)
                report.wrote(result.output, **facts, reused=result.reused)
        kept = sum(result.reused for result in results)
        if kept:
            report.note(f"{kept} of {len(results)} already encoded; --fresh encodes them again")
        failed = [result for result in results if result.error is not None]
        for result in failed:
            report.document.setdefault("failed", []).append(
                {"source": result.source, "error": str(result.error)}
            )
            if not as_json:
                typer.echo(f"comet: {result.error}", err=True)
        if failed:
            if len(failed) == len(results):
                raise CometError(f"none of the {len(results)} pictures could be encoded")
            report.document["exit_code"] = SOME_FAILED
    if failed:
        raise typer.Exit(SOME_FAILED)
