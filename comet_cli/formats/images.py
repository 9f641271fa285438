"""Pictures: from any image file to a square float array, and back to a PNG.

What a picture goes through, in this order: its EXIF rotation is applied; its middle square is cut
out; it becomes sRGB (:mod:`comet_cli.formats.channels`); it is resized with antialiasing.
"""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from comet_cli.errors import FileFormatError
from comet_cli.formats.channels import UNKNOWN, pillow_is_silent, remember_depth, to_channels
from comet_cli.formats.colour_notes import colours_of
from comet_cli.formats.files import read_input, show, write_output
from comet_cli.formats.foreign import is_heif, is_strange_tiff, prepare_heif, what_it_is
from comet_cli.formats.picture_recipe import (
    PIXELS_KEYWORD,
    PictureRecipe,
    embed_recipe,
    pixels_hash,
)
from comet_cli.formats.png_entries import (
    SIGNATURE,
    is_animated,
    only_pixels,
    read_text,
    stored_hash,
)

FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM"),
    *("AVIF", "JPEG2000", "TGA", "ICO"),
)
MAX_MASK = 4096  # the largest canvas
MAX_PIXELS = 178_956_970  # Pillow's own limit: a gigabyte of float32 grey


def load_image(
    source: str | Path | bytes, size: int, *, where: str = "", behind: str = "white"
) -> np.ndarray:
    """Read an image file as the networks see it.

    Args:
        source: a path, ``-`` for standard input, or the file's bytes.
        size: R.
        where: named in error messages; default the path.
        behind: the colour that transparency is laid on.

    Returns:
        (3,R,R) float32 in [0, 1].

    Raises:
        UsageError: no such file.
        FileFormatError: not an image, truncated, empty, or of more than 179 million pixels.
    """
    name = where or ("the image" if isinstance(source, bytes) else f"'{show(source)}'")
    data = source if isinstance(source, bytes) else read_input(source)
    image = to_channels(_middle_square(_open(data, name)), name, behind)
    return _resize(image, size)


def load_whole(data: bytes, where: str = "the image", *, at_least: int = 0) -> Image.Image:
    """Return an image file as 8-bit RGB, rotated by its EXIF entry, not cropped.

    Args:
        data: the file.
        where: named in error messages.
        at_least: a JPEG may be decoded at a smaller size with sides not below this; 0: it is not.

    Raises:
        FileFormatError: see :func:`load_image`.
    """
    image = to_channels(_open(data, where, at_least), where)
    if image.mode == "F":
        image = Image.fromarray((np.asarray(image) * 255 + 0.5).astype(np.uint8))
    return image.convert("RGB")


def image_size(data: bytes, where: str = "the image") -> int:
    """Return the side of the middle square of an image file, without decoding it."""
    return min(identify(data, where).size)


def image_facts(data: bytes, where: str = "the image") -> dict[str, str | int]:
    """Return ``format``, ``width``, ``height`` and ``mode`` of an image file, without decoding it.

    Raises:
        FileFormatError: not an image.
    """
    image = identify(data, where)
    return {
        "format": image.format or "",
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
    }


def identify(data: bytes, where: str) -> Image.Image:
    """Return an image file as Pillow has it before it decodes any pixel.

    Raises:
        FileFormatError: not an image, or of more than 179 million pixels.
    """
    too_large = (
        f"{where} has more than {MAX_PIXELS // 1_000_000} million pixels, too many to decode; "
        "scale it down first"
    )
    if not data:
        raise FileFormatError(f"{where} is empty, expected an image")
    try:
        Image.init()
        # A list, because some of Pillow's other readers start programs (EPS: Ghostscript).
        formats = [f for f in FORMATS if f in Image.OPEN]
        if is_heif(data) and prepare_heif():
            formats = ["HEIF"]
        with pillow_is_silent():
            image = Image.open(io.BytesIO(only_pixels(data)), formats=formats)
            profile, image.info[UNKNOWN] = colours_of(data, image)
        if profile:
            image.info["icc_profile"] = profile
    except Image.DecompressionBombError:
        raise FileFormatError(too_large) from None
    except UnidentifiedImageError:
        if told := what_it_is(data):
            raise FileFormatError(f"{where} {told}") from None
        if is_strange_tiff(data):
            raise FileFormatError(
                f"{where} is a TIFF of a kind of pixels that comet does not read; save it with 8 "
                "or 16 bits a channel"
            ) from None
        if data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*", b"MM")):
            raise FileFormatError(f"{where} is a truncated or broken image") from None
        raise FileFormatError(
            f"{where} is not an image that comet can read (PNG, JPEG, WebP, GIF, TIFF, BMP …)"
        ) from None
    except Exception as error:  # Pillow raises many kinds on hostile files
        raise FileFormatError(f"{where} is a broken image: {_reason(error)}") from None
    if image.width * image.height > MAX_PIXELS:
        raise FileFormatError(too_large)
    return image


def _open(data: bytes, where: str, at_least: int = 0) -> Image.Image:
    """Decode an image and rotate it by its EXIF entry."""
    image = identify(data, where)
    try:
        with pillow_is_silent():
            if at_least:
                image.draft("RGB", (at_least, at_least))
            image.load()
        remember_depth(image, data)
    except Exception as error:
        text = str(error)
        kind = "truncated" if "truncated" in text or isinstance(error, EOFError) else "broken"
        raise FileFormatError(f"{where} is a {kind} image: {_reason(error)}") from None
    # A broken EXIF block says nothing about the pixels.
    with contextlib.suppress(Exception), pillow_is_silent():
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _middle_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    if image.size == (side, side):  # large pictures are not copied for nothing
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    square.format = image.format
    return square


def _resize(image: Image.Image, size: int) -> np.ndarray:
    # Pillow's filters widen with the reduction, so this is antialiased.
    resized = image.resize((size, size), Image.Resampling.BICUBIC)
    values = np.asarray(resized, dtype=np.float32)
    if resized.mode == "RGB":
        values = values.transpose(2, 0, 1) / np.float32(255)
    else:
        values = np.stack([values] * 3)
    return np.ascontiguousarray(values.clip(0, 1))


def _reason(error: Exception) -> str:
    return show(str(error).strip().rstrip(".") or type(error).__name__)


def to_bytes(picture: Any) -> np.ndarray:
    """Round a picture (3,R,R) in [0, 1], array or tensor, to (R,R,3) uint8.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    if hasattr(picture, "detach"):
        picture = picture.detach().cpu().float().numpy()
    values = np.asarray(picture, dtype=np.float32)
    if values.ndim != 3 or values.shape[0] != 3:
        raise ValueError(f"a picture is (3, R, R), not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the picture holds values that are not finite")
    return np.ascontiguousarray((values.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def from_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return (R,R,3) uint8 as a picture (3,R,R) float32 in [0, 1]."""
    picture = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(picture)


def encode_png(pixels: np.ndarray, recipe: PictureRecipe | None = None) -> bytes:
    """Return a PNG file of (H,W,3) uint8, with a recipe if one is given."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=False)
    data = buffer.getvalue()
    return data if recipe is None else embed_recipe(data, recipe, pixels)


def decode_png(data: bytes, where: str = "the picture") -> np.ndarray:
    """Return the pixels (H,W,3) uint8 of a PNG, in whatever form a program has saved it again.

    Raises:
        FileFormatError: not a PNG, or a broken one.
    """
    if not data.startswith(SIGNATURE):
        raise FileFormatError(f"{where} is not a PNG")
    return np.array(load_whole(data, where))


def decode_mask(mask: bytes, where: str = "the mask") -> np.ndarray:
    """Return a recipe's mask, a PNG of where a term acts, as (R,R,3) uint8.

    Raises:
        FileFormatError: no PNG, not square, or larger than any canvas.
    """
    facts = image_facts(mask, where)
    if max(int(facts["width"]), int(facts["height"])) > MAX_MASK:
        raise FileFormatError(f"{where} is larger than {MAX_MASK} pixels")
    pixels = decode_png(mask, where)
    if pixels.shape[0] != pixels.shape[1]:
        raise FileFormatError(f"{where} is not square")
    return pixels


def is_unchanged(png: bytes) -> bool:
    """Say whether comet wrote a PNG and it still shows what comet drew."""
    try:
        kept = read_text(png, PIXELS_KEYWORD, "the picture") or b""
        pixels, _, stored = kept.partition(b" ")
        if stored == stored_hash(png):
            return True
        return bool(kept) and not is_animated(png) and pixels == pixels_hash(decode_png(png))
    except FileFormatError:
        return False


def save_png(picture: Any, path: str | Path, recipe: PictureRecipe | None = None) -> None:
    """Write a picture (3,R,R) in [0, 1], array or tensor, as an 8-bit PNG; whole or not at all."""
    write_png(to_bytes(picture), path, recipe)


def write_png(pixels: np.ndarray, path: str | Path, recipe: PictureRecipe | None = None) -> None:
    """Write (H,W,3) uint8 as a PNG; whole or not at all."""
    write_output(path, encode_png(pixels, recipe))


def enlarge(pixels: np.ndarray, side: int) -> np.ndarray:
    """Enlarge (R,R,3) uint8 to at least ``side`` by repeating pixels, so that edges stay sharp."""
    factor = max(1, math.ceil(side / pixels.shape[0]))
    return pixels.repeat(factor, 0).repeat(factor, 1)
