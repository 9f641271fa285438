"""Encoding a picture again, otherwise, where its components do not make it up."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from comet_cli.models.card import PLAIN_STARTS, ModelCard
from comet_cli.networks.base import QUADRATIC_REST
from comet_cli.networks.competitive_encoder import CompetitiveEncoder
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy

BETTER = 0.9  # part of the error so far that others must fall below
AT_ONCE = 16  # tries

Bind = Callable[[Tensor], BoundQuadraticEnergy]


@torch.no_grad()
def with_restarts(
    encoder: CompetitiveEncoder, bind: Bind, card: ModelCard, x: Tensor, z: Tensor
) -> Tensor:
    """Return the latents that make up each picture best: z, or those of one of the tries.

    Pictures that z makes up well enough keep it; the others are encoded otherwise until that makes
    them up, or as often as the card allows. What is drawn is the same for each picture, so that the
    same picture gives the same latents, whatever is encoded beside it.

    Args:
        encoder: what encodes otherwise.
        bind: fixes latents (B,K,D).
        card: how often, and above which error.
        x: (B,3,R,R).
        z: (B,K,D), what the encoder made of them.
    """
    enough, start = card.restart_above, PLAIN_STARTS.get(card.init, PLAIN_STARTS["grey"])
    found = z.clone()
    errors = squared_errors(recompositions(bind(z), start), x)
    for n in (errors > enough).nonzero().flatten().tolist():
        error, done = errors[n], 0
        while error > enough and done < card.restarts:
            tries = range(done, min(done + AT_ONCE, card.restarts))
            others = encoder.otherwise(x[n : n + 1], tries)
            tried = squared_errors(recompositions(bind(others), start), x[n])
            best = tried.argmin()
            if tried[best] < BETTER * error:
                error, found[n] = tried[best], others[best]
            done += len(others)
    return found


def recompositions(bound: BoundQuadraticEnergy, start: float) -> Tensor:
    """Return what all components make up: the minimum of their energies (B,3,R,R)."""
    total = (bound.precision * bound.mean).sum(1) + QUADRATIC_REST * start
    return total / (bound.precision.sum(1) + QUADRATIC_REST)


def squared_errors(found: Tensor, x: Tensor) -> Tensor:
    """Return mean square errors (B,) of pictures (B,3,R,R) in [0, 1]."""
    return (found.clamp(0, 1) - x).square().mean((1, 2, 3))
