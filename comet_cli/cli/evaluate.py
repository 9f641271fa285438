"""`comet evaluate`: figures of a model on held-out pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from comet_cli.cli.checks import check_picture_outputs
from comet_cli.cli.help import HelpGroup
from comet_cli.cli.verb import REPORT, Call, verb
from comet_cli.errors import UsageError
from comet_cli.formats.files import STANDARD

app = typer.Typer(cls=HelpGroup, help="Measure a model on held-out pictures.", no_args_is_help=True)

ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="MODEL", help="Name, folder or hf:org/name.")
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Data-set folder, pictures, or pack."),
]
Split = Annotated[str, typer.Option(help="Split of the data set.")]
Count = Annotated[
    int | None, typer.Option(min=1, help="How many pictures to use.", show_default="all")
]
Factors = Annotated[
    str,
    typer.Option(metavar="NAMES", help="Factors, with commas; default: all of the data set's."),
]


@app.command()
@verb("device", *REPORT)
def reconstruction(
    call: Call, model: ModelName, data: Data, split: Split = "test", count: Count = None
) -> None:
    """Measure how closely all components together give a picture.

    Prints the mean PSNR in dB, also at five times the steps, and SSIM.
    """
    _measure("reconstruction", call, model, data, split, count)


@app.command()
@verb("device", *REPORT)
def segmentation(
    call: Call, model: ModelName, data: Data, split: Split = "test", count: Count = None
) -> None:
    """Compare the components' gradients with the true masks.

    Prints ARI and segmentation covering.
    """
    _measure("segmentation", call, model, data, split, count)


@app.command()
@verb("device", "force", *REPORT)
def disentanglement(
    call: Call,
    model: ModelName,
    data: Data,
    split: Split = "test",
    count: Count = None,
    factors: Factors = "",
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE.png", help="Draw a sheet too.")
    ] = None,
) -> None:
    """Measure how well the latents tell labelled factors apart.

    Prints the BetaVAE score, MIG and MCC of the paper's table 1, then DCI and InfoMEC; of several
    components their principal components are measured. The table says how well each factor can be
    read off each component alone. The sheet shows that table, and pictures with one component of
    the picture below. Needs scikit-learn.
    """
    if output == STANDARD:
        raise UsageError(
            "the figures go to standard output, so the sheet needs a name: -o FILE.png"
        )
    if output is not None:
        check_picture_outputs([output], force=call.force, as_json=call.as_json)
    from comet_cli.baselines.folder import load_any
    from comet_cli.evaluation.autoencoder import component_titles
    from comet_cli.evaluation.latent_sheet import SHOWN, latent_sheet
    from comet_cli.evaluation.measure import load_pictures, measure_latents_on, rounded
    from comet_cli.formats.files import write_output
    from comet_cli.formats.images import encode_png
    from comet_cli.formats.picture_recipe import mark_pixels

    loaded = load_any(model, device=call.device)
    names = factors.split(",") if factors else None
    _tell_seen(call, model, data, split, count)
    with call.report.progress("measuring") as progress:
        figures = measure_latents_on(
            loaded, data, split=split, count=count, names=names, progress=progress
        )
    found = rounded(figures)
    document = {"model": loaded.card.name, "data": data.name, **found}
    rows: dict[str, list[float]] = found["factors"]
    titles = component_titles(loaded.card, len(next(iter(rows.values()))))
    if output is not None:
        shown = load_pictures(loaded, data, split, SHOWN).images
        sheet = latent_sheet(loaded, shown, rows, titles)
        write_output(output, mark_pixels(encode_png(sheet), sheet))
    call.report.show(document, "\n".join([*_lines(found), *_reading_table(titles, rows)]))


def _reading_table(titles: list[str], rows: dict[str, list[float]]) -> list[str]:
    """Return one line a factor below their head, with a column for each component."""
    widths = [max(len(title), 5) for title in titles]
    lines = [
        ["factor", *titles],
        *([name, *(f"{v:.3f}" for v in row)] for name, row in rows.items()),
    ]
    return [
        f"{name:<26}" + "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
        for name, *cells in lines
    ]


def _measure(kind: str, call: Call, model: str, data: Path, split: str, count: int | None) -> None:
    from comet_cli.baselines.folder import load_any
    from comet_cli.evaluation.measure import measure_on

    loaded = load_any(model, device=call.device)
    _tell_seen(call, model, data, split, count)
    with call.report.progress("measuring") as progress:
        figures = measure_on(kind, loaded, data, split=split, count=count, progress=progress)
    document = {"model": loaded.card.name, "data": data.name, **figures}
    call.report.show(document, "\n".join(_lines(figures)))


def _tell_seen(call: Call, model: str, data: Path, split: str, count: int | None) -> None:
    from comet_cli.baselines.trained import tell_seen
    from comet_cli.models.library import find

    tell_seen(find(model), data, split, count, call.report.note)


def _lines(figures: dict[str, Any]) -> list[str]:
    return [f"{name:<26}{value}" for name, value in figures.items() if name != "factors"]


@app.command()
@verb("device", *REPORT)
def swaps(
    call: Call,
    model: ModelName,
    data: Data,
    measured: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Another data set to take the test pictures from.",
            show_default="that of --data",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=2, help="How many pairs of pictures.")] = 500,
    factors: Factors = "",
    probe_iterations: Annotated[
        int, typer.Option(min=1, help="Training steps of the probe.")
    ] = 1500,
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

    loaded = comet_model.load(model, device=call.device)
    with call.report.progress("training the probe") as progress:
        swapped = measure_swaps(
            loaded,
            data,
            measured=measured,
            names=factors.split(",") if factors else None,
            count=count,
            iterations=probe_iterations,
            progress=progress,
        )
    found = rounded(swapped)
    places = {"data": data.name, "measured": (measured or data).name}
    document = {"model": loaded.card.name, **places, **found}
    call.report.show(document, "\n".join([*_lines(found), *_factor_table(found["factors"])]))


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


Folders = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Trained folders.")]
TableData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="What is measured on.",
        show_default="the held-out pictures of each recipe",
    ),
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")]


COMPARISONS = {
    "table1": """Compare how well trained models tell factors apart.

    The paper's table 1: BetaVAE score, MIG and MCC, with DCI and InfoMEC beside them. A row is a
    training, or several that differ in their seed alone. What the paper reports and the budget of
    each row stand beside it. Figures are kept in the folders, as measured.json.
    """,
    "table2": """Compare what makes components hold objects.

    The paper's table 2: encoder, latent dimension and positional embedding, by the ARI of the
    components' gradients. Rows are as in table1.
    """,
    "objects": """Compare how well trained models find objects.

    Section 5.2 of the paper: ARI and mean segmentation covering of COMET and MONet. Rows are as in
    table1.
    """,
}


def _comparison(name: str, about: str) -> Callable[..., None]:
    def compare(
        call: Call,
        folders: Folders,
        data: TableData = None,
        split: Split = "test",
        count: Count = None,
        markdown: Markdown = False,
    ) -> None:
        from comet_cli.baselines import rows as writing
        from comet_cli.baselines.tables import TABLES

        table = TABLES[name]
        with call.report.progress("measuring") as progress:
            rows = writing.make_rows(
                table,
                folders,
                data=data,
                split=split,
                count=count,
                device=call.device,
                note=call.report.note,
                progress=progress,
            )
        write = writing.markdown if markdown else writing.aligned
        call.report.show(writing.document(table, rows), write(writing.cells(table, rows)))

    compare.__doc__ = about
    return compare


for _name, _about in COMPARISONS.items():
    app.command(_name)(verb("device", *REPORT)(_comparison(_name, _about)))
