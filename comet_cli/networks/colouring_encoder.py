"""An encoder that finds objects: instance colouring by stick-breaking over learned embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from comet_cli.networks.glimpses import Glimpses
from comet_cli.networks.layers import autocast, coordinate_grid, enlarged

EMBEDDING = 8
GRID = 32  # pixels a side, about, that the convolutions see
USUAL_LIGHT = 0.5  # median that each channel is brought to where the encoder adapts
DARKEST = 0.04  # median below which it is not brought that far
ABSENT = 2e-3  # part of a picture; what has more than others in no more than that is absent
# Logit of the background before training. Objects have most of the picture at first: a background
# that learns it all before they have learned anything leaves them nothing to learn from.
FIRST_BACKGROUND = -2.0
Draw = Callable[[Tensor], Tensor]  # what looks like a tensor -> U(0, 1) of its shape
LEAST = 1e-4  # of a component in a pixel, of what is left there: logarithms stay finite
FARTHEST = -20.0  # exponent of what is less than that by far


@dataclass(frozen=True)
class Colouring:
    """What is found in B pictures.

    Attributes:
        z: (B,K,D) latents, the background first.
        attention: (B,K,R,R), which sums to 1 over the components.
        share: (B,K) part of the picture that each component has.
        won: (B,K) part of the picture in which it has more than any other: of an absent component,
            to which others leave a little of their outlines, nothing.
    """

    z: Tensor
    attention: Tensor
    share: Tensor
    won: Tensor

    @property
    def present(self) -> Tensor:
        """Which components are there (B,K); the background always is."""
        present = self.won > ABSENT
        present[:, 0] = True
        return present


def affinity(embedding: Tensor, seed: Tensor, scale: Tensor) -> Tensor:
    """Return exp(−‖e − e_seed‖² / s): how much of each pixel is a seed's.

    Args:
        embedding: (B,P,C).
        seed: (B,S,C), embeddings of S seeds.
        scale: s, a positive number.

    Returns:
        (B,S,P) within [1e-4, 1 − 1e-4].
    """
    if not torch.is_grad_enabled():  # one product and two passes, where pairs fill the memory
        half = seed.square().sum(-1, keepdim=True) / scale
        left = torch.cat([2 / scale * seed, -half, -torch.ones_like(half)], -1)
        whole = embedding.square().sum(-1, keepdim=True) / scale
        right = torch.cat([embedding, torch.ones_like(whole), whole], -1)
        # A distance that rounds to less than 0 is clamped with all that are near, and one so large
        # that its exponential underflows, which is slow, with all that are far.
        power = (left @ right.transpose(1, 2)).clamp_min_(FARTHEST)
        return power.exp_().clamp_(LEAST, 1 - LEAST)
    squares = seed.square().sum(-1)[:, :, None] + embedding.square().sum(-1)[:, None]
    product = 2 * seed @ embedding.transpose(1, 2)
    return torch.exp(-(squares - product).clamp_min(0) / scale).clamp(LEAST, 1 - LEAST)


def break_stick(
    background: Tensor,
    embedding: Tensor,
    scale: Tensor,
    objects: int,
    candidates: Tensor | None = None,
    *,
    draw: Draw | None = None,
) -> Tensor:
    """Share the pixels out: the background first, then one object after the other.

    The instance colouring stick-breaking process of GENESIS-V2 (Engelcke, Parker Jones and Posner,
    "GENESIS-V2: Inferring unordered object representations without iterative refinement", NeurIPS
    2021, section 3.1), over what is not background: an object takes a part of the scope that those
    before it have left. The background gets the rest too.

    Args:
        background: (B,P) logits.
        embedding: (B,P,C).
        scale: s, see :func:`affinity`.
        objects: how many at most.
        candidates: (S,) pixels that may be seeds; default all.
        draw: draws the seeds, the likelier the more is left there, as training does. Otherwise a
            seed is the pixel that explains most of what is left, among what may be seeds:
            argmax_p scope_p Σ_q scope_q α_pq.

    Returns:
        (B,1+objects,P), which sums to 1 over the components.
    """
    scope = torch.sigmoid(-background)
    masks = [1 - scope]
    batch = torch.arange(len(scope), device=scope.device)
    among = slice(None) if candidates is None else candidates
    with torch.no_grad():
        own = embedding[:, among]
        alike = own if draw else affinity(own, own, scale)  # drawn seeds need none
    for _ in range(objects):
        with torch.no_grad():
            left = scope[:, among]
            worth = draw(left) if draw else (alike @ left[..., None])[..., 0]
            chosen = (left * worth).argmax(-1)
            if candidates is not None:
                chosen = candidates[chosen]
        alpha = affinity(embedding, embedding[batch, chosen][:, None], scale)[:, 0]
        masks.append(scope * alpha)
        scope = scope * (1 - alpha)
    masks[0] = masks[0] + scope
    return torch.stack(masks, 1)


class _Block(nn.Sequential):
    """A 3×3 convolution, group normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1),
            nn.GroupNorm(math.gcd(8, outputs), outputs),
            nn.SiLU(),
        )


class ColouringEncoder(nn.Module):
    """x (B,3,R,R) -> z (B,K,D): component 0 is the background, the others an object each, or none.

    A small U-Net of colours and coordinates, at about 32 pixels a side and at half and a quarter of
    that, gives each pixel a background logit and an embedding, to whose last two dimensions the
    pixel's coordinates are added (a semi-convolutional embedding: Novotny et al., "Semi-
    convolutional operators for instance segmentation", ECCV 2018). :func:`break_stick` makes
    attention of them, and what a component attends to is pooled to its latent, whose first two
    dimensions are where it is (row, column; −1 to 1). K is a limit: a component that finds nothing
    left has next to no attention.

    Larger pictures are pooled for the U-Net; what that loses reaches it through a convolution of
    the whole picture, and the attention through another, which both start at zero. So weights of
    small pictures go on with large ones.

    In evaluation the same picture gives the same latents, whatever stands beside it.
    """

    def __init__(
        self,
        filter_dim: int,
        components: int,
        latent_dim: int,
        image_size: int,
        *,
        adapts: bool = False,
        glimpses: bool = False,
    ) -> None:
        """Build; ``filter_dim`` F is the U-Net's width at its finest, an even number.

        With ``adapts`` all is seen relative to the picture's median colour (von Kries' adaptation),
        which the background's latent alone is told: objects are the same in any light. With
        ``glimpses`` objects are looked at up close as well (:class:`.Glimpses`), though not while
        training sees small pictures: objects come apart first.
        """
        super().__init__()
        self.adapts = adapts
        self.objects = components - 1
        self.image_size = image_size
        self.stride = max(1, round(image_size / GRID))
        width = 2 * filter_dim
        self.look = _Block(5, filter_dim)
        self.whole = nn.Conv2d(3, filter_dim, 3 * self.stride, self.stride, self.stride)
        self.fine = _Block(filter_dim, filter_dim)
        self.down1 = nn.Sequential(_Block(filter_dim, width, 2), _Block(width, width))
        self.down2 = nn.Sequential(
            _Block(width, width, 2), _Block(width, width), _Block(width, width)
        )
        self.up1 = _Block(2 * width, width)
        self.up2 = nn.Sequential(
            _Block(width + filter_dim, filter_dim), _Block(filter_dim, filter_dim)
        )
        self.head = nn.Conv2d(filter_dim, 1 + EMBEDDING, 1)
        self.edge = nn.Sequential(
            _Block(filter_dim + 3, filter_dim // 2), _Block(filter_dim // 2, filter_dim // 2)
        )
        self.edge_head = nn.Conv2d(filter_dim // 2, 1 + EMBEDDING, 1)
        for layer, spread in ((self.whole, 0.0), (self.edge_head, 0.0), (self.head, 0.02)):
            nn.init.normal_(layer.weight, std=spread)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if self.head.bias is not None:
            with torch.no_grad():
                self.head.bias[0] = FIRST_BACKGROUND
        # Half of a pixel is a seed's where 1 / K of the range is between them (GENESIS-V2).
        self.log_scale = nn.Parameter(torch.tensor(-math.log(components * math.log(2))))
        self.feature = nn.Conv2d(filter_dim, width, 1)
        described = width + 3 + 2 + 2 + 2
        self.to_object = self._head(described, width, latent_dim)
        self.to_background = self._head(described + 3 * adapts, width, latent_dim)
        self.glimpses = Glimpses(width, latent_dim) if glimpses else None

    @staticmethod
    def _head(described: int, width: int, latent_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(described, 2 * width), nn.SiLU(), nn.Linear(2 * width, latent_dim)
        )

    def full_size(self, size: int) -> bool:
        """Whether pictures are as large as they will be: training may begin with small ones."""
        return size >= self.image_size

    def see(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is seen in x (B,3,R,R).

        Returns:
            background logits (B,R·R), embeddings (B,R·R,8), features (B,·,h,w) at the U-Net's size.
        """
        size = x.shape[-1]
        stride = max(1, round(size / GRID))
        side = size // stride
        colour = x * 2 - 1
        small = colour if side == size else F.adaptive_avg_pool2d(colour, side)
        place = coordinate_grid(side, side, x.device).permute(2, 0, 1).expand(len(x), -1, -1, -1)
        h = self.look[0](torch.cat([small, place], 1))
        if stride > 1 and self.full_size(size):
            h = h + self.whole(colour)
        h1 = self.fine(self.look[2](self.look[1](h)))
        h2 = self.down1(h1)
        h3 = self.down2(h2)
        h = self.up1(torch.cat([enlarged(h3, h2.shape[-1]), h2], 1))
        h = self.up2(torch.cat([enlarged(h, h1.shape[-1]), h1], 1))
        seen = self.head(h)
        if side != size:
            seen = enlarged(seen, size)
            up = enlarged(h, size)
            seen = seen + self.edge_head(self.edge(torch.cat([up, colour], 1)))
        seen = seen.float().flatten(2).transpose(1, 2)
        grid = coordinate_grid(size, size, x.device).view(1, size * size, 2)
        semi = torch.cat([seen[..., 1:-2], seen[..., -2:] + grid], -1)
        return seen[..., 0], semi, self.feature(h)

    def attend(self, x: Tensor, draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """Return attention (B,K,R,R) of x (B,3,R,R), and features (B,·,h,w)."""
        background, embedding, features = self.see(x)
        size, side = x.shape[-1], features.shape[-1]
        rows = (torch.arange(side, device=x.device) * size + size // 2) // side
        candidates = None if side == size else (rows[:, None] * size + rows).flatten()
        with autocast(x.device, low=False):
            attention = break_stick(
                background,
                embedding,
                self.log_scale.exp(),
                self.objects,
                candidates,
                draw=draw or (torch.rand_like if self.training else None),
            )
        return attention.unflatten(2, (size, size)), features

    def describe(
        self, x: Tensor, attention: Tensor, features: Tensor, light: Tensor | None = None
    ) -> Tensor:
        """Return the latents (B,K,D) of what the components attend to.

        Args:
            x: (B,3,R,R).
            attention: (B,K,R,R).
            features: (B,·,h,w).
            light: (B,3) median colours, where the encoder adapts.
        """
        size, side = x.shape[-1], features.shape[-1]
        place = coordinate_grid(size, size, x.device).permute(2, 0, 1).expand(len(x), -1, -1, -1)
        near = torch.cat([x * 2 - 1, place, place.square()], 1)
        share = attention.mean((2, 3))[..., None]
        with autocast(x.device, low=False):
            fine = torch.einsum("bkp,bcp->bkc", attention.flatten(2), near.flatten(2))
            coarse = attention if side == size else F.adaptive_avg_pool2d(attention, side)
            pooled = torch.einsum("bkp,bcp->bkc", coarse.flatten(2), features.float().flatten(2))
            fine = fine / (share * size**2 + 1e-2)
            pooled = pooled / (share * side**2 + 1e-2)
        colour, centre, square = fine[..., :3], fine[..., 3:5], fine[..., 5:]
        spread = (square - centre.square()).clamp_min(1e-4).sqrt()
        length = share.clamp_min(1e-8).sqrt()  # finite gradients where a component has nothing
        held = torch.cat([pooled, colour, centre, spread * 4, share * 10, length * 4], -1)
        background = held[:, :1]
        if light is not None:
            background = torch.cat([background, 4 * (light[:, None] - USUAL_LIGHT)], -1)
        objects = self.to_object(held[:, 1:]).float()
        if self.glimpses is not None and self.full_size(size):
            seen = self.glimpses(near[:, :3], attention[:, 1:], centre[:, 1:], spread[:, 1:])
            objects = objects + seen.float()
        z = torch.cat([self.to_background(background).float(), objects], 1)
        return torch.cat([centre + 0.1 * z[..., :2], z[..., 2:]], -1)

    def redrawn(self, x: Tensor, seed: int) -> Colouring:
        """Return what is found in one picture x (1,3,R,R) from seeds that a generator draws."""
        generator = torch.Generator().manual_seed(seed)
        return self.colour(
            x, lambda like: torch.rand(like.shape, generator=generator).to(like.device)
        )

    def colour(self, x: Tensor, draw: Draw | None = None) -> Colouring:
        """Return what is found in x (B,3,R,R) in [0, 1]; ``draw`` as of :func:`break_stick`."""
        x = x.float()
        if self.training or len(x) <= 1:
            light = None
            if self.adapts:
                light = x.flatten(2).median(-1).values
                gain = USUAL_LIGHT / light.clamp_min(DARKEST)
                x = (x * gain[:, :, None, None]).clamp_max(2)
            attention, features = self.attend(x, draw)
            z = self.describe(x, attention, features, light)
            largest = attention.detach().max(1, keepdim=True).indices
            winner = torch.zeros_like(attention).scatter_(1, largest, 1.0)
            return Colouring(z, attention, attention.mean((2, 3)), winner.mean((2, 3)))
        # One by one: convolutions of a batch round in other ways than those of one picture.
        found = [self.colour(picture, draw) for picture in x.split(1)]
        return Colouring(
            *[torch.cat(each) for each in zip(*[vars(f).values() for f in found], strict=True)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode x (B,3,R,R) in [0, 1] -> z (B,K,D)."""
        return self.colour(x).z
