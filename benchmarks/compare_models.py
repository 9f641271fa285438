"""Measure several models on the same held-out pictures and print one Markdown table.

Usage: python benchmarks/compare_models.py MODEL... --data DIR [--count N] [-o FILE] [--note TEXT]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comet_cli.data.dataset_folder import load_folder
from comet_cli.evaluation.measure import measure
from comet_cli.models import comet_model

FIGURES = [
    ("PSNR (dB)", "reconstruction", "psnr"),
    ("PSNR at 5x the steps (dB)", "reconstruction", "psnr_5n"),
    ("ARI, objects only", "segmentation", "ari_foreground"),
    ("ARI, all pixels", "segmentation", "ari"),
]


def main() -> None:
    """Print, and with -o write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--note", default="", help="a sentence under the table")
    options = parser.parse_args()
    head = ["figure"]
    cells = [[name] for name, _, _ in FIGURES]
    facts = [["energy"], ["iterations"], ["training time (minutes)"]]
    for name in options.models:
        model = comet_model.load(name, device="cpu")
        card = model.card
        split = "test" if (options.data / "test").is_dir() else None
        pictures = load_folder(options.data, split, card.image_size, options.count)
        figures = measure(model, pictures.images, pictures.masks)
        head.append(card.name)
        values = [card.energy, str(card.iterations), f"{card.train_seconds / 60:.0f}"]
        for row, value in zip(facts, values, strict=True):
            row.append(value)
        for cell, (_, group, key) in zip(cells, FIGURES, strict=True):
            cell.append(f"{figures.get(group, {}).get(key, float('nan')):.3f}")
    rows = [head, ["---"] * len(head), *facts, *cells]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    if options.note:
        table += f"\n{options.note}\n"
    print(table, end="")
    if options.output:
        note = (
            f"Measured by `benchmarks/compare_models.py` on {options.count} held-out pictures.\n\n"
        )
        options.output.write_text(note + table, encoding="utf-8")


if __name__ == "__main__":
    main()
