"""``comet replay``: a picture made again from the recipe that it carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from comet_cli.drawing.animations import Trace, encode_animation
from comet_cli.energy.descent import Callback
from comet_cli.formats.files import read_input, show
from comet_cli.formats.frames import Frame, read_frames
from comet_cli.formats.images import decode_png, encode_png, load_whole
from comet_cli.formats.picture_recipe import ModelReference, PictureRecipe, read_recipe
from comet_cli.formats.png_entries import is_animated
from comet_cli.inputs.session import AUTO, PRECISIONS, Note, Progress, Session
from comet_cli.models import known_folders, library
from comet_cli.verbs.compose_animation import draw_frames, frame_times, is_animation
from comet_cli.verbs.compose_drawing import all_of, counting, draw_composition
from comet_cli.verbs.compose_recipe import descent_settings
from comet_cli.verbs.decompose import draw_decomposition
from comet_cli.verbs.gradients import attribute_rows, draw_gradients
from comet_cli.verbs.recombine import draw_recombination
from comet_cli.version import __version__


@dataclass(frozen=True)
class Replay:
    """A picture made again.

    Attributes:
        recipe: what it was made from; where it differs, what it is made from now, so that the
            new picture does not claim weights and versions that did not make it.
        pixels: (H,W,3) uint8.
        before: (H,W,3) uint8, the picture that the recipe came from.
        changes: what is not as it was when the recipe was written.
        frames: (H,W,3) uint8 each of an animation; in ``pixels`` and ``before`` they stand one
            below the other.
        times: how long each is shown, in milliseconds.
    """

    recipe: PictureRecipe
    pixels: np.ndarray
    before: np.ndarray
    changes: tuple[str, ...]
    frames: tuple[np.ndarray, ...] = ()
    times: tuple[int, ...] = ()

    def png(self, *, metadata: bool = True) -> bytes:
        """Return the PNG that was made again, an animated one where it was one."""
        recipe = self.recipe if metadata else None
        if not self.frames:
            return encode_png(self.pixels, recipe)
        return encode_animation("replay.png", self.frames, self.times, recipe)

    def figures(self) -> dict[str, int | float | None]:
        """Return ``difference``, ``mean_difference`` (units of 1/255) and ``pixels_differing``."""
        distances = self._distances()
        if distances is None:
            return {"difference": None, "mean_difference": None, "pixels_differing": None}
        return {
            "difference": int(distances.max()),
            "mean_difference": float(distances.mean()),
            "pixels_differing": int(distances.any(-1).sum()),
        }

    def verdict(self) -> str:
        """Return one sentence: is it the same picture."""
        found = self.figures()
        if found["difference"] is None:
            then, now = (f"{p.shape[1]} × {p.shape[0]}" for p in (self.before, self.pixels))
            return f"the replay has another size: {now}, was {then}"
        if found["difference"] == 0:
            return "the replay has the same pixels"
        return (
            f"the replay differs by at most {found['difference']}/255 (on average "
            f"{found['mean_difference']:.2g}/255, in {found['pixels_differing']} of "
            f"{self.pixels.shape[0] * self.pixels.shape[1]} pixels)"
        )

    def _distances(self) -> np.ndarray | None:
        if self.before.shape != self.pixels.shape:
            return None
        return np.abs(self.before.astype(np.int16) - self.pixels.astype(np.int16))


def draw(recipe: PictureRecipe, session: Session, progress: Progress | None = None) -> np.ndarray:
    """Make the picture of a recipe, whatever its verb: (H,W,3) uint8."""
    if recipe.verb == "compose":
        return draw_composition(recipe, session, _counting(recipe, progress))
    if recipe.verb == "decompose":
        return draw_decomposition(recipe, session, progress)
    if recipe.verb == "gradients":
        return draw_gradients(recipe, attribute_rows(recipe, session, progress))
    return draw_recombination(recipe, session, progress)


def replay_picture(
    path: str,
    *,
    model: str = AUTO,
    device: str = "auto",
    precision: str = "auto",
    note: Note | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Make the picture of a PNG's recipe again, and compare.

    A model whose weights have changed since is replaced by the installed one of that name, which
    is told as a change; the latents stay those of the recipe.

    Args:
        path: the PNG; ``-`` for standard input.
        model: a model folder to look in as well.
        device: see :class:`comet_cli.inputs.session.Session`.
        precision: ``auto`` for the recipe's own.
        note: told what was chosen.
        progress: called with (done, total).

    Raises:
        UsageError: no such file.
        FileFormatError: no recipe in it, or latents that do not fit the installed model.
        UnknownModelError: a model that is not installed.
    """
    where = f"'{show(path)}'"
    data = read_input(path)
    recipe = read_recipe(data, where)
    before = decode_png(data, where)
    if precision == "auto":
        precision = recipe.choice("precision", PRECISIONS)
    session = Session(model=model, device=device, precision=precision, note=note)
    versions = {"comet": __version__, "torch": str(torch.__version__)}
    now = {**versions, **session.environment()}
    was = {**recipe.settings, **recipe.versions}
    models = tuple(_present(reference, session, where) for reference in recipe.models)
    changes = [
        f"{name} is {now[name]}, was {was.get(name)}" for name in now if was.get(name) != now[name]
    ] + [
        f"the weights of model '{new.name}' are {new.sha256[:12]}…, were {old.sha256[:12]}…"
        for new, old in zip(models, recipe.models, strict=True)
        if new != old
    ]
    today = dataclasses.replace(
        recipe,
        models=models,
        settings={**recipe.settings, **session.environment()},
        versions={**recipe.versions, **versions},
    )
    frames, times = _animate(today, session, progress, traced=is_animated(data))
    if frames:
        before = np.concatenate(_every_frame(read_frames(data, where), times))
    pixels = np.concatenate(frames) if frames else draw(today, session, progress)
    same = np.array_equal(before, pixels)
    made = recipe if same else today
    return Replay(made, pixels, before, tuple(changes), tuple(frames), tuple(times))


def _animate(
    recipe: PictureRecipe, session: Session, progress: Progress | None, *, traced: bool
) -> tuple[list[np.ndarray], Sequence[int]]:
    """Return frames and their times, in milliseconds; none of a picture that stands still.

    Args:
        recipe: of an animation, or of the picture that a descent leads to.
        session: the models.
        progress: called with (done, total).
        traced: the file moves, so if its recipe is a picture's, it shows the descent.
    """
    if is_animation(recipe):
        frames = []
        for one, _ in draw_frames(recipe, session):
            frames.append(one)
            if progress is not None:
                progress(len(frames), len(recipe.rows))
        return frames, frame_times(recipe)
    if not traced or recipe.verb != "compose":
        return [], []
    trace = Trace()
    return trace.animation(
        draw_composition(recipe, session, all_of(trace, _counting(recipe, progress)))
    )


def _counting(recipe: PictureRecipe, progress: Progress | None) -> Callback | None:
    return counting(progress, descent_settings(recipe)[1] or 1)


def _every_frame(frames: Iterable[Frame], times: Sequence[int]) -> list[np.ndarray]:
    """Return the pictures of an animation (H,W,3), one for each of its times.

    A file holds equal neighbours once, for the sum of their times in milliseconds.
    """
    found = list(frames)
    pictures: list[np.ndarray] = []
    for frame in found:
        shown = times[len(pictures)] if len(pictures) < len(times) else 0
        pictures.append(np.asarray(load_whole(frame.picture)))
        while len(pictures) < len(times) and (
            len(found) == 1 or shown + times[len(pictures)] <= round(frame.seconds * 1000)
        ):
            shown += times[len(pictures)]
            pictures.append(pictures[-1])
    return pictures


def _present(reference: ModelReference, session: Session, where: str) -> ModelReference:
    """Return a model of a recipe, or the installed one of its name where the weights differ."""
    requested = session.requested()
    cards = [] if requested is None else [requested.card]
    cards += [entry.card for entry in library.list_models()]
    there = known_folders.recall(reference.sha256) is not None
    if not there and all(card.weights_sha256 != reference.sha256 for card in cards):
        for card in cards:
            if card.name == reference.name:
                reference = ModelReference(card.name, card.weights_sha256)
                break
    session.model_of(reference.name, reference.sha256, where)
    return reference
