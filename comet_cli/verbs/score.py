"""``comet score``: how far pictures are from containing components, E(x, z_k)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from comet_cli.errors import CometError, DivergenceError, SelectionError, UsageError
from comet_cli.formats.components import is_components
from comet_cli.formats.files import STANDARD, check_inputs, peek_input, read_input, show
from comet_cli.formats.frames import tell_first
from comet_cli.formats.images import load_image
from comet_cli.inputs.opening import open_selections
from comet_cli.inputs.selection import Selection, parse_selection
from comet_cli.inputs.session import Opened, Progress, Session
from comet_cli.networks.base import BoundEnergy


@dataclass(frozen=True)
class Score:
    """The energy of a picture and one component; low where the picture contains it."""

    picture: str
    source: str
    component: int
    label: str
    model: str
    weight: float
    energy: float


@dataclass(frozen=True)
class PictureScore:
    """What became of one picture.

    Attributes:
        picture: as typed.
        scores: one a selected component, in the order selected.
        energy: of the selection as a whole, Σ w_i E_i; of several models Σ w_i λ_i E_i with each
            model's own step size λ, as a composition weighs them.
        error: why there are no scores.
    """

    picture: str
    scores: tuple[Score, ...] = ()
    energy: float = math.nan
    error: CometError | None = None


def split_arguments(
    arguments: Sequence[str], *, literal: bool = False
) -> tuple[list[str], list[Selection]]:
    """Tell pictures from selections, in any order.

    A picture's bare name is a picture to score; a ``.z``, and anything with a list of components
    or a weight (``b.png:1``), is a selection. Where no argument is one, the first is the picture
    and the others are selections. ``-`` is the picture where it stands first.

    Returns:
        Pictures and selections.

    Raises:
        UsageError: one of the two is missing.
    """
    pictures: list[str] = []
    selections: list[Selection] = []
    for n, text in enumerate(arguments):
        selection = _parse(text, literal)
        is_picture = n == 0 if text == STANDARD else _is_picture(selection)
        if selection is None or is_picture:
            pictures.append(text)
        else:
            selections.append(selection)
    if not selections:
        selections = [parse_selection(text, literal=literal) for text in pictures[1:]]
        pictures = pictures[:1]
    if not pictures or not selections:
        raise UsageError(
            "score takes pictures and selections, and there is no "
            f"{'selection' if pictures else 'picture'}; write, say, comet score photo.png a.z:1"
        )
    return pictures, selections


def _parse(text: str, literal: bool) -> Selection | None:
    """Return a selection, or None for a file whose name only looks like one."""
    try:
        return parse_selection(text, literal=literal)
    except SelectionError:
        if os.path.isfile(text):
            return None
        raise


def _is_picture(selection: Selection | None) -> bool:
    if selection is None:
        return True
    if selection.items is not None or selection.weight != 1 or selection.path.endswith(".z"):
        return False
    try:
        return not is_components(peek_input(selection.path, 1 << 16))
    except (OSError, CometError):
        return True


def score_images(
    images: Sequence[str],
    selections: Sequence[Selection],
    session: Session,
    *,
    progress: Progress | None = None,
    told: Callable[[PictureScore], None] | None = None,
) -> list[PictureScore]:
    """Return the energies of pictures and each selected component, in the order given.

    Energies compare between components of one model only: each model has its own unit. A picture
    is scored alone, so its energies do not depend on the others. With several pictures, one that
    cannot be read does not stop the others.

    Args:
        images: picture files; ``-`` for standard input.
        selections: the components.
        session: the models.
        progress: called with (done, total) pictures.
        told: called with what became of each picture, as soon as that is known.

    Raises:
        UsageError: files that are not there, before any work.
        FileFormatError: a selection's file, or the only picture, is not what it should be.
        DivergenceError: an energy of the only picture is not finite.
    """
    check_inputs([*images, *(s.path for s in selections if s.path == STANDARD)], together=False)
    check_inputs(images, together=len(images) == 1)
    check_inputs(dict.fromkeys(s.path for s in selections))
    with torch.no_grad(), session.arithmetic():
        groups = [_bind(opened, picked) for opened, picked in open_selections(session, selections)]
        found = []
        for n, image in enumerate(images):
            try:
                found.append(_score(image, groups))
            except CometError as error:
                if len(images) == 1:
                    raise
                found.append(PictureScore(image, error=error))
            if told is not None:
                told(found[-1])
            if progress is not None:
                progress(n + 1, len(images))
    return found


@dataclass(frozen=True)
class _Group:
    """The selected components of one argument, bound so that pictures share what they can."""

    opened: Opened
    picked: list[tuple[int, float]]
    bound: BoundEnergy


def _bind(opened: Opened, picked: list[tuple[int, float]]) -> _Group:
    components = [k for k, _ in picked]
    z = torch.from_numpy(opened.components.z[components])[None]
    return _Group(opened, picked, opened.model.bind(z.to(opened.model.device), components))


def _score(image: str, groups: Sequence[_Group]) -> PictureScore:
    data = read_input(image)
    tell_first(data, f"'{show(image)}'")
    seen: dict[int, np.ndarray] = {}
    scores: list[Score] = []
    total = 0.0
    several = len({id(group.opened.model) for group in groups}) > 1
    for group in groups:
        card = group.opened.model.card
        if card.image_size not in seen:
            seen[card.image_size] = load_image(data, card.image_size, where=f"'{show(image)}'")
        x = torch.from_numpy(seen[card.image_size])[None].to(group.opened.model.device)
        energies = group.bound(x)[0].float().tolist()
        for (k, weight), energy in zip(group.picked, energies, strict=True):
            name = group.opened.name
            if not math.isfinite(energy):
                raise DivergenceError(
                    f"the energy of '{show(image)}' and '{name}:{k}' is not finite"
                )
            label = group.opened.label(k)
            scores.append(Score(image, name, k, label, card.name, weight, energy))
            total += weight * energy * (card.render_step_size if several else 1.0)
    return PictureScore(image, tuple(scores), total)


def rank(found: Sequence[PictureScore], top: int) -> list[PictureScore]:
    """Return the ``top`` pictures that contain the selection best: lowest energy first.

    Pictures of equal energy keep their order.
    """
    return sorted((p for p in found if p.error is None), key=lambda p: p.energy)[:top]
