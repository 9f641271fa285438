"""Files that are not among the formats that comet reads get a sentence of their own."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from comet_cli.errors import FileFormatError
from comet_cli.formats.images import image_facts, load_image

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
CASES = {
    "HEIC": (HEIC, "is a HEIC picture, which needs a library: pip install pillow-heif"),
    "AVIF": (b"\0\0\0\x1cftypavif", "is an AVIF picture, which needs a newer Pillow"),
    "MP4": (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video, expected a picture; comet encode takes"),
    "Matroska": (b"\x1aE\xdf\xa3\x01", "is a video, expected a picture; comet encode takes"),
    "PDF": (b"%PDF-1.7\n", "is a PDF document, which comet does not read; convert it to PNG"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "is an SVG drawing"),
    "Photoshop": (b"8BPS\0\1", "is a Photoshop file"),
    "EXR": (b"\x76\x2f\x31\x01\2", "is an OpenEXR picture"),
    "JPEG XL": (b"\xff\x0a\xfa", "is a JPEG XL picture"),
    "DICOM": (bytes(128) + b"DICM", "is a DICOM file"),
    "ZIP": (b"PK\x03\x04", "is an archive, unpack it first"),
    "text": (b"hello", "is not an image that comet can read"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sentence_names_the_format_and_what_helps(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data, sentence = CASES[case]
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    with pytest.raises(FileFormatError) as caught:
        load_image(data, 8, where="'x'")
    assert str(caught.value).startswith(f"'x' {sentence}")


def test_a_phones_photo_is_read_with_the_library():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 40)).save(buffer, "HEIF", quality=100)
    assert image_facts(buffer.getvalue())["format"] == "HEIF"
    found = load_image(buffer.getvalue(), 8)
    assert np.abs(found[:, 4, 4] * 255 - [200, 40, 40]).max() < 8


def test_colours_of_a_phones_photo_are_those_that_it_says():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    # By hand, as for a PNG's cICP: Display P3 (111, 149, 88) is sRGB (100, 150, 80).
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (111, 149, 88)).save(
        buffer,
        "HEIF",
        quality=100,
        chroma=444,
        save_nclx_profile=True,
        color_primaries=12,
        transfer_characteristics=13,
        matrix_coefficients=6,
        full_range_flag=1,
    )
    found = load_image(buffer.getvalue(), 8)
    assert np.abs(found[:, 4, 4] * 255 - [100, 150, 80]).max() < 3
