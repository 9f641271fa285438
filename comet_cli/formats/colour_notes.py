"""What a picture's file says of its colours beside an ICC profile that Pillow finds.

PNGs have :mod:`.png_colours`. JPEG 2000, AVIF and HEIC say it in a box ``colr`` (ISO/IEC 15444-1,
I.5.3.3; ISO/IEC 23008-12), BMPs in their header (Windows, BITMAPV5HEADER), and cameras that record
Adobe RGB without a profile in their EXIF entries (DCF 2.0, section 4.5).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from PIL import Image

from comet_cli.formats.colour_spaces import (
    ADOBE_RGB,
    SAME_AS_BT709,
    UNSAID,
    code_points_profile,
    matrix_profile,
    power_curve,
    power_profile,
)
from comet_cli.formats.png_colours import colours_of as png_colours
from comet_cli.formats.png_entries import SIGNATURE

Said = tuple[bytes | None, str]
NOTHING: Said = (None, "")
CONTAINERS = (b"jp2h", b"meta", b"iprp", b"ipco")  # boxes that hold others
VERSIONED = (b"meta",)  # whose content begins with four bytes of version and flags
PLAIN_JP2 = (0, 12, 15, 16, 17, 18)  # grey, CMYK, sRGB, sYCC: read as they are
EXIF, INTEROPERABILITY, COLOUR_SPACE = 0x8769, 0xA005, 0xA001
ADOBE_GAMMA = 563 / 256


def colours_of(data: bytes, image: Image.Image) -> Said:
    """Return the ICC profile of a picture's colours and what is said that is not understood.

    Args:
        data: the file.
        image: as Pillow opened it; a profile that it found counts before everything but a PNG's.

    Returns:
        the profile, None for sRGB, where nothing is said or where Pillow has it already; and a part
        of a sentence, "" where all is understood.
    """
    if data.startswith(SIGNATURE):
        return png_colours(data)
    if image.info.get("icc_profile"):
        return NOTHING
    if image.format in ("AVIF", "HEIF", "JPEG2000"):
        return _from_boxes(data)
    if image.format in ("BMP", "DIB"):
        return _from_bitmap(data)
    if image.format in ("JPEG", "MPO", "TIFF", "WEBP"):
        return _from_exif(image)
    return NOTHING


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start, end) of the content of each box, and of those in boxes that hold others.

    A box that is broken ends it.
    """
    end = len(data) if end is None else end
    while start + 8 <= end:
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        inner = start + 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack(">Q", data[inner : inner + 8])
            inner += 8
        last = end if length == 0 else start + length
        if last < inner or last > end:
            return
        yield kind, inner, last
        if kind in CONTAINERS:
            yield from boxes(data, inner + 4 * (kind in VERSIONED), last)
        start = last


def _from_boxes(data: bytes) -> Said:
    for kind, start, end in boxes(data):
        if kind != b"colr":
            continue
        content = data[start:end]
        if content[:4] == b"nclx" and len(content) >= 10:
            return _from_code_points(*struct.unpack(">HH", content[4:8]))
        if content[:4] in (b"prof", b"rICC"):
            return content[4:], ""
        if content[:1] in (b"\2", b"\3"):
            return content[3:], ""
        if content[:1] == b"\1" and len(content) >= 7:
            (space,) = struct.unpack(">I", content[3:7])
            return None, "" if space in PLAIN_JP2 else f"says colours (JPEG 2000 space {space})"
    return NOTHING


def _from_code_points(primaries: int, transfer: int) -> Said:
    """Return what two code points mean; those of television of old are shown as sRGB."""
    known = (1 if code in (UNSAID, *SAME_AS_BT709) else code for code in (primaries, transfer))
    try:
        return code_points_profile(*known), ""
    except KeyError:
        return None, f"says colours (H.273 {primaries}, {transfer})"


def _from_bitmap(bmp: bytes) -> Said:
    """Return what a version 4 or 5 header says."""
    header = bmp[14:138]
    size = int.from_bytes(header[:4], "little")
    if size < 108 or len(header) < 108:
        return NOTHING
    space = header[56:60][::-1]  # stored as a little-endian number
    if space == b"MBED" and size >= 124:
        at, length = struct.unpack("<II", header[112:120])
        return bmp[14 + at : 14 + at + length] or None, ""
    if space == b"LINK":
        return None, "says that its colours are in another file"
    points = [n / 2**30 for n in struct.unpack("<9i", header[60:96])]
    gammas = [n / 2**16 for n in struct.unpack("<3I", header[96:108])]
    corners = [points[n : n + 3] for n in (0, 3, 6)]
    if space != b"\0\0\0\0" or min(gammas) <= 0 or min(map(sum, corners)) <= 0:
        return NOTHING
    white = [sum(each) for each in zip(*corners, strict=True)]
    places = tuple((c[0] / sum(c), c[1] / sum(c)) for c in (*corners, white))
    return power_profile(places, sum(gammas) / 3)


def _from_exif(image: Image.Image) -> Said:
    """Return Adobe RGB for a picture of a camera that says so, in the way that DCF names."""
    with contextlib.suppress(Exception):  # a broken EXIF block says nothing
        exif = image.getexif()
        wide = exif.get_ifd(EXIF).get(COLOUR_SPACE) == 2  # older cameras'
        index = str(exif.get_ifd(INTEROPERABILITY).get(1, ""))
        if wide or index.startswith("R03"):
            return matrix_profile(ADOBE_RGB, power_curve(ADOBE_GAMMA)), ""
    return NOTHING
