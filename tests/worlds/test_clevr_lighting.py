import dataclasses
import math

import numpy as np
import pytest

from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.worlds.clevr import pixels as clevr_pixels
from comet_cli.worlds.clevr import scene as clevr_scene
from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.clevr_lighting import (
    ELEVATION,
    INTENSITY,
    ClevrLighting,
    KeyLight,
    black_body,
    draw_light,
    illuminate,
    luminance,
)
from comet_cli.worlds.clevr.scene import CAMERA, LIGHTS, Scene, Thing
from comet_cli.worlds.generator import sample_rng

BALL = Scene((Thing("sphere", "gray", "rubber", "large", (0.0, 0.0, 0.7), 0.0),), CAMERA, LIGHTS)
INSIDE = clevr_scene.instance_mask(BALL.things, CAMERA, 32) == 1
LIGHT = KeyLight(azimuth=90, elevation=45, temperature=6500, intensity=3)


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba")


def ball(**changes):
    scene = illuminate(BALL, dataclasses.replace(LIGHT, **changes))
    return clevr_pixels.render(scene, 32, seed=0).astype(float)


def tilt(picture, axis):
    """How much brighter the ball is towards the right (axis 1) or the bottom (axis 0)."""
    place = np.indices(INSIDE.shape)[axis][INSIDE]
    return np.polyfit(place, picture.mean(2)[INSIDE], 1)[0]


def test_the_brighter_side_of_an_object_follows_the_azimuth(mitsuba):
    right, left = ball(azimuth=90), ball(azimuth=270)
    assert tilt(right, 1) > 2 and tilt(left, 1) < -2
    front, behind = ball(azimuth=0), ball(azimuth=180)
    assert abs(tilt(front, 1)) < 1 and abs(tilt(behind, 1)) < 1
    assert front[INSIDE].mean() > 1.3 * behind[INSIDE].mean()


def test_shadows_fall_away_from_the_lamp(mitsuba):
    beside = {"left": np.s_[16:22, 2:9], "right": np.s_[16:22, 23:30]}
    for azimuth, bright, dark in ((90, "right", "left"), (270, "left", "right")):
        picture = ball(azimuth=azimuth, elevation=30)
        assert picture[beside[dark]].min() < 0.85 * picture[beside[bright]].min()


def test_warm_light_is_red_cold_light_is_blue_and_stronger_light_is_brighter(mitsuba):
    ground = np.s_[28:, :]
    warm, cold = ball(temperature=2600)[ground], ball(temperature=20000)[ground]
    assert warm[..., 0].mean() > 1.3 * warm[..., 2].mean()
    assert cold[..., 2].mean() > 1.1 * cold[..., 0].mean()
    levels = [ball(intensity=intensity)[ground].mean() for intensity in (2, 4, 6)]
    assert levels[0] * 1.15 < levels[1] and levels[1] * 1.08 < levels[2] < 255


def test_black_body_is_white_at_6500_kelvin_and_has_luminance_one():
    assert black_body(6504) == pytest.approx((1, 1, 1), abs=0.05)
    for temperature in (2500, 4000, 9000, 22000):
        assert luminance(black_body(temperature)) == pytest.approx(1)
    ratios = [red / blue for red, _, blue in map(black_body, range(2400, 22000, 400))]
    assert ratios == sorted(ratios, reverse=True)


def test_azimuth_is_seen_from_the_camera():
    for azimuth, side in ((90, 1), (270, -1)):
        place = np.array(dataclasses.replace(LIGHT, azimuth=azimuth).place(CAMERA))
        right, _, forward = clevr_scene.camera_axes(CAMERA)
        assert side * (place @ right) > 25
        assert place[:2] @ forward[:2] == pytest.approx(0, abs=1e-9)
        assert math.degrees(math.asin(place[2] / np.linalg.norm(place))) == pytest.approx(45)


def test_no_lamp_is_ever_in_view_and_factors_fill_their_ranges():
    generator, rng, lights = ClevrLighting(), np.random.default_rng(0), []
    for index in range(6):
        scene, _ = generator.draw(sample_rng(0, "train", index))
        for _ in range(40):
            lights.append(draw_light(rng, scene.camera))
            for place in illuminate(scene, lights[-1]).lights.values():
                assert not clevr_scene.lamp_in_view(place, scene.camera)
    azimuths = np.histogram([light.azimuth for light in lights], 6, (0, 360))[0]
    assert azimuths.sum() == 240 and azimuths.min() > 20
    assert all(ELEVATION[0] <= light.elevation <= ELEVATION[1] for light in lights)
    assert all(INTENSITY[0] <= light.intensity <= INTENSITY[1] for light in lights)


def test_scenes_are_those_of_clevr_under_other_light():
    (one, mask), (other, same) = (
        kind().draw(sample_rng(4, "train", 2)) for kind in (Clevr, ClevrLighting)
    )
    assert one == other and (mask == same).all()
    lit = illuminate(other, LIGHT)
    assert (lit.things, lit.camera) == (one.things, one.camera) and lit.lights != one.lights


def test_ground_alone_is_smooth_no_horizon_and_no_shadow_of_a_lamp(mitsuba):
    for azimuth in (0, 90, 180):
        scene = illuminate(Scene((), CAMERA, LIGHTS), KeyLight(azimuth, 40, 6500, 4))
        picture = clevr_pixels.render(scene, 64, seed=0).astype(float).mean(2)
        for axis in (0, 1):
            assert np.abs(np.diff(picture.mean(axis))).max() < 4


def test_sample_is_repeatable_and_says_what_it_shows(mitsuba):
    one, again = (ClevrLighting().sample(sample_rng(0, "test", 2), "test") for _ in range(2))
    other = ClevrLighting().sample(sample_rng(1, "test", 2), "test")
    assert (one.image == again.image).all() and one.factors == again.factors
    assert (one.image != other.image).any() and one.factors["light"] != other.factors["light"]
    light = dict(one.factors["light"])
    colour = light.pop("colour")
    assert colour == black_body(light["temperature"])
    assert one.factors["lights"]["key"] == list(KeyLight(**light).place(one.factors["camera"]))
    for number, item in enumerate(one.factors["objects"], start=1):
        assert item["visible"] == (one.mask == number).sum() >= 40


def test_a_set_is_made_resumed_and_checked(mitsuba, tmp_path):
    folder = tmp_path / "set"
    make_dataset(ClevrLighting(32), folder, count=2, test_count=1)
    file = folder / "train" / "000001.png"
    before = file.read_bytes()
    file.unlink()
    assert make_dataset(ClevrLighting(32), folder, count=2, test_count=1).made == 1
    assert file.read_bytes() == before and check_folder(folder).ok
