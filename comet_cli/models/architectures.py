"""The table of networks: which cards ask for one, what of the card it is told, and its checks.

A new network is a module in ``networks/`` and a row here. The table itself needs no torch; a row
that is added to the list from elsewhere may hold the class itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

Card = Any  # a ``ModelCard``, which checks itself by this table and so stands above it

_ENCODER = {n: n for n in ("filter_dim", "components", "latent_dim", "image_size")}
_POOLED = {n: n for n in ("filter_dim", "latent_dim")}
_QUADRATIC = {**_POOLED, **{n: n for n in ("image_size", "sees_image", "responds", "mean_margin")}}


@dataclass(frozen=True)
class Architecture:
    """One network.

    Attributes:
        home: module in ``comet_cli.networks`` and class; or the class.
        asked: keys and values of the cards that ask for it; of several rows the first is meant.
        takes: argument -> key of the card.
        checks: what holds of every card, for the sake of the keys that belong to this network, and
            the sentence that says so.
    """

    home: str | Callable[..., nn.Module]
    asked: Mapping[str, object]
    takes: Mapping[str, str]
    checks: tuple[tuple[Callable[[Card], bool], str], ...] = ()

    def is_asked(self, card: Card) -> bool:
        """Return whether the card asks for it."""
        return all(getattr(card, key) == value for key, value in self.asked.items())

    def build(self, card: Card) -> nn.Module:
        """Return the network with random weights."""
        network = self.home
        if isinstance(network, str):
            module, name = network.split(".")
            network = getattr(import_module(f"comet_cli.networks.{module}"), name)
        made: nn.Module = network(**{a: getattr(card, key) for a, key in self.takes.items()})
        return made


def _redraws_fit(card: Card) -> bool:
    seeded = card.encoder == "recurrent" and card.attention == "colouring"
    plain = card.energy == "quadratic" and not (card.sees_image or card.responds)
    most = 1024 if seeded and plain else 0
    return type(card.redraws) is int and 0 <= card.redraws <= most


ENCODER_NETWORKS = [
    Architecture(
        "spatial_encoder.SpatialEncoder",
        {"encoder": "global", "spatial": True},
        _ENCODER,
        (
            (
                lambda c: not c.spatial or (c.encoder == "global" and c.energy == "quadratic"),
                "spatial is for the global encoder with the quadratic energy",
            ),
        ),
    ),
    Architecture("paper_encoders.GlobalEncoder", {"encoder": "global"}, _ENCODER),
    Architecture(
        "paper_encoders.RecurrentEncoder", {"encoder": "recurrent", "attention": "lstm"}, _ENCODER
    ),
    Architecture(
        "colouring_encoder.ColouringEncoder",
        {"encoder": "recurrent", "attention": "colouring"},
        {**_ENCODER, "adapts": "responds", "glimpses": "glimpses"},
        (
            (
                lambda c: (
                    (c.encoder, c.attention) != ("recurrent", "colouring")
                    or (c.ground and c.components >= 2)
                ),
                "colouring attention needs ground = true and 2 components or more",
            ),
            (
                lambda c: not c.glimpses or (c.encoder, c.attention) == ("recurrent", "colouring"),
                "glimpses is for colouring attention",
            ),
            (
                lambda c: c.encoder == "recurrent" or c.attention != "colouring",
                'colouring attention is for encoder = "recurrent"',
            ),
            (
                _redraws_fit,
                "redraws must be 0 or, for colouring attention and a quadratic energy of z alone, "
                "an integer up to 1024",
            ),
            (
                lambda c: isinstance(c.redraw_above, float) and 0 < c.redraw_above < 1,
                "redraw_above must be a number between 0 and 1",
            ),
        ),
    ),
]
ENERGY_NETWORKS = [
    Architecture(
        "pooled_energy.PooledEnergy64",
        {"energy": "pooled-64"},
        {**_POOLED, "positional": "sees_positions"},
    ),
    Architecture("pooled_energy.PooledEnergy128", {"energy": "pooled-128"}, _POOLED),
    Architecture(
        "spatial_energy.SpatialQuadraticEnergy",
        {"energy": "quadratic", "spatial": True},
        _QUADRATIC,
    ),
    Architecture(
        "quadratic_energy.QuadraticEnergy",
        {"energy": "quadratic"},
        _QUADRATIC,
        (
            (
                lambda c: not c.responds or (c.energy == "quadratic" and not c.sees_image),
                "responds is for the quadratic energy that does not see the image",
            ),
            (
                lambda c: isinstance(c.mean_margin, int | float) and 0 <= c.mean_margin <= 1,
                "mean_margin must be a number from 0 to 1",
            ),
            (
                lambda c: not c.mean_margin or c.energy == "quadratic",
                "mean_margin is for the quadratic energy",
            ),
        ),
    ),
]


def words(key: str) -> tuple[str, ...]:
    """Return the values of a card's key that ask for a network: ``encoder``, ``energy`` …."""
    rows = (*ENCODER_NETWORKS, *ENERGY_NETWORKS)
    return tuple(dict.fromkeys(str(row.asked[key]) for row in rows if key in row.asked))


def checks(card: Card) -> Iterator[tuple[bool, str]]:
    """Return whether the card fulfils each check of the table, and the check's sentence."""
    for row in (*ENCODER_NETWORKS, *ENERGY_NETWORKS):
        for holds, sentence in row.checks:
            yield holds(card), sentence


def build_encoder(card: Card) -> nn.Module:
    """Return the encoder of a card: (B,3,R,R) -> (B,K,D)."""
    return next(row for row in ENCODER_NETWORKS if row.is_asked(card)).build(card)


def build_energy_network(card: Card) -> nn.Module:
    """Return the energy network of a card (an ``EnergyNetwork``)."""
    return next(row for row in ENERGY_NETWORKS if row.is_asked(card)).build(card)


def empty_state(card: Card) -> dict[str, Tensor]:
    """Return the names and shapes of a card's weights, as tensors without memory."""
    import torch
    from torch import nn

    from comet_cli.models.unfilled import Unfilled

    with Unfilled(), torch.device("meta"):
        networks = {"encoder": build_encoder(card), "energy_network": build_energy_network(card)}
    return nn.ModuleDict(networks).state_dict()
