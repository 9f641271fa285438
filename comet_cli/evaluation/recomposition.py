"""Many pictures through a model at once: their components, and pictures of components."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from comet_cli.energy.composition import Term, render
from comet_cli.models.comet_model import CometModel


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


def draw_partners(count: int, seed: int) -> np.ndarray:
    """Return a donor for each of ``count`` hosts, never itself: a shuffled ring."""
    order = np.random.default_rng(seed).permutation(count)
    partners = np.empty(count, int)
    partners[order] = np.roll(order, 1)
    return partners
