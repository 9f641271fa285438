"""``comet nearest``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from comet_cli.cli.completion import complete_selections
from comet_cli.cli.verb import REPORT, SERIES, Call, verb
from comet_cli.formats.files import show
from comet_cli.inputs.selection import parse_selections

if TYPE_CHECKING:
    from comet_cli.formats.components import ComponentSet
    from comet_cli.verbs.nearest import Encode


@verb(*SERIES, "literal", *REPORT)
def nearest(
    call: Call,
    selections: Annotated[
        list[str],
        typer.Argument(
            metavar="COMPONENT FILE...",
            help="A component, such as a.z:1, then the .z files or pictures to search.",
            autocompletion=complete_selections,
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many to show.")] = 10,
) -> None:
    """Find the components of many files that are closest to one.

    Columns: distance, component, label, picture that it came from. A distance of 1 is that of two
    of the components compared, in the root mean square; only components of one model compare.

    Example: comet nearest a.z:1 folder/*.z --top 5
    """
    from comet_cli.verbs.nearest import find_nearest

    query, *candidates = parse_selections(selections, literal=call.literal)
    report = call.report
    found = find_nearest(
        query,
        candidates,
        top=top,
        encode=_encoder(call, [selection.path for selection in (query, *candidates)]),
        told=report.failed,
    )
    if found.other_models:
        report.note(
            f"{len(found.other_models)} of the files left out: not made by model "
            f"'{found.model}' ('{show(found.other_models[0])}' is one)"
        )
    facts = dataclasses.asdict(dataclasses.replace(found, failed=()))
    report.document.update({**facts, "failed": report.document.get("failed", [])})
    lines = [
        f"{n.distance:.4f}\t{show(n.path)}:{n.component}\t{n.label}\t{n.source}"
        for n in found.nearest
    ]
    report.show({}, "\n".join(lines))


def _encoder(call: Call, paths: Sequence[str]) -> Encode:
    """Return what encodes pictures; a session, which needs torch, is opened at the first.

    The component asked for decides on the model; of a picture, ``--one-model`` does.
    """
    session = functools.cache(call.session)

    def encode(data: bytes, path: str, home: ComponentSet | None) -> ComponentSet:
        model = None
        if home is None:
            session().choose_for_all(paths)
        else:
            model = session().model_of(home.model, home.model_sha256, "the component asked for")
        return session().encode(data, path, model=model).components

    return encode
