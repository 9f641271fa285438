"""PNGs with entries that have nothing to do with their pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comet_cli.formats.images import encode_png, image_facts, load_image
from comet_cli.formats.png_entries import add_text, chunks, read_text

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
PLAIN = encode_png(PIXELS)


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


@pytest.mark.parametrize(
    "entry",
    [
        chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"tEXt", b"long\0" + b"x" * (70 << 20)),
        chunk(b"tEXt", b"checksum\0x", 0),
        chunk(b"iTXt", b"no end"),
        chunk(b"zTXt", b"packed\0\0not zlib"),
        chunk(b"pHYs", b"short"),
        chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"eXIf", b"broken", 0),
    ],
    ids=lambda entry: entry[4:16].decode("latin-1").replace("\0", " "),
)
def test_what_comet_does_not_use_never_decides_whether_a_picture_opens(entry):
    wanted = load_image(PLAIN, 8)
    for data in (PLAIN[:33] + entry + PLAIN[33:], PLAIN[:-12] + entry + PLAIN[-12:]):
        assert np.array_equal(load_image(data, 8), wanted)
        assert image_facts(data)["width"] == 8


@pytest.mark.parametrize("size", [0, 10, 4 << 20, (4 << 20) + 1, 21 << 20])
def test_long_texts_are_entries_that_other_programs_read(size):
    text = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16)
    data = add_text(PLAIN, b"comet", text)
    assert read_text(data, b"comet", "x") == text
    assert max(end - start for _, start, end in chunks(data)) < 8_000_000
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        names = sorted((name for name in image.text), key=lambda name: (len(name), name))
        assert "".join(image.text[name] for name in names).encode() == text
        again, info = io.BytesIO(), PngInfo()
        for name, value in image.text.items():
            info.add_text(name, str(value), zip=True)
        image.save(again, "PNG", pnginfo=info)
    assert read_text(again.getvalue(), b"comet", "x") == text


def test_entries_of_other_names_are_not_ours():
    for name in (b"comet-pixels", b"comets", b"come"):
        assert read_text(add_text(PLAIN, name, b"x"), b"comet", "x") is None
