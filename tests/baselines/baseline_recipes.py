"""Pictures of one coloured square, recipes of tiny baselines."""

from pathlib import Path

import numpy as np

from comet_cli.baselines.card import BaselineCard
from comet_cli.baselines.recipe import BaselineRecipe, parse_any_recipe
from comet_cli.data.dataset_folder import write_metadata, write_sample
from comet_cli.worlds.generator import Sample

SIZE = 16
TINY = {
    "beta-vae": {"kind": "beta-vae", "latent_dim": 4, "filters": 8},
    "infogan": {"kind": "infogan", "latent_dim": 3, "filters": 8, "noise_dim": 2},
    "monet": {"kind": "monet", "latent_dim": 4, "filters": 8, "components": 3},
}


def tiny_card(kind: str, **facts) -> BaselineCard:
    return BaselineCard(**{"name": "tiny", "image_size": SIZE, **TINY[kind], **facts})


def tiny_recipe(kind: str, data: str = "data", filters: int = 8, **train) -> BaselineRecipe:
    facts = {"name": "tiny", "image_size": SIZE, **TINY[kind], "filters": filters}
    settings = {"iterations": 6, "batch": 4, "learning_rate": 1e-3, "log_every": 2, **train}
    lines = ["[baseline]", *(f"{k} = {v!r}" for k, v in facts.items())]
    lines += [
        "[data]",
        f"train = '{data}'",
        "[train]",
        *(f"{k} = {v}" for k, v in settings.items()),
    ]
    return parse_any_recipe("\n".join(lines))


def squares(count: int, *, still: bool = False) -> np.ndarray:
    """Return pictures (N,R,R,3) of a square of one of four colours on dark grey."""
    draw = np.random.default_rng(0)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
    images = np.full((count, SIZE, SIZE, 3), 40, np.uint8)
    for image in images:
        r, c = (5, 5) if still else draw.integers(SIZE - 6, size=2)
        image[r : r + 6, c : c + 6] = colours[draw.integers(4)]
    return images


def labelled(folder: Path) -> Path:
    """Write a data set of such pictures, with masks and two factors; return it."""
    every = squares(36)  # none of both splits
    for split, images in (("train", every[24:]), ("test", every[:24])):
        (folder / split).mkdir(parents=True)
        (folder / "masks" / f"{split}set").mkdir(parents=True)
        entries = []
        for n, image in enumerate(images):
            mask = (image.max(-1) > 40).astype(np.uint8)
            sample = Sample(image, mask, {"factors": {"half": n % 2, "third": n % 3}})
            entries.append(write_sample(folder, split, n, 0, sample))
        write_metadata(folder, split, entries)
    return folder
