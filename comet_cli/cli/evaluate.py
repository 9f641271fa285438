"""`comet evaluate`: figures of a model on held-out pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report
from comet_cli.cli.help import HelpGroup
from comet_cli.errors import CometError

app = typer.Typer(cls=HelpGroup, help="Measure a model on held-out pictures.", no_args_is_help=True)

ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="MODEL", help="Name, folder or hf:org/name.")
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Data-set folder, pictures, or pack."),
]
Split = Annotated[str, typer.Option(help="Split of the data set.")]
Count = Annotated[int | None, typer.Option(min=1, help="Pictures to use.", show_default="all")]


def _load(model: str, data: Path, split: str, count: int | None, device: str) -> tuple[Any, Any]:
    from comet_cli.data.dataset_folder import load_folder, splits_in
    from comet_cli.models import comet_model

    loaded = comet_model.load(model, device=device)
    # A plain folder has no splits; of a data set nothing but the split asked for will do.
    chosen = None if split == "test" and not splits_in(data) else split
    return loaded, load_folder(data, split=chosen, size=loaded.card.image_size, limit=count)


def _show(report: Report, model: str, data: Path, figures: dict[str, Any]) -> None:
    rows = "\n".join(f"{name:<26}{value}" for name, value in figures.items())
    report.show({"model": model, "data": data.name, **figures}, rows)


@app.command()
def reconstruction(
    model: ModelName,
    data: Data,
    split: Split = "test",
    count: Count = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how closely all components together give a picture.

    Prints the mean PSNR in dB, also at five times the steps.
    """
    from comet_cli.evaluation.measure import rounded
    from comet_cli.evaluation.reconstruction import evaluate_reconstruction

    with Report(as_json=as_json) as report:
        loaded, pictures = _load(model, data, split, count, device)
        figures = rounded(evaluate_reconstruction(loaded, pictures.images))
        _show(report, loaded.card.name, data, figures)


@app.command()
def segmentation(
    model: ModelName,
    data: Data,
    split: Split = "test",
    count: Count = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Compare the components' gradients with the true masks.

    Prints ARI and segmentation covering.
    """
    from comet_cli.evaluation.measure import rounded
    from comet_cli.evaluation.segmentation import evaluate_segmentation

    with Report(as_json=as_json) as report:
        loaded, pictures = _load(model, data, split, count, device)
        if pictures.masks is None:
            raise CometError(
                f"{data} has no instance masks, which segmentation is measured against"
            )
        figures = rounded(evaluate_segmentation(loaded, pictures.images, pictures.masks))
        _show(report, loaded.card.name, data, figures)


@app.command()
def swaps(
    model: ModelName,
    data: Data,
    measured: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Data set whose split test holds the pairs.",
            show_default="that of --data",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=2, help="Held-out pairs.")] = 500,
    factors: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Factors, with commas; default a grid's, or the objects'."
        ),
    ] = "",
    probe_iterations: Annotated[int, typer.Option(min=1, help="Of the probe's training.")] = 1500,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure whether factors move with their components.

    Do a component's factors, and no others, follow it into another picture? A probe, trained on
    the labels of the split train, reads them off the swapped pictures of the split test. Where
    labels are of whole pictures, its first training pictures decide what component a factor
    belongs to. Where they are of objects, each object is replaced by one of another picture; a
    swap of an object that no component holds counts as wrong.
    """
    from comet_cli.evaluation.measure import rounded
    from comet_cli.evaluation.swaps import measure_swaps
    from comet_cli.models import comet_model

    with Report(as_json=as_json) as report:
        loaded = comet_model.load(model, device=device)
        figures = measure_swaps(
            loaded,
            data,
            measured=measured,
            names=factors.split(",") if factors else None,
            count=count,
            iterations=probe_iterations,
        )
        found = rounded(figures)
        lines = [f"{name:<26}{value}" for name, value in found.items() if name != "factors"]
        places = {"data": data.name, "measured": (measured or data).name}
        document = {"model": loaded.card.name, **places, **found}
        report.show(document, "\n".join(lines + _factor_table(found["factors"])))


def _factor_table(factors: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line a factor below their head; the columns are those that all factors have."""
    columns = [
        (key, title)
        for key, title in (
            ("component", "component"),
            ("donor_read", "donor read"),
            ("donor_read_of_another", "of another"),
            ("host_read", "host read"),
            ("probe", "probe"),
            ("recomposed", "recomposed"),
        )
        if all(key in row for row in factors.values())
    ]
    lines = [f"{'factor':<26}" + "  ".join(title.rjust(10) for _, title in columns)]
    for name, row in factors.items():
        cells = [
            "-" if row[key] is None else f"{row[key]:.3f}" if key != "component" else str(row[key])
            for key, _ in columns
        ]
        lines.append(f"{name:<26}" + "  ".join(cell.rjust(10) for cell in cells))
    return lines
