"""``comet score``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from comet_cli.cli.completion import complete_selections
from comet_cli.cli.verb import REPORT, SERIES, Call, verb
from comet_cli.errors import CometError
from comet_cli.formats.files import show


@verb(*SERIES, "literal", *REPORT)
def score(
    call: Call,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... SELECTION...",
            help="Pictures to score, and components: a.z, a.z:0,2, b.png:1.",
            autocompletion=complete_selections,
            show_default=False,
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only the N pictures that contain the selection best, best first.",
        ),
    ] = None,
) -> None:
    """Print the energies of pictures and components.

    An energy is low where the picture contains the component. Columns: energy, picture, component,
    model, label (energies without weights); with --top: energy of the selection, picture.

    Example: comet score folder/*.png a.z:1 --top 10
    """
    from comet_cli.verbs.score import PictureScore, rank, score_images, split_arguments

    report = call.report
    pictures, selections = split_arguments(arguments, literal=call.literal)

    def tell(picture: PictureScore) -> None:
        if picture.error is not None:
            report.failed(picture.picture, picture.error)
            return
        scores = report.document.setdefault("scores", [])
        scores += [dataclasses.asdict(score) for score in picture.scores]
        if top is None:
            lines = [
                f"{s.energy:.6g}\t{show(s.picture)}\t{s.source}:{s.component}\t{s.model}\t{s.label}"
                for s in picture.scores
            ]
            report.show({}, "\n".join(lines))

    with report.progress("scoring") as progress:
        found = score_images(pictures, selections, call.session(), progress=progress, told=tell)
    if all(picture.error is not None for picture in found):
        raise CometError(f"none of the {len(found)} pictures could be scored")
    if top is None:
        return
    shown = rank(found, top)
    ranking = [
        {"rank": n, "picture": p.picture, "energy": p.energy} for n, p in enumerate(shown, 1)
    ]
    scores = [dataclasses.asdict(score) for picture in shown for score in picture.scores]
    lines = [f"{p.energy:.6g}\t{show(p.picture)}" for p in shown]
    report.show({"scores": scores, "ranking": ranking}, "\n".join(lines))
