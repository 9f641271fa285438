"""What the sheets of several verbs share: where they start, their labels, the inputs they show."""

from __future__ import annotations

from collections.abc import Sequence

from comet_cli.errors import UsageError
from comet_cli.formats.images import encode_png
from comet_cli.formats.picture_recipe import PictureRecipe
from comet_cli.inputs.session import Opened
from comet_cli.models.card import STARTS

START_CHOICES = ("auto", *STARTS)


def check_start(init: str) -> None:
    """Check where renderings start.

    Raises:
        UsageError: another word.
    """
    if init not in START_CHOICES:
        raise UsageError(f"--init is '{init}', expected one of {', '.join(START_CHOICES)}")


def row_label(name: str) -> str:
    """Return a row's label: the input's base name without its ending."""
    return name.rsplit(".", 1)[0] or name


def component_labels(
    recipe: PictureRecipe, positions: Sequence[Sequence[int]] | None = None, word: str = ""
) -> list[str]:
    """Return a label a column: the component's label or number where all rows agree.

    Args:
        recipe: its rows.
        positions: which of a row's terms stand in the columns; default all.
        word: stands before a number.
    """
    places = [range(len(r.terms)) for r in recipe.rows] if positions is None else positions
    found = []
    for j in range(max(map(len, places))):
        terms = [r.terms[p[j]] for r, p in zip(recipe.rows, places, strict=True) if j < len(p)]
        names = {t.label or f"{word}{t.component}" for t in terms}
        found.append(names.pop() if len(names) == 1 else f"{word}{j}")
    return found


def embedded_picture(opened: Opened) -> bytes:
    """Return an input picture as a PNG for a recipe, b"" for a ``.z``."""
    return b"" if opened.picture is None else encode_png(opened.picture)
