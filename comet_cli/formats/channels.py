"""Colours and values of a decoded picture: from whatever a file holds to sRGB.

A colour profile that is embedded is converted to sRGB (ICC.1, by LittleCMS); one that is broken, or
of another kind of picture, counts as none. Transparency is laid on white. Values of more than eight
bits keep their precision.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from comet_cli.errors import CometWarning, FileFormatError

NEAR_SRGB = 2  # units of 1/255 in which a profile may differ from sRGB and still be sRGB
FULL = 65535
DEPTHS = (8, 10, 12, 14)  # bits that cameras and scanners put into 16 or 32
# Of these formats 16 bits go to 65535, whatever a picture's brightest value is.
SCALED = ("PNG", "PPM", "JPEG2000")
MAX_SAMPLE_VALUE = 281  # TIFF 6.0, p. 36
BITS_PER_SAMPLE = 258
SAMPLE_FORMAT, SIGNED = 339, 2
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
# Keys of Image.info.
WHITE, BITS, UNKNOWN = "comet white", "comet bits", "comet unknown"
SIGN, INVERTED = "comet sign", "comet inverted"


UNFIT = (ImageCms.PyCMSError, ImportError, OSError, ValueError, TypeError)


@contextlib.contextmanager
def pillow_is_silent() -> Iterator[None]:
    """Drop Pillow's warnings about odd files; what matters is an error or a warning of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def to_channels(image: Image.Image, where: str, behind: str = "white") -> Image.Image:
    """Return an RGB image in sRGB, or a mode-F image in [0, 1] where 8 bits would lose precision.

    Args:
        image: as it was decoded.
        where: named in messages.
        behind: the colour that transparency is laid on.

    Raises:
        FileFormatError: values that are not finite, or in no range that is known.
    """
    if told := image.info.get(UNKNOWN):
        _tell(f"{where} {told}, which comet does not know; it is read as sRGB")
    if _is_deep(image):
        return Image.fromarray(_deep_values(image, where))
    if image.info.get(SIGN):
        raise FileFormatError(f"{where} holds signed values of 8 bits; save it with unsigned ones")
    _tell_dark(image, where)
    with pillow_is_silent():
        profile = _profile(image)
        if not image.has_transparency_data:
            return _to_srgb(image, profile)
        alpha = image.convert("RGBA").getchannel("A")
        image = _to_srgb(image.convert("L" if image.mode in ("L", "LA") else "RGB"), profile)
        image.putalpha(alpha)
        return Image.alpha_composite(Image.new("RGBA", image.size, behind), image).convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Say whether pixels are numbers of more than eight bits, of one channel."""
    return image.mode.startswith("I") or image.mode == "F"


def remember_depth(image: Image.Image, data: bytes) -> None:
    """Keep in ``image.info`` what a decoded picture says of its depth no more.

    A PNG's transparent colour is given in the file's own bits; Pillow leaves it so where it scales
    the pixels.
    """
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        image.info[WHITE] = max(np.atleast_1d(tags.get(MAX_SAMPLE_VALUE, 0)))
        image.info[BITS] = max(np.atleast_1d(tags.get(BITS_PER_SAMPLE, 8)))
        image.info[SIGN] = max(np.atleast_1d(tags.get(SAMPLE_FORMAT, 1))) == SIGNED
        # Pillow turns pictures of eight bits round itself.
        image.info[INVERTED] = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and _is_deep(image)
    gap, bits = image.info.get("transparency"), data[24:25]
    if image.format == "PNG" and isinstance(gap, tuple) and bits == b"\x10":
        image.info["transparency"] = tuple(part >> 8 for part in gap)
    if image.format == "PNG" and image.mode in ("1", "L") and isinstance(gap, int):
        image.info["transparency"] = gap * 255 // (2 ** bits[0] - 1)


def _profile(image: Image.Image) -> bytes | None:
    """Return the embedded profile, if it can be read."""
    data = image.info.get("icc_profile")
    return data if isinstance(data, bytes) and _space(data) else None


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(16)
def _space(profile: bytes) -> str:
    """Return the mode of the pictures that a profile is for, "" where there is none."""
    try:
        space = str(_opened(profile).profile.xcolor_space).strip()
    except UNFIT:
        return ""
    return {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space, "")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB":  # of which Pillow's own conversion knows nothing
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        return _convert(image, profile)
    space = "" if profile is None else _space(profile)
    if image.mode not in ("CMYK", "L") or (image.mode == "L" and space == "RGB"):
        image = image.convert("RGB")
    if profile is not None and space == image.mode and not _is_srgb(profile):
        with contextlib.suppress(*UNFIT):
            return _convert(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def pixels_to_srgb(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """Return (H,W,3) uint8 in the colours of an RGB profile as (H,W,3) uint8 in sRGB."""
    return np.asarray(_convert(Image.fromarray(pixels), profile))


def _convert(image: Image.Image, profile: bytes) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    made = ImageCms.profileToProfile(image, _opened(profile), srgb, outputMode="RGB")
    assert made is not None  # it is None in place only
    return made


@lru_cache(16)
def _is_srgb(profile: bytes) -> bool:
    """Say whether a profile changes no colour by more than rounding does."""
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    colours = {
        "L": levels[None],
        "RGB": np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, -1, 3),
    }.get(_space(profile))
    if colours is None:
        return False
    try:
        found = np.asarray(_convert(Image.fromarray(colours), profile), np.int16)
    except UNFIT:
        return True
    wanted = colours if colours.ndim == 3 else colours[..., None]
    return bool(np.abs(found - wanted).max() <= NEAR_SRGB)


def _deep_values(image: Image.Image, where: str) -> np.ndarray:
    """Return (H,W) float32 in [0, 1]."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "I" and image.info.get(BITS) == 32 and not image.info[SIGN]:
        values[values < 0] += 2**32  # which Pillow reads as signed
    if not np.isfinite(values).all():
        raise FileFormatError(f"{where} holds pixels that are not finite")
    transparent = image.info.get("transparency")
    gaps = values == transparent if isinstance(transparent, int) else None
    scale = _float_range(values, where) if image.mode == "F" else _range(image, values, where)
    values = (values / scale).clip(0, 1)
    if image.info.get(INVERTED):
        values = 1 - values
    with pillow_is_silent():
        values = _through_curve(values, _profile(image))
    if gaps is not None:
        values[gaps] = 1
    return values.astype(np.float32)


def _through_curve(values: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Return grey values in sRGB: what a profile makes of greys is one curve."""
    if profile is None or _space(profile) not in ("L", "RGB") or _is_srgb(profile):
        return values
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(_space(profile))
    curve = np.asarray(_convert(ramp, profile), np.float64)[0].mean(-1)
    return np.interp(values, np.linspace(0, 1, 256), curve / 255)


def _range(image: Image.Image, values: np.ndarray, where: str) -> float:
    """Return what white is among whole numbers; one that the file does not say is told."""
    low, high = values.min(), values.max()
    if low >= 0 and 2**31 <= high:  # of 32 bits, unsigned
        _tell(f"{where} holds values up to {high:g}, so white is taken as {2**32 - 1}")
        return 2**32 - 1
    if low < 0 or high > FULL:
        raise _unknown(where, low, high)
    if image.format in SCALED:
        return FULL
    said = float(image.info.get(WHITE, 0))
    if 0 < said <= FULL and high <= said:
        return said
    for bits in DEPTHS:
        if high < 2**bits:
            _tell(
                f"{where} does not say what white is; its values go up to {high:g}, so it is "
                f"taken as a picture of {bits} bits (0 to {2**bits - 1})"
            )
            return 2**bits - 1
    if image.info.get(SIGN) and high < 2**15:
        _tell(f"{where} holds signed values up to {high:g}, so white is taken as {2**15 - 1}")
        return 2**15 - 1
    if image.info.get(BITS, 16) > 16:
        _tell(f"{where} holds values up to {high:g}, so white is taken as {FULL}")
    return FULL


def _float_range(values: np.ndarray, where: str) -> float:
    """Return what white is among real numbers: 1, unless most are beyond it, which is told."""
    low, high = values.min(), values.max()
    if 0 <= low and high <= 1:
        return 1
    beyond = float(((values < 0) | (values > 1)).mean())
    if beyond < 0.01:
        _tell(
            f"{where} holds values from {low:g} to {high:g}; white is taken as 1, and the "
            f"{beyond:.2%} of its pixels that are beyond 0 to 1 are cut off there"
        )
        return 1
    for scale in (255, FULL):
        if 0 <= low and high <= scale:
            _tell(f"{where} holds values up to {high:g}, so white is taken as {scale}")
            return scale
    raise _unknown(where, low, high)


def _unknown(where: str, low: float, high: float) -> FileFormatError:
    return FileFormatError(
        f"{where} holds pixel values from {low:g} to {high:g}; expected 0 to 1, 255 or {FULL}"
    )


def _tell_dark(image: Image.Image, where: str) -> None:
    """Warn of colours whose bits were put into 16 without being scaled: Pillow keeps the upper 8.

    What those were is lost here, so it cannot be put right.
    """
    if image.mode not in ("RGB", "RGBA") or image.info.get(BITS, 8) <= 8:
        return
    high = max(high for _, high in image.convert("RGB").getextrema())  # type: ignore[misc]
    if high < 2 ** (DEPTHS[-1] - 8):
        _tell(
            f"{where} is almost black: its values use at most {high + 1} of 256 parts of their "
            "16 bits; if they have fewer bits, scale them up first"
        )


def _tell(sentence: str) -> None:
    warnings.warn(sentence, CometWarning, stacklevel=2)
