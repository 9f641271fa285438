"""Print the shipped models' figures, as their cards hold them, as a Markdown table.

Usage: python benchmarks/figures_table.py [--write README.md]

With --write the text between the two `figures` comments of the file is replaced.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from comet_cli.models.library import list_models

MARKS = ("<!-- figures -->", "<!-- /figures -->")
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
# Without a component for the ground, no figure over all pixels means anything.
NEEDS_GROUND = ("ari", "mean_covering")


def table() -> str:
    """Return the table of all shipped models."""
    rows = [["model", *[name for name, _, _ in COLUMNS]], ["---"] * (len(COLUMNS) + 1)]
    for entry in list_models():
        if entry.origin != "shipped":
            continue
        figures = entry.card.figures
        rows.append(cells(f"`{entry.name}`", figures, entry.card.ground))
        # A model of several data sets has figures of each.
        for source, part in figures.items():
            if "reconstruction" in part:
                rows.append(cells(f"`{entry.name}`, {source}", part, entry.card.ground))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def cells(name: str, figures: dict[str, Any], ground: bool) -> list[str]:
    """Return one row."""
    row = [name]
    for _, group, key in COLUMNS:
        value = figures.get(group, {}).get(key)
        if value is None or (not ground and key in NEEDS_GROUND):
            row.append("")
        elif isinstance(value, float):
            row.append(f"{value:.1f}" if group == "reconstruction" else f"{value:.3f}")
        else:
            row.append(str(value))
    return row


def rewrite(text: str) -> str:
    """Return a document with the table between its marks replaced."""
    begin, end = MARKS
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{table()}\n{end}", text)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.write:
        options.write.write_text(rewrite(options.write.read_text("utf-8")), "utf-8")
    else:
        print(table())


if __name__ == "__main__":
    main()
