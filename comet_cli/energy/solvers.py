"""The solvers by name: each is an update x ← update(n, x, P⁻¹ ∇E(x)) that the one loop repeats.

The command line reads the names off the table, so the table itself needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Update: TypeAlias = "Callable[[int, Tensor, Tensor], Tensor]"

MOMENTUM = 0.5
ADAM_STEP = 0.1  # a tenth of the range of a pixel
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
TEMPERATURE = 1e-4
# Keeps the noise of Langevin dynamics apart from the noise that the descent starts from.
_LANGEVIN_STREAM = 0x6C616E676576696E


@dataclass(frozen=True)
class Start:
    """What a solver is told before the first step.

    Attributes:
        x0: (B,3,R,R).
        step_size: λ, which multiplies the step size of every term.
        curvature: x -> P (B,1|3,R,R), a positive diagonal; None where P is 1.
        seed: of a solver that draws numbers, one for all pictures or one a picture.
    """

    x0: Tensor
    step_size: float = 1.0
    curvature: Callable[[Tensor], Tensor] | None = None
    seed: int | Sequence[int] = 0


Solver = Callable[[Start], Update]


def gradient_descent(start: Start) -> Update:
    """Descend: x ← x − λ P⁻¹ ∇E(x) (equation 2)."""
    return lambda n, x, gradient: x - start.step_size * gradient


def heavy_ball(start: Start, *, momentum: float = MOMENTUM) -> Update:
    """Descend with a momentum β: v ← β v + P⁻¹ ∇E(x), x ← x − λ v.

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. Where the
    gradient keeps its direction the step grows to λ / (1 − β).
    """
    import torch

    v = torch.zeros_like(start.x0)

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        v.mul_(momentum).add_(gradient)
        return x - start.step_size * v

    return update


def adam(start: Start) -> Update:
    """Descend with steps of about one size whatever the gradient's: x ← x − α m̂ / (√v̂ + ε).

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, on g = P⁻¹ ∇E:
    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ⁿ), v̂ = v / (1 − β₂ⁿ).
    α, how far a pixel moves in the first step, is λ tenths of a pixel's range.
    """
    import torch

    m, v = torch.zeros_like(start.x0), torch.zeros_like(start.x0)
    first, second = ADAM_DECAYS
    alpha = start.step_size * ADAM_STEP

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        m.mul_(first).add_(gradient, alpha=1 - first)
        v.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (v / (1 - second**n)).sqrt() + ADAM_EPSILON
        return x - alpha * (m / (1 - first**n)) / spread

    return update


def langevin(start: Start, *, temperature: float = TEMPERATURE) -> Update:
    """Sample exp(−E / T): x ← x − λ P⁻¹ ∇E(x) + √(2 λ T P⁻¹) ξ, ξ ~ N(0, 1).

    Unadjusted Langevin dynamics (Welling and Teh, "Bayesian learning via stochastic gradient
    Langevin dynamics", 2011; for energies of pictures Du and Mordatch 2019), with P as
    preconditioner; the term that a P depending on x would add is left out. The noise comes from one
    CPU generator a picture, so it depends on neither the device nor the batch. T is in units of the
    energy.
    """
    import torch

    seeds = [start.seed] if isinstance(start.seed, int) else start.seed
    generators = [torch.Generator().manual_seed(s ^ _LANGEVIN_STREAM) for s in seeds]
    scale = math.sqrt(2 * start.step_size * temperature)

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        noise = torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators])
        noise = scale * noise.to(x)
        if start.curvature is not None:
            noise = noise / start.curvature(x).sqrt()
        return x - start.step_size * gradient + noise

    return update


SOLVERS: dict[str, Solver] = {
    "gd": gradient_descent,
    "momentum": heavy_ball,
    "adam": adam,
    "langevin": langevin,
}
