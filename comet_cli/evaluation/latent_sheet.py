"""The picture of a measurement of latents: its matrix, pictures made again, and swaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from comet_cli.drawing.layout import CAPTION, GAP, beside, framed, padded, stack, text
from comet_cli.drawing.readings import reading_matrix
from comet_cli.evaluation.autoencoder import Measured
from comet_cli.evaluation.reconstruction import as_pictures, encode_all, reconstruct, render_all
from comet_cli.formats.images import to_bytes
from comet_cli.models.comet_model import CometModel

SHOWN = 6  # pictures
LEAST = 96  # pixels of a picture on the sheet


def latent_sheet(
    model: Measured,
    images: np.ndarray,
    readings: Mapping[str, Sequence[float]],
    components: Sequence[str],
) -> np.ndarray:
    """Return the matrix factor × component over pictures, pictures made again, and swaps.

    In a swap one component is that of the picture below. A baseline has no swaps.

    Args:
        model: what was measured.
        images: (N,R,R,3) uint8; the first ones are shown.
        readings: factor -> a value for each component.
        components: their names.

    Returns:
        (H,W,3) uint8.
    """
    x = as_pictures(images[:SHOWN]).to(model.device)
    size = model.card.image_size
    side = size * -(-LEAST // size)
    columns = [("input", x), ("made again", reconstruct(model, x))]
    if isinstance(model, CometModel):
        z = encode_all(model, x)
        for k, name in enumerate(components):
            swapped = z.clone()
            swapped[:, k] = z[:, k].roll(-1, 0)
            columns.append((name, render_all(model, swapped)))
    drawn = [
        stack(
            [text(name, size=CAPTION, width=side), *(framed(to_bytes(p), side) for p in pictures)]
        )
        for name, pictures in columns
    ]
    parts = [reading_matrix(readings, components, side), beside(drawn)]
    return np.asarray(padded(stack(parts, gap=3 * GAP, align="start"), 2 * GAP))
