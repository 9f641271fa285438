"""The pictures that a recipe trains on, and those held out."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import LoadedPictures, load_folder, splits_in
from comet_cli.data.imported_source import imported_source
from comet_cli.data.mapped import map_pictures
from comet_cli.data.mixture import Mixture, Part, Pictures, interleave
from comet_cli.data.pack import is_pack
from comet_cli.data.picture_set import PictureSet
from comet_cli.errors import CometError, CometWarning
from comet_cli.evaluation.measure import measure
from comet_cli.formats.files import show
from comet_cli.models.comet_model import CometModel
from comet_cli.training.going_on import Memory
from comet_cli.training.matching import Matches, match_pictures
from comet_cli.training.recipe import PicturesRecipe, TrainingRecipe
from comet_cli.training.sources import TrainingData, parse_sources

Found = tuple[np.ndarray, np.ndarray | None]  # pictures, and masks


@dataclass(frozen=True)
class HeldOut:
    """Held-out pictures of one or several sources.

    Attributes:
        images: (M,R,R,3) uint8; the first ones are of all sources, in proportion.
        masks: (M,R,R) uint8, or None if those of any source have none.
        parts: name of a source to its own pictures and masks; empty for a single source.
    """

    images: np.ndarray
    masks: np.ndarray | None
    parts: dict[str, tuple[np.ndarray, np.ndarray | None]]


def load_data(
    recipe: PicturesRecipe, measured: int = 500, memory: Memory | None = None
) -> tuple[Pictures, HeldOut, HeldOut]:
    """Return training pictures, held-out pictures, and those that figures are measured on.

    No picture is trained on and held out or measured, whichever files hold its pixels. One that is
    to be both is left out of training. Where that would leave less than half of a source, only
    those of its pictures are held out or measured that are set apart: its split ``test``, or a
    part where it has none.

    Args:
        recipe: the recipe.
        measured: how many to measure figures on.
        memory: of the pictures when the training began; default that it begins now.

    Raises:
        CometError: all pictures that are to be held out or measured are trained on.
    """
    memory = memory or Memory()
    data, size = recipe.data, recipe.card.image_size
    count = max(measured, data.held_out_count)
    train = _find(data.train, "train", size, count)
    apart = _find(data.held_out, "held_out", size, count)
    judged = _find(data.measured, "measured", size, measured)
    if [source.place for source in apart] == [source.place for source in train]:
        apart = []
    parts, loaded = _set_apart(train, apart, judged, size, memory)
    apart = apart or train
    # Those that were set apart come first: other names of the same pictures cannot bring them back.
    asked = [
        PictureSet(loaded[source][0] for source in each if source in loaded)
        for each in (train, [*apart, *judged])
    ]
    parts, trained = _leave_out(train, parts, asked, memory)
    held_out = _join(_untrained(apart, loaded, trained))
    figured = _join(_untrained(judged, loaded, trained)) if judged else held_out
    # A whole data set is an array as it is; anything else is read through a mixture.
    single = len(parts) == 1 and parts[0].rows is None
    return parts[0].images if single else Mixture(parts), held_out, figured


def load_seen(recipe: PicturesRecipe, place: Path, memory: Memory) -> tuple[str | None, np.ndarray]:
    """Return which pictures of a set without a split ``test`` are trained on.

    Args:
        recipe: of the training.
        place: the set.
        memory: of the pictures when the training began.

    Returns:
        the split that they are of, if there is one, and (N,) bool.
    """
    split = "train" if "train" in splits_in(place) else None
    images = map_pictures(place, split, recipe.card.image_size).images
    training, _, _ = load_data(recipe, memory=memory)
    parts = training.parts if isinstance(training, Mixture) else [Part(training)]
    asked, trained = PictureSet([images]), PictureSet()
    for part in parts:
        used = np.arange(len(part.images)) if part.rows is None else part.rows
        trained.add(part.images[np.intersect1d(asked.rows(part.images), used)])
    return split, np.isin(np.arange(len(images)), trained.rows(images))


def load_matches(recipe: TrainingRecipe, images: Pictures) -> Matches | None:
    """Return where else components of the training pictures may be taken from, if it is asked for.

    Args:
        recipe: the recipe.
        images: its training pictures (:func:`load_data`), of which some may be held out.

    Raises:
        CometError: the pictures are not those of a split ``train``, or have no such labels.
    """
    if not recipe.train.match:
        return None
    (source,) = parse_sources(recipe.data.train, "train")
    place = locate(source, recipe.card.image_size)
    if "train" not in splits_in(place):
        raise CometError(f"recipe, [train]: match needs labels, and {place} has no split train")
    loaded = map_pictures(place, "train", recipe.card.image_size)
    metadata = loaded.metadata
    rows = images.parts[0].rows if isinstance(images, Mixture) else None
    if rows is not None:
        metadata = [metadata[row] for row in rows]
    return match_pictures(metadata, recipe.train.match)


def locate(source: TrainingData, size: int) -> Path:
    """Return where a source's pictures are: its path, or its import in the cache."""
    if not source.reader:
        return Path(source.path)
    return imported_source(
        source.reader, source.path, size, crop=source.crop or None, limit=source.limit or None
    )


def measure_held_out(model: CometModel, held_out: HeldOut) -> dict[str, Any]:
    """Return figures over all held-out pictures and, under its name, of each of several sources.

    Masks are of objects, or of parts; global components are neither, so they are not segments.
    """
    local = model.card.encoder == "recurrent"
    figures = measure(model, held_out.images, held_out.masks if local else None)
    for name, (images, masks) in held_out.parts.items():
        figures[name] = measure(model, images, masks if local else None)
    return figures


@dataclass(frozen=True)
class _Source:
    """Where pictures are, how many are held out or measured, and their share of a batch."""

    name: str
    place: Path
    most: int
    share: float

    @property
    def whole(self) -> Path:
        """What all names of the place share."""
        return self.place.resolve()


def _find(value: Any, key: str, size: int, count: int) -> list[_Source]:
    """Return the sources of a recipe's ``key``; of ``count`` pictures each gives its share."""
    sources = parse_sources(value, key) if value else ()
    total = sum(source.share for source in sources)
    return [
        _Source(s.name, locate(s, size), max(1, round(count * s.share / total)), s.share)
        for s in sources
    ]


def _set_apart(
    train: list[_Source], apart: list[_Source], judged: list[_Source], size: int, memory: Memory
) -> tuple[list[Part], dict[_Source, Found]]:
    """Return what of each source is trained on, and what of each is held out or measured."""
    opened = [_open(source.place, size) for source in train]
    undivided = {s.whole for s, (_, tests) in zip(train, opened, strict=True) if not tests}
    others = [source for source in (*apart, *judged) if source.whole not in undivided]
    loaded = {source: _load_test(source, size) for source in others}
    elsewhere = PictureSet(images for images, _ in loaded.values())
    named = {source.whole for source in (*apart, *judged)}
    parts, own = [], {}
    for source, (pictures, tests) in zip(train, opened, strict=True):
        # One place may be several sources.
        most = max(other.most for other in train if other.whole == source.whole)
        images = pictures.images
        if tests:
            memory.divide(source.place, images, None)
            parts.append(Part(images, None, source.share))
            if not apart:
                loaded[source] = _load_test(source, size)
        elif not apart or source.whole in named or _most(elsewhere.rows(images), images):
            rows, kept = _divide(source, images, most, memory)
            parts.append(Part(images, rows, source.share))
            masks = None if pictures.masks is None else pictures.masks[kept]
            own[source.whole] = loaded[source] = images[kept], masks
        else:
            memory.divide(source.place, images, None)
            parts.append(Part(images, None, source.share))
    for source in (*apart, *judged):
        if source not in loaded:
            images, masks = own[source.whole]
            loaded[source] = images[: source.most], masks if masks is None else masks[: source.most]
    return parts, loaded


def _open(place: Path, size: int) -> tuple[LoadedPictures, bool]:
    """Return the pictures to train on, and whether the source has others, a split ``test``."""
    splits = splits_in(place)
    loaded = map_pictures(place, "train" if "train" in splits else None, size)
    return loaded, "train" in splits and "test" in splits


def _most(some: np.ndarray, of: Sized) -> bool:
    return 2 * len(some) > len(of)


def _divide(
    source: _Source, images: np.ndarray, most: int, memory: Memory
) -> tuple[np.ndarray, np.ndarray]:
    """Return which pictures are trained on, and which are held out, of a source without a split.

    A tenth (at most ``most``), drawn once and for all, is held out. Not the last tenth: pictures
    in a folder are often sorted.
    """
    if len(images) < 2:
        raise CometError(
            f"{source.place} holds {len(images)} picture(s); training needs at least 2"
        )
    keep = max(1, min(most, len(images) // 10))
    order = np.random.default_rng(0).permutation(len(images))
    kept = memory.divide(source.place, images, np.sort(order[:keep]))
    assert kept is not None
    copies = PictureSet([images[kept]]).rows(images)
    used = np.setdiff1d(np.arange(len(images)), copies)
    if not len(used):
        raise CometError(
            f"{source.place} holds copies of one picture only; training needs at least 2"
        )
    return used, kept


def _leave_out(
    train: list[_Source], parts: list[Part], asked: list[PictureSet], memory: Memory
) -> tuple[list[Part], PictureSet]:
    """Return the parts without the pictures that are held out or measured, and what is left.

    Args:
        train: the sources.
        parts: of each.
        asked: sets to be held out or measured; one that holds most of a part is not left out of it.
        memory: of the pictures when the training began.

    Returns:
        the parts, and those of the asked pictures that are trained on all the same.
    """
    trained, fewer = PictureSet(), []
    for number, (source, part) in enumerate(zip(train, parts, strict=True)):
        used = np.arange(len(part.images)) if part.rows is None else part.rows
        found = [np.intersect1d(pictures.rows(part.images), used) for pictures in asked]
        left = used
        for rows in found:
            both = np.intersect1d(rows, left)
            left = left if _most(both, left) else np.setdiff1d(left, both)
        gone = memory.leave_out(number, np.setdiff1d(used, left))
        if len(gone):
            _tell(
                f"{len(gone)} of the pictures of '{show(source.place)}' are held out or measured "
                "too, so they are not trained on"
            )
            part = dataclasses.replace(part, rows=np.setdiff1d(used, gone))
        fewer.append(part)
        trained.add(part.images[np.setdiff1d(np.concatenate(found), gone)])
    return fewer, trained


def _untrained(
    sources: list[_Source], loaded: Mapping[_Source, Found], trained: PictureSet
) -> dict[str, Found]:
    """Return the pictures of each source, by its name, that are not trained on.

    Raises:
        CometError: there are none.
    """
    found = {}
    for source in sources:
        images, masks = loaded[source]
        rows = np.setdiff1d(np.arange(len(images)), trained.rows(images))
        if len(rows) < len(images):
            _tell(
                f"{len(images) - len(rows)} of the pictures of '{show(source.place)}' are trained "
                "on, so they are neither held out nor measured"
            )
            images, masks = images[rows], None if masks is None else masks[rows]
        if len(rows):
            found[source.name] = images, masks
    if not found:
        places = ", ".join(f"'{show(source.place)}'" for source in sources)
        raise CometError(
            f"all pictures of {places} are trained on, so none is left to hold out or to measure; "
            "name other pictures in held_out or measured, or leave both to comet"
        )
    return found


def _load_test(source: _Source, size: int) -> Found:
    split = "test" if "test" in splits_in(source.place) else None
    if is_pack(source.place):
        loaded = map_pictures(source.place, split, size)
    else:  # a few pictures of what may be many: decoded, not put into the cache
        loaded = load_folder(source.place, split, size, limit=source.most)
    masks = None if loaded.masks is None else np.array(loaded.masks[: source.most])
    return np.array(loaded.images[: source.most]), masks


def _join(loaded: Mapping[str, Found]) -> HeldOut:
    if len(loaded) == 1:
        return HeldOut(*next(iter(loaded.values())), parts={})
    order = interleave([len(images) for images, _ in loaded.values()])
    images = np.concatenate([images for images, _ in loaded.values()])[order]
    present = [masks for _, masks in loaded.values() if masks is not None]
    masks = np.concatenate(present)[order] if len(present) == len(loaded) else None
    return HeldOut(images, masks, dict(loaded))


def _tell(sentence: str) -> None:
    warnings.warn(sentence, CometWarning, stacklevel=4)
