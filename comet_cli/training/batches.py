"""The pictures of an iteration."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from comet_cli.data.mixture import Pictures, draw_rows
from comet_cli.training.matching import Matches
from comet_cli.training.recipe import PicturesRecipe


def draw_batch(images: Pictures, recipe: PicturesRecipe, iteration: int) -> Tensor:
    """Return the batch (B,3,R,R) of an iteration: a function of seed and iteration alone.

    Of a mixture, each data set gives its share.
    """
    generator = np.random.default_rng(random_seed(recipe.train.seed, iteration, 0))
    return _read(images, draw_rows(images, generator, recipe.train.batch), recipe, generator)


def draw_matched(
    images: Pictures, recipe: PicturesRecipe, iteration: int, matches: Matches
) -> tuple[Tensor, Tensor]:
    """Return the batch of an iteration with what its components are taken from.

    Returns:
        the batch, and after it the pictures that are needed beside it: (B+E,3,R,R), and which of
        them each component is taken from: (B,K).
    """
    generator = np.random.default_rng(random_seed(recipe.train.seed, iteration, 0))
    rows = draw_rows(images, generator, recipe.train.batch)
    rows, taken = matches.draw(rows, generator)
    return _read(images, rows, recipe, generator), torch.from_numpy(taken)


def _read(
    images: Pictures, rows: np.ndarray, recipe: PicturesRecipe, generator: np.random.Generator
) -> Tensor:
    """Return pictures (B,3,R,R), augmented; in place, as small batches cost torch more."""
    pixels = np.asarray(images[rows])
    if recipe.data.flip:
        mirrored = generator.random(len(pixels)) < 0.5
        turned = pixels[mirrored]
        for channel in range(3):  # pixels of three bytes are slow to copy
            pixels[mirrored, :, :, channel] = turned[:, :, ::-1, channel]
    x = pixels.astype(np.float32)
    x /= 255
    if recipe.data.colour_jitter:
        gains = 1 + recipe.data.colour_jitter * generator.uniform(-1, 1, (len(x), 1, 1, 3))
        x *= gains.astype(np.float32)
        np.clip(x, 0, 1, out=x)
    return torch.from_numpy(x).permute(0, 3, 1, 2)


def random_seed(seed: int, iteration: int, stream: int) -> int:
    """Return the seed of one of an iteration's streams: 0 batch, 1 noise, 2 all other numbers."""
    return int(np.random.SeedSequence([seed, iteration, stream]).generate_state(1)[0])
