"""A pack: a data set at one picture size as one file that travels.

A safetensors file. `pictures` holds image files one after the other, `picture_ends` where each
ends; `masks` (zlib of R·R bytes each) and `mask_ends` likewise, an empty mask where a picture has
none; `metadata` is zlib of lines of JSON. Its header says the format, R, the splits with their
counts, and how pictures were compressed.
"""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, features
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from comet_cli.errors import CometError, FileFormatError, MissingInputError
from comet_cli.formats.files import is_file, show, write_output
from comet_cli.formats.images import load_image, to_bytes
from comet_cli.worlds.generator import SPLITS, Sample

FORMAT = "comet-pack"
FORMAT_VERSION = 1
# At 64 pixels: 10,000 pictures, with masks and metadata, in 40 MB.
BYTES_PER_PICTURE = 4000
LEAST_BYTES_PER_PICTURE = 1000  # at less than 32 pixels: of a JPEG several hundred are tables
QUALITIES = (98, 97, 96, 95, 94, 93, 92, 90, 88, 85, 80)
_HEADER_LIMIT = 1 << 16
_METADATA_LIMIT = 1 << 31
_ARRAYS = ("pictures", "picture_ends", "masks", "mask_ends", "metadata")
_PROBE = 256
T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class PackFacts:
    """What the header of a pack says.

    Attributes:
        size: R in pixels.
        splits: pictures of each split, in the order of the file; "" for pictures without splits.
        encoding: `webp-lossless`, `png`, or `jpeg-Q` with the quality Q.
        psnr: mean and least PSNR in dB of its pictures against those packed; None if lossless.
        bytes: of the whole file, where it was just written.
    """

    size: int
    splits: dict[str, int]
    encoding: str
    psnr: tuple[float, float] | None
    bytes: int = 0

    @property
    def count(self) -> int:
        """The number of pictures."""
        return sum(self.splits.values())


def write_pack(
    file: Path, pictures: dict[str, Iterable[Sample]], *, lossless: bool = False
) -> PackFacts:
    """Write a pack, whole or not at all; the same pictures give the same bytes.

    Pictures are compressed losslessly where that fits the budget of 4,000 bytes a picture (at 64
    pixels; in proportion to the area at others, but at least 1,000), masks and metadata included.
    Where it does not, they become JPEGs without chroma subsampling, of the highest quality that
    fits, if these are smaller.

    Args:
        file: the file to write.
        pictures: of each split ("" where there are none), all of one size; `factors` is metadata.
        lossless: lossless also beyond the budget.

    Raises:
        CometError: no picture, or the file cannot be written.
    """
    blobs: list[bytes] = []
    masks: list[bytes] = []
    lines: list[str] = []
    counts: dict[str, int] = {}
    size = 0
    for split, samples in pictures.items():
        before = len(blobs)
        for side, blob, mask, line in _in_threads(_compress, samples):
            size = side
            blobs.append(blob)
            masks.append(mask)
            lines.append(line)
        counts[split] = len(blobs) - before
    if not blobs:
        raise CometError(f"there is no readable picture for '{show(file)}' to hold")
    metadata = zlib.compress("\n".join(lines).encode(), 9)
    rest = sum(map(len, masks)) + len(metadata)
    share = max(LEAST_BYTES_PER_PICTURE, BYTES_PER_PICTURE * (size / 64) ** 2)
    budget = round(share * len(blobs))
    encoding, psnr = "webp-lossless" if features.check("webp") else "png", None
    if not lossless and sum(map(len, blobs)) + rest > budget:
        lossy, quality, loss = _lossy(blobs, budget - rest)
        if sum(map(len, lossy)) < sum(map(len, blobs)):
            blobs, encoding, psnr = lossy, f"jpeg-{quality}", loss
    facts = PackFacts(size, counts, encoding, psnr)
    header = {"version": FORMAT_VERSION, "size": size, "splits": counts, "encoding": encoding}
    arrays = {
        "pictures": _bytes(b"".join(blobs)),
        "picture_ends": np.cumsum([len(blob) for blob in blobs], dtype=np.int64),
        "masks": _bytes(b"".join(masks)),
        "mask_ends": np.cumsum([len(mask) for mask in masks], dtype=np.int64),
        "metadata": _bytes(metadata),
    }
    # One entry, since safetensors writes several in any order.
    data = save(arrays, {FORMAT: json.dumps({**header, "psnr": psnr})})
    write_output(file, data)
    return dataclasses.replace(facts, bytes=len(data))


def is_pack(path: str | os.PathLike[str]) -> bool:
    """Say whether a file is a pack, by its header."""
    if not is_file(os.fspath(path)):  # a pipe would be waited for
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(_HEADER_LIMIT)
    except OSError:
        return False
    return head[8:9] == b"{" and f'{{"{FORMAT}":'.encode() in head


def read_facts(path: str | os.PathLike[str]) -> PackFacts:
    """Read the header of a pack.

    Raises:
        FileFormatError: it is damaged, or of a later version.
    """
    with _opened(Path(path)) as (_, facts):
        return facts


def read_pack(
    path: str | os.PathLike[str], split: str | None = None, size: int | None = None
) -> Iterator[tuple[str, Sample | None]]:
    """Yield the name and the content of each picture; None for one that cannot be read.

    Args:
        path: a pack.
        split: one of its splits; None for all pictures.
        size: R to resize to; None for that of the pack.

    Raises:
        CometError: there is no such split.
        FileFormatError: the pack is damaged.
    """
    path = Path(path)
    with _opened(path) as (content, facts):
        where = f"'{show(path)}'"
        side = size or facts.size
        chosen = _chosen(facts, split, where)
        ends = {name: _ends(content, name, facts.count, where) for name in ("picture", "mask")}
        entries = _metadata(content, facts.count, where)
        slices = {name: content.get_slice(f"{name}s") for name in ends}
        for number in chosen:
            entry = entries[number]
            blob, mask = (_piece(slices[name], *ends[name][number : number + 2]) for name in slices)
            name = str(entry.get("file_name", number))
            try:
                image = to_bytes(load_image(blob, side, where=name))
                sample = Sample(image, _mask(mask, facts.size, side) if mask else None, entry)
            except (CometError, ValueError, zlib.error):
                yield name, None
                continue
            yield name, sample


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, PackFacts]]:
    """Context: the open file and its header; damage is one sentence."""
    where = f"'{show(path)}'"
    with contextlib.ExitStack() as stack:
        try:
            content = stack.enter_context(safe_open(path, framework="numpy"))
            header = json.loads((content.metadata() or {})[FORMAT])
            version = header["version"]
            facts = _facts(header) if version == FORMAT_VERSION else None
            whole = set(content.keys()) == set(_ARRAYS)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            raise _damaged(where) from None
        if facts is None:
            raise FileFormatError(
                f"{where} is a pack of version {version!r:.20}, this comet reads {FORMAT_VERSION}; "
                "update comet, or pack the data set again"
            )
        if not whole:
            raise _damaged(where)
        yield content, facts


def _facts(header: dict[str, Any]) -> PackFacts:
    size, splits, psnr = header["size"], dict(header["splits"]), header["psnr"]
    counts = list(splits.values())
    known = set(splits) <= {"", *SPLITS}
    if not (known and all(type(n) is int and n >= 0 for n in [size, *counts]) and 0 < size <= 4096):
        raise ValueError
    pair = None if psnr is None else (float(psnr[0]), float(psnr[1]))
    return PackFacts(size, splits, str(header["encoding"]), pair)


def _chosen(facts: PackFacts, split: str | None, where: str) -> range:
    if split is None:
        return range(facts.count)
    if split not in facts.splits:
        there = ", ".join(f"'{name}'" for name in facts.splits if name) or "none"
        raise MissingInputError(f"there is no split '{split}' in {where}; it has {there}")
    start = 0
    for name, count in facts.splits.items():
        if name == split:
            break
        start += count
    return range(start, start + facts.splits[split])


def _ends(content: Any, name: str, count: int, where: str) -> np.ndarray:
    """Where each of `count` pieces begins and ends: count + 1 numbers."""
    ends = content.get_tensor(f"{name}_ends")
    total = content.get_slice(f"{name}s").get_shape()
    whole = ends.dtype == np.int64 and ends.shape == (count,) and len(total) == 1
    ends = np.concatenate([[0], ends]) if whole else ends
    if not whole or (np.diff(ends) < 0).any() or int(ends[-1]) != total[0]:
        raise _damaged(where)
    return ends


def _piece(data: Any, start: np.int64, end: np.int64) -> bytes:
    # safetensors refuses slices of an array without elements.
    return data[int(start) : int(end)].tobytes() if end > start else b""


def _metadata(content: Any, count: int, where: str) -> list[dict[str, Any]]:
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(content.get_tensor("metadata").tobytes(), _METADATA_LIMIT)
        # Not splitlines: a text may hold a separator of lines that is none of JSON.
        entries = [json.loads(line) for line in text.decode().split("\n")]
    except (zlib.error, ValueError):
        raise _damaged(where) from None
    if len(entries) != count or not all(isinstance(entry, dict) for entry in entries):
        raise _damaged(where)
    return entries


def _mask(data: bytes, size: int, side: int) -> np.ndarray:
    flat = np.frombuffer(zlib.decompressobj().decompress(data, size * size + 1), np.uint8)
    mask = Image.fromarray(flat.reshape(size, size))
    return np.array(mask.resize((side, side), Image.Resampling.NEAREST))


def _damaged(where: str) -> FileFormatError:
    return FileFormatError(f"{where} is a truncated or damaged pack; copy it again")


def _compress(sample: Sample) -> tuple[int, bytes, bytes, str]:
    """Return R, the picture, the mask and the line of metadata."""
    mask = b"" if sample.mask is None else zlib.compress(sample.mask.tobytes(), 9)
    return len(sample.image), _lossless(sample.image), mask, json.dumps(sample.factors)


def _lossless(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if features.check("webp"):
        # The fastest setting: slower ones make the file a tenth smaller, in ten times the time.
        Image.fromarray(image).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    else:
        Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _lossy(blobs: list[bytes], budget: int) -> tuple[list[bytes], int, tuple[float, float]]:
    """JPEGs of the highest quality that fits, that quality, and the PSNR; the last if none does."""
    some = [_decode(blob) for blob in blobs[:: max(1, len(blobs) // _PROBE)]]
    share = budget / len(blobs)
    for quality in QUALITIES:
        if quality != QUALITIES[-1] and np.mean([len(_jpeg(x, quality)) for x in some]) > share:
            continue
        tried = list(_in_threads(lambda blob: _recode(blob, quality), blobs))  # noqa: B023
        coded, errors = [blob for blob, _ in tried], [error for _, error in tried]
        if sum(map(len, coded)) <= budget or quality == QUALITIES[-1]:
            break
    psnr = 10 * np.log10(255**2 / np.maximum(errors, 1e-4))
    return coded, quality, (round(float(psnr.mean()), 2), round(float(psnr.min()), 2))


def _recode(blob: bytes, quality: int) -> tuple[bytes, float]:
    """A picture as JPEG, and the mean square error of it."""
    exact = _decode(blob)
    coded = _jpeg(exact, quality)
    return coded, float(np.square(_decode(coded) - exact.astype(np.float32)).mean())


def _in_threads(function: Callable[[T], S], items: Iterable[T]) -> Iterator[S]:
    """Apply a function to items, in their order; compression leaves the interpreter free."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        remaining = iter(items)
        while some := list(itertools.islice(remaining, _PROBE)):
            yield from pool.map(function, some)


def _decode(blob: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(blob)) as picture:
        return np.asarray(picture.convert("RGB"))


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return buffer.getvalue()


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
