"""From a card to networks: the one place that knows which architecture a name means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from comet_cli.models.card import ModelCard


def build_encoder(card: ModelCard) -> nn.Module:
    """Return the encoder of a card: (B,3,R,R) -> (B,K,D)."""
    if card.encoder == "global" and card.spatial:
        from comet_cli.networks.spatial_encoder import SpatialEncoder

        return SpatialEncoder(card.filter_dim, card.components, card.latent_dim, card.image_size)
    if card.encoder == "global":
        from comet_cli.networks.paper_encoders import GlobalEncoder

        return GlobalEncoder(card.filter_dim, card.components, card.latent_dim, card.image_size)
    if card.attention == "colouring":
        from comet_cli.networks.colouring_encoder import ColouringEncoder

        return ColouringEncoder(
            card.filter_dim,
            card.components,
            card.latent_dim,
            card.image_size,
            adapts=card.responds,
        )
    if card.attention == "competitive":
        from comet_cli.networks.competitive_encoder import CompetitiveEncoder

        return CompetitiveEncoder(
            card.filter_dim,
            card.components,
            card.latent_dim,
            card.image_size,
            ground=card.ground,
            adapts=card.responds,
            parts=card.parts,
        )
    from comet_cli.networks.paper_encoders import RecurrentEncoder

    return RecurrentEncoder(card.filter_dim, card.components, card.latent_dim, card.image_size)


def build_energy_network(card: ModelCard) -> nn.Module:
    """Return the energy network of a card (an ``EnergyNetwork``)."""
    if card.energy == "quadratic" and card.spatial:
        from comet_cli.networks.spatial_energy import SpatialQuadraticEnergy

        return SpatialQuadraticEnergy(
            card.filter_dim,
            card.latent_dim,
            card.image_size,
            responds=card.responds,
            sees_image=card.sees_image,
        )
    if card.energy == "quadratic":
        from comet_cli.networks.quadratic_energy import QuadraticEnergy

        return QuadraticEnergy(
            card.filter_dim,
            card.latent_dim,
            card.image_size,
            sees_image=card.sees_image,
            responds=card.responds,
        )
    from comet_cli.networks.pooled_energy import PooledEnergy64, PooledEnergy128

    if card.energy == "pooled-64":
        return PooledEnergy64(card.filter_dim, card.latent_dim, positional=any(card.positional))
    return PooledEnergy128(card.filter_dim, card.latent_dim)


def empty_state(card: ModelCard) -> dict[str, Tensor]:
    """Return the names and shapes of a card's weights, as tensors without memory."""
    with torch.device("meta"):
        networks = {"encoder": build_encoder(card), "energy_network": build_energy_network(card)}
    return nn.ModuleDict(networks).state_dict()
