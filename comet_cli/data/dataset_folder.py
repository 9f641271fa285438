"""A data set as a folder: where things lie in it, how a picture is written, how all are loaded.

The layout is one that Hugging Face `datasets` opens as an `imagefolder`::

    dataset.json                   generator, version, seed, size, objects, counts
    train/000000.png …             pictures, RGB
    train/metadata.jsonl           one line a picture: file_name, seed, mask, objects, …
    test/…                         the same
    masks/trainset/000000.png …    instance masks: 0 background, i the i-th object

The mask folders are called `trainset` and `testset` since `datasets` takes every picture below a
folder called `train` or `test`, at any depth, for a picture of that split.
"""

import io
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from comet_cli.data.array_files import load_arrays
from comet_cli.data.metadata import parse_description, parse_metadata, problem_of
from comet_cli.data.pack import is_pack, read_facts, read_pack
from comet_cli.errors import (
    CometError,
    CometWarning,
    MissingInputError,
    UsageError,
)
from comet_cli.formats.files import read_file, show, walk, write_output
from comet_cli.formats.foreign import ENDINGS
from comet_cli.formats.images import image_size, load_image, to_bytes
from comet_cli.worlds.generator import SPLITS, Sample

FORMAT_VERSION = 1
# Pictures carry their own line of metadata.jsonl, so that a set that was interrupted is resumed
# from its pictures alone.
TEXT_KEY = "comet-data"
# Files by which a folder that comet trains into is known, or that of a model.
_TRAINED = ({"checkpoint.pt"}, {"card.json", "model.safetensors"})
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_PALETTE = [0, 0, 0, 230, 25, 75, 60, 180, 75, 255, 225, 25, 0, 130, 200, 245, 130, 48, 145, 30,
            180, 70, 240, 240, 240, 50, 230, 210, 245, 60, 250, 190, 212]  # fmt: skip


@dataclass(frozen=True)
class LoadedPictures:
    """Pictures in memory.

    Attributes:
        images: (N, R, R, 3) uint8, RGB.
        masks: (N, R, R) uint8, 0 the background; None if any picture has none.
        metadata: N entries of metadata.jsonl; for plain pictures, `file_name` alone.
        skipped: names of the files that could not be read.
    """

    images: np.ndarray
    masks: np.ndarray | None
    metadata: list[dict[str, Any]]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of pictures, N."""
        return len(self.images)


def picture_path(folder: Path, split: str, index: int) -> Path:
    """Where picture `index` of a split lies."""
    return folder / split / f"{index:06d}.png"


def mask_path(folder: Path, split: str, index: int) -> Path:
    """Where its mask lies."""
    return folder / "masks" / f"{split}set" / f"{index:06d}.png"


def write_sample(
    folder: Path, split: str, index: int, seed: int | None, sample: Sample
) -> dict[str, Any]:
    """Write one picture and, before it, its mask: where the picture is, both are complete.

    Args:
        folder: the data set.
        split: "train" or "test".
        index: the picture's number in its split.
        seed: the seed that it was made with; None for one that was not made.
        sample: the picture; without a mask none is written.

    Returns:
        Its line of metadata.jsonl.
    """
    entry: dict[str, Any] = {"file_name": f"{index:06d}.png"}
    if sample.mask is not None:
        mask = Image.fromarray(sample.mask)
        mask.putpalette(_PALETTE)
        mask_file = mask_path(folder, split, index)
        write_output(mask_file, _png(mask))
        entry["mask"] = mask_file.relative_to(folder).as_posix()
    entry |= {"split": split, "index": index}
    if seed is not None:
        entry["seed"] = seed
    entry |= sample.factors
    text = PngImagePlugin.PngInfo()
    text.add_text(TEXT_KEY, _compact(entry), zip=True)
    picture = _png(Image.fromarray(sample.image), pnginfo=text)
    write_output(picture_path(folder, split, index), picture)
    return entry


def _entry_in(picture: Path) -> dict[str, Any]:
    """Return the metadata that a sound picture carries; KeyError if none, else _UNREADABLE."""
    with Image.open(picture) as opened:
        opened.load()
        entry: dict[str, Any] = json.loads(opened.info[TEXT_KEY])
    if problem := problem_of(entry):
        raise ValueError(problem)
    return entry


def read_entry(folder: Path, split: str, index: int) -> dict[str, Any] | None:
    """The metadata of a complete picture, or None if picture, mask or metadata is missing."""
    try:
        entry = _entry_in(picture_path(folder, split, index))
    except (KeyError, *_UNREADABLE):
        return None
    return entry if "mask" not in entry or mask_path(folder, split, index).is_file() else None


def check_untouched(folder: Path, split: str, index: int) -> None:
    """Check that no picture would be lost by writing one of that number.

    A damaged file is written again; a sound picture without the metadata of a data set is
    somebody's, saved by another program.

    Raises:
        UsageError: there is such a picture.
    """
    file = picture_path(folder, split, index)
    try:
        _entry_in(file)
    except KeyError:
        raise UsageError(
            f"'{show(file)}' was changed after comet made it, and would be made again; move it "
            "elsewhere, or give --force to make the whole data set anew"
        ) from None
    except _UNREADABLE:
        return


def write_metadata(folder: Path, split: str, entries: list[dict[str, Any]]) -> None:
    """Write metadata.jsonl of a split, one line an entry."""
    lines = "".join(_compact(entry) + "\n" for entry in entries)
    write_output(folder / split / "metadata.jsonl", lines.encode())


def read_metadata(folder: Path, split: str = "") -> list[dict[str, Any]] | None:
    """The entries of metadata.jsonl in a split, or in a folder without, or None if it has none.

    Raises:
        FileFormatError: a line that says what cannot be, see `parse_metadata`.
    """
    file = folder / split / "metadata.jsonl"
    if not file.is_file():
        return None
    return parse_metadata(file.read_bytes(), file)


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write dataset.json."""
    write_output(folder / "dataset.json", (json.dumps(description, indent=2) + "\n").encode())


def read_description(folder: Path) -> dict[str, Any] | None:
    """The content of dataset.json, or None if there is none.

    Raises:
        FileFormatError: it is not a JSON object, or says what cannot be.
    """
    file = folder / "dataset.json"
    if not file.is_file():
        return None
    return parse_description(file.read_bytes(), file)


def load_folder(
    path: str | os.PathLike[str],
    split: str | None = None,
    size: int | None = None,
    limit: int | None = None,
) -> LoadedPictures:
    """Load a data set, or any folder of pictures, as square pictures of one size.

    Pictures are cropped to the square in their middle and resized, as `comet encode` does it.
    Files that cannot be read are skipped with a warning.

    Args:
        path: a data-set folder, a folder of pictures (flat or nested), a pack, an .npz that holds
            `images` (and `masks`), or an .npy of images, which stays on disk.
        split: "train" or "test"; None for everything.
        size: R in pixels; None for that of the first picture.
        limit: load only so many pictures, the first ones.

    Raises:
        CometError: no such folder, split or readable picture, or arrays of another shape.
    """
    path = Path(path)
    if path.is_file() and not is_pack(path):
        if split is not None:
            raise MissingInputError(f"'{show(path)}' is a file of arrays, which has no splits")
        images, masks = load_arrays(path, size, limit)
        return LoadedPictures(images, masks, [{} for _ in range(len(images))])
    found: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    metadata: list[dict[str, Any]] = []
    skipped: list[str] = []
    for name, sample in read_pictures(path, split, size):
        if limit is not None and len(found) == limit:
            break
        if sample is None:
            skipped.append(name)
            continue
        found.append(sample.image)
        if sample.mask is not None:
            labels.append(sample.mask)
        metadata.append(sample.factors)
    warn_skipped(path, skipped)
    if not found:
        raise nothing_readable(path, split)
    complete = len(labels) == len(found)
    return LoadedPictures(
        np.stack(found), np.stack(labels) if complete else None, metadata, tuple(skipped)
    )


def read_pictures(
    path: Path, split: str | None = None, size: int | None = None
) -> Iterator[tuple[str, Sample | None]]:
    """Yield the name and the content of each picture; None for one that cannot be read.

    Args:
        path: a folder, or a pack.
        split: as for `load_folder`.
        size: as for `load_folder`.

    Raises:
        CometError: as `load_folder`, but for pictures that cannot be read.
    """
    if is_pack(path):
        yield from read_pack(path, split, size)
        return
    for file, entry in list_pictures(path, split):
        try:
            data = read_file(file)
            side = size or image_size(data)
            sample = Sample(to_bytes(load_image(data, side)), _load_mask(path, entry, side), entry)
        except (CometError, *_UNREADABLE):
            yield file.relative_to(path).as_posix(), None
            continue
        size = side
        yield file.relative_to(path).as_posix(), sample


def splits_in(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The splits that a folder or a pack has; none for plain pictures.

    Raises:
        FileFormatError: a damaged pack.
    """
    if is_pack(path):
        return tuple(split for split in read_facts(path).splits if split)
    return tuple(split for split in SPLITS if (Path(path) / split).is_dir())


def warn_skipped(source: str | Path, skipped: Sequence[str], what: str = "files") -> None:
    """Warn of files that cannot be read, with their number and the first names."""
    if skipped:
        warnings.warn(
            f"{len(skipped)} of the {what} in '{show(source)}' could not be read, and are skipped: "
            f"{some_names(skipped)}",
            CometWarning,
            stacklevel=3,
        )


def some_names(names: Sequence[str]) -> str:
    """Return the first names of a list, as they are shown."""
    return ", ".join(map(show, names[:5])) + (", …" if len(names) > 5 else "")


def nothing_readable(path: Path, split: str | None) -> CometError:
    """The error of a folder without a readable picture."""
    part = f" for the split '{split}'" if split else ""
    return CometError(f"there is no readable picture in '{show(path)}'{part}")


def _load_mask(folder: Path, entry: dict[str, Any], size: int) -> np.ndarray | None:
    if not entry.get("mask"):
        return None
    with Image.open(folder / entry["mask"]) as mask:
        return fit_mask(mask, size)


def fit_mask(mask: Image.Image, size: int, crop: int | None = None) -> np.ndarray:
    """Cut out the middle square of a mask and resize it without new labels.

    Args:
        mask: labels, 0 the background.
        size: R.
        crop: side of the square that is cut out; None for the largest.

    Returns:
        (R, R) uint8.
    """
    side = min(mask.size)
    left, top = (mask.width - side) // 2, (mask.height - side) // 2
    if crop is not None and crop < side:
        left, top, side = left + (side - crop) // 2, top + (side - crop) // 2, crop
    box = (left, top, left + side, top + side)
    return np.asarray(mask.resize((size, size), Image.Resampling.NEAREST, box), dtype=np.uint8)


def list_pictures(folder: Path, split: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The pictures of a folder in order, each with its metadata.

    That of plain pictures is in a metadata.jsonl beside them, if there is one.

    Raises:
        CometError: there is no such folder or split, or a metadata.jsonl that cannot be read.
    """
    if not folder.is_dir():
        raise MissingInputError(f"there is no folder '{show(folder)}' to load pictures from")
    if split is not None and not (folder / split).is_dir():
        raise MissingInputError(
            f"there is no split '{split}' in '{show(folder)}', no folder of that name"
        )
    splits = [split] if split else [each for each in SPLITS if (folder / each).is_dir()]
    known = {each: read_metadata(folder, each) for each in splits}
    if any(entries is not None for entries in known.values()):
        for each, entries in known.items():
            for entry in entries or []:
                yield folder / each / entry["file_name"], entry
            if entries is None:  # a split that was not finished
                for file in find_pictures(folder / each):
                    yield file, {"file_name": file.name}
        return
    listed = {} if splits else {folder / e["file_name"]: e for e in read_metadata(folder) or []}
    for entry in listed.values():
        if entry.get("mask") and not (folder / entry["mask"]).is_file():
            del entry["mask"]  # a split of a data set, asked for by its path, or a copy of it
    pictures = find_pictures(folder / split if split else folder)
    for file in sorted({*pictures, *listed}):
        yield file, listed.get(file, {"file_name": file.relative_to(folder).as_posix()})


def find_pictures(folder: Path) -> list[Path]:
    """The picture files in a folder and below, sorted.

    Hidden ones, masks, and the sample sheets in a folder that comet trains into are left out.
    """
    found = []
    for root, folders, names in walk(folder):
        if Path(root) != folder and any(made <= {*names} for made in _TRAINED):
            folders[:] = []
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name != "masks"]
        files = [Path(root, name) for name in names if not name.startswith(".")]
        found += [file for file in files if file.suffix.lower() in ENDINGS]
    return sorted(found)


def _png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _compact(entry: dict[str, Any]) -> str:
    """One line of JSON, with numbers to five decimals."""
    rounded = json.loads(json.dumps(entry), parse_float=lambda text: round(float(text), 5))
    return json.dumps(rounded)
