"""Compositions of the same models, rendered together; fewer at once where memory is short."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from comet_cli.batch.jobs import Planned
from comet_cli.batch.memory import BatchSize, is_out_of_memory
from comet_cli.drawing.scale import scaled
from comet_cli.energy.composition import Term
from comet_cli.energy.render import render, start_picture
from comet_cli.formats.images import to_bytes
from comet_cli.formats.picture_recipe import PictureRecipe
from comet_cli.inputs.session import Note, Session
from comet_cli.verbs.compose_drawing import draw_composition, recipe_start
from comet_cli.verbs.compose_recipe import MAX_SIZE, chosen_solver, descent_settings

Draw = Callable[[Sequence[PictureRecipe], Session], list[np.ndarray]]
Outcome = np.ndarray | Exception


def draw_together(recipes: Sequence[PictureRecipe], session: Session) -> list[np.ndarray]:
    """Render compositions of one kind (:attr:`comet_cli.batch.jobs.Planned.kind`) as a batch.

    Returns:
        (R,R,3) uint8 each; what :func:`.compose_drawing.draw_composition` returns for it alone,
        within 1/255.
    """
    if len(recipes) == 1:
        return [draw_composition(recipes[0], session)]
    # A recipe's terms are in the order of their latents; here like must stand beside like.
    rows = [sorted(session.terms(r, r.rows[0]), key=_position) for r in recipes]
    terms = [
        dataclasses.replace(same[0], z=torch.cat([term.latents() for term in same]))
        for same in zip(*rows, strict=True)
    ]
    _, steps, step_size = descent_settings(recipes[0])
    size = recipes[0].setting("size", int, low=1, high=MAX_SIZE)
    start = torch.cat([_start_of(recipe, size) for recipe in recipes])
    with session.arithmetic():
        images = render(
            terms,
            num_steps=steps,
            step_size=step_size,
            size=size,
            init=start,
            solver=chosen_solver(recipes[0]),
        )
    return [scaled(to_bytes(image), recipes[0]) for image in images]


def _position(term: Term) -> tuple[str, int, float]:
    component = -1 if term.component is None else term.component
    return (term.model.card.weights_sha256, component, term.weight)


def _start_of(recipe: PictureRecipe, size: int) -> torch.Tensor:
    """Return x⁰ (1,3,R,R): the picture's own noise, or the picture that it starts from."""
    start = recipe_start(recipe, size)
    if isinstance(start, torch.Tensor):
        return start
    return start_picture(1, size, init=start, seed=descent_settings(recipe)[0])


class Renderer:
    """Renders compositions of one kind, as many at once as fit."""

    def __init__(
        self,
        size: BatchSize | None = None,
        *,
        draw: Draw = draw_together,
        note: Note | None = None,
    ) -> None:
        """Start.

        Args:
            size: how many at once.
            draw: renders some (replaced in tests).
            note: told when fewer are rendered at once than before.
        """
        self.size = size or BatchSize()
        self._draw = draw
        self._note: Note = note or (lambda sentence: None)

    def render(self, members: Sequence[Planned]) -> list[Outcome]:
        """Return a picture (R,R,3) uint8, or the error that kept it from being one, for each."""
        outcomes: list[Outcome] = []
        limit = self.size.limit(members[0].recipe, len(members))
        while len(outcomes) < len(members):
            part = members[len(outcomes) : len(outcomes) + limit]
            done = self._try(part)
            if done is None:
                # Here the failed attempt's tensors are gone, so their memory can be given back.
                _release(members[0].session.device)
                limit = self.size.halve(part[0].recipe, len(part))
                self._note(
                    f"out of memory with {len(part)} pictures at once; going on with {limit}"
                )
            else:
                outcomes += done
        return outcomes

    def _try(self, part: Sequence[Planned]) -> list[Outcome] | None:
        """Render some together; None where there are several and memory ran out."""
        try:
            return list(self._draw([p.recipe for p in part], part[0].session))
        except Exception as error:
            if len(part) == 1:
                return [error]
            if is_out_of_memory(error):
                return None
        # One of them diverges: each by itself, so that the others are made and it is named.
        return [outcome for p in part for outcome in self._try([p]) or []]


def _release(device: Any) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
