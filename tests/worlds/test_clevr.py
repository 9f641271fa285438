import itertools
import math
import sys

import numpy as np
import pytest

from comet_cli.errors import MissingExtraError
from comet_cli.worlds.clevr import pixels as clevr_pixels
from comet_cli.worlds.clevr import scene as clevr_scene
from comet_cli.worlds.clevr.clevr import MARGIN, Clevr, gap
from comet_cli.worlds.clevr.scene import Scene, Thing
from comet_cli.worlds.generator import sample_rng
from comet_cli.worlds.mitsuba import load_mitsuba


def scenes(count, **settings):
    generator = Clevr(**settings)
    return [(generator, *generator.draw(sample_rng(0, "train", i))) for i in range(count)]


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba")
    return load_mitsuba()


@pytest.fixture(scope="module")
def sample(mitsuba):
    return Clevr().sample(sample_rng(0, "train", 3), "train")


def test_objects_do_not_overlap_and_each_is_visible():
    for generator, scene, mask in scenes(12):
        assert len(scene.things) == 4
        for one, other in itertools.combinations(scene.things, 2):
            assert gap(one, other) >= MARGIN
            assert math.dist(one.position, other.position) > one.radius + other.radius
        assert np.bincount(mask.ravel(), minlength=5)[1:].min() >= generator.min_visible == 40


def test_objects_rest_on_the_ground_within_the_scene():
    for _, scene, _ in scenes(12):
        for thing in scene.things:
            assert thing.position[2] == thing.radius
            assert max(map(abs, thing.position[:2])) <= 3


def test_no_lamp_is_ever_in_view():
    for _, scene, _ in scenes(12):
        for place in scene.lights.values():
            x, y, depth = clevr_scene.project(np.array(place), scene.camera)
            assert depth < 0 or max(abs(x - 0.5), abs(y - 0.5)) > 0.5


def test_visible_pixels_scale_with_the_area_of_the_picture():
    generator, _, mask = scenes(1, size=32)[0]
    assert mask.shape == (32, 32) and generator.min_visible == 10
    assert np.bincount(mask.ravel(), minlength=5)[1:].min() >= 10


def test_number_of_objects_stays_in_its_range():
    counts = {len(scene.things) for _, scene, _ in scenes(25, objects=(2, 5))}
    assert counts == {2, 3, 4, 5}


def test_projection_puts_the_origin_in_the_middle_and_higher_points_above():
    x, y, depth = clevr_scene.project(np.zeros(3), clevr_scene.CAMERA)
    assert (x, y) == pytest.approx((0.5, 0.5))
    assert depth == pytest.approx(math.hypot(*clevr_scene.CAMERA))
    assert clevr_scene.project(np.array([0, 0, 1.0]), clevr_scene.CAMERA)[1] < 0.5


def test_a_sphere_stays_round():
    # On the optical axis the outline of a sphere is a circle.
    thing = Thing("sphere", "red", "rubber", "large", (0.0, 0.0, 0.0), 0.0)
    rows, columns = np.nonzero(clevr_scene.instance_mask((thing,), clevr_scene.CAMERA, 256))
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    distance = math.hypot(*clevr_scene.CAMERA)
    half = math.tan(math.asin(0.7 / distance)) / math.tan(
        math.radians(clevr_scene.FIELD_OF_VIEW) / 2
    )
    assert np.ptp(rows) + 1 == pytest.approx(256 * half, abs=2)


def test_masks_agree_with_the_renderers_own_intersections(mitsuba):
    rng = np.random.default_rng(0)
    for _, scene, mask in scenes(3):
        world = mitsuba.load_dict(clevr_pixels._describe(mitsuba, scene, 64), parallel=False)
        right, up, forward = clevr_scene.camera_axes(scene.camera)
        half = math.tan(math.radians(clevr_scene.FIELD_OF_VIEW) / 2)
        differing = 0
        for row, column in rng.integers(0, 64, (300, 2)):
            x, y = ((np.array([column, row]) + 0.5) / 32 - 1) * half
            ray = mitsuba.Ray3f(list(scene.camera), (forward + x * right - y * up).tolist())
            name = world.ray_intersect(ray).shape.id()
            number = int(name[5:].removesuffix("lid")) + 1 if name.startswith("thing") else 0
            differing += number != mask[row, column]
        assert differing <= 1  # rays that graze an edge


def test_same_seed_gives_same_pixels_and_another_seed_others(mitsuba, sample):
    again = Clevr().sample(sample_rng(0, "train", 3), "train")
    other = Clevr().sample(sample_rng(1, "train", 3), "train")
    assert (sample.image == again.image).all() and (sample.mask == again.mask).all()
    assert sample.factors == again.factors
    assert (sample.image != other.image).any()


def test_loading_a_world_again_gives_the_same_pixels(mitsuba):
    _, scene, _ = scenes(4)[3]
    pictures = {clevr_pixels.render(scene, 32, seed=5).tobytes() for _ in range(5)}
    assert len(pictures) == 1


def test_metadata_describes_what_the_mask_shows(sample):
    assert sample.image.shape == (64, 64, 3) and sample.image.dtype == np.uint8
    for number, item in enumerate(sample.factors["objects"], start=1):
        inside = sample.mask == number
        assert item["visible"] == inside.sum() >= 40
        assert item["colour"] in clevr_scene.COLOURS and item["size"] in clevr_scene.SIZES


def test_ground_is_grey_brighter_below_and_noise_is_low(mitsuba):
    lights = dict(clevr_scene.LIGHTS)
    pictures = [
        clevr_pixels.render(Scene((), clevr_scene.CAMERA, lights), 64, seed).astype(float)
        for seed in range(3)
    ]
    picture = np.mean(pictures, axis=0)
    assert np.ptp(picture, axis=2).max() < 16
    top, middle, bottom = (
        picture[rows].mean() for rows in (slice(4), slice(30, 34), slice(60, 64))
    )
    assert 100 < top < 112 and 118 < middle < 136 and 130 < bottom < 150
    assert np.std(pictures, axis=0).mean() < 1.5
    assert np.abs(np.diff(picture.mean(axis=(1, 2)))).max() < 3  # no horizon line


def test_rubber_and_metal_show_their_colour(mitsuba):
    for material in clevr_scene.MATERIALS:
        for colour, channel in (("red", 0), ("green", 1), ("blue", 2)):
            thing = Thing("sphere", colour, material, "large", (0.0, 0.0, 0.7), 0.0)
            scene = Scene((thing,), clevr_scene.CAMERA, dict(clevr_scene.LIGHTS))
            picture = clevr_pixels.render(scene, 32, seed=0).astype(float)
            mean = picture[clevr_scene.instance_mask((thing,), scene.camera, 32) == 1].mean(axis=0)
            others = np.delete(mean, channel)
            assert mean[channel] > 1.3 * others.max()


def test_absent_mitsuba_is_one_sentence_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingExtraError, match=r"pip install mitsuba"):
        Clevr().prepare()
