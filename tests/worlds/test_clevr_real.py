"""Metals that mirror a darker horizon: the ground keeps its light, edges are round."""

import numpy as np
import pytest

from comet_cli.worlds.clevr import pixels
from comet_cli.worlds.clevr.clevr_real import BEVEL, HORIZON, ROUGHNESS, ClevrReal
from comet_cli.worlds.clevr.scene import CAMERA, LIGHTS, Metal, Scene, Thing, face_mask
from comet_cli.worlds.generator import sample_rng


@pytest.fixture
def mitsuba():
    return pytest.importorskip("mitsuba")


def thing(shape):
    radius = 0.7 / np.sqrt(2) if shape == "cube" else 0.7
    return Thing(shape, "yellow", "metal", "large", (0.0, 0.0, radius), 20.0)


def picture(metal, shape="cube"):
    """A scene of one thing, 64 pixels, and where its faces and the ground are seen."""
    scene = Scene(things=(thing(shape),), camera=CAMERA, lights=dict(LIGHTS), metal=metal)
    image = pixels.render(scene, 64, seed=0, samples=64).astype(float)
    return image, face_mask(scene.things, CAMERA, 64) - 64


def test_a_darker_horizon_darkens_what_metal_mirrors_and_not_the_ground(mitsuba):
    (even, faces), (dark, _) = (picture(Metal(0.04, 0.0, horizon)) for horizon in (1.0, 0.5))
    ground, lid = faces == -64, faces == 2
    assert lid.sum() > 20
    assert abs(even[ground].mean() - dark[ground].mean()) < 1
    # sRGB of half the light.
    assert 0.66 < dark[lid].mean() / even[lid].mean() < 0.8


@pytest.mark.parametrize("shape", ["cube", "cylinder"])
def test_round_edges_catch_light_and_keep_the_outline(shape, mitsuba):
    sharp, faces = picture(Metal(0.04, 0.0, 0.5), shape)
    round_, _ = picture(Metal(0.04, BEVEL, 0.5), shape)
    changed = np.abs(sharp - round_).max(2) > 8
    assert changed[faces >= 0].sum() >= 8
    assert not changed[faces < 0].any()


@pytest.mark.parametrize("shape", ["cube", "cylinder"])
def test_a_bevelled_solid_fills_its_bounds(shape):
    solid = pixels._bevelled(thing(shape), BEVEL)
    radius = thing(shape).radius
    assert np.allclose(solid.vertices[:, 2].min(), 0) and np.isclose(
        solid.vertices[:, 2].max(), 2 * radius
    )
    across = np.hypot(*solid.vertices[:, :2].T).max()
    corner = radius if shape == "cylinder" else np.sqrt(2) * (radius - BEVEL) + BEVEL
    assert 0.97 * corner < across <= corner + 1e-9
    facing = (solid.normals * (solid.vertices - [0, 0, radius])).sum(1)
    assert (facing > 0).all()


def test_a_picture_is_repeatable_and_names_its_metal(mitsuba):
    one, again = (ClevrReal(32).sample(sample_rng(0, "test", 2), "test") for _ in range(2))
    assert (one.image == again.image).all() and one.factors == again.factors
    metal = one.factors["metal"]
    assert ROUGHNESS[0] <= metal["roughness"] <= ROUGHNESS[1]
    assert HORIZON[0] <= metal["horizon"] <= HORIZON[1]
    assert {"objects", "camera", "lights"} < set(one.factors)
