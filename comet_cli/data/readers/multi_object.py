"""Reader of DeepMind's multi-object data sets as TFRecords, such as Tetrominoes and CLEVR."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.readers.source import SourcePicture
from comet_cli.data.readers.tf_records import parse_example, read_records
from comet_cli.errors import FileFormatError, MissingInputError
from comet_cli.formats.files import show

# Features hold no shapes; a picture's is known from its number of bytes. Multi-dSprites and
# Objects Room are 64 pixels wide.
_SHAPES = {35 * 35 * 3: (35, 35), 64 * 64 * 3: (64, 64), 240 * 320 * 3: (240, 320)}
_LAYOUT = (
    "a .tfrecords file of multi_object_datasets, as tetrominoes_train.tfrecords or "
    "clevr_with_masks_train.tfrecords, or a folder with one"
)
# Objects Room has no factors; its first masks are of sky, floor and two parts of the wall.
_ROOM = frozenset({"image", "mask"})
_ROOM_PARTS = 4
_RENAMED = {"color": "colour", "pixel_coords": "pixel"}
_NO_FACTORS = frozenset({"image", "mask", "visibility"})


def read_multi_object(source: str) -> Iterator[SourcePicture]:
    """Read pictures, masks and attributes of objects; what is not visible is left out.

    Raises:
        MissingInputError: no such file.
        CometError: while iterating, a damaged record.
        FileFormatError: the first record is not one of these data sets.
    """
    path = Path(source)
    files = sorted(path.glob("*.tfrecord*")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingInputError(f"there is no TFRecord file at '{show(path)}'; expected {_LAYOUT}")
    pictures = _pictures(files)
    first = next(pictures, None)
    if first is None:
        raise FileFormatError(f"'{show(path)}' holds no record; expected {_LAYOUT}")
    return itertools.chain([first], pictures)


def _pictures(files: list[Path]) -> Iterator[SourcePicture]:
    for file in files:
        for number, record in enumerate(read_records(file)):
            try:
                yield _picture(f"{file.name}#{number}", parse_example(record))
            except FileFormatError as error:
                raise FileFormatError(f"record {number} of '{show(file)}': {error}") from None


def _picture(name: str, features: dict[str, np.ndarray]) -> SourcePicture:
    image, masks = features.get("image"), features.get("mask")
    shape = None if image is None else _SHAPES.get(image.size)
    if image is None or masks is None or shape is None or image.dtype != np.uint8:
        raise FileFormatError(
            "it holds no image and mask of 35x35, 64x64 or 320x240 pixels; expected " + _LAYOUT
        )
    entities, rest = divmod(masks.size, shape[0] * shape[1])
    if rest or not 1 <= entities <= 255 or masks.dtype != np.uint8:
        raise FileFormatError(f"its mask has {masks.size} bytes, no number of {shape} masks")
    # One mask an entity, 255 where it is seen; the first is the background.
    layers = masks.reshape(entities, *shape)
    labels = layers.argmax(axis=0).astype(np.uint8)
    first = 1
    if shape == (64, 64) and set(features) == _ROOM and entities > _ROOM_PARTS:
        first = _ROOM_PARTS
        labels = np.where(labels < first, 0, labels - first + 1).astype(np.uint8)
    objects = [_object(features, entity, entities) for entity in range(first, entities)]
    return SourcePicture(name, _constant(image.reshape(*shape, 3)), objects=objects, mask=labels)


def _constant(pixels: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: pixels


def _object(features: dict[str, np.ndarray], entity: int, entities: int) -> dict[str, Any]:
    """What is known of one entity; a factor has one or more numbers an entity."""
    found: dict[str, Any] = {}
    for name in sorted(set(features) - _NO_FACTORS):
        values = features[name]
        if values.size and values.size % entities == 0:
            own = [_number(v) for v in values.reshape(entities, -1)[entity].tolist()]
            found[_RENAMED.get(name, name)] = own[0] if len(own) == 1 else own
    # pixel_coords are x, y and the depth.
    pixel = found.pop("pixel", None)
    if isinstance(pixel, list) and len(pixel) == 3 and None not in pixel:
        *found["pixel"], found["depth"] = pixel
    return found


def _number(value: float) -> float | int | None:
    """A number as JSON has it: a category, stored as 3.0, is whole; NaN and infinity are null."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value
