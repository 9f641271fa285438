"""Encoding a picture again, otherwise, where its components do not make it up."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from comet_cli.models.card import PLAIN_STARTS, ModelCard
from comet_cli.networks.base import QUADRATIC_REST, BoundEnergy
from comet_cli.networks.competitive_encoder import CompetitiveEncoder
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy

BETTER = 0.9  # part of the error so far that others must fall below
AT_ONCE = 16  # tries


class Encoding(Protocol):
    """What is asked of a model: its card, its encoder, and to bind latents (B,J,D)."""

    card: ModelCard
    encoder: nn.Module

    def bind(self, z: Tensor) -> BoundEnergy:
        """Fix latents."""
        ...


@torch.no_grad()
def with_restarts(model: Encoding, x: Tensor, z: Tensor) -> Tensor:
    """Return the latents that make up each picture best: z, or those of one of the tries.

    Pictures that z makes up well enough keep it; the others are encoded otherwise until that makes
    them up, or as often as the card allows. What is drawn is the same for each picture, so that the
    same picture gives the same latents, whatever is encoded beside it.

    Args:
        model: its card allows restarts.
        x: (B,3,R,R).
        z: (B,K,D), what the encoder made of them.
    """
    encoder, enough = cast(CompetitiveEncoder, model.encoder), model.card.restart_above
    found = z.clone()
    errors = squared_errors(recompositions(model, z), x)
    for n in (errors > enough).nonzero().flatten().tolist():
        error, done = errors[n], 0
        while error > enough and done < model.card.restarts:
            tries = range(done, min(done + AT_ONCE, model.card.restarts))
            others = encoder.otherwise(x[n : n + 1], tries)
            tried = squared_errors(recompositions(model, others), x[n])
            best = int(tried.argmin())
            if tried[best] < BETTER * error:
                error, found[n] = tried[best], others[best]
            done += len(others)
    return found


def recompositions(model: Encoding, z: Tensor) -> Tensor:
    """Return what all components z (B,K,D) make up: the minimum of their energies (B,3,R,R)."""
    bound = cast(BoundQuadraticEnergy, model.bind(z))
    start = PLAIN_STARTS.get(model.card.init, PLAIN_STARTS["grey"])
    total = (bound.precision * bound.mean).sum(1) + QUADRATIC_REST * start
    return total / (bound.precision.sum(1) + QUADRATIC_REST)


def squared_errors(found: Tensor, x: Tensor) -> Tensor:
    """Return mean square errors (B,) of pictures (B,3,R,R) in [0, 1]."""
    return (found.clamp(0, 1) - x).square().mean((1, 2, 3))
