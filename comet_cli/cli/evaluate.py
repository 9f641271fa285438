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
    Path, typer.Option("--data", metavar="DIR", help="Data-set folder, or a folder of pictures.")
]
Split = Annotated[str, typer.Option(help="Split of the data set.")]
Count = Annotated[int | None, typer.Option(min=1, help="Pictures to use.", show_default="all")]


def _load(model: str, data: Path, split: str, count: int | None, device: str) -> tuple[Any, Any]:
    from comet_cli.data.dataset_folder import load_folder
    from comet_cli.data.generator import SPLITS
    from comet_cli.models import store

    loaded = store.load(model, device=device)
    # A plain folder has no splits; of a data set nothing but the split asked for will do.
    plain = not any((data / each).is_dir() for each in SPLITS)
    chosen = None if plain and split == "test" else split
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
