"""``comet nearest``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.completion import complete_selections
from comet_cli.cli.console import SOME_FAILED, Report, print_error, unprotect
from comet_cli.formats.components import ComponentSet
from comet_cli.formats.files import show
from comet_cli.verbs.nearest import Encode, find_nearest


def nearest(
    selections: Annotated[
        list[str],
        typer.Argument(
            metavar="COMPONENT FILE...",
            help="A component, as a.z:1, and the .z files or pictures to compare with it.",
            callback=unprotect,
            autocompletion=complete_selections,
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many to show.")] = 10,
    model: options.Model = "auto",
    fresh: options.Fresh = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Find the components of many files that are closest to one.

    Columns: distance, component, label, picture that it came from. A distance of 1 is that of two
    of the components compared, in the root mean square; only components of one model compare.

    Example: comet nearest a.z:1 folder/*.z --top 5
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        encode = _encoder(
            model=model, device=device, precision=precision, fresh=fresh, note=report.note
        )
        found = find_nearest(selections[0], selections[1:], top=top, literal=literal, encode=encode)
        if found.other_models:
            report.note(
                f"{len(found.other_models)} of the files left out: not made by model "
                f"'{found.model}' ('{show(found.other_models[0])}' is one)"
            )
        for _, error in found.failed:
            if not as_json:
                print_error(str(error))
        document = dataclasses.asdict(dataclasses.replace(found, failed=()))
        document["failed"] = [{"path": path, "error": str(e)} for path, e in found.failed]
        if found.failed:
            document["exit_code"] = SOME_FAILED
        lines = [
            f"{n.distance:.4f}\t{show(n.path)}:{n.component}\t{n.label}\t{n.source}"
            for n in found.nearest
        ]
        report.show(document, "\n".join(lines))
    if found.failed:
        raise typer.Exit(SOME_FAILED)


def _encoder(**options: Any) -> Encode:
    """Return what encodes pictures; a session, which needs torch, is opened at the first."""
    opened: list[Any] = []

    def encode(data: bytes, path: str, home: ComponentSet | None) -> ComponentSet:
        from comet_cli.inputs.session import Session

        if not opened:
            opened.append(Session(**options))
        session = opened[0]
        model = None
        if home is not None:
            model = session.model_of(home.model, home.model_sha256, "the component asked for")
        found: ComponentSet = session.encode(data, path, model=model).components
        return found

    return encode
