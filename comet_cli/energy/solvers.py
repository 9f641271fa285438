"""The solvers of :mod:`comet_cli.energy.descent` by name, with one meaning of the step size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from comet_cli.energy.descent import (
    Callback,
    Energy,
    Settling,
    descend,
    descend_adam,
    descend_langevin,
    descend_momentum,
)
from comet_cli.errors import CometError

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
    settling: Settling | None = None,
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
        settling: see :func:`comet_cli.energy.descent.descend`.
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
        settling=settling,
    )
