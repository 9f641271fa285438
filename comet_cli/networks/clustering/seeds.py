"""Where the components of a competitive encoder start: one position of the picture each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.networks.clustering.parts import hue_and_brightness

REGION_REACH = 24  # positions that a region may grow in each direction
DRAWN_APART = 2.0  # squared distance in the embedding at which drawn seeds are apart


def shading_tolerant_distance(difference: Tensor) -> Tensor:
    """Return squared colour distances in which brightness counts half as much as hue.

    The sides of an evenly coloured object differ in brightness most.

    Args:
        difference: (B,3,H,W).

    Returns:
        (B,H,W).
    """
    hue, brightness = hue_and_brightness(difference, 1)
    return 1.69 * (hue + brightness)


def grown_seeds(embedding: Tensor, salience: Tensor, count: int) -> Tensor:
    """Return centres (B,count,C), each where least is explained so far.

    A seed explains the region that grows from it over like-coloured salient positions, so a second
    seed falls on the same object only if nothing else is left.

    Args:
        embedding: (B,C,H,W), the first five channels colour and place.
        salience: (B,H,W), at least 0.
        count: of seeds.
    """
    batch, _, height, width = embedding.shape
    local = F.avg_pool2d(embedding, 3, 1, 1, count_include_pad=False)
    smooth = F.avg_pool2d(salience, 3, 1, 1, count_include_pad=False)
    # Salient itself and inside something salient: a seed on a rim would grow nowhere.
    inside = -F.max_pool2d(-salience, 3, 1, 1)
    unexplained = 1 - 0.5 * (torch.exp(-smooth) + torch.exp(-inside))
    stuff = 1 - torch.exp(-salience)
    apart = unexplained.clone()  # breaks ties where all is explained
    centres = []
    for _ in range(count):
        at = (unexplained + 1e-3 * apart).flatten(1).argmax(1)
        centre = local.flatten(2)[torch.arange(batch, device=at.device), :, at]
        centres.append(centre)
        offset = embedding - centre[:, :, None, None]
        like = (torch.exp(-0.5 * shading_tolerant_distance(offset[:, :3])) * stuff)[:, None]
        region = F.one_hot(at, height * width).view(batch, 1, height, width).to(like)
        for _ in range(REGION_REACH):
            grown = torch.maximum(
                F.max_pool2d(region, (3, 1), 1, (1, 0)), F.max_pool2d(region, (1, 3), 1, (0, 1))
            )
            region = torch.maximum(region, torch.minimum(grown, like))
        unexplained = unexplained * (1 - F.max_pool2d(region, 3, 1, 1)[:, 0])
        apart = apart * (1 - torch.exp(-0.5 * offset[:, 3:5].square().sum(1)))
    return torch.stack(centres, 1)


def drawn_seeds(embedding: Tensor, salience: Tensor, draws: Tensor) -> Tensor:
    """Return centres (B,S,C), drawn from what is salient.

    A position is the likelier to be drawn the farther it is from those that were drawn before it
    (as in k-means++, Arthur and Vassilvitskii 2007).

    Args:
        embedding: (B,C,H,W).
        salience: (B,H,W), at least 0.
        draws: (B,S) uniform numbers of [0, 1), on the CPU.
    """
    local = F.avg_pool2d(embedding, 3, 1, 1, count_include_pad=False).flatten(2)
    points = embedding.flatten(2)
    weights = 1 - torch.exp(-salience.flatten(1)) + 1e-6
    centres = []
    for draw in draws.unbind(1):
        upto = weights.cpu().double().cumsum(1)  # not every device has double precision
        at = torch.searchsorted(upto, draw[:, None].double() * upto[:, -1:], right=True)
        at = at.clamp_max(weights.shape[1] - 1).to(local.device)
        at = at[..., None].expand(-1, local.shape[1], -1)
        centre = local.gather(2, at)
        centres.append(centre[..., 0])
        distance = (points - centre).square().sum(1)
        weights = weights * (1 - torch.exp(-0.5 * distance / DRAWN_APART)) + 1e-9
    return torch.stack(centres, 1)
