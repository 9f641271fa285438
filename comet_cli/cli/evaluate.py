"""`comet evaluate`: figures of a model on held-out pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli import options
from comet_cli.cli.console import Report
from comet_cli.errors import CometError

app = typer.Typer(help="Measure a model on held-out pictures.", no_args_is_help=True)

ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="MODEL", help="Name or folder of the model.")
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Data-set folder, pictures, or pack."),
]
Split = Annotated[str, typer.Option(help="Split of the data set.")]
Count = Annotated[int | None, typer.Option(min=1, help="Pictures to use.", show_default="all")]


def _load(model: str, data: Path, split: str, count: int | None, device: str) -> tuple[Any, Any]:
    from comet_cli.data.dataset_folder import load_folder, splits_in
    from comet_cli.models import store

    loaded = store.load(model, device=device)
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
    """Mean PSNR (dB) of recompositions from all components, also at five times the steps."""
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
    """ARI and segmentation covering of the components' gradients against the true masks."""
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
    count: Annotated[int, typer.Option(min=2, help="Held-out pairs.")] = 500,
    factors: Annotated[
        str, typer.Option(metavar="NAMES", help="Factors, with commas; default a grid's.")
    ] = "",
    probe_iterations: Annotated[int, typer.Option(min=1, help="Of the probe's training.")] = 1500,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Do a component's factors, and no others, follow it into another picture?

    A probe is trained on the labels of the split train, but for its first pictures, which decide
    what component a factor belongs to; the figures are of the split test.
    """
    from comet_cli.evaluation.measure import rounded
    from comet_cli.evaluation.swaps import measure_swaps
    from comet_cli.models import store

    with Report(as_json=as_json) as report:
        loaded = store.load(model, device=device)
        names = factors.split(",") if factors else None
        figures = measure_swaps(loaded, data, names=names, count=count, iterations=probe_iterations)
        found = rounded(figures)
        lines = [f"{name:<26}{value}" for name, value in found.items() if name != "factors"]
        lines.append(f"{'factor':<26}{'component':<11}donor read  of another  host read")
        for name, row in found["factors"].items():
            rates = (row["donor_read"], row["donor_read_of_another"], row["host_read"])
            cells = "  ".join("-".rjust(10) if r is None else f"{r:10.3f}" for r in rates)
            lines.append(f"{name:<26}{row['component']:<9}{cells}")
        document = {"model": loaded.card.name, "data": data.name, **found}
        report.show(document, "\n".join(lines))
