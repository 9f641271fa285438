"""The solvers of :mod:`comet_cli.energy.descent` by name, with one meaning of the step size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from comet_cli.energy.descent import Bounds, Callback, Energy, Tolerance, _iterate, descend
from comet_cli.errors import CometError

MOMENTUM = 0.5
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
TEMPERATURE = 1e-4
# Keeps the noise of Langevin dynamics apart from the noise that the descent starts from.
_LANGEVIN_STREAM = 0x6C616E676576696E


SOLVERS = ("gd", "momentum", "adam", "langevin")
ADAM_STEP = 0.1  # a tenth of the range of a pixel


def solve(
    energy: Energy,
    x0: Tensor,
    *,
    solver: str = "gd",
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    tolerance: Tolerance | None = None,
    seed: int | Sequence[int] = 0,
) -> Tensor:
    """Descend on a composition with the solver of that name.

    Args:
        energy: (B,3,R,R) -> (B,).
        x0: (B,3,R,R), the start.
        solver: one of ``SOLVERS``.
        step_size: multiplies the solver's own: every term's λ, or Adam's tenth of a pixel's range.
        num_steps: N.
        callback: see :func:`comet_cli.energy.descent.descend`.
        tolerance: see :func:`comet_cli.energy.descent.descend`.
        seed: of Langevin dynamics, one for all pictures or one a picture.

    Raises:
        CometError: an unknown solver.
    """
    method: Callable[..., Tensor]
    if solver == "gd":
        method = descend
    elif solver == "momentum":
        method = descend_momentum
    elif solver == "adam":
        method = descend_adam
        step_size = step_size * ADAM_STEP
    elif solver == "langevin":
        method = partial(descend_langevin, seed=seed)
    else:
        raise CometError(f"a solver is one of {', '.join(SOLVERS)}, not '{solver}'")
    return method(
        energy,
        x0,
        step_size=step_size,
        num_steps=num_steps,
        callback=callback,
        tolerance=tolerance,
    )


def descend_momentum(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    tolerance: Tolerance | None = None,
    momentum: float = MOMENTUM,
) -> Tensor:
    """Descend with the heavy ball: v ← β v + P⁻¹ ∇E(x), x ← clamp(x − λ v).

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964. Where the
    gradient keeps its direction the step grows to λ / (1 − β). Arguments: see :func:`descend`.
    """
    v = torch.zeros_like(x0)

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        v.mul_(momentum).add_(gradient)
        return x - step_size * v

    return _iterate(
        energy,
        x0,
        update,
        step_size=step_size,
        num_steps=num_steps,
        callback=callback,
        bounds=bounds,
        tolerance=tolerance,
    )


def descend_adam(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 0.1,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    tolerance: Tolerance | None = None,
) -> Tensor:
    """Descend with steps of about one size whatever the gradient's: x ← clamp(x − α m̂ / (√v̂ + ε)).

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1, on g = P⁻¹ ∇E:
    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m / (1 − β₁ⁿ), v̂ = v / (1 − β₂ⁿ).
    ``step_size`` is α, how far a pixel moves in the first step. Arguments: see :func:`descend`.
    """
    m, v = torch.zeros_like(x0), torch.zeros_like(x0)
    first, second = ADAM_DECAYS

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        m.mul_(first).add_(gradient, alpha=1 - first)
        v.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (v / (1 - second**n)).sqrt() + ADAM_EPSILON
        return x - step_size * (m / (1 - first**n)) / spread

    return _iterate(
        energy,
        x0,
        update,
        step_size=step_size,
        num_steps=num_steps,
        callback=callback,
        bounds=bounds,
        tolerance=tolerance,
    )


def descend_langevin(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    tolerance: Tolerance | None = None,
    temperature: float = TEMPERATURE,
    seed: int | Sequence[int] = 0,
) -> Tensor:
    """Sample exp(−E / T): x ← clamp(x − λ P⁻¹ ∇E(x) + √(2 λ T P⁻¹) ξ), ξ ~ N(0, 1).

    Unadjusted Langevin dynamics (Welling and Teh, "Bayesian learning via stochastic gradient
    Langevin dynamics", 2011; for energies of pictures Du and Mordatch 2019), with P as
    preconditioner; the term that a P depending on x would add is left out. The noise comes from one
    CPU generator a picture, so it depends on neither the device nor the batch.

    Args:
        energy: see :func:`descend`, like all that is not named here.
        x0: the start.
        step_size: λ.
        num_steps: N.
        callback: see :func:`descend`.
        bounds: see :func:`descend`.
        tolerance: see :func:`descend`.
        temperature: T, in units of the energy.
        seed: of the noise, one for all pictures or one a picture.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    generators = [torch.Generator().manual_seed(s ^ _LANGEVIN_STREAM) for s in seeds]
    curvature = getattr(energy, "curvature", None)

    def update(n: int, x: Tensor, gradient: Tensor) -> Tensor:
        noise = torch.stack([torch.randn(x.shape[1:], generator=g) for g in generators])
        scale = math.sqrt(2 * step_size * temperature)
        noise = scale * noise.to(x)
        if curvature is not None:
            noise = noise / curvature(x).sqrt()
        return x - step_size * gradient + noise

    return _iterate(
        energy,
        x0,
        update,
        step_size=step_size,
        num_steps=num_steps,
        callback=callback,
        bounds=bounds,
        tolerance=tolerance,
    )
