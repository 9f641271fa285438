"""What an energy network offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

# Proximal weight of a composition that is quadratic in x: where Σ m is far below it, the start
# shows through; where Σ m is far above, one step reaches the minimum.
QUADRATIC_REST = 0.05


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
