"""``comet inspect``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.console import SOME_FAILED, Report, print_error
from comet_cli.errors import CometError
from comet_cli.formats.files import check_inputs, show


def inspect(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help=".z files, pictures, or model folders; - for stdin.",
            show_default=False,
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """Say what a .z, a picture or a model folder holds.

    Of several files, --json prints a list "files".
    """
    with Report(as_json=as_json) as report:
        from comet_cli.verbs.inspect import describe, inspect_file

        if len(files) == 1:
            facts = inspect_file(files[0])
            report.show(facts, describe(facts))
            return
        check_inputs(path for path in files if path == "-")
        found, failed = [], []
        for path in files:
            try:
                found.append(inspect_file(path))
            except CometError as error:
                failed.append({"path": path, "error": str(error)})
                if not as_json:
                    print_error(str(error))
        if not found:
            raise CometError(f"none of the {len(files)} files could be read")
        document: dict[str, Any] = {"files": found, "failed": failed}
        if failed:
            document["exit_code"] = SOME_FAILED
        texts = [f"{show(facts['path'])}\n{describe(facts)}" for facts in found]
        report.show(document, "\n\n".join(texts))
    if failed:
        raise typer.Exit(SOME_FAILED)
