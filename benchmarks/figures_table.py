"""Print the shipped models' figures, as their cards hold them, as Markdown tables.

Usage: python benchmarks/figures_table.py [--write README.md docs/models.md]

The first table is the README's, with the paper's figures; the second, of docs/models.md, has all.
With --write the text between the `results` and the `figures` comments of the files is replaced.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marked import has_mark, replace_marked

from comet_cli.models.library import list_models

COLUMNS = [
    ("held-out pictures", "reconstruction", "count"),
    ("PSNR, dB", "reconstruction", "psnr"),
    ("at 5x the steps", "reconstruction", "psnr_5n"),
    ("mean picture's PSNR", "reconstruction", "psnr_mean_image"),
    ("ARI", "segmentation", "ari"),
    ("ARI, objects only", "segmentation", "ari_foreground"),
    ("mean covering", "segmentation", "mean_covering"),
    ("swap accuracy", "swaps", "swap_accuracy"),
]
# Without a component for the background, no figure over all pixels means anything.
NEEDS_GROUND = ("ari", "mean_covering")
# What the README shows, and what the paper reports, of its own pictures (section 5.2).
SHORT = ["PSNR, dB", "ARI", "ARI, objects only", "mean covering", "swap accuracy"]
PAPER = {"clevr": {"ari": 0.916, "mean_covering": 0.713}}


def results() -> str:
    """Return the short table, a row for each shipped model and for what the paper reports of it."""
    columns = [column for column in COLUMNS if column[0] in SHORT]
    rows = []
    for entry in list_models():
        if entry.origin != "shipped":
            continue
        rows.append(cells(f"`{entry.name}`", entry.card.figures, entry.card.ground, columns))
        if entry.name in PAPER:
            reported = {"segmentation": PAPER[entry.name]}
            rows.append(cells("the paper, on its CLEVR", reported, True, columns))
    return lines([name for name, _, _ in columns], rows)


def table() -> str:
    """Return the table of all figures of all shipped models."""
    rows = []
    for entry in list_models():
        if entry.origin != "shipped":
            continue
        figures = entry.card.figures
        rows.append(cells(f"`{entry.name}`", figures, entry.card.ground))
        # A model of several data sets has figures of each.
        for source, part in figures.items():
            if "reconstruction" in part:
                rows.append(cells(f"`{entry.name}`, {source}", part, entry.card.ground))
    return lines([name for name, _, _ in COLUMNS], rows)


def lines(names: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose first column is the model."""
    rows = [["model", *names], ["---"] * (len(names) + 1), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cells(
    name: str,
    figures: dict[str, Any],
    ground: bool,
    columns: Sequence[tuple[str, str, str]] = COLUMNS,
) -> list[str]:
    """Return one row."""
    row = [name]
    for _, group, key in columns:
        value = figures.get(group, {}).get(key)
        if value is None or (not ground and key in NEEDS_GROUND):
            row.append("")
        elif isinstance(value, float):
            row.append(f"{value:.1f}" if group == "reconstruction" else f"{value:.3f}")
        else:
            row.append(str(value))
    return row


def rewrite(text: str) -> str:
    """Return a document with the tables between its marks replaced."""
    for mark, make in (("results", results), ("figures", table)):
        if has_mark(text, mark):
            text = replace_marked(text, mark, make())
    return text


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    for path in options.write:
        path.write_text(rewrite(path.read_text("utf-8")), "utf-8")
    if not options.write:
        print(results(), table(), sep="\n\n")


if __name__ == "__main__":
    main()
