"""Encoding a picture again, from other seeds, where its components do not make it up."""

from __future__ import annotations

import dataclasses
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from comet_cli.models.card import PLAIN_STARTS, ModelCard
from comet_cli.networks.base import QUADRATIC_REST, BoundEnergy
from comet_cli.networks.colouring_encoder import Colouring, ColouringEncoder
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy

BETTER = 0.9  # part of the error so far that another try must fall below


class Encoding(Protocol):
    """What is asked of a model: its card, its encoder, and to bind latents (B,J,D)."""

    card: ModelCard
    encoder: nn.Module

    def bind(self, z: Tensor) -> BoundEnergy:
        """Fix latents."""
        ...


@torch.no_grad()
def best_of_redraws(model: Encoding, x: Tensor, found: Colouring) -> Colouring:
    """Return what makes up each picture best: what was found, or what one of the tries finds.

    Pictures that are made up well enough keep what was found. The others are encoded from drawn
    seeds until that makes them up, or as often as the card allows. The draws are the same for each
    picture, so the same picture gives the same latents, whatever is encoded beside it. Which is
    best is read from the picture alone.

    Args:
        model: its card allows redraws.
        x: (B,3,R,R).
        found: of x.
    """
    encoder, enough = cast(ColouringEncoder, model.encoder), model.card.redraw_above
    best = dataclasses.replace(found, **{k: v.clone() for k, v in vars(found).items()})
    errors = squared_errors(recompositions(model, found.z), x)
    for n in (errors > enough).nonzero().flatten().tolist():
        error, seed = errors[n], 0
        while error > enough and seed < model.card.redraws:
            other = encoder.redrawn(x[n : n + 1], seed)
            tried = squared_errors(recompositions(model, other.z), x[n])[0]
            if tried < BETTER * error:
                error = tried
                for name, value in vars(other).items():
                    getattr(best, name)[n] = value[0]
            seed += 1
    return best


def recompositions(model: Encoding, z: Tensor) -> Tensor:
    """Return what all components z (B,K,D) make up: the minimum of their energies (B,3,R,R)."""
    bound = cast(BoundQuadraticEnergy, model.bind(z))
    start = PLAIN_STARTS.get(model.card.init, PLAIN_STARTS["grey"])
    total = (bound.precision * bound.mean).sum(1) + QUADRATIC_REST * start
    return total / (bound.precision.sum(1) + QUADRATIC_REST)


def squared_errors(found: Tensor, x: Tensor) -> Tensor:
    """Return mean square errors (B,) of pictures (B,3,R,R) in [0, 1]."""
    return (found.clamp(0, 1) - x).square().mean((1, 2, 3))
