"""Losses of a colouring encoder: its attention and the energy's precision agree on who shows what.

Nothing here but pictures: no mask, no label.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import QUADRATIC_REST, BoundEnergy
from comet_cli.networks.quadratic_energy import (
    LOG_PRECISION_LIMIT,
    BoundQuadraticEnergy,
    QuadraticEnergy,
    bound_energy,
)
from comet_cli.training import distributed

SMALLEST = 1e-6  # of what a logarithm is taken
SHOWN = 0.9  # share of a pixel from which on it shows an object
INSIDE = 5  # pixels across, all of which show an object: no outline


def bind_present(model: CometModel, z: Tensor, present: Tensor) -> BoundEnergy:
    """Fix the latents of a batch; absent components cost nothing, save one of each picture.

    That one, drawn by chance, shows the energy that such have no precision. The others are given
    the least that there is.

    Args:
        model: of any energy; one that sees the image is asked for every component.
        z: (B,K,D).
        present: (B,K) which components are there.
    """
    if model.card.energy != "quadratic" or model.card.sees_image:
        return model.bind(z)
    batch, count, _ = z.shape
    absent = ~present
    drawn = (distributed.rand_like(absent) * absent).argmax(1)
    wanted = ~absent
    wanted[torch.arange(batch, device=drawn.device), drawn] = True
    pictures, components = wanted.nonzero(as_tuple=True)
    flags = model.positional_flags(range(count))
    energy = cast(QuadraticEnergy, model.energy_network)
    made = []
    for flag in sorted(set(flags)):
        chosen = torch.tensor([f == flag for f in flags], device=z.device)[components]
        rows = (pictures[chosen], components[chosen])
        bound = cast(BoundQuadraticEnergy, energy.bind(z[rows][:, None], [flag]))
        made.append((rows, bound.parts()))
    whole = []
    for n, example in enumerate(made[0][1]):
        fill = 0.0 if n else math.exp(-LOG_PRECISION_LIMIT)  # the precision is the first
        part = z.new_full((batch, count, *example.shape[2:]), fill)
        for rows, parts in made:
            part = part.index_put(rows, parts[n][:, 0])
        whole.append(part)
    return bound_energy(*whole)


def mixture_loss(x: Tensor, mean: Tensor, attention: Tensor, sigma: float) -> Tensor:
    """Return mean −log Σ_k a_k N(x | f_k, σ²), times 2σ²/3, less the Gaussian's constant.

    The likelihood of MONet (Burgess et al., "MONet: Unsupervised scene decomposition and
    representation", 2019, equation 3). In these units it is the mean square error of one component
    that has every pixel.

    Args:
        x: (B,3,R,R).
        mean: f (B,K,3,R,R).
        attention: a (B,K,R,R).
        sigma: σ.
    """
    distance = (x.unsqueeze(1) - mean).square().sum(2) / (2 * sigma**2)
    likelihood = torch.logsumexp(attention.clamp_min(SMALLEST).log() - distance, 1)
    return -likelihood.mean() * (2 * sigma**2 / 3)


def consistency_loss(attention: Tensor, precision: Tensor) -> Tensor:
    """Return KL(a ‖ w) with w held, and the cross entropy of w under a held; w_k = m_k / Σ m.

    The mask consistency of GENESIS-V2 (Engelcke et al. 2021, section 3.3), in both directions: the
    attention learns what the energy can show, and the energy shows what is attended to.

    Args:
        attention: a (B,K,R,R).
        precision: m (B,K,1,R,R).
    """
    share = precision.squeeze(2)
    log_share = (share / share.sum(1, keepdim=True)).clamp_min(SMALLEST).log()
    log_attention = attention.clamp_min(SMALLEST).log()
    follows = attention * (log_attention - log_share.detach())
    shows = attention.detach() * log_share
    return (follows - shows).sum(1).mean()


def silence_loss(present: Tensor, precision: Tensor) -> Tensor:
    """Return the mean log(1 + m / s) of absent components, summed over those of a picture.

    Beside what others are sure of, an absent component's precision hardly counts; alone it would
    show something. s is far below the rest, the precision with which a start is held.

    Args:
        present: (B,K) which components are there.
        precision: m (B,K,1,R,R).
    """
    loudness = torch.log1p(precision / (0.02 * QUADRATIC_REST)).mean((2, 3, 4))
    return (loudness * ~present).sum(1).mean()


def depth_order_loss(height: Tensor, precision: Tensor) -> Tensor:
    """Return how far the nearer of two overlapping objects is not what is seen.

    A camera above a ground sees what is nearer lower in the picture. So each picture's objects are
    laid over those of the picture before it in the batch: where both show one, the one whose centre
    is lower has to be the surer. The loss is −log m / (m + m'), with m its precision and m' the
    other's, a mean over all pixels, in which others count as 0.

    Args:
        height: (B,K) rows of the centres, growing downwards.
        precision: m (B,K,1,R,R); component 0 is the ground.
    """
    loud = precision[:, 1:, 0].clamp_min(SMALLEST).log()
    surest, which = loud.max(1)
    row = height[:, 1:].gather(1, which.flatten(1)).view_as(which).detach()
    # Edges do not count, or objects would grow a rim to be seen over what is behind it.
    shows = (surest.exp() > SHOWN * precision[:, :, 0].sum(1)).detach().float()
    above = torch.sign(distributed.one_before(row) - row)  # 1 where the other's object is nearer
    lead = above * (distributed.one_before(surest) - surest)
    both = shows * distributed.one_before(shows) * (above != 0)
    return (both * F.softplus(-lead)).mean()


def cover_loss(precision: Tensor) -> Tensor:
    """Return how much of another picture's ground shines through objects that are laid on it.

    An object has to be surer than its own ground, which may be unsure behind it, because it sees
    the object's dark foot, say. On another ground it would then be pale there. So each picture's
    objects are laid on the ground of the picture before it in the batch. The loss is −log m / (m +
    m'), with m the object's precision and m' the ground's, where objects show in their own picture,
    and in all pixels around (``INSIDE``); a mean over all pixels, in which others count as 0.
    Outlines are left as they are: at them it would make objects grow.

    Args:
        precision: m (B,K,1,R,R); component 0 is the ground.
    """
    loud = precision[:, :, 0].clamp_min(SMALLEST).log()
    surest = loud[:, 1:].max(1).values
    shows = (surest.exp() > SHOWN * precision[:, :, 0].sum(1)).detach().float()
    shows = -F.max_pool2d(-shows, INSIDE, stride=1, padding=INSIDE // 2)
    ground = distributed.one_before(loud[:, 0]).detach()  # it stays as sure as it is
    return (shows * F.softplus(ground - surest)).mean()
