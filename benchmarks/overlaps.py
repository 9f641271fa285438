"""Objects laid on another picture: whether the lower of two is seen, and how much ground shines.

    python benchmarks/overlaps.py datasets/clevr-3-8 clevr --count 200

Looks at no masks. Lays the objects of each picture over those of the next one and counts the pixels
that show an object in both. On a ground that a camera looks down on, the lower object is the nearer
one. Prints, for each model, how many objects it finds in a picture, the share of the picture that
they claim, the pixels that were counted, the share of them in which the lower object is the surer
one, and the share in which one of the two has more than nine tenths. The last column is about the
ground: of the pixels where an object shows in its own picture, the share in which the next
picture's ground would have more than three tenths.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from comet_cli.data.dataset_folder import load_folder
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.training.colouring_losses import SHOWN

THROUGH = 0.3  # share of a pixel from which on another picture's ground shines through
APART = 0.1  # rows between centres, as a part of half the picture, from which on one is lower


def overlaps(model: CometModel, x: Tensor) -> tuple[float, float, int, float, float, float]:
    """Return objects a picture, their share, pixels, lower is surer, one has most, pale pixels."""
    with torch.no_grad():
        found = model.find(x)
        bound = model.bind(found.z, list(range(found.z.shape[1])))
        precision = bound.curvature(x)
    assert precision is not None
    m = precision[:, :, 0] * found.present[:, :, None, None]
    objects = m[:, 1:] / m.sum(1, keepdim=True)
    surest, which = m[:, 1:].max(1)
    row = found.z[:, 1:, 0].gather(1, which.flatten(1)).view_as(which)
    shows = objects.amax(1) > SHOWN
    both = shows & shows.roll(1, 0)
    other = surest.roll(1, 0)
    share = surest / (surest + other)
    lower = row - row.roll(1, 0)
    apart = both & (lower.abs() > APART)
    right = ((share > 0.5) == (lower > 0))[apart].float().mean()
    decided = (torch.maximum(share, 1 - share) > SHOWN)[both].float().mean()
    ground = m[:, 0].roll(1, 0)
    pale = (ground / (ground + surest) > THROUGH)[shows].float().mean()
    count = found.present[:, 1:].sum(1).float().mean()
    area = float(objects.sum(1).mean())
    return float(count), area, int(both.sum()), float(right), float(decided), float(pale)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+", help="with colouring attention")
    parser.add_argument("--count", type=int, default=200)
    asked = parser.parse_args()
    x = as_pictures(load_folder(asked.data, "test").images[: asked.count])
    print(
        f"{'model':24} {'objects':>7} {'area':>6} {'pixels':>7} {'lower seen':>10} {'decided':>8}"
        f" {'ground through':>14}"
    )
    for name in asked.models:
        model = comet_model.load(name, device="cpu")
        if not model.card.colours:
            parser.error(f"{name} finds no objects")
        count, area, pixels, lower, decided, pale = overlaps(model, x)
        print(
            f"{name:24} {count:>7.2f} {area:>6.3f} {pixels:>7} {lower:>10.3f} {decided:>8.3f}"
            f" {pale:>14.4f}"
        )


if __name__ == "__main__":
    main()
