"""Small patches of a picture that are even in colour."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# A step to the next position weighs as much as a 25th of the range of colour.
COLOUR, PLACE, STEPS = 15.0, 0.6, 3
NEVER = 1e9


def superpixels(colour: Tensor, side: int) -> Tensor:
    """Divide pictures into even patches (SLIC, Achanta et al. 2012).

    Args:
        colour: (B,3,H,W).
        side: patches along each axis at first.

    Returns:
        (B,P,side²) of 0 and 1: whose each position is.
    """
    batch, _, height, width = colour.shape
    row, column = cells(height, width, colour)
    place = torch.stack([row - height / 2, column - width / 2]).expand(batch, -1, -1)
    points = torch.cat([colour.flatten(2) * COLOUR, place * PLACE], 1)
    centres = F.adaptive_avg_pool2d(points.unflatten(2, (height, width)), side).flatten(2)
    points = points.transpose(1, 2)
    # A position may go to the patch that it lies in and to the eight around it; of equally good
    # ones to the first, as rounding must not decide.
    patch_row, patch_column = cells(side, side, colour)
    away = torch.maximum(
        ((row * side / height).floor()[:, None] - patch_row).abs(),
        ((column * side / width).floor()[:, None] - patch_column).abs(),
    )
    other = torch.where(away > 1, NEVER, 1e-3 * (patch_row * side + patch_column))
    belongs = points.new_zeros(0)
    for step in range(STEPS + 1):
        # The squared distance, but for what is the same for all patches.
        distance = (centres.square().sum(1)[:, None] + other).baddbmm(points, centres, alpha=-2)
        belongs = torch.zeros_like(distance).scatter_(2, distance.argmin(2, keepdim=True), 1)
        if step < STEPS:
            count = belongs.sum(1)[:, None]
            moved = torch.bmm(points.transpose(1, 2), belongs) / count.clamp_min(1)
            centres = torch.where(count > 0, moved, centres)
    return belongs


def cells(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of each position (P) each, of the type and device of a tensor."""
    index = torch.arange(height * width, device=like.device)
    return (index // width).to(like), (index % width).to(like)
