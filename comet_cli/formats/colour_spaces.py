"""Colour spaces that files name by ITU-T H.273's code points, and ICC profiles of them.

PNGs (cICP) and videos use the same numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
Places = tuple[tuple[float, float], ...]

UNSAID = 2  # in every table of H.273
BT709_MATRIX = 1  # its table 4
D65 = (0.3127, 0.3290)
# Places of red, green, blue and white as CIE 1931 x, y, by H.273's code points (its table 2).
BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
PRIMARIES = {
    1: BT709,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
SAME_AS_BT709 = (5, 6)  # of old television, too near to tell
SRGB = 13
SAME_POWER = 0.05  # 1 / 2.2 is how programs write sRGB
SAME_PLACE = 0.002
LEVELS = 1024  # of a curve
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def _toe(low: float, slope: float, offset: float, power: float) -> Curve:
    """Return a power law with a straight part below ``low``."""
    return lambda v: np.where(v < low, v / slope, ((v + offset) / (1 + offset)) ** power)


def power_curve(power: float) -> Curve:
    """Return a power law."""
    return lambda v: v**power


# From a value in [0, 1] to light in [0, 1], by H.273's code points (its table 3).
_SRGB_CURVE = _toe(0.04045, 12.92, 0.055, 2.4)
CURVES = {
    # Those of television cameras: screens show them as sRGB, and so are a video's frames read.
    **dict.fromkeys((1, 6, 14, 15, SRGB), _SRGB_CURVE),
    4: power_curve(2.2),
    5: power_curve(2.8),
    8: power_curve(1.0),
}
# What is named where it cannot be converted.
WIDE = {9: "BT.2020", 12: "Display P3"}
HDR = {16: "PQ", 18: "HLG"}


@lru_cache(16)
def code_points_profile(primaries: int, transfer: int) -> bytes | None:
    """Return the ICC profile of two code points; None for sRGB, and what screens show as sRGB.

    Raises:
        KeyError: a code point that is not known here, such as one of an HDR curve.
    """
    places, curve = PRIMARIES[primaries], CURVES[transfer]
    if places is BT709 and curve is _SRGB_CURVE:
        return None
    return matrix_profile(places, curve)


def power_profile(places: Places, power: float) -> tuple[bytes | None, str]:
    """Return the profile of primaries and one power, and what is odd about them.

    Returns:
        the profile, None for what is near sRGB or cannot be; and a part of a sentence, "" where
        nothing is odd.
    """
    alike = np.abs(np.array(places) - np.array(BT709)).max() <= SAME_PLACE
    if alike and abs(2.2 / power - 1) <= SAME_POWER:
        return None, ""
    try:
        return matrix_profile(places, power_curve(power)), ""
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None, "gives primaries that no screen has"


def matrix_profile(places: Places, curve: Curve) -> bytes:
    """Return a profile of a matrix and a curve (ICC.1:2001-04, sections 6.1 and 6.3.1.2).

    Args:
        places: x, y of red, green, blue and white.
        curve: from values to light.

    Raises:
        ValueError, ArithmeticError, numpy.linalg.LinAlgError: primaries that no screen has.
    """
    corners = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in places])
    white = corners[3]
    columns = corners[:3].T * np.linalg.solve(corners[:3].T, white)
    cone = _BRADFORD @ _D50 / (_BRADFORD @ white)
    columns = np.linalg.inv(_BRADFORD) @ np.diag(cone) @ _BRADFORD @ columns
    if not np.isfinite(columns).all() or np.abs(columns).max() > 16:
        raise ValueError("no such primaries")
    light = np.clip(curve(np.linspace(0, 1, LEVELS)), 0, 1)
    table = np.round(light * 65535).astype(">u2").tobytes()
    values = b"curv\0\0\0\0" + struct.pack(">I", LEVELS) + table
    tags = [(b"wtpt", _point(_D50))]
    tags += list(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_point, columns.T), strict=True))
    start, index, body = 132 + 12 * (len(tags) + 3), b"", b""
    for name, data in tags:
        index += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    for name in (b"rTRC", b"gTRC", b"bTRC"):  # which share one curve
        index += struct.pack(">4sII", name, start + len(body), len(values))
    head = struct.pack(">I4s", start + len(body) + len(values), b"comt") + b"\x02\x10\0\0"
    head += b"mntrRGB XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28
    head += struct.pack(">3i", *(round(v * 65536) for v in _D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags) + 3) + index + body + values


def _point(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in values))
