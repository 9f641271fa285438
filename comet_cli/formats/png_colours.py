"""What colours the numbers of a PNG stand for (PNG, third edition, 11.3.2), as an ICC profile.

A PNG says so in one of four ways. The first of these that is there counts: cICP (code points of
ITU-T H.273), iCCP (a profile), sRGB, and gAMA with cHRM (a power, and the primaries' places).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from comet_cli.formats.png_entries import chunks, profile_in

Curve = Callable[[np.ndarray], np.ndarray]

D65 = (0.3127, 0.3290)
# Places of red, green, blue and white as CIE 1931 x, y, by H.273's code points (its table 2).
BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
PRIMARIES = {
    1: BT709,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
SRGB = 13
SAME_POWER = 0.05  # of gAMA: 1 / 2.2 is how programs write sRGB
SAME_PLACE = 0.002
LEVELS = 1024  # of a curve
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def _toe(low: float, slope: float, offset: float, power: float) -> Curve:
    """Return a power law with a straight part below ``low``."""
    return lambda v: np.where(v < low, v / slope, ((v + offset) / (1 + offset)) ** power)


def _power(power: float) -> Curve:
    return lambda v: v**power


# From a value in [0, 1] to light in [0, 1], by H.273's code points (its table 3).
_SRGB_CURVE = _toe(0.04045, 12.92, 0.055, 2.4)
CURVES = {
    # Those of television cameras: screens show them as sRGB, and so are a video's frames read.
    **dict.fromkeys((1, 6, 14, 15, SRGB), _SRGB_CURVE),
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
}


def colours_of(png: bytes) -> tuple[bytes | None, str]:
    """Return the ICC profile of a PNG's colours and what is said that is not understood.

    Returns:
        the profile, None for sRGB or where nothing is said; and a part of a sentence, "" where all
        is understood.
    """
    said = _said(png)
    if b"cICP" in said:
        return _from_code_points(said[b"cICP"])
    if (profile := profile_in(png)) is not None or b"sRGB" in said or b"gAMA" not in said:
        return profile, ""
    (power,) = struct.unpack(">I", said[b"gAMA"]) if len(said[b"gAMA"]) == 4 else (0,)
    if not 1000 <= power <= 10_000_000:
        return None, "gives a gamma that no picture has"
    places: tuple[tuple[float, float], ...] = BT709
    if len(said.get(b"cHRM", b"")) == 32:
        white, *others = np.array(struct.unpack(">8I", said[b"cHRM"])).reshape(4, 2) / 1e5
        places = tuple((float(x), float(y)) for x, y in (*others, white))
    alike = np.abs(np.array(places) - np.array(BT709)).max() <= SAME_PLACE
    if alike and abs(power / 1e5 * 2.2 - 1) <= SAME_POWER:
        return None, ""
    try:
        return _profile(places, _power(1e5 / power)), ""
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return None, "gives primaries (cHRM) that no screen has"


def _said(png: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for kind, start, end in chunks(png):
        if kind == b"IDAT":
            break
        if kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM"):
            found.setdefault(kind, png[start:end])
    return found


def _from_code_points(said: bytes) -> tuple[bytes | None, str]:
    primaries, transfer, matrix, full = said if len(said) == 4 else (0, 0, 0, 0)
    if primaries not in PRIMARIES or transfer not in CURVES or matrix != 0 or full != 1:
        return None, f"says colours (cICP {primaries}, {transfer}, {matrix}, {full})"
    if primaries == 1 and CURVES[transfer] is _SRGB_CURVE:
        return None, ""
    return _profile(PRIMARIES[primaries], CURVES[transfer]), ""


def _profile(places: tuple[tuple[float, float], ...], curve: Curve) -> bytes:
    """Return a profile of a matrix and a curve (ICC.1:2001-04, sections 6.1 and 6.3.1.2).

    Args:
        places: x, y of red, green, blue and white.
        curve: from values to light.
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
