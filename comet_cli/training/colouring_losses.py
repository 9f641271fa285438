"""Losses of a colouring encoder: its attention and the energy's precision agree on who shows what.

Nothing here but pictures: no mask, no label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from comet_cli.models.comet_model import CometModel
from comet_cli.models.quadratic_energy import (
    LOG_CONFIDENCE_LIMIT,
    QUADRATIC_REST,
    BoundQuadraticEnergy,
    BoundRespondingEnergy,
    QuadraticEnergy,
    bound_energy,
)
from comet_cli.networks.colouring_encoder import Colouring

SMALLEST = 1e-6  # share of a pixel, of which a logarithm is taken
ABSENT = 1e-3  # share of a picture below which a component is absent, in training


@dataclass(frozen=True)
class ColouringWeights:
    """How the losses are weighed, in units of the square error.

    Attributes:
        sigma: σ of the mixture, in units of a colour channel's range.
        mixture: weight of :func:`mixture_loss`.
        consistency: weight of :func:`consistency_loss`.
        area: weight of the share of the picture that objects attend to.
        silence: weight of :func:`silence_loss`.
    """

    sigma: float = 0.1
    mixture: float = 1.0
    consistency: float = 1.0
    area: float = 1e-3
    silence: float = 1e-4


def is_absent(share: Tensor) -> Tensor:
    """Return which components (B,K) of these shares (B,K) are absent; the background never is."""
    absent = share < ABSENT
    absent[:, 0] = False
    return absent


def bind_present(
    model: CometModel, found: Colouring
) -> BoundQuadraticEnergy | BoundRespondingEnergy:
    """Fix the latents of a batch; absent components cost nothing, save one of each picture.

    That one, drawn by chance, shows the energy that such have no precision. The others are given
    the least that there is.

    Args:
        model: of a quadratic energy that does not see the image.
        found: what its encoder found.
    """
    batch, count, _ = found.z.shape
    absent = is_absent(found.share)
    drawn = (torch.rand_like(found.share) * absent).argmax(1)
    wanted = ~absent
    wanted[torch.arange(batch, device=drawn.device), drawn] = True
    pictures, components = wanted.nonzero(as_tuple=True)
    flags = model.positional_flags(range(count))
    energy = cast(QuadraticEnergy, model.energy_network)
    parts = []
    for flag in sorted(set(flags)):
        chosen = torch.tensor([f == flag for f in flags], device=found.z.device)[components]
        rows = (pictures[chosen], components[chosen])
        parts.append((rows, vars(energy.bind(found.z[rows][:, None], [flag]))))
    values = []
    for name in parts[0][1]:
        shape = parts[0][1][name].shape[2:]
        fill = math.exp(-LOG_CONFIDENCE_LIMIT) if name == "confidence" else 0.0
        whole = found.z.new_full((batch, count, *shape), fill)
        for rows, made in parts:
            whole = whole.index_put(rows, made[name][:, 0])
        values.append(whole)
    return bound_energy(*values)


def mean_pictures(bound: BoundQuadraticEnergy | BoundRespondingEnergy, x: Tensor) -> Tensor:
    """Return f (B,K,3,R,R); of an energy that responds to light, in the light of x (B,3,R,R)."""
    if isinstance(bound, BoundRespondingEnergy):
        light = x.mean((2, 3), keepdim=True).unsqueeze(1) - 0.5
        return bound.proposal + bound.response * light
    return bound.proposal


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


def consistency_loss(attention: Tensor, confidence: Tensor) -> Tensor:
    """Return KL(a ‖ w) with w held, and the cross entropy of w under a held; w_k = m_k / Σ m.

    The mask consistency of GENESIS-V2 (Engelcke et al. 2021, section 3.3), in both directions: the
    attention learns what the energy can show, and the energy shows what is attended to.

    Args:
        attention: a (B,K,R,R).
        confidence: m (B,K,1,R,R).
    """
    share = confidence.squeeze(2)
    log_share = (share / share.sum(1, keepdim=True)).clamp_min(SMALLEST).log()
    log_attention = attention.clamp_min(SMALLEST).log()
    follows = attention * (log_attention - log_share.detach())
    shows = attention.detach() * log_share
    return (follows - shows).sum(1).mean()


def silence_loss(attention: Tensor, confidence: Tensor) -> Tensor:
    """Return the mean log(1 + m / s) of absent components, summed over those of a picture.

    Beside what others are sure of, an absent component's precision hardly counts; alone it would
    show something. s is far below the rest, the precision with which a start is held.

    Args:
        attention: a (B,K,R,R).
        confidence: m (B,K,1,R,R).
    """
    loudness = torch.log1p(confidence / (0.02 * QUADRATIC_REST)).mean((2, 3, 4))
    return (loudness * is_absent(attention.mean((2, 3)))).sum(1).mean()


def colouring_loss(
    x: Tensor,
    attention: Tensor,
    bound: BoundQuadraticEnergy | BoundRespondingEnergy,
    weights: ColouringWeights,
) -> Tensor:
    """Return the weighed sum of the losses of one batch.

    Args:
        x: (B,3,R,R).
        attention: a (B,K,R,R).
        bound: the energy of the batch's components.
        weights: of each loss.
    """
    unit = 2 * weights.sigma**2 / 3
    loss = weights.mixture * mixture_loss(x, mean_pictures(bound, x), attention, weights.sigma)
    loss = loss + weights.consistency * unit * consistency_loss(attention, bound.confidence)
    loss = loss + weights.silence * silence_loss(attention, bound.confidence)
    return loss + weights.area * attention[:, 1:].sum(1).mean()
