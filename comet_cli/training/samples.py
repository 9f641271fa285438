"""Sample sheets of a training: what a look tells that the loss does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from comet_cli.energy.composition import Term
from comet_cli.energy.gradients import gradient_strength
from comet_cli.energy.render import default_start, render
from comet_cli.evaluation.reconstruction import as_pictures, reconstruct
from comet_cli.formats.images import enlarge, write_png
from comet_cli.models.comet_model import CometModel
from comet_cli.training.small_pictures import at_size_of


def write_samples(model: CometModel, held_out: np.ndarray, path: Path, *, rows: int = 8) -> None:
    """Write a sheet: input, recomposition, each component alone, gradients, one swap.

    Args:
        model: the model, in evaluation mode.
        held_out: (M,R,R,3) uint8.
        path: PNG.
        rows: pictures shown.
    """
    x = at_size_of(model, as_pictures(held_out[:rows]).to(model.device))
    with torch.no_grad():
        z = model.encode(x)
    count = z.shape[1]
    columns = [x, reconstruct(model, x)]
    start = default_start([model.card], partial=True)
    columns += [render([Term(model, z[:, k], component=k)], init=start) for k in range(count)]
    strength = gradient_strength(model, z)
    strength = strength / strength.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    columns += [strength[:, k, None].expand(-1, 3, -1, -1) for k in range(count)]
    # The swap: the last component of the next row's picture in place of this one's.
    swapped = torch.cat([z[:, :-1], z[:, -1:].roll(-1, 0)], 1)
    columns.append(render([Term(model, swapped[:, k], component=k) for k in range(count)]))
    sheet = torch.stack(columns, 1).permute(0, 3, 1, 4, 2)
    pixels = (sheet.reshape(len(x) * x.shape[-2], -1, 3).clamp(0, 1) * 255).round().byte()
    write_png(enlarge(pixels.cpu().numpy(), 2 * len(pixels)), path)
