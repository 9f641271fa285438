"""Gradient descent on an energy: the one loop that rendering and training share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from comet_cli.errors import DivergenceError

Energy = Callable[[Tensor], Tensor]
Callback = Callable[[int, Tensor], None]


def descent_step(
    energy: Energy, x: Tensor, step_size: float, *, create_graph: bool = False
) -> Tensor:
    """Return x − λ P⁻¹ ∇E(x), *before* any clamp (equation 2 of the paper).

    P is ``energy.curvature(x)`` where the energy has such a method (a positive diagonal
    (B,1|3,R,R) that majorises its Hessian) and 1 otherwise; either way the fixed points are those
    of ∇E = 0.

    Args:
        energy: (B,3,R,R) -> (B,).
        x: (B,3,R,R).
        step_size: λ.
        create_graph: keep the second-order graph, so that the result can be trained through.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(energy(x).sum(), x, create_graph=create_graph)
    curvature = getattr(energy, "curvature", None)
    if curvature is not None:
        gradient = gradient / curvature(x)
    return x - step_size * gradient


def descend(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Tensor:
    """Find the picture an energy asks for: N steps of x ← clamp(x − λ P⁻¹ ∇E(x)).

    Args:
        energy: (B,3,R,R) -> (B,).
        x0: (B,3,R,R), the start (section 3.2: uniform noise).
        step_size: λ.
        num_steps: N.
        callback: called as callback(n, x) after step n = 1..N (and with n = 0 for the start).
        bounds: range that x is clamped to after each step; None for no clamp.

    Returns:
        (B,3,R,R), detached.

    Raises:
        DivergenceError: the picture is no longer finite.
    """
    x = x0.detach()
    if callback is not None:
        callback(0, x)
    for n in range(1, num_steps + 1):
        x = descent_step(energy, x, step_size).detach()
        if not torch.isfinite(x).all():
            raise DivergenceError(
                f"the descent diverged at step {n} of {num_steps} "
                f"(step size {step_size:g}); use a smaller step size"
            )
        if bounds is not None:
            x = x.clamp(*bounds)
        if callback is not None:
            callback(n, x)
    return x
