"""Import a published data set: read, cut out, resized, split, and written in our own format."""

import hashlib
import warnings
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comet_cli.data import dataset_folder
from comet_cli.data.dataset_folder import some_names
from comet_cli.data.make import MOST_PICTURES
from comet_cli.data.opening import claim_folder, make_folders
from comet_cli.data.readers.catalogue import find_reader
from comet_cli.data.readers.source import SourcePicture
from comet_cli.errors import CometError, CometWarning, Interrupted, UsageError
from comet_cli.formats.files import base_name, read_input, show
from comet_cli.formats.images import decode_png, encode_png, image_facts, load_image, to_bytes
from comet_cli.worlds.generator import SPLITS, Sample

DEFAULT_SIZE = 64


@dataclass(frozen=True)
class ImportedDataset:
    """What was done.

    Attributes:
        folder: where the data set is.
        counts: pictures of each split.
        imported: pictures that were written now.
        kept: pictures that were there already.
        skipped: pictures of the source that could not be read.
        gone: pictures kept here that the source no longer has.
    """

    folder: Path
    counts: dict[str, int]
    imported: int
    kept: int
    skipped: tuple[str, ...]
    gone: tuple[str, ...] = ()


def import_dataset(
    name: str,
    source: str,
    folder: str | Path,
    *,
    size: int = DEFAULT_SIZE,
    crop: int | None = None,
    test_fraction: float = 0.1,
    limit: int | None = None,
    force: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> ImportedDataset:
    """Turn a published data set into a folder that everything here trains on.

    A picture belongs to the split that a hash of its content tells, at every size the same;
    pictures with the same pixels, and runs of 50 frames of a drive, are never divided. An import
    that was interrupted goes on where it stopped; a greater `limit` adds pictures.

    Args:
        name: a reader, as `comet data list --readers` names it.
        source: the folder or file as published; for `hf` the name of the data set.
        folder: where to; made if it is missing.
        size: R in pixels.
        crop: side of the middle square, in pixels of the source, that is kept; None (and a
            greater one than the picture) for the largest.
        test_fraction: share of the pictures that become the test split, 0 to below 1.
        limit: the most pictures; None for all.
        force: start anew if the folder holds other things, or a set of other settings.
        progress: called with the pictures done and all pictures (None if that is not known).

    Raises:
        UsageError: settings out of range, or a folder that holds something else,
            or a picture of the set that another program has saved.
        CometError: the source has another layout, is damaged, or holds no readable picture.
        MissingExtraError: the reader needs a package that is not installed.
    """
    folder = Path(folder)
    _check(size, crop, test_fraction, limit)
    reader = find_reader(name)
    if reader.name != "hf" or Path(source).exists():
        _check_apart(Path(source), folder)
    pictures = reader.pictures(source)
    description = {
        "format": "comet-dataset",
        "format_version": dataset_folder.FORMAT_VERSION,
        "reader": reader.name,
        "source": base_name(Path(source).resolve()) if Path(source).exists() else source,
        "size": size,
        "crop": crop,
        "test_fraction": test_fraction,
        "complete": False,
        "counts": {},
    }
    claim_folder(folder, description, force=force, ignored={"complete", "counts"})
    state = _State.found_in(folder)
    kept = state.count()
    if limit is not None and kept > limit:
        raise UsageError(
            f"'{show(folder)}' holds {kept} pictures already, more than --limit {limit}; "
            "ask for as many, or give --force to replace them"
        )
    make_folders(folder, "train", masks=False)
    dataset_folder.write_description(folder, description)
    total = len(pictures) if isinstance(pictures, Sized) else None
    if limit is not None:
        total = limit if total is None else min(limit, total)
    skipped: list[str] = []
    before = frozenset(state.names)
    seen: set[str] = set()
    done = 0
    try:
        for picture in pictures:
            if limit is not None and done == limit:
                break
            seen.add(picture.name)
            if picture.name not in state.names:
                try:
                    sample, key = _read(picture, size, crop)
                except CometError:
                    skipped.append(picture.name)
                    continue
                state.write(folder, sample, picture.group or key, test_fraction)
            done += 1
            if progress is not None:
                progress(done, total)
        if not done:
            raise CometError(f"none of the {len(skipped)} pictures in '{show(source)}' can be read")
        description["complete"] = True
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {state.count()} pictures are imported and kept, the same command goes on"
        ) from None
    finally:
        # Also when interrupted: what is there can be used.
        for split, entries in state.entries.items():
            if entries:
                dataset_folder.write_metadata(folder, split, entries)
        description["counts"] = {split: len(state.entries[split]) for split in SPLITS}
        dataset_folder.write_description(folder, description)
    dataset_folder.warn_skipped(source, skipped, "pictures")
    gone = sorted(before - seen) if limit is None else []
    if gone:
        warnings.warn(
            f"{len(gone)} of the pictures in '{show(folder)}' are no longer in '{show(source)}', "
            f"and stay: {some_names(gone)}; --force starts from nothing",
            CometWarning,
            stacklevel=2,
        )
    counts = {split: len(state.entries[split]) for split in SPLITS}
    imported = sum(counts.values()) - kept
    return ImportedDataset(folder, counts, imported, kept, tuple(skipped), tuple(gone))


@dataclass
class _State:
    """What the folder holds: entries by split, names of the source, and the split of pixels."""

    entries: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {split: [] for split in SPLITS}
    )
    names: set[str] = field(default_factory=set)
    splits: dict[bytes, str] = field(default_factory=dict)

    @classmethod
    def found_in(cls, folder: Path) -> "_State":
        """Read what a former run has written, up to the first gap of each split."""
        state = cls()
        for split in SPLITS:
            for index in range(MOST_PICTURES):
                entry = dataset_folder.read_entry(folder, split, index)
                if entry is None or not isinstance(entry.get("source"), str):
                    dataset_folder.check_untouched(folder, split, index)
                    break
                file = dataset_folder.picture_path(folder, split, index)
                state._note(entry, split, decode_png(read_input(file)))
        return state

    def count(self) -> int:
        return sum(map(len, self.entries.values()))

    def write(self, folder: Path, sample: Sample, key: str, test_fraction: float) -> None:
        """Write a picture to the split that `key` tells, or to that of its equal."""
        share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
        usual = "test" if share < test_fraction else "train"
        split = self.splits.get(_digest(sample.image), usual)
        index = len(self.entries[split])
        if index == MOST_PICTURES:
            raise CometError(f"a split holds at most {MOST_PICTURES} pictures; give --limit")
        if index == 0:
            make_folders(folder, split, masks=sample.mask is not None)
        entry = dataset_folder.write_sample(folder, split, index, None, sample)
        self._note(entry, split, sample.image)

    def _note(self, entry: dict[str, Any], split: str, pixels: np.ndarray) -> None:
        self.entries[split].append(entry)
        self.names.add(entry["source"])
        self.splits[_digest(pixels)] = split


def _read(picture: SourcePicture, size: int, crop: int | None) -> tuple[Sample, str]:
    """Return a picture as it will be stored, and the hash of it as it was published.

    Raises:
        CometError: it cannot be read.
    """
    content = picture.read()
    if isinstance(content, bytes):
        data, key = content, hashlib.sha256(content).hexdigest()
    else:
        data, key = encode_png(content), hashlib.sha256(content.tobytes()).hexdigest()
    where = f"'{show(picture.name)}'"
    facts = image_facts(data, where)
    width, height = int(facts["width"]), int(facts["height"])
    side = min(width, height)
    if crop is not None and crop < side:
        square = to_bytes(load_image(data, side, where=where))
        start = (side - crop) // 2
        data = encode_png(square[start : start + crop, start : start + crop].copy())
    image = to_bytes(load_image(data, size, where=where))
    kept = side if crop is None else min(crop, side)
    corner = [(length - side) // 2 + (side - kept) // 2 for length in (width, height)]
    objects = [_placed(item, corner, size / kept) for item in picture.objects or []]
    mask = None
    if picture.mask is not None:
        mask = dataset_folder.fit_mask(Image.fromarray(picture.mask), size, crop)
        if picture.objects is not None:
            mask, objects = _visible(mask, objects)
    shown = {"objects": objects} if picture.objects is not None else {}
    return Sample(image, mask, {"source": picture.name, **picture.facts, **shown}), key


def _placed(item: dict[str, Any], corner: list[int], scale: float) -> dict[str, Any]:
    """Return an object with its `pixel` in the picture that is stored."""
    if "pixel" not in item:
        return item
    pixel = [(place - start) * scale for place, start in zip(item["pixel"], corner, strict=True)]
    return {**item, "pixel": pixel}


def _visible(
    mask: np.ndarray, objects: list[dict[str, Any]]
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Leave out the objects without a pixel, and number the others 1, 2, … again."""
    numbers = [n for n in range(1, len(objects) + 1) if (mask == n).any()]
    renumbered = np.zeros(256, np.uint8)
    renumbered[numbers] = range(1, len(numbers) + 1)
    return renumbered[mask], [objects[number - 1] for number in numbers]


def _check(size: int, crop: int | None, test_fraction: float, limit: int | None) -> None:
    if not 8 <= size <= 1024:
        raise UsageError(f"--size is {size}, expected 8 to 1024 pixels")
    if crop is not None and crop < 8:
        raise UsageError(f"--crop is {crop}, expected 8 pixels of the source or more")
    if not 0 <= test_fraction < 1:
        raise UsageError(f"--test-fraction is {test_fraction}, expected 0 to below 1")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}, expected 1 or more")


def _check_apart(source: Path, folder: Path) -> None:
    inner, outer = folder.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise UsageError(
            f"'{show(folder)}' and the source '{show(source)}' lie in each other; "
            "choose an --out folder elsewhere"
        )


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()[:16]
