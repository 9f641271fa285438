"""Models whose energies are known in closed form."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from comet_cli.energy.composition import Term
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.networks.base import BoundEnergy

R = 4


class Bound(BoundEnergy):
    """A bound energy from two functions of (x, z)."""

    def __init__(self, model: ToyModel, z: Tensor) -> None:
        self._model, self._z = model, z

    def __call__(self, x: Tensor) -> Tensor:
        energies = [self._model.one(x, self._z[:, j]) for j in range(self._z.shape[1])]
        return torch.stack(energies, 1)

    def curvature(self, x: Tensor) -> Tensor | None:
        if self._model.precision is None:
            return None
        maps = [self._model.precision(x, self._z[:, j]) for j in range(self._z.shape[1])]
        return torch.stack(maps, 1)


class ToyModel:
    """What a composition needs of a model, around any energy one(x, z) of (B,3,R,R) and (B,D)."""

    device = torch.device("cpu")

    def __init__(
        self, one, precision=None, *, name="toy", size=R, step_size=1.0, init="noise", steps=50
    ) -> None:
        self.one, self.precision = one, precision
        self.card = SimpleNamespace(
            name=name,
            weights_sha256=name,
            image_size=size,
            render_step_size=step_size,
            render_steps=steps,
            init=init,
            sees_image=False,
            energy="toy",
            is_whole=lambda components: True,
        )

    def bind_each(self, z: Tensor, components) -> Bound:
        return Bound(self, z)


def square(x: Tensor, z: Tensor) -> Tensor:
    """E(x, a) = (x − a)² in every pixel."""
    return (x - z[:, 0, None, None, None]).square().sum((1, 2, 3))


def quartic(x: Tensor, z: Tensor) -> Tensor:
    """¼ (x − a)⁴ in every pixel: convex and not quadratic."""
    return 0.25 * (x - z[:, 0, None, None, None]).pow(4).sum((1, 2, 3))


def weighted_square(x: Tensor, z: Tensor) -> Tensor:
    """½ m (x − f)² in every pixel, z = (f, m)."""
    f, m = z[:, 0, None, None, None], z[:, 1, None, None, None]
    return 0.5 * (m * (x - f).square()).sum((1, 2, 3))


def weighted_confidence(x: Tensor, z: Tensor) -> Tensor:
    return z[:, 1, None, None, None].expand(-1, 1, *x.shape[-2:])


def quadratic_model(**settings) -> ToyModel:
    return ToyModel(weighted_square, weighted_confidence, **{"name": "quadratic", **settings})


def term(model: ToyModel, *z: float, **settings) -> Term:
    return Term(model, torch.tensor(z), **settings)  # type: ignore[arg-type]


def pooled(size: int, energy: str = "pooled-64", **settings) -> CometModel:
    """A tiny pooled network with random weights."""
    card = ModelCard(
        name=f"pooled-{size}",
        encoder="global",
        energy=energy,
        filter_dim=4,
        components=2,
        latent_dim=2,
        image_size=size,
        positional=[False] * 2,
        **{
            "step_size": 10.0,
            "num_steps": 2,
            "render_step_size": 10.0,
            "render_steps": 2,
            **settings,
        },
    )
    torch.manual_seed(size)
    return CometModel(card).requires_grad_(False)


def gradient(energy, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_(True)
    return torch.autograd.grad(energy(x).sum(), x)[0]
