"""The picture of a comparison of objects: true masks, and what each model makes of the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from comet_cli.drawing.layout import CAPTION, GAP, Box, beside, framed, padded, ruled, stack, text
from comet_cli.drawing.maps import overlay
from comet_cli.evaluation.autoencoder import Measured
from comet_cli.evaluation.reconstruction import as_pictures, encode_all, reconstruct, render_all
from comet_cli.evaluation.segmentation import segments
from comet_cli.formats.images import to_bytes
from comet_cli.models.comet_model import CometModel

SHOWN = 5  # pictures
SIDE = 72  # pixels of a picture on the sheet, at least


def segment_sheet(
    models: Sequence[tuple[str, Measured]],
    pictures: Callable[[Measured], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return pictures and their true masks beside what models make of them.

    Of each model: the pictures made again, which component each pixel is of, and swaps, in which
    all components but the first are those of the picture below. A baseline has no swaps.

    Args:
        models: what was measured, with what to call it.
        pictures: a model -> the same pictures at its size (N,R,R,3) uint8, and their instance
            masks (N,R,R), 0 the background.

    Returns:
        (H,W,3) uint8.
    """
    images, masks = (found[:SHOWN] for found in pictures(models[0][1]))
    side = images.shape[1] * -(-SIDE // images.shape[1])
    truth = [overlay(*pair, count=int(masks.max()) + 1) for pair in zip(images, masks, strict=True)]
    groups = [_group("", [("input", list(images)), ("true masks", truth)], side)]
    for name, model in models:
        seen = pictures(model)[0][:SHOWN]
        x = as_pictures(seen).to(model.device)
        found = segments(model, x).cpu().numpy()
        count = model.card.components
        columns = [
            ("made again", _bytes(reconstruct(model, x))),
            ("components", [overlay(*p, count=count) for p in zip(seen, found, strict=True)]),
        ]
        if isinstance(model, CometModel):
            z = encode_all(model, x)
            swapped = torch.cat([z[:, :1], z[:, 1:].roll(-1, 0)], 1)
            columns.append(("swapped", _bytes(render_all(model, swapped))))
        groups.append(_group(name, columns, side))
    return np.asarray(padded(beside(groups, gap=3 * GAP, align="end"), 2 * GAP))


def _bytes(pictures: Tensor) -> list[np.ndarray]:
    return [to_bytes(picture) for picture in pictures.cpu()]


def _group(name: str, columns: Sequence[tuple[str, Sequence[np.ndarray]]], side: int) -> Box:
    """Return columns of pictures with their captions, under a heading that spans them."""
    drawn = beside(
        [
            stack([text(title, size=CAPTION, width=side), *(framed(p, side) for p in pictures)])
            for title, pictures in columns
        ]
    )
    return stack([ruled(name, drawn.width), drawn]) if name else drawn
