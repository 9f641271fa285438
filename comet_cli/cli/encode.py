"""``comet encode``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import SOME_FAILED, Report, check_stdout
from comet_cli.errors import CometError


def encode(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures; - for stdin.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="Where to write; an existing folder takes a file a picture.",
            show_default="beside the picture",
        ),
    ] = None,
    align: options.Align = None,
    model: options.Model = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    force: options.Force = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Take pictures apart: face.png into face.z.

    Example: comet encode face.png scene.jpg -o components/
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        check_stdout(output, as_json)
        from comet_cli.encoding import encode_files
        from comet_cli.resolution import Bench

        bench = Bench(model=model, device=device, precision=precision, note=report.note)
        with report.progress("encoding") as progress:
            results = encode_files(
                images, bench, output=output, align=align, force=force, progress=progress
            )
        for result in results:
            if result.components is not None:
                facts = {"source": result.source, **result.components.facts()}
                report.wrote(result.output, **facts, components=len(result.components))
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
