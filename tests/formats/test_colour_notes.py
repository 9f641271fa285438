"""Colours that a file says in another way than a profile that Pillow finds."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from comet_cli.errors import CometWarning
from comet_cli.formats.colour_notes import ADOBE_GAMMA, boxes
from comet_cli.formats.colour_spaces import (
    ADOBE_RGB,
    code_points_profile,
    matrix_profile,
    power_curve,
)
from comet_cli.formats.images import load_whole

P3 = code_points_profile(12, 13)
ADOBE = matrix_profile(ADOBE_RGB, power_curve(ADOBE_GAMMA))
Y, X = np.mgrid[:32, :32] / 31
SRGB = (np.stack([0.2 + 0.6 * X, 0.2 + 0.6 * Y, 0.8 - 0.6 * X * Y], -1) * 255).astype(np.uint8)


def seen_in(profile: bytes) -> Image.Image:
    """Return the picture's numbers in another space."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(Image.fromarray(SRGB), srgb, opened, outputMode="RGB")
    del image.info["icc_profile"]
    return image


def file_of(image: Image.Image, kind: str, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def jpeg2000(colours: bytes) -> bytes:
    """Return a JPEG 2000 file whose box of colours holds this."""
    data = file_of(seen_in(P3), "JPEG2000")
    header = data.index(b"jp2h") - 4
    (length,) = struct.unpack(">I", data[header : header + 4])
    at = data.index(b"colr", header) - 4
    (old,) = struct.unpack(">I", data[at : at + 4])
    box = struct.pack(">I", 8 + len(colours)) + b"colr" + colours
    head = struct.pack(">I", length - old + len(box))
    return data[:header] + head + data[header + 4 : at] + box + data[at + old :]


def avif(primaries: int, transfer: int) -> bytes:
    if not features.check("avif"):
        pytest.skip("no AVIF")
    data = file_of(seen_in(P3), "AVIF", quality=100, subsampling="4:4:4")
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def bitmap(space: bytes, profile: bytes = b"", rest: bytes = b"", colours: bytes = P3) -> bytes:
    """Return a BMP with a version 5 header."""
    pixels = np.asarray(seen_in(colours))[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 32, 32, 1, 24, 0, len(pixels), 1, 1, 0, 0)
    header += b"\0" * 16 + space[::-1] + rest.ljust(48, b"\0")
    header += struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    size = 14 + len(header) + len(pixels) + len(profile)
    return struct.pack("<2sIII", b"BM", size, 0, 138) + header + pixels + profile


def camera(**said) -> bytes:
    exif = Image.Exif()
    for tag, value in said.items():
        exif.get_ifd(0x8769)[{"space": 0xA001, "interoperability": 0xA005}[tag]] = value
    return file_of(seen_in(ADOBE), "JPEG", quality=100, subsampling=0, exif=exif.tobytes())


def calibrated() -> bytes:
    """Return what a BMP of Adobe RGB says of its primaries and of its power."""
    corners = [(x / y, 1.0, (1 - x - y) / y) for x, y in ADOBE_RGB]
    scale = np.linalg.solve(np.array(corners[:3]).T, corners[3])
    points = (np.array(corners[:3]) * scale[:, None]).ravel()
    return struct.pack("<9i3I", *(points * 2**30).astype(int), *[int(ADOBE_GAMMA * 2**16)] * 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: jpeg2000(b"\2\0\0" + P3),
        lambda: avif(12, 13),
        lambda: bitmap(b"MBED", P3),
        lambda: bitmap(b"\0\0\0\0", rest=calibrated(), colours=ADOBE),
        lambda: camera(space=65535, interoperability={1: "R03"}),
        lambda: camera(space=2),
    ],
    ids=["JPEG 2000", "AVIF", "BMP", "calibrated BMP", "DCF", "older camera"],
)
def test_colours_are_converted_whatever_says_them(make, recwarn):
    found = np.asarray(load_whole(make()), int)
    assert np.abs(found - SRGB).max() <= 12 and np.abs(found - SRGB).mean() < 1.5
    assert not recwarn.list


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: avif(9, 16), r"says colours \(H.273 9, 16\), which comet does not know"),
        (lambda: jpeg2000(b"\1\0\0" + struct.pack(">I", 21)), "JPEG 2000 space 21"),
        (lambda: bitmap(b"LINK"), "colours are in another file"),
    ],
)
def test_colours_that_are_not_known_are_told(make, told):
    with pytest.warns(CometWarning, match=told):
        load_whole(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: avif(1, 13),
        lambda: avif(2, 2),
        lambda: avif(6, 6),
        lambda: jpeg2000(b"\1\0\0" + struct.pack(">I", 16)),
        lambda: jpeg2000(b"\2\0\0broken"),
        lambda: bitmap(b"sRGB"),
        lambda: bitmap(b"MBED", b"broken"),
        lambda: bitmap(b"\0\0\0\0"),
        lambda: camera(space=1, interoperability={1: "R98"}),
        lambda: camera(space=65535),
    ],
)
def test_srgb_and_what_says_nothing_change_no_colour(make, recwarn):
    found = np.asarray(load_whole(make()), int)
    wide = max(np.abs(np.asarray(seen_in(p), int) - found).max() for p in (P3, ADOBE))
    assert wide > 15 or np.abs(found - SRGB).max() > 20  # the numbers as they stand
    assert not recwarn.list


def test_boxes_end_where_they_are_broken():
    box = struct.pack(">I4s", 12, b"meta") + b"\0\0\0\0"
    assert [kind for kind, _, _ in boxes(box + struct.pack(">I4s", 4, b"ipco"))] == [b"meta"]
    assert [kind for kind, _, _ in boxes(struct.pack(">I4s", 99, b"meta"))] == []
