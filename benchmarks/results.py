"""Print the paper's comparisons, made from trained folders, as docs/results.md.

Usage: python benchmarks/results.py [--table1 DIR…] [--table2 DIR…] [--objects DIR…]
           [--factors-data DIR] [--objects-data DIR] [--count N]
           [--write docs/results.md --pictures docs/images]

A table whose folders are not given is left out, and so is a row that was not trained. Figures that
were measured before are taken from the folders (measured.json). With --pictures each table has
its pictures beside it: results-NAME.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from comet_cli.baselines.rows import cells, make_rows, markdown
from comet_cli.baselines.sheets import (
    component_names,
    first_folders,
    latent_picture,
    object_picture,
)
from comet_cli.baselines.tables import TABLES
from comet_cli.baselines.trained import measured, read_trained
from comet_cli.formats.images import write_png

HEAD = """# The paper's comparisons

Made by `python benchmarks/results.py` from trained folders. Nothing is written by hand but the
paper's own figures, which stand beside ours. The paper's are of Falcor3D (table 1) and CLEVR, ours
of data sets that comet renders, at the size and for the length that the last columns say: compare
the rows of a column with each other, and the order of rows with the paper's. Of several seeds,
figures are mean ± standard deviation.
"""
ABOUT = {
    "table1": "Figures are in hundredths. Sets of latents are measured by their principal\n"
    "components ([how each is measured](mathematics.md#disentanglement)). All rows at 32 pixels\n"
    "saw the same pictures, as many of them, with about as many parameters, and no labels. That\n"
    "is a short training, also for the baselines; longer ones were not tried. A row at 64 pixels\n"
    "is the recipe of the shipped `room`: longer, larger, and with a loss on structure.\n"
    "BetaVAE scores are of before a pair was always of two pictures.\n"
    "[What that changes, where a baseline is ahead, and what was tried]"
    "(training-log.md#the-rows-of-table-1).",
    "table2": "ARI compares the true masks with the strongest gradient at each pixel. All rows\n"
    "saw the same scenes of four objects, as many of them, at 32 pixels: a short training.",
    "objects": "COMET is segmented by the strongest gradient, MONet by the largest mask. All rows\n"
    "saw the same scenes of four objects, as many of them, at 32 pixels: a short training.",
}

BELOW = (
    "Pictures made again, the component of each pixel, and swaps: all components but the first\n"
    "are those of the picture below. A baseline has no swaps."
)


def section(
    name: str,
    folders: Sequence[Path],
    *,
    data: Path | None = None,
    count: int | None = None,
    pictures: Path | None = None,
) -> str:
    """Return a table with its heading, and write its pictures if there is a folder for them."""
    table = TABLES[name]
    rows = make_rows(table, folders, data=data, count=count)
    parts = [f"## {table.title}", ABOUT[name], markdown(cells(table, rows))]
    firsts = first_folders(rows, folders)
    if name == "table1":
        for row, folder in zip(rows, firsts, strict=True):
            parts += importance(folder, row.settings["model"], data, count, pictures)
    elif pictures is not None:
        parts.append(BELOW)
        sheet = object_picture(firsts, table, data=data)
        parts.append(shown(sheet, pictures, name, f"what the models of {table.title} see"))
    return "\n\n".join(parts)


def shown(sheet: np.ndarray, folder: Path, name: str, words: str) -> str:
    """Write a picture, and return how the document shows it."""
    path = folder / f"results-{name}.png"
    write_png(sheet, str(path))
    return f"![{words}](images/{path.name})"


def importance(
    folder: Path, model: str, data: Path | None, count: int | None, pictures: Path | None
) -> list[str]:
    """Return the table factor × component of a training, if it has several components."""
    trained = read_trained(folder)
    if trained.card.components < 2:
        return []
    rows = measured(trained, "disentanglement", data=data, count=count)["factors"]
    lines = [
        ["factor", *component_names(trained)],
        *([n, *(f"{v:.2f}" for v in row)] for n, row in rows.items()),
    ]
    parts = [
        f"How well each component of {model} (`{folder.name}`) tells each factor:",
        markdown(lines),
    ]
    if pictures is not None:
        sheet = latent_picture(trained, data=data, count=count)
        words = f"components of {folder.name}: what they tell, pictures made again, swaps"
        parts.append(shown(sheet, pictures, folder.name, words))
    return parts


def main() -> None:
    """Print, or write, the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in TABLES:
        parser.add_argument(f"--{name}", nargs="+", type=Path, default=[], metavar="DIR")
    parser.add_argument("--factors-data", type=Path, help="for table1; default the recipes' own")
    parser.add_argument("--objects-data", type=Path, help="for the others")
    parser.add_argument("--count", type=int, help="the most pictures; default all")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder of the pictures beside the tables")
    given = parser.parse_args()
    parts = [HEAD.rstrip()]
    for name in TABLES:
        folders = getattr(given, name)
        if folders:
            data = given.factors_data if name == "table1" else given.objects_data
            parts.append(
                section(name, folders, data=data, count=given.count, pictures=given.pictures)
            )
    text = "\n\n".join(parts) + "\n"
    if given.write:
        given.write.write_text(text, "utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
