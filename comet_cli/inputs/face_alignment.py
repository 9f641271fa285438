"""Photos of faces, cropped and rotated as the pictures of CelebA-HQ are.

Faces and their landmarks are found by dlib, an extra. Positions are in pixels from the top left
corner of a picture, x to the right and y down; the middle of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from comet_cli.errors import CometError, MissingExtraError
from comet_cli.formats.files import show
from comet_cli.formats.images import encode_png, load_whole

Note = Callable[[str], None]
# From a picture to the landmarks of its faces, the largest face first. The landmarks of a face are
# (4,2): the middles of its eyes e0 and e1, the corners of its mouth m0 and m1, left before right.
Finder = Callable[[Image.Image], list[np.ndarray]]

MAX_SIDE = 1024  # of an aligned picture; more than any model takes
_DETECTION_SIDE = 1280  # dlib finds faces of 80 pixels, here a sixteenth of the picture, and larger
# dlib sees faces that are at most some 30 degrees from upright; where there is none, the photo is
# turned.
_TURNS = ((0,), (30, -30), (90, -90), (180,))
_REFINED_SIDE = 512


def align_faces(data: bytes, where: str, find: Finder, note: Note | None = None) -> bytes:
    """Cut the largest face out of a photo.

    Args:
        data: an image file.
        where: the file, as messages name it.
        find: see :func:`load_finder`.
        note: told if the photo shows several faces.

    Returns:
        A square PNG, of at most `MAX_SIDE` pixels a side.

    Raises:
        FileFormatError: not an image.
        CometError: no face is found.
    """
    image = load_whole(data, where)
    faces = find(image)
    if not faces:
        raise CometError(
            f"{where} shows no face that can be found, expected one seen from the front, its eyes "
            "and mouth uncovered; leave out --align to encode the picture as it is"
        )
    if len(faces) > 1 and note is not None:
        note(f"{where} shows {len(faces)} faces; the largest is taken")
    return encode_png(np.asarray(cut_out(image, crop_square(faces[0]), MAX_SIDE)))


def crop_square(landmarks: np.ndarray) -> np.ndarray:
    """Return the square that CelebA-HQ cuts out around a face (Karras et al. 2018, appendix C).

    x' = e1 - e0,  y' = (e0 + e1)/2 - (m0 + m1)/2,  c = (e0 + e1)/2 - 0.1 y',
    s = max(4.0 |x'|, 3.6 |y'|),  x = (x' - rot90 y') / |x' - rot90 y'|,  y = rot90 x.

    Args:
        landmarks: (4,2) e0, e1, m0, m1.

    Returns:
        (4,2) corners: top left, top right, bottom right, bottom left, as the face sees it.

    Raises:
        CometError: landmarks that span no square, which no face has.
    """
    e0, e1, m0, m1 = np.asarray(landmarks, np.float64)
    across = e1 - e0
    upward = (e0 + e1) / 2 - (m0 + m1) / 2
    centre = (e0 + e1) / 2 - 0.1 * upward
    side = max(4.0 * np.linalg.norm(across), 3.6 * np.linalg.norm(upward))
    x = across - _rot90(upward)
    length = np.linalg.norm(x)
    if not length > 0:
        raise CometError("the eyes and the mouth of the face are found at impossible places")
    x = x / length
    y = _rot90(x)
    return centre + side / 2 * np.array([y - x, y + x, x - y, -x - y])


def _rot90(vector: np.ndarray) -> np.ndarray:
    """Rotate anticlockwise as one sees it: y runs down."""
    return np.array([vector[1], -vector[0]])


def cut_out(image: Image.Image, corners: np.ndarray, most: int) -> Image.Image:
    """Cut a square that may be rotated, and leave the picture, out of a picture.

    Outside, the picture goes on mirrored, and more and more blurred.

    Args:
        image: RGB.
        corners: (4,2) top left, top right, bottom right, bottom left.
        most: pixels a side at most; a smaller square keeps its size.
    """
    side = float(np.linalg.norm(corners[1] - corners[0]))
    # Whole blocks of pixels are averaged first; what is left is a reduction by less than two.
    block = max(1, int(side // most))
    image, corners, side = image.reduce(block), corners / block, side / block
    low = np.floor(corners.min(0)).astype(int) - 2  # the reach of the bicubic filter
    high = np.ceil(corners.max(0)).astype(int) + 2
    if (low < 0).any() or (high > image.size).any():
        image = _extend(image, low, high, side)
        corners = corners - low
    pixels = max(1, min(most, math.ceil(side)))
    (a, d), (b, e) = (corners[1] - corners[0]) / pixels, (corners[3] - corners[0]) / pixels
    c, f = corners[0]
    return image.transform(
        (pixels, pixels), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )


def _extend(image: Image.Image, low: np.ndarray, high: np.ndarray, side: float) -> Image.Image:
    """Return the part of a picture from `low` to `high`, which may lie outside of it."""
    # The picture is padded, never cropped first, so that the mirror stands at its border.
    before, after = np.maximum(0, -low), np.maximum(0, high - image.size)
    padded = np.pad(
        np.asarray(image),
        ((before[1], after[1]), (before[0], after[0]), (0, 0)),
        mode="symmetric",
    )
    start = low + before
    width, height = high - low
    part = Image.fromarray(padded[start[1] : start[1] + height, start[0] : start[0] + width])
    outside = np.maximum(
        _distance(low[0], high[0], image.width)[None, :],
        _distance(low[1], high[1], image.height)[:, None],
    )
    weight = (outside / (0.1 * side)).clip(0, 1) * 255
    blurred = part.filter(ImageFilter.GaussianBlur(0.02 * side))
    return Image.composite(blurred, part, Image.fromarray(weight.astype(np.uint8)))


def _distance(low: int, high: int, size: int) -> np.ndarray:
    """Return how far each pixel from `low` to `high` is outside of [0, size)."""
    at = np.arange(low, high)
    return np.maximum(np.maximum(-at, at - (size - 1)), 0)


def load_finder() -> Finder:
    """Load dlib's face detector and its model of 68 landmarks.

    Raises:
        MissingExtraError: they are not installed.
        CometError: the model cannot be read.
    """
    # The package of the models is not imported: all it does then is to ask for setuptools.
    spec = importlib.util.find_spec("face_recognition_models")
    try:
        import dlib
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "--align face needs dlib and its face models, which are not installed: "
            "pip install dlib-bin face_recognition_models"
        )
    folder = Path(spec.submodule_search_locations[0]) / "models"
    path = folder / "shape_predictor_68_face_landmarks.dat"
    try:
        return _DlibFinder(dlib, path)
    except RuntimeError as error:
        raise CometError(
            f"the landmark model '{show(path)}' cannot be read ({show(str(error))}); reinstall it: "
            "pip install --force-reinstall face_recognition_models"
        ) from None


class _DlibFinder:
    """Faces and their landmarks, by dlib."""

    def __init__(self, dlib: Any, path: Path) -> None:
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(path))

    def __call__(self, image: Image.Image) -> list[np.ndarray]:
        block = max(1, max(image.size) // _DETECTION_SIDE)
        small = image.reduce(block)
        for turns in _TURNS:
            _, faces = max((self._look(small, turn) for turn in turns), key=lambda seen: seen[0])
            for n, face in enumerate(faces):
                refined = self._refine(image, face * block)
                if refined is not None:
                    return [refined, *(f * block for f in faces[n + 1 :])]
        return []

    def _look(self, image: Image.Image, turn: float) -> tuple[float, list[np.ndarray]]:
        """Detect faces in a picture that is turned by some degrees."""
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        axes = np.array([[cos, -sin], [sin, cos]])
        size = np.abs(axes) @ image.size  # of the rectangle that holds the turned picture
        start = (np.array(image.size) - axes @ size) / 2
        scale = _DETECTION_SIDE / max(image.size)
        return self._detect(image, start, axes / scale, np.ceil(size * scale))

    def _refine(self, image: Image.Image, landmarks: np.ndarray) -> np.ndarray | None:
        """Look at a face again, upright and large, until its landmarks stay where they are.

        None if they do not: what looks like a face in one position only is seldom one.
        """
        for _ in range(4):
            corners = crop_square(landmarks)
            axes = np.array([corners[1] - corners[0], corners[3] - corners[0]]).T
            side = float(np.linalg.norm(axes[:, 0]))
            block = max(1, int(side // _REFINED_SIDE))
            _, faces = self._detect(
                image.reduce(block),
                corners[0] / block,
                axes / block / _REFINED_SIDE,
                np.full(2, _REFINED_SIDE),
            )
            if not faces:
                return None
            moved = np.abs(faces[0] * block - landmarks).max()
            landmarks = faces[0] * block
            if moved < 0.03 * side:
                return landmarks
        return None

    def _detect(
        self, image: Image.Image, start: np.ndarray, axes: np.ndarray, size: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        """Look for upright faces in a part of a picture.

        Args:
            image: RGB.
            start: (2,) where the part begins.
            axes: (2,2) its steps to the right and down, as columns.
            size: (2,) how many steps it is wide and high.

        Returns:
            The score of the face that is seen best, and the landmarks of all, largest first.
        """
        (a, b), (d, e) = axes
        width, height = (int(pixels) for pixels in size)
        part = np.asarray(
            image.transform(
                (width, height),
                Image.Transform.AFFINE,
                (a, b, start[0], d, e, start[1]),
                Image.Resampling.BICUBIC,
            )
        )
        boxes, scores, _ = self._detector.run(part, 0, 0.0)
        faces = []
        for box in sorted(boxes, key=lambda box: box.area(), reverse=True):
            points = self._predictor(part, box).parts()
            x = np.array([[point.x, point.y] for point in points]) + 0.5
            marks = np.array([x[36:42].mean(0), x[42:48].mean(0), x[48], x[54]])
            faces.append(start + marks @ axes.T)
        return max(scores, default=-math.inf), faces
