"""Models without energies that the same figures are measured of."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel


class Autoencoder(Protocol):
    """What is measured of a model that is no comet model, a baseline of the paper for example.

    Its card has a ``name``, an ``image_size`` and ``labels``.
    """

    @property
    def card(self) -> Any:
        """Facts of the model."""

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""

    def encode(self, x: Tensor) -> Tensor:
        """Infer latents: x (B,3,R,R) in [0, 1] -> (B,K,D)."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the pictures that the latents of x make: (B,3,R,R) -> (B,3,R,R)."""

    def segment(self, x: Tensor) -> Tensor:
        """Return which component each pixel is of: (B,3,R,R) -> (B,R,R)."""


Measured = CometModel | Autoencoder


def component_titles(card: Any, count: int) -> list[str]:
    """Return what a table calls ``count`` components of a model: their names, or numbers."""
    names = card.names_of(count) if isinstance(card, ModelCard) else card.labels
    return list(names) or [f"component {k}" for k in range(count)]
