"""``comet score``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report


def score(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to score.")],
    selections: options.Selections,
    model: options.Model = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    literal: options.Literal = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Print the energies of a picture and components.

    An energy is low where the picture contains the component.
    """
    with Report(as_json=as_json, quiet=quiet) as report:
        from comet_cli.resolution import Bench
        from comet_cli.scoring import score_image

        bench = Bench(model=model, device=device, precision=precision, note=report.note)
        scores = score_image(image, selections, bench, literal=literal)
        lines = [f"{s.energy:.6g}\t{s.source}:{s.component}\t{s.model}\t{s.label}" for s in scores]
        report.show({"scores": [dataclasses.asdict(s) for s in scores]}, "\n".join(lines))
