"""Swap accuracy: with component j of another picture, do j's factors follow, and the rest stay?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comet_cli.composition import Term, render
from comet_cli.errors import CometError
from comet_cli.evaluation.probe import Probe, as_pictures
from comet_cli.models.comet_model import CometModel


@dataclass(frozen=True)
class SwapFigures:
    """What a probe reads off recombined pictures.

    Attributes:
        pairs: held-out pairs of a host and a donor, each with every component swapped in turn.
        swap_accuracy: share of all swaps and factors that are read as they should be: the donor's
            value for factors of the swapped component, the host's for all others.
        all_right: share of swaps in which every factor is read as it should be.
        donor_read: of the factors of the swapped component, where donor and host differ: how often
            the donor's value is read.
        host_read: of all other factors: how often the host's value is read.
        probe_accuracy: mean accuracy of the probe on the held-out pictures themselves.
        recomposed_accuracy: the same on the model's recompositions of them.
        factors: each factor's component, and its own figures.
    """

    pairs: int
    swap_accuracy: float
    all_right: float
    donor_read: float
    host_read: float
    probe_accuracy: float
    recomposed_accuracy: float
    factors: dict[str, dict[str, Any]]


@torch.no_grad()
def encode_all(model: CometModel, x: Tensor, batch: int = 100) -> Tensor:
    """Return the components (N,K,D) of pictures (N,3,R,R)."""
    return torch.cat([model.encode(part.to(model.device)) for part in x.split(batch)])


def render_all(model: CometModel, z: Tensor, batch: int = 50) -> Tensor:
    """Return the pictures (N,3,R,R) of components (N,K,D)."""
    return torch.cat(
        [
            render([Term(model, part[:, k], component=k) for k in range(z.shape[1])]).cpu()
            for part in z.split(batch)
        ]
    )


def swap_readings(model: CometModel, probe: Probe, z: Tensor, donors: np.ndarray) -> np.ndarray:
    """Return what the probe reads (K,N,factors) with component k of z[donors] in z (N,K,D)."""
    found = []
    for k in range(z.shape[1]):
        mixed = z.clone()
        mixed[:, k] = z[torch.from_numpy(donors).to(z.device), k]
        found.append(probe.read(render_all(model, mixed)))
    return np.stack(found)


def donor_rates(readings: np.ndarray, labels: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Return how often the donor's value is read where it differs from the host's: (K,factors)."""
    differ = labels != labels[donors]
    hits = (readings == labels[donors][None]) & differ[None]
    return hits.sum(1) / np.maximum(differ.sum(0), 1)


def evaluate_swaps(
    model: CometModel,
    probe: Probe,
    names: list[str],
    tuning: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    seed: int = 0,
) -> SwapFigures:
    """Measure swap accuracy.

    Which component a factor belongs to is decided on the tuning pictures: the one whose swap
    makes the probe read the donor's value most often.

    Args:
        model: the model.
        probe: reads the factors ``names``.
        names: of the factors.
        tuning: pictures (N,R,R,3) uint8 and their labels (N,factors).
        held_out: the same, for the figures; each picture is host once.
        seed: of the pairs.

    Raises:
        CometError: fewer than two pictures.
    """
    if min(len(tuning[0]), len(held_out[0])) < 2:
        raise CometError("swaps need at least two pictures")
    images, labels = tuning
    donors = _partners(len(images), seed)
    z = encode_all(model, as_pictures(images))
    tuned = donor_rates(swap_readings(model, probe, z, donors), labels, donors)
    owner = tuned.argmax(0)

    images, labels = held_out
    x, donors = as_pictures(images), _partners(len(images), seed + 1)
    z = encode_all(model, x)
    readings = swap_readings(model, probe, z, donors)
    mine = (np.arange(len(readings))[:, None] == owner)[:, None]  # (K,1,factors)
    expected = np.where(mine, labels[donors][None], labels[None])
    right = readings == expected
    rates = donor_rates(readings, labels, donors)
    differ = labels != labels[donors]
    swapped = mine & differ[None]
    own = probe.read(x) == labels
    again = probe.read(render_all(model, z)) == labels
    factors = {}
    for i, name in enumerate(names):
        k, others = int(owner[i]), np.arange(len(readings)) != owner[i]
        factors[name] = {
            "component": k,
            "donor_read": _round(rates[k, i]),
            "donor_read_of_another": _round(rates[others, i].max()) if others.any() else None,
            "host_read": _round(right[others, :, i].mean()) if others.any() else None,
            "probe": _round(own[:, i].mean()),
            "recomposed": _round(again[:, i].mean()),
        }
    return SwapFigures(
        pairs=len(labels),
        swap_accuracy=float(right.mean()),
        all_right=float(right.all(-1).mean()),
        donor_read=float(right[np.broadcast_to(swapped, right.shape)].mean()),
        host_read=float(right[np.broadcast_to(~mine, right.shape)].mean()),
        probe_accuracy=float(own.mean()),
        recomposed_accuracy=float(again.mean()),
        factors=factors,
    )


def _partners(count: int, seed: int) -> np.ndarray:
    """Return a donor for each of ``count`` hosts, never itself: a shuffled ring."""
    order = np.random.default_rng(seed).permutation(count)
    partners = np.empty(count, int)
    partners[order] = np.roll(order, 1)
    return partners


def _round(value: float) -> float:
    return round(float(value), 4)
