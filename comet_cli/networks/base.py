"""What an energy network offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

# Proximal weight of a composition that is quadratic in x: where Σ m is far below it, the start
# shows through; where Σ m is far above, one step reaches the minimum.
QUADRATIC_REST = 0.05


def as_it_is(held: Tensor) -> Tensor:
    """Return what one process holds of a batch: all of it."""
    return held


class BoundEnergy(Protocol):
    """The energies of J given components as a function of the picture alone.

    Attributes:
        constant_curvature: :meth:`curvature` is the same for every x, and need not be asked again.
    """

    constant_curvature: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Return (B,J) for x (B,3,R,R)."""
        ...

    def curvature(self, x: Tensor) -> Tensor | None:
        """Return the diagonal (B,J,1,R,R) of the Hessian in x where it is known, else None."""
        ...

    def at(self, x: Tensor) -> BoundEnergy:
        """Return what a step from x (B,3,R,R) descends on: itself, unless it lags behind x."""
        return self

    def gradients(self, x: Tensor) -> Tensor | None:
        """Return ∇_x E_j (B,J,3,R,R) where that takes no autograd, else None."""
        return None

    def summed(self, scales: Tensor) -> Callable[[Tensor], Tensor] | None:
        """Return x -> Σ_j s_j ∇_x E_j(x) (B,3,R,R) where that takes no autograd, else None.

        Args:
            scales: s (J,).
        """
        return None

    def resized(self, lines: Tensor) -> BoundEnergy | None:
        """Return the energy of a canvas of another size (S,S); None where only the canvas resizes.

        Args:
            lines: (S,R), what resizes a line of R pixels.
        """
        return None

    def parts(self) -> tuple[Tensor, ...] | None:
        """Return the tensors (B,J,…) that its class makes it of; None where z does not say all."""
        return None

    def recombine(
        self, rows: Tensor, columns: Tensor, gather: Callable[[Tensor], Tensor] = as_it_is
    ) -> BoundEnergy:
        """Return the energies of pictures that are made of components of several pictures.

        What the network made of the latents is moved with them, so that nothing is computed again.

        Args:
            rows: (B',J') which picture component j of picture b is taken from.
            columns: (J',) which of that picture's components.
            gather: what is held of B pictures -> of those that ``rows`` counts, where these are
                not the same (several processes hold a part of a batch each).
        """
        ...


class EnergyNetwork(Protocol):
    """What every energy network offers, whatever its architecture."""

    def bind(self, z: Tensor, positional: Sequence[bool]) -> BoundEnergy:
        """Fix latents z (B,J,D); ``positional`` says a component whether positions are seen."""
        ...
