"""Training on small pictures first: the same weights, at half the size and a third of the time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from comet_cli.errors import CometError
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.colouring_encoder import ColouringEncoder
from comet_cli.networks.quadratic_energy import QuadraticEnergy
from comet_cli.training.settings import TrainSettings


def at_half_size(model: CometModel) -> CometModel:
    """Return a model of pictures of half the size, whose weights are the given one's own.

    Raises:
        CometError: the size is odd, or a network has weights for its size alone.
    """
    card, encoder, energy = model.card, model.encoder, model.energy_network
    if card.image_size % 2:
        raise CometError(
            f"recipe, [train]: small_iterations needs an even image_size, it is {card.image_size}"
        )
    if not isinstance(encoder, ColouringEncoder) or not isinstance(energy, QuadraticEnergy):
        raise CometError(
            "recipe, [train]: small_iterations is for the colouring attention and the quadratic "
            "energy, which take pictures of any size"
        )
    small = CometModel(card.replace(image_size=card.image_size // 2))
    small.encoder, small.energy_network = encoder, energy.resized(small.card.image_size)
    return small


def halved(x: Tensor) -> Tensor:
    """Return pictures (B,3,R,R) pooled to half their size."""
    return F.avg_pool2d(x, 2)


def at_size_of(model: CometModel, x: Tensor) -> Tensor:
    """Return pictures (B,3,R,R) as a model takes them: halved for the small one."""
    return halved(x) if x.shape[-1] == 2 * model.card.image_size else x


def stage(
    model: CometModel, small: CometModel | None, settings: TrainSettings, iteration: int
) -> CometModel:
    """Return the model that an iteration (0-based) trains: at first the small one, if any."""
    return model if small is None or iteration >= settings.small_iterations else small
