"""Pictures from files of every kind, against values worked out by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from comet_cli.errors import FileFormatError, UsageError
from comet_cli.formats.images import (
    decode_png,
    encode_png,
    enlarge,
    from_bytes,
    image_facts,
    image_size,
    load_image,
    save_png,
    to_bytes,
)


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks)


def test_picture_of_the_right_size_is_not_touched():
    pixels = noise(32, 32, 3)
    picture = load_image(file_of(Image.fromarray(pixels)), 32)
    assert picture.dtype == np.float32 and picture.shape == (3, 32, 32)
    assert np.array_equal(picture, from_bytes(pixels))
    assert np.array_equal(to_bytes(picture), pixels)


def test_middle_square_is_cut_out():
    pixels = noise(20, 50, 3)
    found = to_bytes(load_image(file_of(Image.fromarray(pixels)), 20))
    assert np.array_equal(found, pixels[:, 15:35])
    found = to_bytes(load_image(file_of(Image.fromarray(pixels.transpose(1, 0, 2))), 20))
    assert np.array_equal(found, pixels.transpose(1, 0, 2)[15:35])


def test_reduction_is_antialiased():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    picture = load_image(file_of(Image.fromarray(stripes)), 32)
    assert np.abs(picture - 0.5).max() < 0.05


def test_values_stay_in_range_at_sharp_edges():
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 255
    for size in (16, 100):
        picture = load_image(file_of(Image.fromarray(edge)), size)
        assert picture.min() >= 0 and picture.max() <= 1


def test_grey_becomes_three_equal_channels():
    pixels = noise(8, 8)
    picture = load_image(file_of(Image.fromarray(pixels)), 8)
    assert np.array_equal(to_bytes(picture), np.stack([pixels] * 3, -1))


def test_sixteen_bits_keep_their_precision():
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    picture = load_image(file_of(Image.fromarray(values)), 8)
    assert np.allclose(picture, values[None] / 65535, atol=1e-7)
    assert len(np.unique(picture)) == 64


def test_sixteen_bit_colour_is_not_clipped():
    values = np.zeros((4, 4, 3), ">u2")
    values[..., 0], values[..., 1] = 65535, 32896
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = load_image(data, 4)
    assert np.allclose(picture[:, 0, 0], [1, 128 / 255, 0], atol=0.003)


def test_floating_point_tiff_is_taken_as_it_is():
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    assert np.allclose(load_image(file_of(Image.fromarray(values), "TIFF"), 4), values[None])
    assert np.allclose(load_image(file_of(Image.fromarray(values * 255), "TIFF"), 4), values[None])
    with pytest.raises(FileFormatError, match="pixel values from -1 to"):
        load_image(file_of(Image.fromarray(values * 2 - 1), "TIFF"), 4)
    values[0, 0] = np.nan
    with pytest.raises(FileFormatError, match="not finite"):
        load_image(file_of(Image.fromarray(values), "TIFF"), 4)


def test_palette_and_bilevel_are_converted():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert to_bytes(load_image(file_of(image), 8))[0, 0].tolist() == [10, 200, 30]
    assert load_image(file_of(Image.new("1", (8, 8), 1)), 8).min() == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((100, 100, 100, 255), (4, 0, 8, 8))
    data = file_of(image.convert("LA") if mode == "LA" else image)
    if mode == "PA":
        palette = Image.new("P", (8, 8), 0)
        palette.putpalette([7, 7, 7, 100, 100, 100])
        palette.paste(1, (4, 0, 8, 8))
        data = file_of(palette, transparency=0)
    found = to_bytes(load_image(data, 8))
    assert found[0, 0].tolist() == [255] * 3 and found[0, 7].tolist() == [100] * 3


def test_half_transparent_pixels_are_mixed():
    found = to_bytes(load_image(file_of(Image.new("RGBA", (4, 4), (0, 0, 0, 128))), 4))
    assert abs(int(found[0, 0, 0]) - 127) <= 1


def test_cmyk_is_converted_with_and_without_a_profile():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = to_bytes(load_image(file_of(image, "JPEG", quality=100), 16))
    assert np.abs(found[0, 0].astype(int) - [255, 0, 0]).max() <= 3
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = file_of(image, "JPEG", quality=100, icc_profile=profile)  # a profile that does not fit
    assert np.abs(to_bytes(load_image(data, 16))[0, 0].astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        (1, (0, 0)),
        (2, (0, 7)),
        (3, (7, 7)),
        (4, (7, 0)),
        (5, (0, 0)),
        (6, (0, 7)),
        (7, (7, 7)),
        (8, (7, 0)),
    ],
)
def test_exif_rotation_is_applied(orientation, corner):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0, 0] = 255  # where the file's first pixel ends up, by the EXIF standard
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = to_bytes(load_image(file_of(Image.fromarray(pixels), exif=exif), 8))
    assert found[corner].tolist() == [255] * 3 and found.sum() == 3 * 255


def test_rotation_comes_before_the_crop():
    pixels = noise(8, 24, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    found = to_bytes(load_image(file_of(Image.fromarray(pixels), exif=exif), 8))
    assert np.array_equal(found, np.rot90(pixels, -1)[8:16])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_common_formats_are_read(kind):
    data = file_of(Image.new("RGB", (16, 16), (200, 40, 40)), kind)
    found = to_bytes(load_image(data, 8))[4, 4].astype(int)
    assert np.abs(found - [200, 40, 40]).max() < 12
    assert image_facts(data)["format"] == kind


PHOTO = file_of(Image.fromarray(noise(64, 64, 3)), "JPEG")
DRAWING = file_of(Image.fromarray(noise(64, 64, 3)))
PIXELS = chunk(b"IDAT", zlib.compress(b"few"))

BROKEN = {
    "text": (b"this is not a picture", "is not an image that comet can read"),
    "a program for Ghostscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an im",
    ),
    "empty": (b"", "is empty, expected an image"),
    "truncated JPEG": (PHOTO[: len(PHOTO) // 2], "is a truncated image"),
    "truncated PNG": (DRAWING[: len(DRAWING) // 2], "is a truncated image"),
    "no pixels": (png_claiming(4, 4), "is a truncated or broken image"),
    "bomb": (png_claiming(20_000, 20_000, PIXELS), "more than 178 million pixels"),
    "absurd size": (
        png_claiming(2**31 - 1, 2**31 - 1, PIXELS),
        "more than 178 million pixels|broken",
    ),
    "zero width": (png_claiming(0, 4), "broken image"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_a_picture_gets_its_own_sentence(case):
    data, sentence = BROKEN[case]
    with pytest.raises(FileFormatError, match=sentence) as caught:
        load_image(data, 8, where="'x.png'")
    assert str(caught.value).startswith("'x.png'") and str(caught.value).isprintable()


def test_missing_file_and_folder_are_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        load_image(tmp_path / "gone.png", 8)
    with pytest.raises(UsageError, match="is a folder"):
        load_image(tmp_path, 8)


def test_side_is_known_without_decoding():
    assert image_size(png_claiming(5000, 300, PIXELS)) == 300


def test_rounding_is_to_the_nearest():
    picture = np.full((3, 1, 1), 0.5, np.float32)
    assert to_bytes(picture)[0, 0, 0] == 128
    assert to_bytes(picture * 0 + np.float32(1.4 / 255))[0, 0, 0] == 1
    assert to_bytes(picture * 4)[0, 0, 0] == 255 and to_bytes(-picture)[0, 0, 0] == 0


def test_pictures_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        to_bytes(np.full((3, 2, 2), np.nan))
    with pytest.raises(ValueError, match="is \\(3, R, R\\)"):
        to_bytes(np.zeros((2, 2)))


def test_saved_png_holds_the_picture(tmp_path):
    pixels = noise(8, 8, 3)
    save_png(from_bytes(pixels), tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert data == encode_png(pixels) and np.array_equal(decode_png(data), pixels)


def test_tensors_are_saved_like_arrays(tmp_path):
    torch = pytest.importorskip("torch")
    pixels = noise(8, 8, 3)
    save_png(torch.from_numpy(from_bytes(pixels)).requires_grad_(), tmp_path / "a.png")
    assert np.array_equal(decode_png((tmp_path / "a.png").read_bytes()), pixels)


def test_enlarging_repeats_pixels():
    pixels = noise(35, 35, 3)
    large = enlarge(pixels, 128)
    assert large.shape == (140, 140, 3) and np.array_equal(large[2::4, 1::4], pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_damaged_files_are_read_or_refused_never_a_crash(kind):
    data = file_of(Image.fromarray(noise(24, 24, 3)), kind)
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            changed[at] = int(rng.integers(0, 256))
        try:
            picture = load_image(bytes(changed), 8)
        except FileFormatError:
            continue
        assert picture.shape == (3, 8, 8) and np.isfinite(picture).all()
