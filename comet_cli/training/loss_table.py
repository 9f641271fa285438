"""The losses that a recipe can weigh, beside the square error: a row each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import BoundEnergy
from comet_cli.networks.colouring_encoder import Colouring
from comet_cli.networks.quadratic_energy import BoundQuadraticEnergy
from comet_cli.training.colouring_losses import (
    consistency_loss,
    cover_loss,
    depth_order_loss,
    mixture_loss,
    silence_loss,
)
from comet_cli.training.losses import (
    area_loss,
    dependence_loss,
    gradient_loss,
    parsimony_loss,
    purity_loss,
    shuffle_components,
    structure_loss,
    swap_loss,
)
from comet_cli.training.perceptual import SQUARE_ERROR_WEIGHT, perceptual_loss
from comet_cli.training.settings import TrainSettings


@dataclass(frozen=True)
class Batch:
    """What losses look at: a batch, its components, and what these make up.

    Attributes:
        model: in training.
        settings: of the recipe.
        x: (B,3,R,R), where several processes train this one's part.
        z: (B,K,D).
        bound: the energies of z.
        found: what an encoder that colours pictures found, else None.
        output: (B,3,R,R), the last iterate of the descent, before its clamp.
        recompose: energies to the last iterate of their descent from the batch's own starts.
        noise: draws what is random.
        low: the networks are computed in bfloat16.
    """

    model: CometModel
    settings: TrainSettings
    x: Tensor
    z: Tensor
    bound: BoundEnergy
    output: Tensor
    recompose: Callable[[BoundEnergy], Tensor]
    noise: torch.Generator
    low: bool
    found: Colouring | None = None

    @cached_property
    def precision(self) -> Tensor | None:
        """M (B,K,1,R,R); None where the energy has none, or one that x itself has a say in."""
        return self.bound.curvature(self.x) if self.bound.constant_curvature else None

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context that networks are computed in."""
        return torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.low)


@dataclass(frozen=True)
class Need:
    """What a loss may need of the energy.

    Attributes:
        of: what errors call the energies that have it.
        holds: whether a batch's energy has it.
    """

    of: str
    holds: Callable[[Batch], bool]


PRECISION = Need(
    "the quadratic energy that does not see the image", lambda batch: batch.precision is not None
)
RECOMBINABLE = Need(
    "components in a fixed order (no colouring), and the quadratic energy that is spatial or does "
    "not see the image",
    lambda batch: (
        batch.found is None
        and batch.model.card.energy == "quadratic"
        and (batch.model.card.spatial or not batch.model.card.sees_image)
    ),
)
ORDERED = Need("components in a fixed order (no colouring)", lambda batch: batch.found is None)
ATTENTION = Need(
    "colouring attention and the quadratic energy that does not see the image",
    lambda batch: batch.found is not None and batch.precision is not None,
)


@dataclass(frozen=True)
class Loss:
    """One row.

    Attributes:
        function: of a batch; a scalar, in units of the square error.
        needs: what of the energy.
        penalty: its weight grows with ``penalty_warm_up``.
        warm_up: the setting that says for how many iterations it is left out at first.
        square_error: the weight that the square error has beside it.
    """

    function: Callable[[Batch], Tensor]
    needs: Need | None = None
    penalty: bool = False
    warm_up: str = ""
    square_error: float = 1.0


def perceptual(batch: Batch) -> Tensor:
    """Return the perceptual distance of what the components make up."""
    with batch.autocast():
        return perceptual_loss(batch.output, batch.x, batch.settings.perceptual_weights)


def swap(batch: Batch) -> Tensor:
    """Return how far pictures of recombined components are from being encoded to those."""
    mixed, wanted = shuffle_components(batch.bound, batch.z, batch.noise)
    shown = batch.recompose(mixed)
    with batch.autocast():
        found = batch.model.encode(shown.clamp(0, 1))
    return swap_loss(found, wanted)


def on_precision(function: Callable[[Tensor], Tensor]) -> Loss:
    """Return the row of a penalty on the precision m (B,K,1,R,R)."""

    def penalty(batch: Batch) -> Tensor:
        assert batch.precision is not None
        return function(batch.precision)

    return Loss(penalty, needs=PRECISION, penalty=True)


def on_attention(
    function: Callable[[Colouring, Tensor, Batch], Tensor], *, penalty: bool = False
) -> Loss:
    """Return the row of a loss on what was found and precision m (B,K,1,R,R)."""

    def loss(batch: Batch) -> Tensor:
        assert batch.found is not None and batch.precision is not None
        return function(batch.found, batch.precision, batch)

    return Loss(loss, needs=ATTENTION, penalty=penalty)


def mixture(found: Colouring, precision: Tensor, batch: Batch) -> Tensor:
    """Return how unlikely the picture is as a mixture of the components' mean pictures."""
    mean = cast(BoundQuadraticEnergy, batch.bound).mean_pictures(batch.x)
    return mixture_loss(batch.x, mean, found.attention, batch.settings.mixture_sigma)


def consistency(found: Colouring, precision: Tensor, batch: Batch) -> Tensor:
    """Return how far attention and precision are apart, in units of the square error."""
    return 2 * batch.settings.mixture_sigma**2 / 3 * consistency_loss(found.attention, precision)


LOSSES: dict[str, Loss] = {
    "perceptual": Loss(perceptual, warm_up="perceptual_warm_up", square_error=SQUARE_ERROR_WEIGHT),
    "gradient": Loss(lambda batch: gradient_loss(batch.output, batch.x)),
    "structure": Loss(lambda batch: structure_loss(batch.output, batch.x)),
    "dependence": Loss(lambda batch: dependence_loss(batch.z), needs=ORDERED, penalty=True),
    "swap": Loss(swap, needs=RECOMBINABLE, penalty=True),
    "parsimony": on_precision(parsimony_loss),
    "purity": on_precision(purity_loss),
    "area": on_precision(area_loss),
    "mixture": on_attention(mixture),
    "consistency": on_attention(consistency),
    "attention_area": on_attention(lambda found, _, batch: found.attention[:, 1:].sum(1).mean()),
    "depth_order": on_attention(
        lambda _, precision, batch: depth_order_loss(batch.z[..., 0], precision), penalty=True
    ),
    "cover": on_attention(lambda _, precision, batch: cover_loss(precision), penalty=True),
    "silence": on_attention(lambda found, precision, _: silence_loss(found.present, precision)),
}


def weighted_sum(batch: Batch, square_error: Tensor, iteration: int) -> Tensor:
    """Return the loss: the square error and, with their weights, the losses that are in force.

    Args:
        batch: the batch.
        square_error: of the iterates that the recipe's ``loss`` names.
        iteration: 0-based.

    Raises:
        CometError: a loss that the energy does not have.
    """
    settings = batch.settings
    share = penalty_weight(settings, iteration)
    scale, terms, penalties = 1.0, [], []
    weights = settings.weights_at(iteration)
    for name, row in LOSSES.items():
        weight = weights.get(name, 0.0)
        if not weight:
            continue
        if row.needs is not None and not row.needs.holds(batch):
            raise CometError(f"recipe, [train]: {name} is for {row.needs.of}")
        if row.penalty and share:
            penalties.append(weight * row.function(batch))
        elif not row.penalty and iteration >= getattr(settings, row.warm_up, 0):
            scale *= row.square_error
            terms.append(weight * row.function(batch))
    loss = sum(terms, scale * square_error)
    return loss + share * sum(penalties) if penalties else loss


def penalty_weight(settings: TrainSettings, iteration: int) -> float:
    """Return the share of the penalties' weights in force at an iteration (0-based)."""
    if not settings.penalty_warm_up:
        return 1.0
    return min(1.0, max(0.0, (4 * iteration / settings.penalty_warm_up - 1) / 3))
