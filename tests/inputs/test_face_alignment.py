"""`comet encode --align face`: the square of CelebA-HQ, and what is said where there is none."""

import hashlib
import io
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.cli.app import main
from comet_cli.errors import CometError, FileFormatError, MissingExtraError
from comet_cli.formats.components import read_components
from comet_cli.inputs import face_alignment as alignment
from comet_cli.inputs.face_alignment import MAX_SIDE, align_faces, crop_square, cut_out
from comet_cli.models import comet_model
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel
from comet_cli.verbs import encode as encoding
from comet_cli.worlds.toon.toon import Toon

FACE = np.array([[168.0, 180.0], [232.0, 180.0], [176.0, 248.0], [224.0, 248.0]])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pattern(width: int, height: int, places: np.ndarray | None = None) -> np.ndarray:
    """Smooth waves, at the middles of the pixels or at given places (…,2)."""
    if places is None:
        y, x = np.mgrid[:height, :width] + 0.5
    else:
        x, y = np.moveaxis(places, -1, 0)
    waves = [np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 31), np.cos((x - 2 * y) / 29)]
    return 127.5 + 100 * np.stack(waves, -1)


def photo(width: int = 400, height: int = 400) -> Image.Image:
    return Image.fromarray(pattern(width, height).round().astype(np.uint8))


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]):
    a = math.radians(degrees)
    return scale * points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + shift


def test_the_square_of_an_upright_face_by_hand() -> None:
    # |x'| = 64, |y'| = 68: s = max(256, 244.8) around (200, 180 + 6.8).
    low, high = np.array([72, 58.8]), np.array([328, 314.8])
    expected = [low, (high[0], low[1]), high, (low[0], high[1])]
    assert np.allclose(crop_square(FACE), expected)


def test_a_long_face_sets_the_size_by_the_way_from_eyes_to_mouth() -> None:
    long = FACE + [[0, 0], [0, 0], [0, 32], [0, 32]]
    corners = crop_square(long)
    assert np.allclose(corners[1] - corners[0], [360, 0])  # 3.6 * 100
    assert np.allclose(corners.mean(0), [200, 190])


def test_the_square_moves_with_the_face() -> None:
    for degrees, scale, shift in ((30, 1, (5, -7)), (-100, 0.4, (90, 20)), (180, 3, (0, 0))):
        moved = crop_square(turned(FACE, degrees, scale, shift))
        assert np.allclose(moved, turned(crop_square(FACE), degrees, scale, shift))


def test_a_mouth_at_the_eyes_of_a_point_is_no_face() -> None:
    with pytest.raises(CometError, match="impossible places"):
        crop_square(np.ones((4, 2)))


@pytest.mark.parametrize("degrees", [0, 33, -120])
def test_a_rotated_square_holds_what_the_photo_shows_there(degrees) -> None:
    corners = turned(crop_square(FACE), degrees, 0.5, (0, 0))
    corners += 200 - corners.mean(0)
    aligned = np.asarray(cut_out(photo(), corners, MAX_SIDE), float)
    assert aligned.shape == (128, 128, 3)
    step = (np.arange(128) + 0.5) / 128
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    places = corners[0] + step[:, None, None] * down + step[None, :, None] * across
    # Pillow's bicubic filter rounds down: half a grey level is lost.
    error = aligned - pattern(0, 0, places)
    assert np.abs(error).max() < 3 and abs(error.mean()) < 0.7


def test_large_squares_are_averaged_not_sampled() -> None:
    board = np.indices((512, 512)).sum(0) % 2 * 255
    image = Image.fromarray(np.stack([board] * 3, -1).astype(np.uint8))
    corners = np.array([[0.0, 0], [512, 0], [512, 512], [0, 512]])
    small = np.asarray(cut_out(image, corners, 64), float)
    assert small.shape == (64, 64, 3) and np.abs(small - 127.5).max() <= 1


def test_outside_the_photo_it_goes_on_mirrored_and_then_blurred() -> None:
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    corners = np.array([[-150.0, 0], [50, 0], [50, 200], [-150, 200]])
    row = np.asarray(cut_out(Image.fromarray(stripes), corners, MAX_SIDE), float)[100, :, 0]
    assert np.array_equal(row[150:], stripes[100, :50, 0])
    assert np.abs(row[147:150] - stripes[100, 2::-1, 0]).max() < 60
    assert np.ptp(row[10:100]) < 0.5 * np.ptp(row[150:])


def test_a_photo_of_one_colour_stays_so_whatever_is_cut_out() -> None:
    image = Image.new("RGB", (30, 20), (200, 100, 50))
    for corners in (crop_square(FACE / 10), crop_square(FACE - 150), crop_square(-FACE)):
        assert np.array_equal(
            np.unique(np.asarray(cut_out(image, corners, 64)).reshape(-1, 3), axis=0),
            [[200, 100, 50]],
        )


def test_the_eyes_land_where_the_formula_says() -> None:
    landmarks = turned(FACE, 25, 1.5, (10, -150))
    image = Image.new("RGB", (700, 600), "black")
    for x, y in landmarks[:2]:
        image.paste("white", (round(x) - 6, round(y) - 6, round(x) + 6, round(y) + 6))
    data = align_faces(png(image), "'a.png'", lambda picture: [landmarks])
    aligned = np.asarray(Image.open(io.BytesIO(data)).convert("L"), float)
    side = aligned.shape[0]
    assert side == 384  # 4 * 64 * 1.5
    y, x = np.mgrid[:side, :side] + 0.5
    # In a square of 1: a quarter apart, at a half minus a tenth of the way to the mouth.
    for half, left in ((x < side / 2, 0.375), (x >= side / 2, 0.625)):
        weight = aligned * half
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum() / side
        assert np.abs(found - [left, 0.5 - 0.1 * 68 / 256]).max() < 0.003


def test_the_exif_rotation_comes_first() -> None:
    image = photo(320, 200)
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    seen = []
    align_faces(buffer.getvalue(), "'a.png'", lambda picture: seen.append(picture) or [FACE / 2])
    assert np.array_equal(np.asarray(seen[0]), np.rot90(np.asarray(image), -1))


def test_deep_grey_is_shown_to_the_finder_in_eight_bits() -> None:
    grey = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    seen = []
    find = lambda picture: seen.append(picture) or [FACE / 10]  # noqa: E731
    align_faces(png(Image.fromarray(grey)), "'a.png'", find)
    assert np.abs(np.asarray(seen[0])[..., 1] - grey / 257).max() <= 0.5


@pytest.mark.parametrize("data", [b"", b"nonsense", png(photo())[:500]])
def test_what_is_no_image_is_refused_by_name(data) -> None:
    with pytest.raises(FileFormatError, match="'a.png'"):
        align_faces(data, "'a.png'", lambda picture: [FACE])


@pytest.fixture
def comet(tmp_path, monkeypatch, capsys):
    """Run `comet …` in a folder with one.png (a face), two.png (two) and none.png."""
    torch.manual_seed(0)
    card = {"name": "tiny", "encoder": "global", "energy": "quadratic", "components": 2}
    card |= {"filter_dim": 8, "latent_dim": 8, "image_size": 32, "positional": [False] * 2}
    card |= {"step_size": 1.0, "num_steps": 2, "render_step_size": 1.0, "render_steps": 2}
    comet_model.save(CometModel(ModelCard(**card)).eval(), tmp_path / "tiny")
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COMET_MODEL", str(tmp_path / "tiny"))
    monkeypatch.chdir(tmp_path)
    faces = {400: [FACE], 401: [FACE, FACE / 2], 402: []}
    for name, width in (("one", 400), ("two", 401), ("none", 402)):
        photo(width).save(f"{name}.png")
    monkeypatch.setattr(encoding, "load_finder", lambda: lambda picture: faces[picture.width])

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(args))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_aligned_photo_is_encoded_and_its_name_remembered(comet) -> None:
    assert comet("encode", "one.png", "--align", "face") == (0, "one.z\n", "")
    found = read_components("one.z")
    with open("one.png", "rb") as file:
        cut = align_faces(file.read(), "'one.png'", lambda picture: [FACE])
    assert found.source_sha256 == hashlib.sha256(cut).hexdigest()
    assert found.source == "one.png"
    cut_out(photo(), crop_square(FACE), MAX_SIDE).save("by-hand.png")
    assert comet("encode", "by-hand.png")[0] == 0 and comet("encode", "one.png", "-o", "raw.z")
    assert np.array_equal(found.z, read_components("by-hand.z").z)
    assert not np.array_equal(found.z, read_components("raw.z").z)


def test_no_face_is_one_sentence_and_exit_1(comet) -> None:
    code, out, err = comet("encode", "none.png", "--align", "face")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "'none.png' shows no face" in err


def test_a_photo_without_a_face_does_not_stop_the_others(comet) -> None:
    code, out, err = comet("encode", "none.png", "one.png", "--align", "face")
    assert (code, out) == (3, "one.z\n") and "'none.png' shows no face" in err


def test_of_several_faces_the_largest_is_taken_and_said(comet) -> None:
    code, _, err = comet("encode", "two.png", "--align", "face")
    assert code == 0 and err == "comet: 'two.png' shows 2 faces; the largest is taken\n"
    photo(401).crop((0, 0, 400, 400)).save("one.png")
    comet("encode", "one.png", "--align", "face")
    assert np.array_equal(read_components("two.z").z, read_components("one.z").z)


def test_an_unknown_alignment_names_those_there_are(comet) -> None:
    code, out, err = comet("encode", "one.png", "--align", "hand")
    assert (code, out, err) == (2, "", "comet: unknown alignment 'hand'; use face\n")


def test_components_are_not_aligned(comet) -> None:
    comet("encode", "one.png")
    code, _, err = comet("encode", "one.z", "--align", "face", "-o", "again.z")
    assert code == 1 and "'one.z' holds components already" in err


def test_without_the_extra_the_pip_command_is_named(comet, monkeypatch) -> None:
    monkeypatch.setattr(encoding, "load_finder", alignment.load_finder)
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtraError):
        alignment.load_finder()
    code, out, err = comet("encode", "one.png", "two.png", "--align", "face")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "pip install dlib-bin face_recognition_models" in err
    assert comet("encode", "one.png")[0] == 0


def test_an_unreadable_landmark_model_is_named(tmp_path, monkeypatch) -> None:
    class Dlib:
        get_frontal_face_detector = staticmethod(lambda: None)

        @staticmethod
        def shape_predictor(path):
            raise RuntimeError(f"Unable to open {path}")

    package = tmp_path / "face_recognition_models"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "dlib", Dlib)
    with pytest.raises(CometError, match="shape_predictor_68_face_landmarks.dat' cannot be read"):
        alignment.load_finder()


def test_a_drawn_face_that_is_rotated_comes_back_upright(capfd) -> None:
    pytest.importorskip("dlib")
    pytest.importorskip("face_recognition_models")
    find = alignment.load_finder()
    toon = Toon(512)
    values = {factor: levels[0] for factor, levels in toon.factors.items()}
    face = Image.new("RGB", (900, 900), "white")
    face.paste(Image.fromarray(toon.draw({**values, "hair_style": "long"})[0]), (194, 194))
    upright = find(face)
    if not upright:
        pytest.skip("this version of dlib sees no face in a drawn one")
    for degrees in (20, -90):
        rotated = find(face.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white"))
        back = turned(rotated[0] - 450, degrees, 1, (450, 450))
        assert np.abs(back - upright[0]).max() < 15
    assert find(Image.new("RGB", (300, 200), "grey")) == []
    assert capfd.readouterr() == ("", "")
