"""How much components of a model say of each other: squared distance correlation of their latents.

Usage: python benchmarks/dependence.py MODEL [MODEL...] --data FOLDER [--split test] [--count 500]

0 for two components that are independent over the pictures, 1 for two that repeat each other. MODEL
is a name or a folder; models of global components are what it is for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from comet_cli.data.dataset_folder import load_folder
from comet_cli.evaluation.reconstruction import as_pictures, encode_all
from comet_cli.models import comet_model
from comet_cli.training.losses import dependence_loss


def main() -> None:
    """Print a line for each pair of components of each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True, help="a data-set folder")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=500, help="pictures, at most")
    options = parser.parse_args()
    for name in options.models:
        model = comet_model.load(name, device="cpu")
        size = model.card.image_size
        data = load_folder(options.data, split=options.split, size=size, limit=options.count)
        z = encode_all(model, as_pictures(data.images))
        print(f"{name}: {len(z)} pictures of {options.data.name}, {options.split}")
        for j, k in torch.combinations(torch.arange(model.card.components)).tolist():
            print(f"  components {j} and {k}: {dependence_loss(z[:, [j, k]]).item():.3f}")


if __name__ == "__main__":
    main()
