"""Going on with a training: one at a time, by the same recipe, with the same pictures held out."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.mixture import Pictures
from comet_cli.errors import CometError, CometWarning, UsageError
from comet_cli.formats.files import show
from comet_cli.formats.overwriting import check_new_folder, may_write
from comet_cli.training import distributed
from comet_cli.training.checkpoint import Begun
from comet_cli.training.recipe import PicturesRecipe, parse_recipe
from comet_cli.training.sources import TrainingData, one_spelling, parse_sources

LOCK = ".training.lock"
RECIPE = "recipe.toml"
# Settings of [data] that name pictures.
PATHS = ("path", "train", "held_out", "measured", "swaps", "swaps_measured")
SAMPLED = 1000  # pictures that are compared to tell whether a data set is another one
# What may differ and is told only: it makes no other training of what is done already. More
# iterations raise a learning rate that follows a cosine over all of them.
FREE = {
    "model": "name labels description intended_use limits dataset licence".split(),
    "data": "measured swaps swaps_measured swap_factors".split(),
    "train": "iterations learning_rate log_every checkpoint_minutes sample_minutes threads"
    " tensorboard compile weights".split(),
}


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep every other training out of a folder.

    Raises:
        UsageError: one is at work in it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(
                f"another training is at work in '{show(folder)}'; wait for it, or train elsewhere"
            ) from None
        except OSError:  # a file system without locks
            break
        if _is_at(handle, path):
            break
        os.close(handle)  # another training ended in between, and took the file away
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def check_folder(recipe: PicturesRecipe, begun: Begun, folder: Path, *, force: bool) -> None:
    """Keep a new training from replacing what it did not make.

    Args:
        recipe: of now.
        begun: of the folder.
        folder: of the training, for messages.
        force: replace it.

    Raises:
        UsageError: there is a model, and no checkpoint to go on from; or the folder cannot be
            written, or is one of the recipe's own pictures.
    """
    data = recipe.data
    for value in filter(None, (data.train, data.held_out, data.measured)):
        if any(Path(source.path).resolve() == folder.resolve() for source in _on_disk(value)):
            raise UsageError(
                f"'{show(folder)}' is a folder of pictures that this recipe reads, so the model "
                "and its sample sheets go elsewhere: give another --output"
            )
    if distributed.rank() == 0:
        check_new_folder(folder)
    if begun.alone and not force:
        raise UsageError(
            f"'{show(folder)}' holds a model and no checkpoint to go on from, so a training would "
            "replace it; train into another folder, or give --force"
        )


def _on_disk(value: Any) -> Iterator[TrainingData]:
    return (source for source in parse_sources(value, "data") if source.reader != "hf")


def check_recipe(
    recipe: PicturesRecipe,
    before: str,
    folder: Path,
    *,
    force: bool,
    parse: Callable[[str], PicturesRecipe] = parse_recipe,
) -> None:
    """Compare a recipe with that of the checkpoint that it is to go on from.

    What leaves the weights of before valid is told; the rest is refused.

    Args:
        recipe: of now.
        before: the text of the checkpoint's.
        folder: of the training, for messages.
        force: tell, and go on.
        parse: reads the text.

    Raises:
        UsageError: they differ.
    """
    try:
        changes = differences(parse(before), recipe)
    except CometError as error:  # by another version of comet
        why = str(error).partition(";")[0]  # without the list of what is known
        changes = {"the recipe of before": f"is not one that this comet reads ({why})"}
    grave = [f"{name} {change}" for name, change in changes.items() if not _is_free(name)]
    told = [f"{name} {change}" for name, change in changes.items()]
    if grave and not force:
        raise UsageError(
            f"'{show(folder)}' holds a training by another recipe: {'; '.join(grave)}; train into "
            "another folder, or go on all the same with --force"
        )
    if "train.iterations" in changes and recipe.train.schedule == "cosine":
        told.append("the learning rate follows the cosine over all of these iterations from now on")
    if told:
        _tell(f"'{show(folder)}' goes on by another recipe: {'; '.join(told)}")


def kept_recipe(folder: Path, text: str, before: str, *, force: bool = False) -> dict[str, str]:
    """Return ``recipe.toml`` to its text; nothing where the file there is not comet's.

    Comet's are the recipe of now and that of the checkpoint. One that was edited since is kept,
    which is told; but a training that replaces a model, and has no checkpoint, replaces it.

    Args:
        folder: of the training.
        text: of the recipe.
        before: the text of the checkpoint's, "" where there is none.
        force: replace what the folder holds.
    """
    replaces = force and not before
    if replaces or may_write(folder / RECIPE, lambda there: there in (text, before)):
        return {RECIPE: text}
    return {}


def _is_free(name: str) -> bool:
    section, key, *_ = [*name.split("."), ""]
    return key in FREE.get(section, ())


def differences(before: PicturesRecipe, now: PicturesRecipe) -> dict[str, str]:
    """Return what differs between two recipes: ``section.setting`` to ``is …, was …``."""
    if type(before.card) is not type(now.card):
        return {"the recipe": "is one of a model, or of a baseline, and was the other"}
    old, new = (
        {
            key: value
            for section, name in (("model", "card"), ("data", "data"), ("train", "train"))
            for key, value in _settings(section, dataclasses.asdict(getattr(recipe, name)))
        }
        for recipe in (before, now)
    )
    return {
        key: _changed(old.get(key), new.get(key))
        for key in (*new, *(key for key in old if key not in new))
        if new.get(key) != old.get(key)
    }


def _settings(table: str, facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each setting by itself, named as a recipe has it; paths in one spelling."""
    for key, value in facts.items():
        if table.startswith("data") and not isinstance(value, dict):
            yield f"{table}.{key}", _spelled(key, value)
        elif not isinstance(value, dict):
            yield f"{table}.{key}", value
        else:  # the losses stand in the table itself
            yield from _settings(table if key == "losses" else f"{table}.{key}", value)


def _spelled(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_spelled(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _spelled(name, fact) for name, fact in value.items()}
    return one_spelling(value) if isinstance(value, str) and key in PATHS else value


def _changed(before: Any, now: Any) -> str:
    """Return ``is …, was …``; of what is long, from where the two differ."""
    old, new = ("not set" if value is None else repr(value) for value in (before, now))
    start = len(os.path.commonprefix([old, new])) if max(len(old), len(new)) > 60 else 0
    dots = "…" if start else ""
    return f"is {dots}{new[start:]:.60}, was {dots}{old[start:]:.60}"


@dataclass
class Memory:
    """The pictures of a training's sources, kept with its checkpoint.

    Attributes:
        before: of the checkpoint; empty for a new training.
        now: found in this call.
        force: differences are told, not refused.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    now: dict[str, Any] = field(default_factory=dict)
    force: bool = False

    def divide(self, place: Path, images: Pictures, draw: np.ndarray | None) -> np.ndarray | None:
        """Return which pictures of a source are held out, and remember them.

        Where the pictures are others than before, those held out then still are, and no picture
        that was trained on becomes one.

        Args:
            place: the source.
            images: all of its pictures.
            draw: rows that a new training would hold out; None where a split is set apart.

        Raises:
            UsageError: the pictures are others than before.
        """
        name = str(len(self.now))
        before = self.before.get(name)
        facts = {"pictures": len(images), "sample": _sample(images)}
        rows = draw
        if before is not None and draw is not None:
            if not before["rows"] and not self.force:
                raise UsageError(
                    f"this training has seen all pictures of '{show(place)}', so none of them can "
                    "be held out now; train into another folder, or go on all the same with --force"
                )
            rows = np.array(before["rows"], int) if before["rows"] else draw
        if before is not None and {key: before[key] for key in facts} != facts:
            count = before["pictures"]
            change = f"{len(images)} pictures, {count} when this training began"
            if len(images) == count:
                change = "other pictures than when this training began"
            if not self.force:
                raise UsageError(
                    f"'{show(place)}' holds {change}; train into another folder, or go on all the "
                    "same with --force, which keeps what was held out"
                )
            _tell(f"'{show(place)}' holds {change}; what was held out still is")
            if draw is not None:
                held = set(before["held_out"])
                rows = np.array([n for n in range(len(images)) if _hash(images[n]) in held], int)
                if not len(rows):
                    raise CometError(f"no picture that was held out is in '{show(place)}' any more")
        taken = [] if rows is None else rows.tolist()
        held_out = [_hash(images[n]) for n in taken]
        self.now[name] = {**facts, "rows": taken, "held_out": held_out}
        return rows

    def leave_out(self, number: int, found: np.ndarray) -> np.ndarray:
        """Return which pictures of a source are not trained on, being held out or measured too.

        While the source's pictures are those of before, these are the same, whatever is measured
        now: what was trained on is trained on.

        Args:
            number: the source's, in the order in which they were divided.
            found: rows that a new training would leave out.
        """
        now, before = self.now[str(number)], self.before.get(str(number))
        if before is not None and before["sample"] == now["sample"]:
            found = np.array(before.get("left_out", []), int)
        now["left_out"] = found.tolist()
        return found


def _hash(picture: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()[:32]


def _sample(images: Pictures) -> str:
    rows = np.unique(np.linspace(0, len(images) - 1, min(SAMPLED, len(images))).astype(int))
    return hashlib.sha256("".join(_hash(images[int(n)]) for n in rows).encode()).hexdigest()


def _tell(sentence: str) -> None:
    warnings.warn(sentence, CometWarning, stacklevel=3)
