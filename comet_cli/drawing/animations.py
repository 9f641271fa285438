"""Animations, as an animated PNG, GIF, WebP or MP4: of frames, or of a descent.

Every frame is what was rendered, to the bit, except in a GIF, which holds 256 colours a frame.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comet_cli.errors import CometError, UsageError
from comet_cli.formats.files import show
from comet_cli.formats.images import encode_png, enlarge, to_bytes
from comet_cli.formats.picture_recipe import PictureRecipe, embed_recipe
from comet_cli.formats.seal import OPEN, sealed
from comet_cli.version import __version__

FORMATS = {".apng": "PNG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".mp4": "MP4"}
SIDE = 256
FRAME_MS = 80
LAST_MS = 1600
MAX_FRAMES = 120


def check_trace(path: str) -> None:
    """Check that a trace can be written under this name; see :func:`check_animation`."""
    check_animation(path, "trace")


def check_animation(path: str, what: str = "animation") -> None:
    """Check that an animation can be written under this name.

    Raises:
        UsageError: another ending than those of the animated formats.
        CometError: an MP4 without PyAV.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(
            f"the {what} '{show(path)}' must end in one of {', '.join(sorted(FORMATS))}"
        )
    if FORMATS[Path(path).suffix.lower()] == "MP4":
        _video_library()


def _video_library() -> Any:
    try:
        import av
    except ImportError:
        raise CometError(
            "an MP4 needs PyAV, which is not installed; "
            "pip install av, or write .apng, .gif or .webp"
        ) from None
    return av


class Trace:
    """A descent's callback that keeps pictures; of long descents, every second, fourth … one."""

    def __init__(self) -> None:
        """Start empty."""
        self.frames: list[np.ndarray] = []
        self._stride = 1

    def __call__(self, n: int, x: Any) -> None:
        """Keep the first picture of x (B,3,R,R)."""
        if n % self._stride:
            return
        self.frames.append(to_bytes(x[0]))
        if len(self.frames) > MAX_FRAMES:
            self.frames = self.frames[::2]
            self._stride *= 2

    def animation(self, last: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
        """Return the frames, enlarged, and how long each is shown, in milliseconds.

        Args:
            last: (R,R,3) uint8, the finished picture; held for longer.
        """
        frames = self.frames if np.array_equal(self.frames[-1], last) else [*self.frames, last]
        times = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
        return [enlarge(frame, SIDE) for frame in frames], times


def encode_animation(
    path: str,
    frames: Sequence[np.ndarray],
    times: Sequence[int],
    recipe: PictureRecipe | None = None,
) -> bytes:
    """Return an animation's file, in the format that the path's ending asks for.

    Args:
        path: where it will go.
        frames: (H,W,3) uint8 each.
        times: how long each is shown, in milliseconds.
        recipe: embedded in an animated PNG.
    """
    kind = FORMATS[Path(path).suffix.lower()]
    mark = f"comet-trace {__version__} {OPEN.decode()}"
    if kind == "MP4":
        return sealed(_encode_video(frames, times, mark))
    if len(frames) == 1 and kind == "PNG":
        return encode_png(frames[0], recipe)
    options: dict[str, Any] = {}
    if kind == "GIF":
        options = {"comment": mark, "optimize": False}
    elif kind == "WEBP":
        options = {"xmp": mark.encode(), "lossless": True}
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        kind,
        save_all=True,
        append_images=images[1:],
        duration=list(times),
        loop=0,
        **options,
    )
    data = buffer.getvalue()
    if kind != "PNG":
        return sealed(data)
    if recipe is None:
        return data
    return embed_recipe(data, recipe, frames[0])


def _encode_video(frames: Sequence[np.ndarray], times: Sequence[int], mark: str) -> bytes:
    """Return H.264 in its lossless RGB profile, which every frame survives unchanged."""
    av = _video_library()
    buffer = io.BytesIO()
    height, width = frames[0].shape[:2]
    # A track of one duration a frame: one that stands longer is repeated, and the parts that a
    # time is rounded by are carried over to the next.
    even = max(times) - min(times) <= 1
    pace = float(np.mean(times)) if even else max(min(times), sum(times) / (20 * len(times)))
    shown = np.rint(np.cumsum([0, *times]) / pace).astype(int)
    with av.open(buffer, "w", format="mp4") as video:
        video.metadata["comment"] = mark
        rate = Fraction(pace / 1000).limit_denominator(100_000)
        stream = video.add_stream("libx264rgb", rate=1 / rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb24"
        stream.options = {"qp": "0", "preset": "medium"}
        for frame, begin, end in zip(frames, shown, shown[1:], strict=False):
            for _ in range(max(1, end - begin)):
                video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())
    return buffer.getvalue()
