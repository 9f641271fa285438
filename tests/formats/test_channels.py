"""Colours and values of pictures, from files that hold the same picture in different ways."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from comet_cli.errors import CometWarning, FileFormatError
from comet_cli.formats.images import load_image, load_whole, to_bytes
from comet_cli.verbs.gallery import thumbnail

ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))


def profile(primaries=(), gamma: float = 2.2) -> bytes:
    """Return a minimal ICC profile of version 2: a matrix and a curve, or a curve for grey."""

    def point(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = [(b"wtpt", point((0.9642, 1, 0.8249)))]
    if primaries:
        tags += list(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(point, primaries), strict=True))
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    else:
        tags += [(b"kTRC", curve)]
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags:
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4s4s4s", start + len(body), b"test", b"\x02\x10\0\0", b"mntr")
    head += (b"RGB " if primaries else b"GRAY") + b"XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 24
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colours() -> Image.Image:
    levels = np.linspace(0, 255, 8).astype(np.uint8)
    lattice = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(32, 16, 3)
    return Image.fromarray(np.concatenate([lattice, lattice], 1))


def muted() -> Image.Image:
    return Image.fromarray((np.asarray(colours()) // 2 + 64).astype(np.uint8))


def in_space(image: Image.Image, data: bytes) -> Image.Image:
    srgb = ImageCms.createProfile("sRGB")
    made = ImageCms.profileToProfile(image, srgb, io.BytesIO(data), outputMode="RGB")
    return Image.fromarray(np.asarray(made))  # without a profile


@pytest.mark.parametrize("space", [profile(ADOBE), profile(PROPHOTO, 1.8)], ids=["adobe", "pro"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_the_same_colours_are_the_same_in_every_space(space, kind):
    options = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 100, "subsampling": 0}}
    there = in_space(muted(), space)
    options = options.get(kind, {"lossless": True})
    data = file_of(there, kind, icc_profile=space, **options)
    plain = file_of(there, kind, **options)
    wanted = np.asarray(muted(), int)
    near = 12 if kind == "JPEG" else 4
    assert np.abs(to_bytes(load_image(data, 32)) - wanted).max() <= near
    assert np.abs(to_bytes(load_image(plain, 32)) - wanted).max() > 16
    shown = Image.open(io.BytesIO(thumbnail(data, "x", 32).data))
    assert np.array_equal(np.asarray(shown), np.asarray(load_whole(data)))
    assert np.abs(np.asarray(shown, int) - wanted).max() <= near


def test_a_profile_keeps_transparency_and_palettes():
    space = profile(PROPHOTO, 1.8)
    there = in_space(muted(), space)
    there.putalpha(Image.new("L", there.size, 255))
    there.putpixel((0, 0), (0, 0, 0, 0))
    found = to_bytes(load_image(file_of(there, icc_profile=space), 32)).astype(int)
    assert found[0, 0].tolist() == [255] * 3
    assert np.abs(found - np.asarray(muted(), int))[1:].max() <= 8
    flat = Image.new("P", (8, 8), 1)
    flat.putpalette([0, 0, 0, *in_space(muted(), space).getpixel((9, 9))])
    found = to_bytes(load_image(file_of(flat, icc_profile=space), 8))[0, 0].astype(int)
    assert np.abs(found - muted().getpixel((9, 9))).max() <= 8


def test_grey_goes_through_its_own_curve_at_any_depth():
    space = profile(gamma=1.0)  # linear light: 0.2140 of it is 0.5 in sRGB
    for image in (
        Image.new("L", (8, 8), 55),
        Image.new("LA", (8, 8), (55, 255)),
        Image.fromarray(np.full((8, 8), 14025, np.uint16)),
        Image.new("RGB", (8, 8), (55, 55, 55)),
    ):
        data = file_of(image, icc_profile=space if image.mode != "RGB" else profile(ADOBE, 1.0))
        assert np.abs(load_image(data, 8) - 0.5).max() < 0.01


def test_srgb_and_broken_profiles_change_no_value():
    plain = load_image(file_of(colours()), 32)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for space in (srgb, b"no profile", srgb[:200], profile(gamma=1.0)):
        assert np.array_equal(load_image(file_of(colours(), icc_profile=space), 32), plain)


def test_lab_is_read():
    lab = ImageCms.profileToProfile(
        muted(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    found = to_bytes(load_image(file_of(lab, "TIFF"), 32)).astype(int)
    distances = np.abs(found - np.asarray(muted(), int))
    assert distances.max() <= 16 and distances.mean() < 1


GREY = np.linspace(20, 180, 64).astype(np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("values", "kind", "white"),
    [
        (GREY.astype(np.uint16) * 16, "TIFF", "12 bits"),
        (GREY.astype(np.uint16), "TIFF", "8 bits"),
        (GREY.astype(np.int32), "TIFF", "8 bits"),
        (GREY.astype(np.int32) * 4, "TIFF", "10 bits"),
        (GREY.astype(np.float32), "TIFF", "taken as 255"),
        (GREY.astype(np.float32) * 257, "TIFF", "taken as 65535"),
        (GREY.astype(np.uint16) * 257, "TIFF", None),
        (GREY.astype(np.uint16) * 257, "PNG", None),
        (GREY.astype(np.float32) / 255, "TIFF", None),
    ],
)
def test_a_range_that_the_file_does_not_say_is_told(values, kind, white, recwarn):
    picture = load_image(file_of(Image.fromarray(values), kind), 8, where="'x.tif'")
    assert np.abs(picture - GREY[None] / 255).max() < 0.005
    told = [str(w.message) for w in recwarn if issubclass(w.category, CometWarning)]
    assert len(told) == (white is not None)
    assert not told or (told[0].startswith("'x.tif' ") and white in told[0])


def test_a_range_that_a_tiff_says_is_no_guess(recwarn):
    data = file_of(Image.fromarray(GREY.astype(np.uint16)), "TIFF", tiffinfo={281: 1023})
    assert np.abs(load_image(data, 8) - GREY[None] / 1023).max() < 0.001 and not recwarn.list


def test_dark_png_of_16_bits_is_dark(recwarn):
    data = file_of(Image.fromarray(GREY.astype(np.uint16)))
    assert load_image(data, 8).max() < 0.003 and not recwarn.list


def test_a_few_values_beyond_one_are_cut_off_and_told():
    values = np.full((16, 16), 0.5, np.float32)
    values[0, :2] = 1.002, -0.1
    with pytest.warns(CometWarning, match="from -0.1 to 1.002; white is taken as 1"):
        picture = load_image(file_of(Image.fromarray(values), "TIFF"), 16)
    assert picture[0, 0, 0] == 1 and picture[0, 0, 1] == 0 and picture[0, 1, 0] == 0.5
    with pytest.raises(FileFormatError, match="pixel values from 0 to 1e\\+06"):
        load_image(file_of(Image.fromarray(values.clip(0, 1) * 0 + [0, 1e6] * 8), "TIFF"), 16)


def test_colours_of_12_bits_in_16_are_told():
    pixels = (np.asarray(muted()).astype("<u2") * 16).tobytes()
    entries = [
        *[(256, 3, 1, 32), (257, 3, 1, 32), (259, 3, 1, 1), (262, 3, 1, 2), (277, 3, 1, 3)],
        *[(258, 3, 3, 122), (273, 4, 1, 128), (279, 4, 1, len(pixels))],
    ]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    data = (head + bytes(4)).ljust(122, b"\0") + struct.pack("<3H", 16, 16, 16) + pixels
    with pytest.warns(CometWarning, match="is almost black"):
        load_image(data, 32)


def png(depth: int, kind: int, rows: bytes, gap: bytes) -> bytes:
    """Return a PNG of 8 by 8 pixels with a transparent colour."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part)
        for part in (
            (b"IHDR", header),
            (b"tRNS", gap),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (png(16, 0, (b"\0" + b"\x20\x01" * 4 + b"\x40\x01" * 4) * 8, b"\x20\x01"), 0.25),
        (png(8, 0, (b"\0" + b"\x20" * 4 + b"\x40" * 4) * 8, b"\0\x20"), 0.25),
        (png(4, 0, (b"\0" + b"\x22\x22\x44\x44") * 8, b"\0\x02"), 4 / 15),
        (png(1, 0, (b"\0" + b"\xf0") * 8, b"\0\x01"), 0.0),
        (png(16, 2, (b"\0" + b"\x20\x01" * 12 + b"\x40\x01" * 12) * 8, b"\x20\x01" * 3), 0.25),
    ],
    ids=["16", "8", "4", "1", "16 RGB"],
)
def test_a_transparent_colour_counts_at_every_depth(data, left):
    picture = load_image(data, 8)
    assert (picture[:, :, 0] == 1).all() and np.abs(picture[:, :, 7] - left).max() < 0.01


def tiff(values, *, photometric=1, kind=1) -> bytes:
    """Return a TIFF of one strip, of any number of channels and bits."""
    (height, width), channels = values.shape[:2], values.shape[2:] or (1,)
    pixels, count = np.ascontiguousarray(values).tobytes(), channels[0]
    bits, kinds = (struct.pack(f"<{count}H", *[v] * count) for v in (values.itemsize * 8, kind))
    entries = [(256, 3, 1, width), (257, 3, 1, height), (259, 3, 1, 1), (262, 3, 1, photometric)]
    entries += [(258, 3, count, bits), (273, 4, 1, 8), (277, 3, 1, count), (278, 3, 1, height)]
    entries += [(279, 4, 1, len(pixels)), (339, 3, count, kinds)]
    body, index = pixels, b""
    for tag, type_, number, value in entries:
        if isinstance(value, bytes) and len(value) > 4:
            value, body = 8 + len(body), body + value
        elif isinstance(value, bytes):
            value = int.from_bytes(value, "little")
        index += struct.pack("<HHII", tag, type_, number, value)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return head + body + struct.pack("<H", len(entries)) + index + b"\0" * 4


@pytest.mark.parametrize(
    ("values", "how", "told"),
    [
        (GREY.astype(np.uint16) * 257, {}, None),
        (65535 - GREY.astype(np.uint16) * 257, {"photometric": 0}, None),
        (4095 - (GREY * 16.06).astype(np.uint16), {"photometric": 0}, "12 bits"),
        ((1 - GREY / 255).astype(np.float32), {"photometric": 0, "kind": 3}, None),
        ((GREY * 128.5).astype(np.int16), {"kind": 2}, "signed values up to"),
        (GREY.astype(np.uint32) * 257, {}, "taken as 65535"),
        (GREY.astype(np.uint32) * 16843009, {}, "taken as 4294967295"),
    ],
)
def test_white_is_where_the_file_has_it(values, how, told, recwarn):
    picture = load_image(tiff(values, **how), 8)
    assert np.abs(picture - GREY[None] / 255).max() < 0.005
    messages = [str(w.message) for w in recwarn if issubclass(w.category, CometWarning)]
    assert len(messages) == (told is not None) and all(told in message for message in messages)


@pytest.mark.parametrize(
    ("values", "how"),
    [
        (GREY.astype(np.float64), {"kind": 3}),
        (GREY.astype(np.float16), {"kind": 3}),
        (np.stack([GREY] * 3, -1).astype(np.float32), {"kind": 3, "photometric": 2}),
        (GREY.astype(np.int8), {"kind": 2}),
    ],
)
def test_pixels_that_are_not_read_are_not_called_broken(values, how):
    with pytest.raises(FileFormatError, match="save it with") as raised:
        load_image(tiff(values, **how), 8)
    assert "broken" not in str(raised.value)
