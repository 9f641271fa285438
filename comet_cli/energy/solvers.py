"""The solvers by name: each is an update x ← update(n, x, P⁻¹ ∇E(x)) that the one loop repeats.

The command line reads the names off the table, so the table itself needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Update: TypeAlias = "Callable[[int, Tensor, Tensor], Tensor]"

MOMENTUM = 0.5
ADAM_STEP = 0.1  # a tenth of the range of a pixel
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
TEMPERATURE = 1e-4
ANDERSON_MEMORY = 5
ANDERSON_REST = 1e-8  # of the mean squared length of the differences, in float64
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
        bounds: that the loop clamps x to after each step; None for none.
    """

    x0: Tensor
    step_size: float = 1.0
    curvature: Callable[[Tensor], Tensor] | None = None
    seed: int | Sequence[int] = 0
    bounds: tuple[float, float] | None = None


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


def exact_type(device: torch.device) -> torch.dtype:
    """Return the most exact type of numbers that a device has: MPS has no float64."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def anderson(start: Start, *, memory: int = ANDERSON_MEMORY) -> Update:
    """Descend, and learn from the last steps where they lead: Anderson acceleration.

    Walker and Ni, "Anderson acceleration for fixed-point iterations", 2011 (section 2, type II,
    mixing 1), of the map G(x) = clamp(x − λ P⁻¹ ∇E(x)). With f = G(x) − x, and ΔX, ΔF the last m
    differences of x and of f: γ = arg min |f − ΔF γ|² + ε mean |ΔF_j|² |γ|²,
    x ← x + f − (ΔX + ΔF) γ. Each picture has a γ of its own. G settles where gradient descent does.
    """
    import torch

    exact = exact_type(start.x0.device)
    before: list[Tensor] = []  # x and f of the step before, (B,3RR) each
    steps: list[Tensor] = []  # ΔX, each (B,3RR)
    changes: list[Tensor] = []  # ΔF
    products = torch.zeros(len(start.x0), 0, 0, dtype=exact, device=start.x0.device)  # ΔFᵀ ΔF

    def project(vector: Tensor) -> Tensor:
        """Return ΔFᵀ v (B,m,1), one sum at a time, so that no batch changes its order."""
        exactly = vector.to(exact)
        return torch.stack([(d.to(exact) * exactly).sum(1) for d in changes], 1)[..., None]

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        nonlocal products
        moved = x - start.step_size * gradient
        if start.bounds is not None:
            moved = moved.clamp(*start.bounds)
        here, residual = x.flatten(1), (moved - x).flatten(1)
        if before:
            steps.append(here - before[0])
            changes.append(residual - before[1])
            if len(changes) > memory:
                del steps[0], changes[0]
                products = products[:, 1:, 1:]
        before[:] = here, residual
        if not changes:
            return moved
        column = project(changes[-1])
        above = torch.cat([products, column[:, :-1].mT], 1)
        products = torch.cat([above, column], 2)
        about = torch.finfo(exact)
        ridge = max(ANDERSON_REST, 10 * about.eps)
        rest = ridge * products.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        # Where nothing changes any more, γ is 0.
        tiny = about.tiny
        unit = torch.eye(len(changes), dtype=exact, device=x.device)
        parts, _ = torch.linalg.solve_ex(products + (rest + tiny) * unit, project(residual))
        parts = torch.where(parts.isfinite().all(1, keepdim=True), parts, 0)
        for j, (step, change) in enumerate(zip(steps, changes, strict=True)):
            moved = moved - (parts[:, j].to(x) * (step + change)).view_as(x)
        return moved

    return update


SOLVERS: dict[str, Solver] = {
    "gd": gradient_descent,
    "momentum": heavy_ball,
    "adam": adam,
    "langevin": langevin,
    "anderson": anderson,
}

# What a solver needs where more steps are not recommended: a pixel that moves by a tenth or so
# whatever its gradient is near its minimum only after many.
LEAST_STEPS = {"adam": 100}

FAST_SOLVER = "anderson"
LEAST_FAST = 8  # steps below which Anderson's have seen too little to make up for those left out


def fast_steps(steps: int) -> int:
    """Return how many steps ``--fast`` takes in the place of gradient descent's.

    0.4 of them, but at least eight where there are as many.
    """
    return min(steps, max(LEAST_FAST, -(-2 * steps // 5)))
