"""``comet inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from comet_cli.cli.verb import Call, verb
from comet_cli.errors import CometError
from comet_cli.formats.files import check_inputs, show


@verb("as_json")
def inspect(
    call: Call,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help=".z files, pictures, or model folders; - for stdin.",
            show_default=False,
        ),
    ],
) -> None:
    """Say what a .z, a picture or a model folder holds.

    Of several files, --json prints a list "files".
    """
    from comet_cli.verbs.inspect import describe, inspect_file

    report = call.report
    if len(files) == 1:
        facts = inspect_file(files[0])
        report.show(facts, describe(facts))
        return
    check_inputs(path for path in files if path == "-")
    report.document["failed"] = []
    found = []
    for path in files:
        try:
            facts = inspect_file(path)
        except CometError as error:
            report.failed(path, error)
            continue
        found.append(facts)
        gap = "\n" if len(found) > 1 else ""
        report.show({"files": found}, f"{gap}{show(facts['path'])}\n{describe(facts)}")
    if not found:
        raise CometError(f"none of the {len(files)} files could be read")
