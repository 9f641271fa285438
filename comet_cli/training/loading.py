"""The pictures that a recipe trains on, and those held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import load_folder, splits_in
from comet_cli.data.imported_source import imported_source
from comet_cli.data.mapped import map_pictures
from comet_cli.data.mixture import Mixture, Part, Pictures, interleave
from comet_cli.data.pack import is_pack
from comet_cli.errors import CometError
from comet_cli.evaluation.measure import measure
from comet_cli.models.comet_model import CometModel
from comet_cli.training.going_on import Memory
from comet_cli.training.matching import Matches, match_pictures
from comet_cli.training.recipe import PicturesRecipe, TrainingRecipe
from comet_cli.training.sources import TrainingData, parse_sources


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
    recipe: PicturesRecipe, measured: int, memory: Memory | None = None
) -> tuple[Pictures, HeldOut, HeldOut]:
    """Return training pictures, held-out pictures, and those that figures are measured on.

    No picture is trained on and held out or measured: of a source without a split ``test`` that
    is to be both, a part is set apart, whichever names it goes by.

    Args:
        recipe: the recipe.
        measured: how many to measure figures on.
        memory: of the pictures when the training began; default that it begins now.
    """
    memory = memory or Memory()
    data, size = recipe.data, recipe.card.image_size
    count = max(measured, data.held_out_count)
    sources = parse_sources(data.train, "train")
    apart = parse_sources(data.held_out, "held_out") if data.held_out else ()
    judged_on = parse_sources(data.measured, "measured") if data.measured else ()
    places = [locate(source, size) for source in sources]
    elsewhere = bool(apart) and [locate(source, size) for source in apart] != places
    asked = {_whole(locate(source, size)) for source in (*(apart if elsewhere else ()), *judged_on)}
    most_of: dict[Path, int] = {}  # one place may be several sources
    for place, most in zip(places, _counts(sources, count), strict=True):
        most_of[_whole(place)] = max(most, most_of.get(_whole(place), 0))
    parts, tenths, own = [], [], {}
    for place, source in zip(places, sources, strict=True):
        needed = not elsewhere or _whole(place) in asked
        part, held = _divide(
            place, source.share, size, most_of[_whole(place)] if needed else 0, memory
        )
        parts.append(part)
        tenths.append(held)
        if held is not None and part.rows is not None:
            own[_whole(place)] = held
    held_out = (
        load_held_out(apart, size, count, own)
        if elsewhere
        else _join(sources, [held for held in tenths if held is not None])
    )
    judged = load_held_out(judged_on, size, measured, own) if judged_on else held_out
    # A whole data set is an array as it is; anything else is read through a mixture.
    single = len(parts) == 1 and parts[0].rows is None
    return parts[0].images if single else Mixture(parts), held_out, judged


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


def load_held_out(
    sources: tuple[TrainingData, ...],
    size: int,
    count: int,
    own: Mapping[Path, tuple[np.ndarray, np.ndarray | None]] | None = None,
) -> HeldOut:
    """Return ``count`` pictures of the sources' test splits (or as many as they have).

    Args:
        sources: which.
        size: R.
        count: how many.
        own: pictures and masks that were held out of places without such a split.
    """
    loaded = []
    for source, most in zip(sources, _counts(sources, count), strict=True):
        place = locate(source, size)
        images, masks = (own or {}).get(_whole(place)) or _load_test(place, size, most)
        loaded.append((images[:most], None if masks is None else masks[:most]))
    return _join(sources, loaded)


def _whole(place: Path) -> Path:
    """Return what two names of one place share."""
    return place.resolve()


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


def _counts(sources: tuple[TrainingData, ...], count: int) -> list[int]:
    """How many of ``count`` pictures are each source's, at least one."""
    total = sum(source.share for source in sources)
    return [max(1, round(count * source.share / total)) for source in sources]


def _divide(
    place: Path, share: float, size: int, count: int, memory: Memory | None = None
) -> tuple[Part, tuple[np.ndarray, np.ndarray | None] | None]:
    """Return what of a source is trained on and, unless ``count`` is 0, what is held out."""
    splits = splits_in(place)
    loaded = map_pictures(place, "train" if "train" in splits else None, size)
    images, memory = loaded.images, memory or Memory()
    apart = "train" in splits and "test" in splits
    if not count or apart:
        memory.divide(place, images, None)
    if not count:
        return Part(images, None, share), None
    if apart:
        return Part(images, None, share), _load_test(place, size, count)
    # Nothing is set apart: a tenth (at most ``count``), drawn once and for all, is held out.
    # Not the last tenth: pictures in a folder are often sorted.
    keep = max(1, min(count, len(images) // 10))
    if len(images) < 2:
        raise CometError(f"{place} holds {len(images)} picture(s); training needs at least 2")
    order = np.random.default_rng(0).permutation(len(images))
    kept = memory.divide(place, images, np.sort(order[:keep]))
    assert kept is not None
    used = _without_copies(images, np.setdiff1d(np.arange(len(images)), kept), kept)
    if not len(used):
        raise CometError(f"{place} holds copies of one picture only; training needs at least 2")
    masks = None if loaded.masks is None else loaded.masks[kept]
    return Part(images, used, share), (images[kept], masks)


def _without_copies(images: Pictures, used: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return which of the rows ``used`` hold other pictures than the rows ``kept``."""
    held = {np.ascontiguousarray(images[n]).tobytes() for n in kept}
    # A few pixels tell nearly all apart, so that not all of what may be on disk is read.
    few = {_few_pixels(images[n]) for n in kept}
    copies = [
        n
        for n in used
        if _few_pixels(images[n]) in few and np.ascontiguousarray(images[n]).tobytes() in held
    ]
    return np.setdiff1d(used, copies)


def _few_pixels(picture: np.ndarray) -> bytes:
    middle = picture[len(picture) // 2, :: max(1, len(picture) // 8)]
    return np.ascontiguousarray(middle).tobytes()


def _load_test(place: Path, size: int, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    split = "test" if "test" in splits_in(place) else None
    if is_pack(place):
        loaded = map_pictures(place, split, size)
    else:  # a few pictures of what may be many: decoded, not put into the cache
        loaded = load_folder(place, split, size, limit=count)
    masks = None if loaded.masks is None else np.array(loaded.masks[:count])
    return np.array(loaded.images[:count]), masks


def _join(
    sources: tuple[TrainingData, ...], loaded: list[tuple[np.ndarray, np.ndarray | None]]
) -> HeldOut:
    if len(loaded) == 1:
        return HeldOut(*loaded[0], parts={})
    order = interleave([len(images) for images, _ in loaded])
    images = np.concatenate([images for images, _ in loaded])[order]
    each = [masks for _, masks in loaded]
    present = [masks for masks in each if masks is not None]
    masks = np.concatenate(present)[order] if len(present) == len(each) else None
    return HeldOut(images, masks, dict(zip([s.name for s in sources], loaded, strict=True)))
