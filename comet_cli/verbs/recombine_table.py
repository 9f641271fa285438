"""Every mixture of some pictures, and the command that makes each: ``comet recombine --html``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.formats.picture_recipe import PictureRecipe
from comet_cli.inputs.selection import parse_listing
from comet_cli.verbs.recombine_grid import (
    Cell,
    cell_of,
    exchanged,
    row_labels,
    swapped,
    whole_of,
)
from comet_cli.verbs.sheet_parts import component_labels

MAX_MIXTURES = 1024
# Settings that a command must repeat where they are not the usual ones.
_USUAL = {
    "seed": 0,
    "steps": None,
    "step_size": 1.0,
    "init": "auto",
    "solver": "gd",
    "precision": "float32",
}


@dataclass(frozen=True)
class Table:
    """All N^K mixtures of N pictures in K components.

    Attributes:
        pictures: names of the pictures.
        components: names of the components that are exchanged.
        cells: the mixtures; picture n_k for each component k is at Σ n_k N^k.
        commands: that make them.
        note: what of the pictures is not exchanged, or "".
    """

    pictures: tuple[str, ...]
    components: tuple[str, ...]
    cells: tuple[Cell, ...]
    commands: tuple[str, ...]
    note: str


def check_mixtures(pictures: int, components: str | None) -> None:
    """Check how many mixtures there would be, before a picture is opened.

    Args:
        pictures: how many.
        components: what ``--components`` lists; None for all, which are one at least.

    Raises:
        UsageError: too many.
    """
    count = 1
    if components is not None:
        items = parse_listing(components, "--components").items or ()
        count = sum(1 if i.first is None or i.last is None else i.last - i.first + 1 for i in items)
    _check(pictures, count)


def _check(pictures: int, components: int) -> None:
    if components * math.log(pictures) <= math.log(MAX_MIXTURES) + 1e-9:
        return
    most = int(math.log(MAX_MIXTURES) / math.log(pictures) + 1e-9)
    remedy = f"restrict it: --components {'0' if most == 1 else f'0-{most - 1}'}, or take"
    raise UsageError(
        f"--html of {components} components of {pictures} pictures is {pictures}^{components} "
        f"mixtures, expected at most {MAX_MIXTURES}; {remedy if most else 'take'} fewer pictures"
    )


def lay_out_mixtures(recipe: PictureRecipe) -> Table:
    """Return the mixtures of a ``recombine`` recipe; what is not exchanged is the first picture's.

    Raises:
        UsageError: too many mixtures, or pictures of one name, which no command could tell apart.
        SelectionError: ``components`` that an input does not have.
    """
    names = [row.name for row in recipe.rows]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise UsageError(
                f"two pictures are called '{show(name)}', and the commands of --html could not "
                "tell them apart; rename one"
            )
    positions = exchanged(recipe)
    places = list(zip(*positions, strict=False))  # K of N positions
    _check(len(names), len(places))
    cells = []
    for number in range(len(names) ** len(places)):
        sources = whole_of(recipe, 0)
        for k, place in enumerate(places):
            n = number // len(names) ** k % len(names)
            sources = swapped(sources, place[0], (n, place[n]))
        cells.append(cell_of(recipe, sources))
    options = _options(recipe)
    labels = component_labels(recipe, [p[: len(places)] for p in positions])
    kept = len(recipe.rows[0].terms) > len(places)
    return Table(
        pictures=tuple(row_labels(recipe)),
        components=tuple(f"component {name}" if name.isdecimal() else name for name in labels),
        cells=tuple(cells),
        commands=tuple(" ".join(["comet compose", c.selection, *options]) for c in cells),
        note=f"All other components are those of {row_labels(recipe)[0]}." if kept else "",
    )


def _options(recipe: PictureRecipe) -> Sequence[str]:
    """Return the words after the selections, as they are typed in a shell."""
    words = []
    shown = [row for row in recipe.rows if row.picture]
    models = {recipe.models[term.model].name for row in shown for term in row.terms}
    if len(models) == 1:  # of several, auto chose each, and would again
        words += ["-m", models.pop()]
    for name, usual in _USUAL.items():
        value = recipe.settings.get(name, usual)
        if value != usual:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if "scale" in recipe.settings:
        words += ["--scale", str(recipe.settings["scale"])]
    return [shlex.quote(word) for word in [*words, "-o", "mix.png"]]
