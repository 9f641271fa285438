"""How often a model finds as many objects as a picture has.

    python benchmarks/count_objects.py clevr --data datasets/clevr-3-8-unseen

Of a model whose encoder colours; the true numbers are of the instance masks of the data set. Prints
the share of pictures with the right number, and what was found for each true number. With --gain
0.85 the pictures are darker.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from comet_cli.data.dataset_folder import load_folder
from comet_cli.errors import CometError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models import comet_model


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--gain", type=float, default=1.0, help="times the pictures")
    asked = parser.parse_args()
    model = comet_model.load(asked.model)
    if not model.card.colours:
        raise CometError(f"'{asked.model}' has always {model.card.components} components")
    data = load_folder(asked.data, split=asked.split, size=model.card.image_size)
    if data.masks is None:
        raise CometError(f"{asked.data} has no instance masks to count objects in")
    pairs: Counter[tuple[int, int]] = Counter()
    for picture, mask in zip(as_pictures(data.images).split(1), data.masks, strict=True):
        with torch.no_grad():
            picture = (asked.gain * picture).clamp(0, 1).to(model.device)
            found = int(model.find(picture).present.sum()) - 1
        pairs[len(np.unique(mask[mask > 0])), found] += 1
    total = sum(pairs.values())
    right = sum(count for (true, found), count in pairs.items() if true == found)
    print(f"right number of objects in {right} of {total} pictures: {right / total:.3f}")
    for true in sorted({true for true, _ in pairs}):
        row = {found: count for (t, found), count in sorted(pairs.items()) if t == true}
        print(f"{true} objects: found " + ", ".join(f"{n} in {c}" for n, c in row.items()))


if __name__ == "__main__":
    main()
