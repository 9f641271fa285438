import itertools
import json
import math
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from comet_cli.cli.data import app
from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.data.readers import falcor3d
from comet_cli.errors import MissingExtraError, UsageError
from comet_cli.worlds.catalogue import make_generator
from comet_cli.worlds.dsprites import DSprites
from comet_cli.worlds.factor_grid import _split_cells
from comet_cli.worlds.mitsuba import load_mitsuba
from comet_cli.worlds.room import finish as room_finish
from comet_cli.worlds.room import pixels as room_pixels
from comet_cli.worlds.room.furniture import furniture
from comet_cli.worlds.room.geometry import Surfaces, meet
from comet_cli.worlds.room.room import Room
from comet_cli.worlds.room.scene import FIELD_OF_VIEW, LAMP_RADIUS, Part, View
from comet_cli.worlds.room.smoothing import smooth
from comet_cli.worlds.toon.toon import Toon

MIDDLE = {name: len(values) // 2 for name, values in Room.factors.items()}


def values(**classes):
    return {name: Room.factors[name][index] for name, index in {**MIDDLE, **classes}.items()}


def view(**classes):
    chosen = values(**classes)
    light, camera = (
        tuple(chosen[f"{name}_{axis}"] for axis in "xyz") for name in ("light", "camera")
    )
    return View(chosen["light_intensity"], light, camera)


def parts(size=48, **classes):
    """The mask, without rendering."""
    seen = view(**classes)
    pieces = (*furniture(), *seen.lamp())
    return room_pixels.mask(meet(pieces, seen, 3 * size), pieces)


def pixel(point, seen, size):
    """Column and row where a point of the room falls."""
    right, up, forward = seen.axes()
    ray = np.subtract(point, seen.camera)
    scale = 2 * math.tan(math.radians(FIELD_OF_VIEW) / 2) * (ray @ forward)
    return (0.5 + ray @ right / scale) * size, (0.5 - ray @ up / scale) * size


def centre(mask, part):
    rows, columns = np.nonzero(mask == part)
    return columns.mean(), rows.mean()


def light_of(image):
    """The linear light of a picture, before the shoulder of the film."""
    share = image.astype(float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return -np.log(1 - np.minimum(linear, 0.999))


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba")
    return load_mitsuba()


@pytest.fixture(scope="module")
def draw(mitsuba):
    """Render a cell, given by the classes that are not in the middle; each only once."""
    known = {}

    def drawn(size=32, **classes):
        key = (size, *sorted(classes.items()))
        if key not in known:
            known[key] = Room(size).draw(values(**classes))
        return known[key]

    return drawn


def test_factors_are_those_of_falcor3d():
    assert tuple(Room.factors) == falcor3d.FACTORS
    assert Room.shape() == (5, 6, 6, 6, 6, 6, 6)
    for steps in Room.factors.values():
        assert list(steps) == sorted(set(steps))


def test_the_lamp_touches_nothing_wherever_it_hangs():
    places = itertools.product(*(Room.factors[f"light_{axis}"] for axis in "xyz"))
    lamps = np.array(list(places))[:, None]
    corners = np.stack([piece.corners for piece in furniture()])
    gaps = np.maximum(np.maximum(corners.min(1) - lamps, lamps - corners.max(1)), 0)
    assert np.linalg.norm(gaps, axis=-1).min() > LAMP_RADIUS


@pytest.mark.parametrize("name", Room.factors)
def test_neighbouring_values_give_visibly_different_pictures(draw, name):
    for low, high in itertools.pairwise(range(len(Room.factors[name]))):
        one, other = (draw(**{name: index})[0].astype(float) for index in (low, high))
        assert np.abs(one - other).mean() > 3, (low, high)


def test_more_intensity_makes_no_pixel_darker_and_light_is_proportional_to_it(draw):
    steps = Room.factors["light_intensity"]
    images = [draw(light_intensity=index)[0] for index in range(len(steps))]
    lit = ~np.isin(draw()[1], (Part.LAMP, Part.WINDOW))
    for (low, dim), (high, bright) in itertools.pairwise(zip(steps, images, strict=True)):
        assert (bright >= dim).all() and bright.mean() > dim.mean() + 8
        ratio = light_of(bright)[lit] / np.maximum(light_of(dim)[lit], 1e-3)
        assert np.median(ratio) == pytest.approx(high / low, rel=0.02)


def test_the_side_of_the_lamp_is_the_bright_one(draw):
    left, right = (draw(light_x=index)[0].mean((0, 2)) for index in (0, 5))
    half = len(left) // 2
    assert left[:half].mean() > right[:half].mean() + 5
    assert left[half:].mean() < right[half:].mean() - 5


def test_what_the_lamp_comes_nearer_to_gets_brighter(draw):
    def shades(part, name):
        drawn = (draw(**{"light_y": 2, name: index}) for index in range(6))
        return [image[mask == part] for image, mask in drawn]

    # On its way back it comes nearer to the picture, and on its way up it leaves the table.
    assert (np.diff([shade.mean() for shade in shades(Part.PICTURE, "light_y")]) > 0).all()
    assert (np.diff([shade.mean() for shade in shades(Part.TABLE, "light_z")]) < 0).all()
    spots = [shade.max() for shade in shades(Part.CEILING, "light_z")]
    assert spots[5] > spots[3] > spots[0]


def test_the_shadow_of_the_table_falls_away_from_the_lamp(draw):
    # Two places of the same ring of the rug, one of them behind the table as seen from the left.
    behind, beside = (0.98, -0.35, 0.0), (0.49, -1.2, 0.0)
    shades = []
    for side in (0, 5):
        classes = {"light_x": side, "light_y": 2, "light_z": 0, "camera_z": 5}
        image = light_of(draw(64, **classes)[0])
        places = (pixel(point, view(**classes), 64) for point in (behind, beside))
        one, other = (image[int(row), int(column)].mean() for column, row in places)
        shades.append(one / other)
    assert shades[0] < 0.6 and shades[1] > 1


def test_the_mask_shows_the_lamp_where_it_hangs_and_all_parts_are_seen():
    seen = set()
    for classes in ({"light_x": 1}, {"light_x": 4, "light_y": 4}, {"camera_x": 4, "camera_y": 1}):
        mask = parts(96, **classes)
        here = view(**classes)
        # Around the ball, the lamp's part is the ball and a piece of the thin cord.
        column, row = pixel(here.light, here, 96)
        assert mask[int(row), int(column)] == Part.LAMP
        assert centre(mask, Part.LAMP)[0] == pytest.approx(column - 0.5, abs=1)
        seen |= set(np.unique(mask))
    assert seen == set(Part)


def test_a_moving_camera_shifts_what_is_near_against_what_is_far():
    table, picture = (
        [centre(parts(camera_x=index, light_x=5), part)[0] for index in range(6)]
        for part in (Part.TABLE, Part.PICTURE)
    )
    assert (np.diff(table) < -0.3).all() and (np.diff(picture) > 0.3).all()
    areas = [(parts(camera_y=index) == Part.TABLE).sum() for index in range(6)]
    assert (np.diff(areas) > 0).all()
    heights = [np.ptp(np.nonzero(parts(160, camera_z=index) == Part.RUG)[0]) for index in range(6)]
    assert (np.diff(heights) > 0).all()


def test_light_and_noise_leave_the_mask_alone():
    plain = parts()
    for classes in ({"light_x": 0}, {"light_y": 5}, {"light_z": 5}):
        other = parts(**classes)
        moved = (plain == Part.LAMP) | (other == Part.LAMP)
        assert (plain[~moved] == other[~moved]).all() and moved.mean() < 0.1


@pytest.mark.parametrize("classes", [{}, {"camera_x": 0, "camera_y": 5}, {"camera_z": 0}])
def test_closed_form_and_tracer_meet_the_same_surfaces(mitsuba, classes):
    here, size = view(**classes), 60
    pieces = (*furniture(), *here.lamp())
    world = mitsuba.load_dict(room_pixels._describe(mitsuba, pieces, here, size))
    seen = meet(pieces, here, size)
    rays = seen.place - np.array(here.camera)
    for row, column in itertools.product(range(1, size, 3), repeat=2):
        direction = rays[row, column] / np.linalg.norm(rays[row, column])
        ray = mitsuba.Ray3f(list(here.camera), direction.tolist())
        found = world.ray_intersect(ray)
        assert found.t == pytest.approx(np.linalg.norm(rays[row, column]), abs=1e-3)
        normal = np.array(found.n)
        expected = seen.normal[row, column]
        # Their angle: lengths of both are off by rounding, a thousandth where radii are small.
        assert abs(normal @ expected) > 0.999 * np.linalg.norm(normal) * np.linalg.norm(expected)


def corner(size=24):
    """A floor on the right and a wall on the left, both seen from above at unit scale."""
    rows, columns = np.meshgrid(np.arange(size) / 10, np.arange(size) / 10, indexing="ij")
    wall = columns < size / 20
    place = np.stack([columns, rows, np.where(wall, -columns, 0)], -1)
    normal = np.where(wall[..., None], [math.sqrt(0.5), 0, math.sqrt(0.5)], [0.0, 0.0, 1.0])
    return Surfaces(wall.astype(int), place, normal, place), wall


def test_smoothing_keeps_light_on_its_side_of_a_corner_and_averages_noise():
    seen, wall = corner()
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 2, (24, 24, 3)).astype(np.float32)
    dark = np.where(wall[..., None], 0, noise)
    smoothed = smooth(np.zeros_like(dark), dark, seen)
    assert smoothed[~wall].std() < 0.15 * noise[~wall].std()
    assert smoothed[~wall].mean() == pytest.approx(1, abs=0.1)
    assert smoothed[wall].max() < 0.05
    # Shadows of the lamp are kept finer than what walls reflect.
    assert smoothed[~wall].std() < smooth(dark, np.zeros_like(dark), seen)[~wall].std()


def test_smoothing_is_linear_and_trusts_no_pixel_on_an_edge():
    seen, wall = corner()
    one, other = np.random.default_rng(1).uniform(0, 1, (2, 24, 24, 3)).astype(np.float32)
    both = smooth(2 * one, other, seen)
    zero = np.zeros_like(one)
    assert np.allclose(both, 2 * smooth(one, zero, seen) + smooth(zero, other, seen), atol=1e-5)
    assert np.allclose(smooth(np.ones_like(one), zero, seen), 1, atol=1e-5)
    spark = zero.copy()
    spark[5, 12] = 1
    inside = zero.copy()
    inside[5, 18] = 1
    weights = [smooth(light, zero, seen).sum() for light in (spark, inside)]
    assert not wall[5, 12] and weights[0] < 0.1 * weights[1]


def test_planks_are_as_bright_as_the_colour_that_light_meets():
    across, along = np.random.default_rng(0).uniform(0, (4.8, 6.9), (20000, 2)).T
    assert room_finish.planks(across, along).mean() == pytest.approx(1, abs=0.05)


def test_a_cell_repeats_its_bytes_and_seeds_differ_in_their_cells(mitsuba):
    one, again, other = (Room(16).sample_at(seed, "train", 3) for seed in (0, 0, 1))
    assert (one.image == again.image).all() and one.factors == again.factors
    assert (one.image != other.image).any() and one.factors["cell"] != other.factors["cell"]
    image, mask = Room(16).draw(one.factors["values"])
    assert (image == one.image).all() and (mask == one.mask).all()


def test_pictures_from_one_place_share_their_noise():
    seeds = [room_pixels._seed(view(light_x=x, camera_x=c)) for x, c in ((0, 1), (5, 1), (0, 2))]
    assert seeds[0] == seeds[1] != seeds[2]


def test_splits_share_no_cell():
    uses = np.zeros(np.prod(Room.shape()), int)
    for split in ("train", "test"):
        uses[_split_cells(Room, split)] += 1
    assert (uses == 1).all()
    assert Room().limit("test") == pytest.approx(233280 / 8, rel=0.03)


def test_a_picture_of_128_pixels_shows_the_same_in_finer_detail(draw):
    (small, coarse), (large, fine) = draw(64), draw(128)
    assert large.shape == (128, 128, 3) and fine.shape == (128, 128)
    reduced = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(reduced - small).mean() < 4
    assert (fine[::2, ::2] == coarse).mean() > 0.9


def test_a_part_of_the_grid_holds_its_cells_alone_with_the_same_pictures(mitsuba):
    fixed = {"light_intensity": [2], "light_x": (0, 5), "camera_x": ["3"], "camera_y": [4]}
    part = Room(16).restrict({**fixed, "light_y": [1], "light_z": [1]})
    numbers = set()
    for split in ("train", "test"):
        cells = set(_split_cells(Room, split).tolist())
        for index in range(part.limit(split)):
            sample = part.sample_at(0, split, index)
            classes = sample.factors["factors"]
            assert classes["light_x"] in (0, 5) and classes["camera_y"] == 4
            assert sample.factors["cell"] in cells
            numbers.add(sample.factors["cell"])
    assert len(numbers) == part.limit("train") + part.limit("test") == 2 * 6
    assert (sample.image == Room(16).cell(sample.factors["cell"]).image).all()


def test_parts_of_other_grids_and_values_by_name():
    pink = Toon(32).restrict({"hair_colour": ["pink"], "light": [2]})
    for index in range(5):
        chosen = pink.sample_at(0, "train", index).factors["values"]
        assert chosen["hair_colour"] == "pink" and chosen["light"] == 90
    assert DSprites().restrict({"shape": ["heart"]}).limit("train") < DSprites().limit("train")
    whole = DSprites().restrict({"shape": range(3)})
    assert whole.subset == {} and whole.limit("test") == DSprites().limit("test")
    drawn = pink.sample(np.random.default_rng(0), "test").factors["values"]
    assert drawn["hair_colour"] == "pink"
    assert pink.restrict({"light": [3]}).subset == {"hair_colour": (6,), "light": (3,)}
    assert Toon.subset == {} == Toon().subset


@pytest.mark.parametrize(
    ("name", "fixed", "message"),
    [
        (
            "room",
            {"camera_w": ["1"]},
            "no factor 'camera_w' to fix; choose one of: light_intensity",
        ),
        ("room", {"camera_x": ["6"]}, "cannot be fixed to '6', expected a number from 0 to 5$"),
        ("room", {"camera_x": ["-1"]}, "cannot be fixed to '-1'"),
        ("room", {"camera_x": [""]}, "cannot be fixed to ''"),
        ("room", {"camera_x": []}, "fixed to no value"),
        ("toon", {"hair_style": ["mohawk"]}, "from 0 to 6, or one of: short, bob"),
        ("tetris", {"shape": ["I"]}, "tetris has no grid of factors .*: dsprites, toon, room"),
    ],
)
def test_what_the_grid_does_not_have_is_refused(name, fixed, message):
    with pytest.raises(UsageError, match=message):
        make_generator(name, fixed=fixed)


def test_a_set_of_a_part_is_made_and_resumed_by_the_same_part_only(tmp_path):
    folder = tmp_path / "set"
    words = ["make", "toon", "-o", str(folder), "--size", "32", "--jobs", "1", "--quiet"]
    words += ["--count", "3", "--test-count", "1"]
    run = CliRunner().invoke
    part = ["--fix", "glasses=none,round", "--fix", "light=2", "--fix", "light=0"]
    assert run(app, [*words, *part]).exit_code == 0
    described = json.loads((folder / "dataset.json").read_text())
    assert described["subset"] == {"glasses": [0, 1], "light": [0, 2]}
    lines = (folder / "train" / "metadata.jsonl").read_text().splitlines()
    assert {json.loads(line)["values"]["light"] for line in lines} <= {0, 90}
    assert run(app, [*words, *part]).exit_code == 0 and check_folder(folder).ok
    for other in ([], ["--fix", "glasses=none"]):
        error = run(app, [*words, *other]).exception
        assert isinstance(error, UsageError) and "whose subset is" in str(error)
    for wrong in ("light", "light=", "=2"):
        error = run(app, [*words, "--fix", wrong]).exception
        assert isinstance(error, UsageError) and "FACTOR=VALUE" in str(error)


def test_a_part_with_too_few_cells_and_a_whole_set_made_before_parts_existed(tmp_path):
    part = Toon(32).restrict({name: [0] for name in Toon.factors})
    assert part.limit("train") + part.limit("test") == 1
    with pytest.raises(UsageError, match="toon, so restricted, has [01] different"):
        make_dataset(part, tmp_path / "few", count=2, test_count=2)
    assert not (tmp_path / "few").exists()
    made = make_dataset(Toon(32), tmp_path / "set", count=2)
    file = tmp_path / "set" / "dataset.json"
    described = json.loads(file.read_text())
    del described["subset"]
    file.write_text(json.dumps(described))
    assert made.made == 2 and make_dataset(Toon(32), tmp_path / "set", count=2).kept == 2


def test_a_set_is_made_resumed_and_checked(mitsuba, tmp_path):
    folder = tmp_path / "set"
    make_dataset(Room(16), folder, count=3, test_count=1)
    file = folder / "train" / "000001.png"
    before = file.read_bytes()
    file.unlink()
    assert make_dataset(Room(16), folder, count=3, test_count=1).made == 1
    assert file.read_bytes() == before and check_folder(folder).ok


def test_a_missing_mitsuba_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingExtraError, match=r"the room needs mitsuba.*pip install mitsuba"):
        Room().prepare()


@pytest.mark.parametrize("settings", [{"size": 8}, {"size": 1024}, {"objects": (2, 2)}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError, match="expected"):
        Room(**settings)
