"""Objects of several colours: small parts of a picture, merged until as many are left as wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.networks.clustering.superpixels import NEVER, cells, superpixels

MOST_PARTS = 24  # the most salient ones are kept
HALF_SALIENT = 0.02  # squared difference from the ground at which a position is half an object's
HUE, EDGE, SATURATION = 0.1, 0.12, 0.08  # differences of colour that count
# What makes two parts two objects, and a part more than a speck of the ground: weights of traits.
# Fitted to the choices that the masks of 200 training scenes of toys call right.
MERGE = {
    "hue": 4.9,
    "edge": 3.6,
    "apart": 0.55,
    "far": 0.05,
    "contact": -1.3,
    "near": -0.7,
    "sprawl": 4.4,
    "beside": 2.9,
    "coloured": -3.5,
    "too large": 1.6,
    "large": 0.4,
    "not small": -0.55,
}
KEEP = {
    "any": 2.4,
    "large": 1.7,
    "salient": 5.2,
    "coloured": 3.7,
    "bright": -0.85,
    "sprawl": -0.55,
}


@dataclass
class Parts:
    """Parts of B pictures, at most N each; sums over positions, so that merging adds them up.

    Attributes:
        alive: (B,N) whether there is such a part.
        sums: (B,N,11) positions, salience, salience times colour (3), place (2), squares of place
            (row, column, both), outline.
        shared: (B,3,N,N) length of shared outline, the same where the colour changes, closeness.
            What a part shares with itself lies inside it.
        members: (B,N,N) which of the first parts have become part of it.
        share: (B,) positions an object has on average.
    """

    alive: Tensor
    sums: Tensor
    shared: Tensor
    members: Tensor
    share: Tensor

    def repeat(self, times: int) -> Parts:
        """Return as many copies of the parts of one picture."""
        return Parts(*[t.expand(times, *t.shape[1:]) for t in vars(self).values()])


def hue_and_brightness(difference: Tensor, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Return the squared difference in hue, and a quarter of that in brightness.

    The sides of an evenly coloured object differ in brightness most, so it counts half as much.

    Args:
        difference: of two colours, three channels along the axis.
        axis: removed in what is returned.
    """
    brightness = difference.mean(axis, keepdim=True)
    hue = (difference - brightness).square().sum(axis)
    return hue, 0.25 * 3 * brightness.squeeze(axis).square()


def likeness(squared: Tensor, scale: float) -> Tensor:
    """Return 1 for no difference, falling to 0 beyond the scale."""
    return torch.exp(-0.5 * squared / scale**2)


def find_parts(colour: Tensor, side: int, regions: int) -> tuple[Parts, Tensor]:
    """Return the parts of what differs from the ground, and their positions (B,P,N).

    Args:
        colour: (B,3,H,W) against the ground.
        side: parts along each axis, the ground's included.
        regions: objects that are wanted.
    """
    batch, _, height, width = colour.shape
    salience = 1 - torch.exp2(-colour.square().sum(1) / HALF_SALIENT).flatten(1)
    belongs = superpixels(colour, side)
    mass = torch.einsum("bps,bp->bs", belongs, salience)
    salient = mass > 0.5 * belongs.sum(1).clamp_min(1)
    ranked = (mass * salient).sort(dim=1, descending=True, stable=True)
    chosen = ranked.indices[:, :MOST_PARTS]
    alive = ranked.values[:, :MOST_PARTS] > 0
    belongs = belongs.gather(2, chosen[:, None].expand(-1, height * width, -1))
    belongs = belongs * alive[:, None]

    maps = belongs.transpose(1, 2).unflatten(2, (height, width))
    row, column = cells(height, width, colour)
    places = torch.stack([row, column, row**2, column**2, row * column], 1)
    weighted = salience[:, None] * colour.flatten(2)
    held = torch.cat([torch.ones_like(salience)[:, None], salience[:, None], weighted], 1)
    held = torch.cat([held.transpose(1, 2), places.expand(batch, -1, -1)], -1)
    sums = torch.cat([belongs.transpose(1, 2) @ held, outlines(maps)[..., None]], -1)
    members = torch.eye(belongs.shape[2], device=colour.device).to(colour)
    members = members.expand(batch, -1, -1)
    share = (sums[..., 0].sum(1) / regions).clamp_min(1)
    return Parts(alive, sums, shared_outlines(maps, colour), members, share), belongs


def outlines(maps: Tensor) -> Tensor:
    """Return the length of the outlines of parts (B,N,H,W) as (B,N); the picture's edge is none."""
    across = (maps[..., 1:] - maps[..., :-1]).abs().sum((2, 3))
    return across + (maps[..., 1:, :] - maps[..., :-1, :]).abs().sum((2, 3))


def shared_outlines(maps: Tensor, colour: Tensor) -> Tensor:
    """Return what each two parts share (B,3,N,N), see ``Parts``.

    Args:
        maps: (B,N,H,W) of 0 and 1.
        colour: (B,3,H,W).
    """
    height, width = maps.shape[2:]
    seen = torch.cat([colour, maps], 1)
    length = changing = maps.new_zeros(())
    for down, right in ((0, 1), (1, 0)):
        here = seen[..., : height - down, : width - right].flatten(2)
        there = seen[..., down:, right:].flatten(2)
        hue, brightness = hue_and_brightness(here[:, :3] - there[:, :3], 1)
        edge = 1 - likeness(hue + brightness, EDGE)
        both = here[:, 3:] @ there[:, 3:].transpose(1, 2)
        length = length + both + both.transpose(1, 2)
        both = (here[:, 3:] * edge[:, None]) @ there[:, 3:].transpose(1, 2)
        changing = changing + both + both.transpose(1, 2)
    grown = F.max_pool2d(maps, 3, 1, 1).flatten(2)
    close = grown @ grown.transpose(1, 2) / 2
    itself = torch.eye(maps.shape[1], device=maps.device, dtype=torch.bool)
    return torch.stack([length, changing, close], 1).masked_fill(itself, 0)


def sprawl(count: Tensor, sums: Tensor) -> Tensor:
    """Return how much larger than its area the ellipse of a shape's second moments is (log).

    Args:
        count: (...) positions.
        sums: (...,5) of place and its squares.
    """
    mean = sums / count[..., None]
    rows = mean[..., 2] - mean[..., 0].square() + 1 / 12
    columns = mean[..., 3] - mean[..., 1].square() + 1 / 12
    both = mean[..., 4] - mean[..., 0] * mean[..., 1]
    ellipse = 4 * math.pi * (rows * columns - both.square()).clamp_min(1e-4).sqrt()
    return (ellipse / count).clamp_min(0.1).log()


def traits_of_parts(parts: Parts) -> dict[str, Tensor]:
    """Return what tells a part of an object from a speck of the ground, (B,N) each."""
    sums = parts.sums
    count = sums[..., 0].clamp_min(1)
    colour = mean_colour(parts)
    return {
        "any": torch.ones_like(count),
        "large": (count / parts.share[:, None]).log(),
        "salient": sums[..., 1] / count,
        "coloured": 1 - likeness(hue_and_brightness(colour)[0], SATURATION),
        "bright": colour.mean(-1),
        "sprawl": sprawl(count, sums[..., 5:10]),
    }


def traits_of_pairs(parts: Parts) -> dict[str, Tensor]:
    """Return what tells two objects from one of two parts, (B,N,N) each."""
    sums = parts.sums
    count = sums[..., 0].clamp_min(1)
    one, two = count[:, :, None], count[:, None]
    union, small = one + two, torch.minimum(one, two)
    outline = (sums[..., 10] - parts.shared[:, 0].diagonal(dim1=1, dim2=2)).clamp_min(1)
    outline = torch.where(one < two, outline[:, :, None], outline[:, None])
    length, changing, close = parts.shared.unbind(1)
    colour = mean_colour(parts)
    coloured = 1 - likeness(hue_and_brightness(colour)[0], SATURATION)
    hue = hue_and_brightness(colour[:, :, None] - colour[:, None])[0]
    column = sums[..., 6] / count
    size = (union / parts.share[:, None, None]).log()
    return {
        "hue": 1 - likeness(hue, HUE),
        "edge": changing / length.clamp_min(1),
        "apart": (length == 0).to(count),
        "far": (close == 0).to(count),
        "contact": length / outline,
        "near": (close / outline).clamp_max(1.5),
        "sprawl": sprawl(union, sums[:, :, None, 5:10] + sums[:, None, :, 5:10]),
        "beside": (column[:, :, None] - column[:, None]).abs() / union.sqrt(),
        "coloured": torch.where(one < two, coloured[:, None], coloured[:, :, None]),
        "too large": size.clamp_min(0),
        "large": size,
        "not small": (small / parts.share[:, None, None]).log(),
    }


def mean_colour(parts: Parts) -> Tensor:
    """Return what colour each part has against the ground (B,N,3), where it is salient."""
    return parts.sums[..., 2:5] / parts.sums[..., 1:2].clamp_min(1e-3)


def costs(parts: Parts) -> tuple[Tensor, Tensor]:
    """Return what it costs to merge each two parts (B,N,N), and to leave one out (B,N)."""
    pairs, single = traits_of_pairs(parts), traits_of_parts(parts)
    merging = torch.stack([weight * pairs[name] for name, weight in MERGE.items()]).sum(0)
    leaving = torch.stack([weight * single[name] for name, weight in KEEP.items()]).sum(0)
    return merging, leaving


def merge_parts(parts: Parts, regions: int, chances: Tensor | None = None) -> Tensor:
    """Merge the cheapest two parts, or leave the cheapest one to the ground, until few are left.

    Args:
        parts: N a picture at most.
        regions: objects that are wanted.
        chances: (B,C) of which the first N² are added to what merging each two costs, and the next
            N to what leaving each out does.

    Returns:
        (B,N,1+regions) of 0 and 1: which object each of the first parts belongs to; column 0 is the
        ground, and a row of 0 is no part at all.
    """
    batch, count = parts.alive.shape
    first = parts.alive
    index = torch.arange(count, device=first.device)
    upper = index[:, None] < index
    # Of equally cheap steps the first: rounding must not decide.
    order = 2e-5 * torch.arange(count * count + count, device=first.device)
    if chances is not None:
        order = order + chances[:, : len(order)].to(parts.sums)
    identity = torch.eye(count, device=first.device).to(parts.sums)
    for _ in range(count - regions):
        active = parts.alive.sum(1) > regions
        if not active.any():
            break
        merging, leaving = costs(parts)
        both = parts.alive[:, :, None] & parts.alive[:, None] & upper
        merging = merging.masked_fill(~both, NEVER).flatten(1)
        leaving = leaving.masked_fill(~parts.alive, NEVER)
        chosen = (torch.cat([merging, leaving], 1) + order).argmin(1)
        leaves = chosen >= count * count
        gone = torch.where(leaves, chosen - count * count, chosen % count)
        into = torch.where(leaves, gone, chosen // count)
        drops = F.one_hot(gone, count).to(identity) * active[:, None]
        gains = F.one_hot(into, count).to(identity) * (active & ~leaves)[:, None]
        step = identity - torch.diag_embed(drops) + gains[:, :, None] * drops[:, None]
        parts = Parts(
            parts.alive & (drops == 0),
            torch.bmm(step, parts.sums),
            step[:, None] @ parts.shared @ step.transpose(1, 2)[:, None],
            torch.bmm(step, parts.members),
            parts.share,
        )
    rank = (parts.alive.cumsum(1) * parts.alive).clamp_max(regions)
    objects = F.one_hot(rank, 1 + regions).to(parts.members)[:, :, 1:]
    taken = torch.bmm(parts.members.transpose(1, 2), objects)
    ground = first.to(taken) - taken.sum(2)
    return torch.cat([ground[..., None], taken], 2)
