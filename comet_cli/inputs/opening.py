"""Selections opened: files to components, and components to the terms of a recipe."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from comet_cli.formats.files import check_inputs
from comet_cli.formats.picture_recipe import (
    ModelReference,
    PictureRecipe,
    RecipeRow,
    RecipeTerm,
    check_readable,
)
from comet_cli.inputs.selection import Selection
from comet_cli.inputs.session import Opened, Session
from comet_cli.models.card import ModelCard
from comet_cli.version import __version__


class RecipeDraft:
    """Collects the models and rows of a recipe."""

    def __init__(self) -> None:
        """Start empty."""
        self.models: list[ModelReference] = []
        self.rows: list[RecipeRow] = []

    def term(self, opened: Opened, component: int, weight: float = 1.0) -> RecipeTerm:
        """Return one component of an input as a recipe's term."""
        reference = ModelReference(opened.model.card.name, opened.components.model_sha256)
        if reference not in self.models:
            self.models.append(reference)
        return RecipeTerm(
            self.models.index(reference),
            opened.components.z[component],
            float(weight),
            component,
            opened.label(component),
        )

    def cards(self, session: Session) -> list[ModelCard]:
        """Return the cards of the models."""
        return [session.model_of(m.name, m.sha256, "an input").card for m in self.models]

    def finish(
        self, verb: str, settings: dict[str, str | int | float | bool | None]
    ) -> PictureRecipe:
        """Return the recipe.

        Raises:
            UsageError: one that no picture can hold.
        """
        versions = {"comet": __version__, "torch": str(torch.__version__)}
        recipe = PictureRecipe(verb, tuple(self.models), tuple(self.rows), settings, versions)
        check_readable(recipe)
        return recipe


def open_selections(
    session: Session, selections: Sequence[Selection], *, opened: dict[str, Opened] | None = None
) -> list[tuple[Opened, list[tuple[int, float]]]]:
    """Open the files of selections, which are looked for before any work.

    A file that several selections speak of is opened, and encoded, once.

    Args:
        session: the models.
        selections: what to open.
        opened: what is open already, by path; what is opened here is added.

    Returns:
        The input and its selected (component, weight) pairs, a selection each.

    Raises:
        SelectionError: see :meth:`.selection.Selection.pick`.
        UsageError, FileFormatError: files that are not there, or not what they should be.
    """
    for selection in selections:
        if selection.note:
            session.note(selection.note)
    check_inputs(dict.fromkeys(s.path for s in selections))
    opened = {} if opened is None else opened
    session.choose_for_all([s.path for s in selections if s.path not in opened])
    found = []
    for selection in selections:
        if selection.path not in opened:
            opened[selection.path] = session.open(selection.path)
        source = opened[selection.path]
        found.append((source, selection.pick(len(source.components), source.components.labels)))
    session.tell_choices()
    return found
