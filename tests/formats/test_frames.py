"""Videos and animated pictures become frames, with their pixels, their times and their turn."""

import io
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageCms

from comet_cli.errors import CometWarning, FileFormatError, MissingExtraError
from comet_cli.formats import frames
from comet_cli.formats.frames import count_frames, has_frames, look_through, read_frames
from comet_cli.formats.images import load_whole

av = pytest.importorskip("av")


def drawn(count: int = 5, width: int = 48, height: int = 32) -> list[np.ndarray]:
    y, x = np.mgrid[:height, :width]
    return [
        np.dstack([x * 4, y * 6, np.full_like(x, 40 * n)]).astype(np.uint8) for n in range(count)
    ]


def animated(kind: str, pixels=None, **options) -> bytes:
    images = [Image.fromarray(p) for p in (pixels or drawn())]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


def video(
    pixels=None,
    codec="libx264rgb",
    form="rgb24",
    container="mp4",
    rate=25,
    converted=None,
    **facts,
):
    buffer = io.BytesIO()
    pixels = pixels or drawn()
    with av.open(buffer, "w", format=container) as made:
        stream = made.add_stream(codec, rate=Fraction(rate))
        stream.height, stream.width = pixels[0].shape[:2]
        stream.pix_fmt = form
        stream.options = {"qp": "0"}
        for name, value in facts.items():
            setattr(stream.codec_context, name, value)
        space = {1: "ITU709", 5: "ITU601"}.get(facts.get("colorspace", converted))
        for one in pixels:
            frame = av.VideoFrame.from_ndarray(one, format="rgb24")
            frame = frame.reformat(format=form, dst_colorspace=space)
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return buffer.getvalue()


def pixels_of(data: bytes) -> list[np.ndarray]:
    return [np.asarray(load_whole(f.picture)) for f in read_frames(data, "it")]


def times_of(data: bytes) -> list[float]:
    return [round(f.seconds, 4) for f in read_frames(data, "it")]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {"duration": 60})]
)
def test_frames_of_animated_pictures_have_their_pixels(kind, options):
    for found, wanted in zip(pixels_of(animated(kind, **options)), drawn(), strict=True):
        far = 48 if kind == "GIF" else 0  # a GIF has 256 colours
        assert np.abs(found.astype(int) - wanted).max() <= far


def test_frames_of_a_video_have_their_pixels():
    for found, wanted in zip(pixels_of(video()), drawn(), strict=True):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_frames_are_shown_for_as_long_as_the_file_says(kind):
    data = animated(kind, duration=[40, 80, 120, 200, 300])
    assert times_of(data) == [0.04, 0.08, 0.12, 0.2, 0.3]
    assert times_of(video(rate=20)) == [0.05] * 5


def test_a_gif_without_times_is_shown_as_browsers_show_it():
    assert times_of(animated("GIF", duration=0)) == [0.1] * 5


def test_transparency_is_laid_on_white():
    clear = [np.dstack([p, np.where(p[..., :1] > 100, 0, 255).astype(np.uint8)]) for p in drawn()]
    for found, wanted in zip(pixels_of(animated("PNG", clear)), drawn(), strict=True):
        hole = wanted[..., 0] > 100
        assert (found[hole] == 255).all() and np.array_equal(found[~hole], wanted[~hole])


def test_a_profile_counts_for_every_frame():
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = animated("PNG", icc_profile=swapped)  # one that is of no RGB picture counts as none
    assert all(np.array_equal(a, b) for a, b in zip(pixels_of(data), drawn(), strict=True))


def test_a_still_picture_before_an_animation_is_no_frame():
    data = animated("PNG", default_image=True)
    found = pixels_of(data)
    assert len(found) == 4 and np.array_equal(found[0], drawn()[1])


@pytest.mark.parametrize("matrix", [1, 5])
def test_the_matrix_that_a_video_says_is_used(matrix):
    flat = [np.full((32, 48, 3), (200, 60, 30), np.uint8)] * 2
    data = video(flat, "libx264", "yuv444p", colorspace=matrix)
    assert np.abs(pixels_of(data)[1].astype(int) - flat[0]).max() <= 2


@pytest.mark.parametrize(("height", "matrix"), [(32, 5), (720, 1)])
def test_a_matrix_that_a_video_does_not_say_is_told(height, matrix):
    flat = [np.full((height, 48, 3), (200, 60, 30), np.uint8)] * 2
    data = video(flat, "libx264", "yuv444p", converted=matrix)
    told = "BT.709" if matrix == 1 else "BT.601"
    with pytest.warns(CometWarning, match=f"does not say .* {told} is taken"):
        assert np.abs(pixels_of(data)[0].astype(int) - flat[0]).max() <= 2


@pytest.mark.parametrize(
    ("codes", "colour"),
    [
        # By hand: sRGB (100, 150, 80) is light (0.127, 0.305, 0.080) in BT.709's primaries,
        # (0.159, 0.299, 0.097) in Display P3's and (0.184, 0.290, 0.101) in BT.2020's.
        ({"color_primaries": 12, "color_trc": 13}, (111, 149, 88)),
        ({"color_primaries": 9, "color_trc": 14}, (119, 147, 89)),
        ({"color_primaries": 1, "color_trc": 1}, (100, 150, 80)),
        # The same light by a power law of 2.2: 0.127 is 0.391.
        ({"color_primaries": 1, "color_trc": 4}, (100, 149, 81)),
    ],
)
def test_wide_colours_of_a_video_become_srgb(codes, colour, recwarn):
    flat = [np.full((32, 48, 3), colour, np.uint8)] * 2
    found = pixels_of(video(flat, **codes))
    assert len(found) == 2 and not recwarn.list
    assert np.abs(np.subtract(found, (100, 150, 80))).max() <= 3
    if codes["color_primaries"] == 1 and codes["color_trc"] == 1:
        assert np.array_equal(found, flat)


def test_a_television_video_of_bt2020_is_read_by_its_own_matrix(recwarn):
    # (119, 147, 89) by BT.2020's luma, 0.2627 R + 0.6780 G + 0.0593 B, in the range 16 to 235.
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as made:
        stream = made.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
        stream.options = {"qp": "0"}
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 9, 14, 9
        frame = av.VideoFrame(48, 32, "yuv444p")
        for plane, value in zip(frame.planes, (133, 106, 118), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        made.mux([*stream.encode(frame), *stream.encode()])
    assert np.abs(np.subtract(pixels_of(buffer.getvalue())[0], (100, 150, 80))).max() <= 4
    assert not recwarn.list


def test_hdr_is_told():
    flat = [np.full((32, 48, 3), 90, np.uint8)] * 2
    data = video(flat, "libx264", "yuv444p", colorspace=9, color_trc=16, color_primaries=9)
    with pytest.warns(CometWarning, match=r"has BT\.2020 colours with the HDR curve PQ"):
        pixels_of(data)


def turned(data: bytes, matrix: tuple[int, ...]) -> bytes:
    """Return an MP4 whose track is shown turned (ISO 14496-12, 8.3.2)."""
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    assert struct.unpack(">9i", data[at : at + 36])[0] == 1 << 16
    return data[:at] + struct.pack(">9i", *matrix) + data[at + 36 :]


def test_a_phones_video_stands_upright():
    one, edge = 1 << 16, 1 << 30
    clockwise = (0, one, 0, -one, 0, 0, 32 * one, 0, edge)
    found = pixels_of(turned(video(), clockwise))
    assert np.array_equal(found[0], np.rot90(drawn()[0], -1))
    assert found[0].shape == (48, 32, 3)


def test_what_has_frames_is_found_by_what_is_in_it(tmp_path):
    still = io.BytesIO()
    Image.fromarray(drawn()[0]).save(still, "GIF")
    cases = {
        "a.gif": (animated("GIF"), True),
        "b.png": (animated("PNG"), True),
        "c.webp": (animated("WEBP"), True),
        "d.mp4": (video(), True),
        "e.mkv": (video(container="matroska"), True),
        "f.avi": (video(codec="ffv1", form="bgr0", container="avi"), True),
        "g.ts": (video(codec="libx264", form="yuv444p", container="mpegts"), True),
        "h.gif": (still.getvalue(), False),
        "i.png": (animated("PNG", drawn(1)), False),
        "j.tiff": (animated("TIFF"), False),  # pages
        "k.z": (b"\0" * 500, False),
        "l.gif": (b"GIF89a" + b"G" * 500, False),
        "m.png": (b"", False),
    }
    for name, (data, wanted) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert has_frames(tmp_path / name) is wanted, name
    assert not has_frames("-") and not has_frames(tmp_path) and not has_frames(tmp_path / "gone")
    assert count_frames(animated("GIF")) == 5 and count_frames(b"GIF89a") == 1


def test_samples_are_evenly_spread():
    found = look_through(animated("PNG", drawn(23)), "it", 4)
    assert found.count == 23 and 3 <= len(found.samples) <= 4
    blue = [int(np.asarray(load_whole(f.picture))[0, 0, 2]) for f in found.samples]
    assert blue == [40 * n % 256 for n in (0, 8, 16)]


@pytest.mark.parametrize("data", [animated("GIF"), animated("PNG"), video()], ids=len)
def test_a_broken_file_is_one_sentence(data):
    for cut in range(30, len(data), max(1, len(data) // 40)):
        try:
            found = look_through(data[:cut], "'it'")
        except FileFormatError as error:
            assert "'it'" in str(error) and "\n" not in str(error)
        else:
            assert found.count <= 5


def test_more_frames_than_names_have_digits_for_are_refused(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAMES", 3)
    for data in (animated("GIF"), video()):
        with pytest.raises(FileFormatError, match="more than 3"):
            look_through(data, "'it'")


def test_a_video_without_the_library_names_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match="is a video, which needs PyAV.*pip install av"):
        look_through(video_bytes, "'it'")


video_bytes = video()
