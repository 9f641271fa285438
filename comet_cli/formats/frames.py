"""Videos and animated pictures, frame by frame.

A frame becomes an uncompressed PPM file in sRGB, whose bytes, and so the hash that a ``.z`` holds
of its picture, are the same with every version of every library.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.errors import CometWarning, FileFormatError, MissingExtraError
from comet_cli.formats.channels import pillow_is_silent, pixels_to_srgb, to_channels
from comet_cli.formats.colour_spaces import BT709_MATRIX, HDR, UNSAID, WIDE, code_points_profile
from comet_cli.formats.files import STANDARD, read_input, show
from comet_cli.formats.foreign import is_video
from comet_cli.formats.images import MAX_PIXELS, identify
from comet_cli.formats.png_entries import SIGNATURE, is_animated

ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # where several pictures are frames, not pages
TIFF = (b"II*\0", b"MM\0*")
MAX_FRAMES = 99_999
HEAD_BYTES = 1 << 16
AT_ONCE = 0.01  # seconds; a GIF that asks for less is shown by browsers at SLOW
SLOW = 0.1


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        picture: a PPM file in sRGB, whole.
        seconds: how long it is shown.
    """

    picture: bytes
    seconds: float


def has_frames(path: str | Path) -> bool:
    """Say whether a file is a video or an animated picture; what is no file is neither.

    Only a file that may be one is read whole.
    """
    try:
        if str(path) == STANDARD or not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return False
    if is_video(head):
        return True
    if head[:4] == b"RIFF":  # the flag of the extended WebP format
        return head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)
    if head.startswith(SIGNATURE):
        return is_animated(head if b"IDAT" in head else read_input(path))
    if head.startswith(b"GIF8") or head[4:12] == b"ftypavis":
        return count_frames(read_input(path)) > 1
    return False


def count_frames(data: bytes) -> int:
    """Return how many frames a picture's file holds; 1 where it is broken, or holds pages."""
    return _count(data, ANIMATED)


def _count(data: bytes, formats: tuple[str, ...]) -> int:
    try:
        with pillow_is_silent():
            image = identify(data, "the image")
            return int(getattr(image, "n_frames", 1)) if image.format in formats else 1
    except FileFormatError:
        return 1
    except Exception:  # Pillow raises many kinds on hostile files
        return 1


def tell_first(data: bytes, where: str) -> None:
    """Warn that of an animated picture the first frame is taken, or of several pages the first."""
    if data.startswith(TIFF):
        if (pages := _count(data, ("TIFF",))) > 1:
            _tell(f"{where} holds {pages} pages, of which the first is taken")
        return
    if data.startswith((b"GIF8", b"RIFF", SIGNATURE)) or data[4:12] == b"ftypavis":
        if data.startswith(SIGNATURE) and not is_animated(data):
            return
        if (count := count_frames(data)) > 1:
            _tell(
                f"{where} is an animation of {count} frames, of which the first is taken; "
                "comet encode FILE makes a .z of each"
            )


@dataclass(frozen=True)
class Survey:
    """A video or an animated picture, looked through once.

    Attributes:
        count: how many frames it has.
        samples: some of them, evenly spread.
    """

    count: int
    samples: tuple[Frame, ...]


def look_through(data: bytes, where: str, most: int = 8) -> Survey:
    """Read all frames once, keep at most ``most`` of them, and find what is broken.

    Raises:
        FileFormatError, MissingExtraError: see :func:`read_frames`.
    """
    kept: list[Frame] = []
    count, stride = 0, 1
    for count, frame in enumerate(read_frames(data, where), 1):
        if (count - 1) % stride == 0:
            kept.append(frame)
        if len(kept) > most:
            kept, stride = kept[::2], 2 * stride
    return Survey(count, tuple(kept))


def read_frames(data: bytes, where: str) -> Iterator[Frame]:
    """Yield the frames of a video or an animated picture.

    Args:
        data: the file.
        where: named in messages.

    Raises:
        FileFormatError: a broken file, one without a picture, or of more than 99,999 frames.
        MissingExtraError: a video, and PyAV is not installed.
    """
    frames = _video_frames(data, where) if is_video(data) else _picture_frames(data, where)
    for n, frame in enumerate(frames):
        if n == MAX_FRAMES:
            raise FileFormatError(f"{where} has more than {MAX_FRAMES:,} frames; cut it first")
        yield frame


def _picture_frames(data: bytes, where: str) -> Iterator[Frame]:
    image = identify(data, where)
    n, first = 0, int(bool(getattr(image, "default_image", False)))  # which no animation shows
    try:
        total = int(getattr(image, "n_frames", 1))
        for n in range(first, total):
            with pillow_is_silent():
                image.seek(n)
                image.load()
            seconds = float(image.info.get("duration", 0)) / 1000
            if image.format == "GIF" and seconds <= AT_ONCE:
                seconds = SLOW
            frame = image.copy()
            frame.format = image.format
            pixels = np.asarray(to_channels(frame, where).convert("RGB"))
            yield Frame(_ppm(pixels), seconds)
    except FileFormatError:
        raise
    except Exception as error:
        raise _broken(n - first, where, error) from None


def _video_frames(data: bytes, where: str) -> Iterator[Frame]:
    av = _video_library(where)
    n = 0
    try:
        with av.open(io.BytesIO(data)) as video:
            if not video.streams.video:
                raise FileFormatError(f"{where} holds no video, expected a picture or a video")
            stream = video.streams.video[0]
            stream.thread_type = "AUTO"
            _check_video(stream, where)
            usual = float(1 / stream.average_rate) if stream.average_rate else 0.04
            held: tuple[bytes, float] | None = None  # shown until the next one is
            for frame in video.decode(stream):
                if n == 0:
                    _tell_colours(frame, where)
                began = held[1] + usual if frame.time is None and held else float(frame.time or 0)
                if held is not None:
                    yield Frame(held[0], max(0.001, began - held[1]))
                held = (_ppm(_video_pixels(frame)), began)
                n += 1
            if held is not None:
                yield Frame(held[0], usual)
    except FileFormatError:
        raise
    except av.error.FFmpegError as error:
        raise _broken(n, where, error) from None
    if n == 0:
        raise FileFormatError(f"{where} holds no frame that can be decoded")


def _video_library(where: str) -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtraError(
            f"{where} is a video, which needs PyAV, which is not installed; pip install av"
        ) from None
    return av


def _check_video(stream: Any, where: str) -> None:
    """Refuse, before any is decoded, frames that are too large or too many."""
    if stream.width * stream.height > MAX_PIXELS:
        raise FileFormatError(
            f"{where} has frames of more than {MAX_PIXELS // 1_000_000} million pixels"
        )
    if stream.frames > MAX_FRAMES:
        raise FileFormatError(
            f"{where} has {stream.frames:,} frames, more than {MAX_FRAMES:,}; cut it first"
        )


def _matrix_is_unsaid(frame: Any) -> bool:
    return frame.colorspace == UNSAID and not frame.format.is_rgb


def _matrix(frame: Any) -> int | None:
    """Return how luma and chroma become RGB, where the file does not say it: as players do."""
    return BT709_MATRIX if _matrix_is_unsaid(frame) and frame.height >= 720 else None


def _code_points(frame: Any) -> tuple[int, int]:
    """Return the primaries and the transfer curve of a frame; those of sRGB where it has none."""
    said = (getattr(frame, name, UNSAID) for name in ("color_primaries", "color_trc"))
    primaries, curve = (int(code) for code in said)
    return (1 if primaries in (0, UNSAID) else primaries), (1 if curve in (0, UNSAID) else curve)


def _profile(frame: Any) -> bytes | None:
    """Return the profile that a frame is converted from; None for sRGB, and what is not known."""
    try:
        return code_points_profile(*_code_points(frame))
    except KeyError:
        return None


def _tell_colours(frame: Any, where: str) -> None:
    codes = _code_points(frame)
    primaries, curve = WIDE.get(codes[0]), HDR.get(codes[1])
    if (curve or primaries) and _profile(frame) is None:
        what = f"{primaries or 'other'} colours{f' with the HDR curve {curve}' if curve else ''}"
        _tell(
            f"{where} has {what}, which are read as if they were sRGB; convert the video to BT.709 "
            "first where colours matter"
        )
    elif _matrix_is_unsaid(frame):
        taken = "BT.709" if _matrix(frame) else "BT.601"
        _tell(
            f"{where} does not say how its colours are stored; {taken} is taken, as is usual for "
            f"{frame.height} lines"
        )


def _video_pixels(frame: Any) -> np.ndarray:
    """Return (H,W,3) uint8 in sRGB, turned as the file says."""
    pixels = frame.to_ndarray(format="rgb24", src_colorspace=_matrix(frame))
    if (profile := _profile(frame)) is not None:
        pixels = pixels_to_srgb(pixels, profile)
    quarters = round(float(getattr(frame, "rotation", 0) or 0) / 90)  # anticlockwise
    return np.rot90(pixels, quarters) if quarters % 4 else pixels


def _ppm(pixels: np.ndarray) -> bytes:
    """Return (H,W,3) uint8 as a PPM file."""
    header = f"P6\n{pixels.shape[1]} {pixels.shape[0]}\n255\n".encode()
    return header + np.ascontiguousarray(pixels).tobytes()


def _broken(n: int, where: str, error: Exception) -> FileFormatError:
    reason = show(str(getattr(error, "strerror", "") or error).strip().rstrip("."))
    return FileFormatError(
        f"{where} is broken or truncated after frame {n}: {reason or type(error).__name__}"
    )


def _tell(sentence: str) -> None:
    warnings.warn(sentence, CometWarning, stacklevel=2)
