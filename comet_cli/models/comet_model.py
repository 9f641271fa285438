"""A model: an encoder and the energy network that all its components share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from comet_cli.errors import CometError
from comet_cli.models.card import ModelCard
from comet_cli.models.pretrained import Pretrained


class BoundEnergy(Protocol):
    """The energies of J given components as a function of the picture alone."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return (B,J) for x (B,3,R,R)."""
        ...

    def curvature(self, x: Tensor) -> Tensor | None:
        """Return the diagonal (B,J,1,R,R) of the Hessian in x where it is known, else None."""
        ...


class EnergyNetwork(Protocol):
    """What every energy network offers, whatever its architecture."""

    def bind(self, z: Tensor, positional: Sequence[bool]) -> BoundEnergy:
        """Fix latents z (B,J,D); ``positional`` says a component whether positions are seen."""
        ...


class CometModel(Pretrained, nn.Module):
    """Encoder and energy network of one card.

    Symbols: B batch, K components, D latent dimension, R image size.
    """

    def __init__(self, card: ModelCard) -> None:
        """Build networks with random weights for ``card``."""
        super().__init__()
        from comet_cli.models.architectures import build_encoder, build_energy_network

        self.card = card
        self.encoder = build_encoder(card)
        self.energy_network = build_energy_network(card)

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""
        return next(self.parameters()).device

    def encode(self, x: Tensor, *, restarts: bool = True) -> Tensor:
        """Infer components: x (B,3,R,R) in [0, 1] -> z (B,K,D).

        Args:
            x: pictures.
            restarts: where the card allows it, encode a picture again that its components do not
                make up; never in training.

        Raises:
            CometError: x has another size than the model's R.
        """
        size = self.card.image_size
        if x.ndim != 4 or tuple(x.shape[1:]) != (3, size, size):
            raise CometError(
                f"model '{self.card.name}' encodes (B, 3, {size}, {size}), got {tuple(x.shape)}"
            )
        z = cast(Tensor, self.encoder(x))
        if not (restarts and self.card.restarts) or self.training:
            return z
        from comet_cli.models.restarts import with_restarts

        return with_restarts(self, x, z)

    def positional_flags(self, components: Sequence[int | None]) -> list[bool]:
        """Say for each component index whether its energy sees positions (None: the usual)."""
        flags = self.card.positional
        usual = sum(flags) * 2 >= len(flags) and any(flags)
        return [usual if k is None or k >= len(flags) else flags[k] for k in components]

    def bind(self, z: Tensor, components: Sequence[int | None] | None = None) -> BoundEnergy:
        """Fix latents, so that what does not depend on x is computed once.

        Args:
            z: (B,J,D), any J.
            components: which component of its image each latent was (decides the positional
                embedding); default 0..J-1.
        """
        if z.ndim != 3 or z.shape[-1] != self.card.latent_dim:
            raise CometError(
                f"model '{self.card.name}' takes latents (B, J, {self.card.latent_dim}), "
                f"got {tuple(z.shape)}"
            )
        indices = list(range(z.shape[1])) if components is None else list(components)
        network = cast(EnergyNetwork, self.energy_network)
        return network.bind(z, self.positional_flags(indices))

    def energy(
        self, x: Tensor, z: Tensor, components: Sequence[int | None] | None = None
    ) -> Tensor:
        """Return E(x, z_j): x (B,3,R,R), z (B,J,D) -> (B,J) (section 3.1)."""
        return self.bind(z, components)(x)

    def gradients(self, x: Tensor, z: Tensor) -> Tensor:
        """Return ∇_x E(x, z_j), one picture a component: (B,J,3,R,R)."""
        bound = self.bind(z)
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            energies = bound(x)
            maps = [
                torch.autograd.grad(energies[:, j].sum(), x, retain_graph=True)[0]
                for j in range(z.shape[1])
            ]
        return torch.stack(maps, 1).detach()
