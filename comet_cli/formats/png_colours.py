"""What colours the numbers of a PNG stand for (PNG, third edition, 11.3.2), as an ICC profile.

A PNG says so in one of four ways. The first of these that is there counts: cICP (code points of
ITU-T H.273), iCCP (a profile), sRGB, and gAMA with cHRM (a power, and the primaries' places).
"""

from __future__ import annotations

import struct

import numpy as np

from comet_cli.formats.colour_spaces import BT709, code_points_profile, power_profile
from comet_cli.formats.png_entries import chunks, profile_in


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
    return power_profile(places, 1e5 / power)


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
    try:
        if (matrix, full) != (0, 1):  # pixels of a PNG are RGB, from 0 to all
            raise KeyError
        return code_points_profile(primaries, transfer), ""
    except KeyError:
        return None, f"says colours (cICP {primaries}, {transfer}, {matrix}, {full})"
