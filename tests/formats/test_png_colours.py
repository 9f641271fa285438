"""PNGs that say their colours without a profile: cICP, gAMA and cHRM."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from comet_cli.errors import CometWarning
from comet_cli.formats.images import load_image, to_bytes

P3 = bytes([12, 13, 0, 1])
LINEAR = struct.pack(">I", 100_000)
# White, red, green, blue as x, y in 1/100,000.
ADOBE = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
SRGB = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def png(colour, mode="RGB", **said) -> bytes:
    """Return a PNG of one colour with further chunks before its pixels."""
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), colour).save(buffer, "PNG")
    data = buffer.getvalue()
    extra = b"".join(
        struct.pack(">I", len(body)) + name.encode() + body
        + struct.pack(">I", zlib.crc32(name.encode() + body))
        for name, body in said.items()
    )  # fmt: skip
    return data[:33] + extra + data[33:]


def read(*colour, **said) -> list[int]:
    mode = "L" if len(colour) == 1 else "RGB"
    data = png(colour[0] if mode == "L" else colour, mode, **said)
    return to_bytes(load_image(data, 8))[0, 0].astype(int).tolist()


def test_greys_of_8_and_16_bits_are_read_alike():
    gamma = struct.pack(">I", 100_000)
    pixels = np.full((8, 8), 13_107, np.uint16)  # a fifth
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    body = b"gAMA" + gamma
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    fine = to_bytes(load_image(data[:33] + chunk + data[33:], 8))[0, 0].astype(int)
    assert np.abs(fine - read(51, gAMA=gamma)).max() <= 1 and fine[0] > 110


@pytest.mark.parametrize(
    "said, colour, wanted",
    [
        # By hand: sRGB (100, 150, 80) is (111, 149, 88) in Display P3: light
        # (0.127, 0.305, 0.080) is (0.159, 0.299, 0.097) there.
        ({"cICP": P3}, (111, 149, 88), (100, 150, 80)),
        # Light 0.2140 is 0.5 in sRGB.
        ({"gAMA": LINEAR}, (55, 55, 55), (128, 128, 128)),
        ({"gAMA": LINEAR, "cHRM": SRGB}, (55, 55, 55), (128, 128, 128)),
        ({"gAMA": LINEAR}, (55,), (128, 128, 128)),
        # Half of sRGB's green and a tenth of all: (0.1, 0.6, 0.1) is (0.242, 0.6, 0.121) there.
        ({"gAMA": LINEAR, "cHRM": ADOBE}, (62, 153, 31), (89, 203, 89)),
    ],
)
def test_what_a_png_says_of_its_colours_counts(said, colour, wanted, recwarn):
    assert np.abs(np.subtract(read(*colour, **said), wanted)).max() <= 3
    assert not recwarn.list


@pytest.mark.parametrize(
    "said",
    [
        {"gAMA": struct.pack(">I", 45_455)},
        {"gAMA": struct.pack(">I", 45_455), "cHRM": SRGB},
        {"sRGB": b"\0", "gAMA": LINEAR},
        {"cICP": bytes([1, 13, 0, 1]), "gAMA": LINEAR},
        {"cICP": bytes([1, 1, 0, 1])},
        {"cHRM": ADOBE},
    ],
)
def test_srgb_stays_as_it_is(said, recwarn):
    assert read(100, 150, 80, **said) == [100, 150, 80]
    assert not recwarn.list


@pytest.mark.parametrize(
    "said, told",
    [
        ({"cICP": bytes([9, 16, 0, 1])}, r"colours \(cICP 9, 16, 0, 1\)"),
        ({"cICP": b"x"}, r"colours \(cICP 0, 0, 0, 0\)"),
        ({"gAMA": b"\0\0\0\0"}, "a gamma that no picture has"),
        ({"gAMA": LINEAR, "cHRM": b"\0" * 32}, r"primaries that no screen has"),
    ],
)
def test_what_is_not_understood_is_told(said, told):
    with pytest.warns(CometWarning, match=told):
        assert read(100, 150, 80, **said) == [100, 150, 80]
