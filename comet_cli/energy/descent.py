"""Descent on an energy: the step that rendering and training share, and the loop of all solvers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from comet_cli.energy.solvers import SOLVERS, Solver, Start
from comet_cli.errors import CometError, DivergenceError

Energy = Callable[[Tensor], Tensor]
Callback = Callable[[int, Tensor], None]
Bounds = tuple[float, float] | None

LOST = 0.5  # of what the energy had fallen: more is not lost on the way to a minimum
ROUNDING = 1e-3  # of an energy, and a pixel's distance from its minimum: less is none


class Tolerance:
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
    energy: Energy, x: Tensor, *, create_graph: bool = False, valued: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Return P⁻¹ ∇E(x) (B,3,R,R) of equation 2, and E(x) (B,); x must require a gradient.

    P is ``energy.curvature(x)`` where the energy has such a method (a positive diagonal
    (B,1|3,R,R) that majorises its Hessian) and 1 otherwise; either way the fixed points are those
    of ∇E = 0. Where ``energy.gradient(x)`` gives the gradient, nothing is differentiated, and E(x)
    is computed if it is ``valued`` only.
    """
    energies: Tensor | None = None
    known = None if create_graph else getattr(energy, "gradient", None)
    gradient = None if known is None else known(x)
    if gradient is None:
        with torch.enable_grad():
            energies = energy(x)
            (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=create_graph)
    elif valued:
        with torch.no_grad():
            energies = energy(x)
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
    gradient, _ = preconditioned_gradient(energy, x, create_graph=create_graph, valued=False)
    return x - step_size * gradient


def descend(
    energy: Energy,
    x0: Tensor,
    *,
    step_size: float = 1.0,
    num_steps: int,
    callback: Callback | None = None,
    bounds: Bounds = (0.0, 1.0),
    tolerance: Tolerance | None = None,
    solver: str | Solver = "gd",
    seed: int | Sequence[int] = 0,
) -> Tensor:
    """Find the picture an energy asks for: N steps of x ← clamp(update(n, x, P⁻¹ ∇E(x))).

    With the solver ``gd`` a step is equation 2: x ← clamp(x − λ P⁻¹ ∇E(x)).

    Args:
        energy: (B,3,R,R) -> (B,).
        x0: (B,3,R,R), the start (section 3.2: uniform noise).
        step_size: λ.
        num_steps: N.
        callback: called as callback(n, x) after step n = 1..N (and with n = 0 for the start).
        bounds: range that x is clamped to after each step; None for no clamp.
        tolerance: stops each picture as soon as its energy has settled; None for all N steps.
        solver: one of ``SOLVERS`` or one like them.
        seed: of Langevin dynamics, one for all pictures or one a picture.

    Returns:
        (B,3,R,R), detached.

    Raises:
        CometError: an unknown solver.
        DivergenceError: the picture is no longer finite; or gradient descent, with or without
            momentum, by longer steps than those of training, has lost what it had gained.
    """
    if isinstance(solver, str):
        if solver not in SOLVERS:
            raise CometError(f"a solver is one of {', '.join(SOLVERS)}, not '{solver}'")
        solver = SOLVERS[solver]
    # Longer steps than those of training may leap over what they look for, from side to side.
    watched = step_size > 1 and solver in (SOLVERS["gd"], SOLVERS["momentum"])
    seen: list[Tensor] = []
    x = x0.detach()
    update = solver(Start(x, step_size, getattr(energy, "curvature", None), seed, bounds))
    if callback is not None:
        callback(0, x)
    for n in range(1, num_steps + 1):
        gradient, energies = preconditioned_gradient(
            energy, x.detach().requires_grad_(True), valued=tolerance is not None or watched
        )
        if watched and energies is not None:
            seen.append(energies.detach())
        settled = None
        if tolerance is not None and energies is not None:
            settled = tolerance(n - 1, energies)
            if settled.all():
                break
        moved = update(n, x, gradient.detach())
        # A sum is finite only where all are, and takes a twentieth of the time.
        if not (moved.sum().isfinite() or moved.isfinite().all()):
            energy(x)  # names the term whose energy is not finite, if there is one
            raise DivergenceError(
                f"the descent diverged at step {n} of {num_steps} "
                f"(step size {step_size:g}); use a smaller step size"
            )
        if bounds is not None:
            moved = moved.clamp(*bounds)
        x = moved if settled is None else torch.where(settled[:, None, None, None], x, moved)
        if callback is not None:
            callback(n, x)
    if seen:
        with torch.no_grad():
            last, lowest = energy(x), torch.stack(seen).amin(0)
        none = ROUNDING * lowest.abs() + ROUNDING**2 * x[0].numel()
        if (last - lowest > LOST * (seen[0] - lowest) + none).any():
            raise DivergenceError(
                f"the descent leaves what it looks for: its energy was lower before the last of "
                f"{num_steps} steps (step size {step_size:g}); use a smaller step size"
            )
    return x
