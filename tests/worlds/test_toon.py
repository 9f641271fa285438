import numpy as np
import pytest

from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.errors import UsageError
from comet_cli.worlds.factor_grid import _split_cells
from comet_cli.worlds.toon.drawing import Part
from comet_cli.worlds.toon.face import SKIN_COLOURS
from comet_cli.worlds.toon.toon import Toon

PLAIN = {
    "hair_colour": "brown",
    "hair_style": "bob",
    "skin": "light",
    "mouth": "smile",
    "brows": "level",
    "eyes": "open",
    "background": "sky",
    "light": 90,
    "glasses": "none",
}
PARTS = (Part.SKIN, Part.HAIR, Part.CLOTHES, Part.FEATURES)


def draw(size=64, **changes):
    return Toon(size).draw({**PLAIN, **changes})


def changed(**changes):
    """Where a picture differs from the plain one."""
    return (draw(**changes)[0] != draw()[0]).any(2)


def near(mask, reach=1):
    """A mask with what lies within `reach` pixels of it."""
    grown = mask.copy()
    for axis in (0, 1):
        for step in range(-reach, reach + 1):
            grown |= np.roll(mask, step, axis)
        mask = grown.copy()
    return grown


def test_each_value_of_each_factor_gives_another_picture():
    for name, values in Toon.factors.items():
        pictures = {draw(**{name: value})[0].tobytes() for value in values}
        assert len(pictures) == len(values), name


@pytest.mark.parametrize("style", Toon.factors["hair_style"])
def test_every_style_shows_all_parts_and_leaves_the_eyes_free(style):
    parts = draw(hair_style=style)[1]
    assert set(np.unique(parts)) == {0, *PARTS}
    assert min((parts == part).sum() for part in PARTS) > 60
    eye = np.s_[34:39, 22:27]
    assert (parts[eye] == Part.FEATURES).all()


@pytest.mark.parametrize("azimuth", Toon.factors["light"])
def test_skin_and_wall_are_brighter_on_the_side_of_the_light(azimuth):
    image, parts = draw(light=azimuth)
    towards = np.array([np.cos(np.radians(azimuth)), -np.sin(np.radians(azimuth))])
    # Below the fringe, whose own shadow falls on the forehead, and above the chin's.
    face = (parts == Part.SKIN) & (np.arange(64)[:, None] >= 30) & (np.arange(64)[:, None] < 51)
    wall = parts == Part.BACKGROUND
    for seen, least in ((wall, 0.9), (face, 0.7)):
        rows, columns = np.nonzero(seen)
        plane = np.stack([columns, rows, np.ones_like(rows)], axis=1)
        slope = np.linalg.lstsq(plane, image.mean(2)[seen], rcond=None)[0][:2]
        assert slope @ towards > least * np.linalg.norm(slope) > 0


def test_light_from_the_left_mirrors_light_from_the_right():
    right, left = (draw(light=azimuth)[0].astype(float) for azimuth in (0, 180))
    wall = draw()[1] == Part.BACKGROUND
    both = wall & wall[:, ::-1]
    assert np.abs(right - left[:, ::-1])[both].mean() < 2


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"hair_colour": "pink"}, (Part.HAIR, Part.FEATURES)),
        ({"skin": "dark"}, (Part.SKIN, Part.FEATURES)),
        ({"background": "coral"}, (Part.BACKGROUND,)),
    ],
)
def test_a_colour_changes_exactly_its_part(changes, parts):
    mask = draw()[1]
    assert (mask == draw(**changes)[1]).all()
    there = changed(**changes)
    allowed = np.isin(mask, parts)
    # Pixels on an edge mix two parts.
    assert not there[~near(allowed)].any()
    main = mask == parts[0]
    assert there[main].mean() > 0.95


def test_expression_and_glasses_change_the_face_alone():
    face = np.zeros((64, 64), bool)
    face[22:52, 14:50] = True
    for changes in ({"mouth": "laugh"}, {"brows": "frown"}, {"eyes": "wink"}):
        assert changed(**changes).any() and not changed(**changes)[~face].any()
    for glasses in ("round", "square"):
        image, parts = draw(glasses=glasses)
        frame = parts == Part.GLASSES
        assert frame.sum() > 60
        assert (image != draw()[0]).any(2)[~near(frame, 2)].sum() == 0
    wink = changed(eyes="wink")
    assert wink[:, 33:].any() and not wink[:, :31].any()


def test_skin_is_in_its_colour():
    for name, colour in SKIN_COLOURS.items():
        image, parts = draw(skin=name)
        mean = image[parts == Part.SKIN].mean(0)
        assert mean.argmax() == np.argmax(colour) == 0
        assert mean.mean() == pytest.approx(np.mean(colour), rel=0.3)


def test_splits_share_no_cell_and_pictures_are_distinct_and_repeatable():
    uses = np.zeros(np.prod(Toon.shape()), int)
    for split in ("train", "test"):
        uses[_split_cells(Toon, split)] += 1
    assert (uses == 1).all()
    samples = [Toon(32).sample_at(0, "test", index) for index in range(40)]
    assert len({sample.image.tobytes() for sample in samples}) == 40
    again, other = (Toon(32).sample_at(seed, "test", 5) for seed in (0, 1))
    assert (again.image == samples[5].image).all() and again.factors == samples[5].factors
    assert (other.image != again.image).any()
    drawn, _ = Toon(32).draw(samples[9].factors["values"])
    assert (drawn == samples[9].image).all()


def test_a_set_is_made_resumed_and_checked(tmp_path):
    folder = tmp_path / "set"
    make_dataset(Toon(32), folder, count=6, test_count=3)
    before = (folder / "train" / "000002.png").read_bytes()
    (folder / "train" / "000002.png").unlink()
    assert make_dataset(Toon(32), folder, count=6, test_count=3).made == 1
    assert (folder / "train" / "000002.png").read_bytes() == before
    assert check_folder(folder).ok


@pytest.mark.parametrize("settings", [{"size": 16}, {"objects": (2, 2)}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError, match="expected"):
        Toon(**settings)
