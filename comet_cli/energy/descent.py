"""Descent on an energy: the one loop that rendering and training share, and its solvers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from comet_cli.errors import DivergenceError

Energy = Callable[[Tensor], Tensor]
Callback = Callable[[int, Tensor], None]
Bounds = tuple[float, float] | None

MOMENTUM = 0.5
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
TEMPERATURE = 1e-4
# Keeps the noise of Langevin dynamics apart from the noise that the descent starts from.
_LANGEVIN_STREAM = 0x6C616E676576696E


class Settling:
    """Says when the energy has settled, for each picture of a batch by itself.

    A picture has settled when neither of its last two steps changed its energy by more than
    ``tolerance`` of the whole fall from the first energy: an energy has neither a known unit nor a
    known zero, and two steps because a momentum is slow where it turns round.
    """

    def __init__(self, tolerance: float) -> None:
        """Take the tolerance, a part of 1."""
        self.tolerance = tolerance
        self.steps: list[int] = []
        self._energies: list[Tensor] = []

    def __call__(self, n: int, energies: Tensor) -> Tensor:
        """Note the energies (B,) of x after n steps, and return which have settled (B,)."""
        if n == 0:
            self._energies = []
            self._first = energies.detach()
            self._done = torch.zeros_like(energies, dtype=torch.bool)
            self.steps = [0] * len(energies)
        self._energies = [*self._energies[-2:], energies.detach()]
        if n >= 2:
            e0, e1, e2 = self._energies
            fall = self.tolerance * (self._first - e2).abs()
            self._done = self._done | (((e2 - e1).abs() <= fall) & ((e1 - e0).abs() <= fall))
        for b in (~self._done).nonzero().flatten().tolist():
            self.steps[b] = n + 1  # unless the descent ends here
        return self._done


def preconditioned_gradient(
    energy: Energy, x: Tensor, *, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Return P⁻¹ ∇E(x) (B,3,R,R) and the energies (B,) at x, which must require a gradient.

    P is ``energy.curvature(x)`` where the energy has such a method (a positive diagonal
    (B,1|3,R,R) that majorises its Hessian) and 1 otherwise; either way the fixed points are those
    of ∇E = 0.
    """
    with torch.enable_grad():
        energies = energy(x)
        (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=create_graph)
    curvature = getattr(energy, "curvature", None)
    if curvature is not None:
        gradient = gradient / curvature(x)
    return gradient, energies


def descent_step(
    energy: Energy, x: Tensor, step_size: float, *, create_graph: bool = False
) -> Tensor:
    """Return x − λ P⁻¹ ∇E(x), *before* any clamp (equation 2 of the paper).

    Args:
        energy: (B,3,R,R) -> (B,).
        x: (B,3,R,R).
        step_size: λ.
        create_graph: keep the second-order graph, so that the result can be trained through.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
    gradient, _ = preconditioned_gradient(energy, x, create_graph=create_graph)
    return x - step_size * gradient


def _iterate(
    energy: Energy,
    x0: Tensor,
    update: Callable[[int, Tensor, Tensor], Tensor],
    *,
    step_size: float,
    num_steps: int,
    callback: Callback | None,
    bounds: Bounds,
    settling: Settling | None,
) -> Tensor:
    """Repeat x ← clamp(update(n, x, P⁻¹ ∇E(x))), the loop of all solvers."""
    x = x0.detach()
    if callback is not None:
        callback(0, x)
    for n in range(1, num_steps + 1):
        gradient, energies = preconditioned_gradient(energy, x.detach().requires_grad_(True))
        settled = None if settling is None else settling(n - 1, energies)
        if settled is not None and settled.all():
            break
        moved = update(n, x, gradient.detach())
        if not torch.isfinite(moved).all():
            raise DivergenceError(
                f"the descent diverged at step {n} of {num_steps} "
                f"(step size {step_size:g}); use a smaller step size"
            )
        if bounds is not None:
            moved = moved.clamp(*bounds)
        x = moved if settled is None else torch.where(settled[:, None, None, None], x, moved)
        if callback is not None:
            callback(n, x)
    return x


def descend(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    settling: Settling | None = None,
) -> Tensor:
    """Find the picture an energy asks for: N steps of x ← clamp(x − λ P⁻¹ ∇E(x)) (equation 2).

    Args:
        energy: (B,3,R,R) -> (B,).
        x0: (B,3,R,R), the start (section 3.2: uniform noise).
        step_size: λ.
        num_steps: N.
        callback: called as callback(n, x) after step n = 1..N (and with n = 0 for the start).
        bounds: range that x is clamped to after each step; None for no clamp.
        settling: stops each picture as soon as its energy has settled; None for all N steps.

    Returns:
        (B,3,R,R), detached.

    Raises:
        DivergenceError: the picture is no longer finite.
    """
    return _iterate(
        energy,
        x0,
        lambda n, x, gradient: x - step_size * gradient,
        step_size=step_size,
        num_steps=num_steps,
        callback=callback,
        bounds=bounds,
        settling=settling,
    )


def descend_momentum(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    settling: Settling | None = None,
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
        settling=settling,
    )


def descend_adam(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 0.1,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    settling: Settling | None = None,
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
        settling=settling,
    )


def descend_langevin(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    settling: Settling | None = None,
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
        settling: see :func:`descend`.
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
        settling=settling,
    )
