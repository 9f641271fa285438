"""From components to a picture: the start and the descent (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from comet_cli.energy.composition import Composition, Term, canvas_size, compose
from comet_cli.energy.descent import Callback, Tolerance, descend
from comet_cli.energy.solvers import LEAST_STEPS
from comet_cli.energy.threads import decodes_lightly, one_thread
from comet_cli.errors import CometError
from comet_cli.models.card import PLAIN_STARTS, ModelCard

MAX_SEED = 2**63 - 1


def default_start(cards: Sequence[ModelCard], *, partial: bool = False) -> str:
    """Return where a rendering starts unless told otherwise.

    What all cards recommend; where they differ, noise if one of them does, else grey. For a part of
    the components of quadratic models grey in place of noise, because where no term cares the start
    shows through.

    Args:
        cards: of the terms' models.
        partial: some components of a picture are left out.
    """
    starts = {card.init for card in cards}
    if starts == {"noise"}:
        silent = partial and all(card.energy == "quadratic" for card in cards)
        return "grey" if silent else "noise"
    if len(starts) == 1:
        return starts.pop()
    return "noise" if "noise" in starts else "grey"


def start_of(terms: Sequence[Term]) -> str:
    """Return where a rendering of terms starts unless told otherwise (:func:`default_start`).

    A term with a region does not count as a component that is there: beyond its region it is not.
    """
    models = {id(t.model): t.model for t in terms}
    partial = not all(
        model.card.is_whole({t.component for t in terms if t.model is model and t.region is None})
        for model in models.values()
    )
    return default_start([model.card for model in models.values()], partial=partial)


def start_picture(batch: int, size: int, *, init: str, seed: int) -> Tensor:
    """Return x⁰ (B,3,R,R): ``noise`` U(0, 1) (section 3.2), mid-``grey`` or ``black``.

    Picture b of a batch has noise of its own generator, seeded by ``seed`` alone, so a picture
    does not depend on the batch it is rendered in.
    """
    if init in PLAIN_STARTS:
        return torch.full((batch, 3, size, size), PLAIN_STARTS[init])
    if init != "noise":
        raise CometError(f"a start is 'noise', 'grey' or 'black', not '{init}'")
    noise = torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))
    return noise.expand(batch, -1, -1, -1).clone()


def recommended_steps(terms: Sequence[Term], solver: str = "gd") -> int:
    """Return N where none is asked for: as many as a term's card recommends, and the solver needs.

    Args:
        terms: the terms.
        solver: one of ``SOLVERS``.
    """
    return max(LEAST_STEPS.get(solver, 1), *(t.model.card.render_steps for t in terms))


def render(
    terms: Sequence[Term],
    *,
    seed: int = 0,
    num_steps: int | None = None,
    step_size: float = 1.0,
    size: int | None = None,
    init: str | Tensor | None = None,
    callback: Callback | None = None,
    solver: str = "gd",
    tolerance: Tolerance | None = None,
    energy: Composition | None = None,
) -> Tensor:
    """Render a composition: arg min_x Σ_i w_i E_i(x) by gradient descent (equation 2).

    Args:
        terms: see :func:`compose`.
        seed: of the noise, and of Langevin dynamics.
        num_steps: N; default :func:`recommended_steps`.
        step_size: multiplies every term's own λ.
        size: R of the canvas; default the largest of the models.
        init: ``noise``, ``grey``, ``black``, or a picture (B,3,R,R) to start from; default:
            :func:`start_of`.
        callback: see :func:`comet_cli.energy.descent.descend`.
        solver: one of ``SOLVERS``; ``gd`` is the paper's.
        tolerance: see :func:`comet_cli.energy.descent.descend`.
        energy: what :func:`compose` made of the same terms and size, if it was called already.

    Returns:
        (B,3,R,R) in [0, 1].
    """
    energy = compose(terms, size=size) if energy is None else energy
    live = energy.terms
    canvas = canvas_size(live) if size is None else size
    steps = recommended_steps(live, solver) if num_steps is None else num_steps
    if init is None:
        init = start_of(live)
    if isinstance(init, str):
        x0 = start_picture(live[0].latents().shape[0], canvas, init=init, seed=seed)
    else:
        x0 = init
    x0 = x0.to(live[0].model.device)
    with one_thread(decodes_lightly([t.model for t in live], canvas)):
        return descend(
            energy,
            x0,
            solver=solver,
            step_size=step_size,
            num_steps=steps,
            callback=callback,
            tolerance=tolerance,
            seed=seed,
        )
