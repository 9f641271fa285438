"""``comet inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report


def inspect(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .z file, a picture, or a model folder.")
    ],
    as_json: options.Json = False,
) -> None:
    """Say what a .z, a picture or a model folder holds."""
    with Report(as_json=as_json) as report:
        from comet_cli.inspection import describe, inspect_file

        facts = inspect_file(file)
        report.show(facts, describe(facts))
