import dataclasses
import itertools
import math

import numpy as np
import pytest

from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.worlds.clevr import pixels as clevr_pixels
from comet_cli.worlds.clevr import scene as clevr_scene
from comet_cli.worlds.clevr import toy_shapes
from comet_cli.worlds.clevr.clevr import MARGIN, gap
from comet_cli.worlds.clevr.clevr_toy import ClevrToy
from comet_cli.worlds.clevr.scene import CAMERA, COLOURS, FACES, LIGHTS, MATERIALS, Scene
from comet_cli.worlds.clevr.toy_scene import Toy
from comet_cli.worlds.clevr.toy_shapes import PAINTS, SHAPES, model
from comet_cli.worlds.generator import sample_rng
from comet_cli.worlds.mitsuba import load_mitsuba

# The camera stands in this direction, seen from the middle of the scene.
TOWARDS = math.degrees(math.atan2(CAMERA[1], CAMERA[0])) % 360


def toy(shape, colour="red", material="rubber", size="large", rotation=0.0, place=(0.0, 0.0)):
    thing = Toy(shape, colour, material, size, (*place, 0.0), rotation)
    return dataclasses.replace(thing, position=(*place, thing.radius))


def outline(thing, size=64):
    return clevr_scene.instance_mask((thing,), CAMERA, size) == 1


def seen_paints(thing, size=64):
    """How many pixels show each paint."""
    faces = clevr_scene.face_mask((thing,), CAMERA, size)
    shape = thing.model
    paint_of = dict(zip(shape.faces.tolist(), shape.paints.tolist(), strict=True))
    shown = [paint_of[face] for face in (faces[faces > 0] - FACES).tolist()]
    return dict(zip(PAINTS, np.bincount(shown, minlength=len(PAINTS)).tolist(), strict=True))


@pytest.fixture(scope="module")
def drawn():
    generator = ClevrToy()
    return [generator.draw(sample_rng(0, "train", i)) for i in range(20)]


@pytest.fixture(scope="module")
def mitsuba():
    pytest.importorskip("mitsuba")
    return load_mitsuba()


@pytest.fixture(scope="module")
def sample(mitsuba):
    return ClevrToy().sample(sample_rng(0, "train", 1), "train")


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_closed_and_their_normals_point_outwards(shape):
    for part in SHAPES[shape]():
        solid = part.solid
        edges = [tuple(t[[i, (i + 1) % 3]]) for t in solid.triangles for i in range(3)]
        assert len(set(edges)) == len(edges)
        assert {(b, a) for a, b in edges} == set(edges)
        assert len(solid.vertices) - len(edges) // 2 + len(solid.triangles) == 2
        a, b, c = (solid.vertices[solid.triangles[:, corner]] for corner in range(3))
        across = np.cross(b - a, c - a)
        assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0
        assert np.linalg.norm(solid.normals, axis=1) == pytest.approx(1)
        for corner in range(3):
            assert ((solid.normals[solid.triangles[:, corner]] * across).sum(1) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_toys_stand_on_the_ground_within_their_cylinder(shape):
    for rotation, size in itertools.product((0.0, 73.0, 200.0), clevr_scene.SIZES):
        thing = toy(shape, size=size, rotation=rotation, place=(1.0, -2.0))
        vertices, normals = thing.placed()
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-12)
        assert vertices[:, 2].max() == pytest.approx(2 * thing.radius)
        assert np.hypot(*(vertices[:, :2] - (1, -2)).T).max() == pytest.approx(thing.reach)
        assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
        a, b, c = (vertices[corner] for corner in thing.model.triangles.T)
        across = np.cross(b - a, c - a)
        assert ((normals[thing.model.triangles[:, 0]] * across).sum(1) > 0).all()
    large, small = (toy(shape, size=size).radius for size in ("large", "small"))
    assert large == 2 * small


def test_toys_do_not_overlap_and_each_is_visible(drawn):
    for scene, mask in drawn:
        assert len(scene.things) == 4
        for one, other in itertools.combinations(scene.things, 2):
            assert gap(one, other) >= MARGIN
        assert np.bincount(mask.ravel(), minlength=5)[1:].min() >= 40


def test_all_factors_occur(drawn):
    things = [thing for scene, _ in drawn for thing in scene.things]
    assert {(thing.shape, thing.size) for thing in things} == set(
        itertools.product(SHAPES, clevr_scene.SIZES)
    )
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.material for thing in things} == set(MATERIALS)
    turns = np.histogram([thing.rotation for thing in things], 4, (0, 360))[0]
    assert turns.sum() == 80 and turns.min() >= 8


def test_number_of_objects_stays_in_its_range():
    generator = ClevrToy(objects=(1, 6))
    counts = {len(generator.draw(sample_rng(0, "test", i))[0].things) for i in range(30)}
    assert counts == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_is_the_union_of_all_projected_triangles(shape):
    thing = toy(shape, rotation=130.0, place=(0.4, 0.9))
    corners = clevr_scene.project(thing.placed()[0], CAMERA)[thing.model.triangles][..., :2]
    line = (np.arange(48) + 0.5) / 48
    covered = np.zeros((48, 48), bool)
    for a, b, c in corners:
        turns = [
            (q[0] - p[0]) * (line[:, None] - p[1]) - (q[1] - p[1]) * (line[None] - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        covered |= np.all(np.array(turns) > 0, 0) | np.all(np.array(turns) < 0, 0)
    assert covered.sum() > 60
    assert (covered == outline(thing, 48)).all()


def test_a_toy_partly_outside_of_the_picture_is_cut_off_and_one_behind_it_is_not_seen():
    wide = clevr_scene.project(np.array([2.6, 3.0, 0.5]), CAMERA)
    assert wide[0] > 0.9
    cut = outline(toy("truck", place=(2.6, 3.0)))
    assert cut[:, -1].any() and not cut[:, :40].any()
    assert not outline(toy("truck", place=(40.0, -30.0))).any()
    assert not outline(toy("truck", place=(0.0, 60.0))).any()


def test_the_nearer_toy_hides_the_further_one():
    ahead, behind = toy("boot", place=(1.2, -1.0)), toy("pin", place=(-0.2, 0.2))
    for things in ((ahead, behind), (behind, ahead)):
        mask = clevr_scene.instance_mask(things, CAMERA, 64)
        both = outline(ahead) & outline(behind)
        assert both.sum() > 20
        assert (mask[both] == things.index(ahead) + 1).all()


def test_masks_agree_with_the_renderers_own_intersections(mitsuba, drawn):
    rng = np.random.default_rng(0)
    half = math.tan(math.radians(clevr_scene.FIELD_OF_VIEW) / 2)
    for scene, mask in drawn[:3]:
        world = mitsuba.load_dict(clevr_pixels._describe(mitsuba, scene, 64), parallel=False)
        right, up, forward = clevr_scene.camera_axes(scene.camera)
        faces = clevr_scene.face_mask(scene.things, scene.camera, 64)
        differing = 0
        # All pixels near an object, and some of the ground.
        inside = np.argwhere(mask > 0)
        for row, column in np.concatenate([inside, rng.integers(0, 64, (100, 2))]):
            x, y = ((np.array([column, row]) + 0.5) / 32 - 1) * half
            ray = mitsuba.Ray3f(list(scene.camera), (forward + x * right - y * up).tolist())
            name = world.ray_intersect(ray).shape.id()
            number = int(mask[row, column])
            expected = "ground"
            if number:
                shape = scene.things[number - 1].model
                face = faces[row, column] - FACES * number
                expected = f"thing{number - 1}{PAINTS[shape.paints[shape.faces == face][0]]}"
            differing += name != expected
        assert len(inside) > 300 and differing <= 2  # rays that graze an edge


def test_without_an_object_its_pixels_change_and_far_ones_do_not(mitsuba):
    blue, red = toy("toy", "blue", place=(0.0, -1.5)), toy("truck", "red", place=(-0.5, 1.8))
    with_it, without = (
        clevr_pixels.render(Scene(things, CAMERA, LIGHTS), 64, 0).astype(float)
        for things in ((blue, red), (blue,))
    )
    mask = clevr_scene.instance_mask((blue, red), CAMERA, 64)
    change = np.abs(with_it - without).max(2)
    assert (change[mask == 2] > 8).mean() > 0.97
    assert change[mask == 1].max() < 20 and change[mask != 2].mean() < 3


def test_turning_a_toy_turns_what_is_seen(mitsuba):
    for shape in ("boot", "toy", "truck"):
        things = [toy(shape, rotation=TOWARDS + turn) for turn in (0, 90, 180)]
        for one, other in itertools.combinations(things, 2):
            either, both = outline(one) | outline(other), outline(one) & outline(other)
            pictures = [
                clevr_pixels.render(Scene((thing,), CAMERA, LIGHTS), 64, 0).astype(float)
                for thing in (one, other)
            ]
            assert np.abs(pictures[0] - pictures[1]).max(2)[both].mean() > 6
            assert both.sum() < 0.97 * either.sum()


def test_the_front_is_seen_from_the_front():
    # A bear's nose and eyes, a truck's windscreen.
    for shape, paint in (("toy", "black"), ("truck", "glass")):
        front, back = (
            seen_paints(toy(shape, rotation=TOWARDS + turn), 128)[paint] for turn in (0, 180)
        )
        assert front > 20 and back == 0
    # A boot's toe points to the right of the picture if it is turned a quarter from the camera.
    columns = [
        np.nonzero(outline(toy("boot", rotation=TOWARDS + turn), 128)[66:])[1]
        - np.nonzero(outline(toy("boot", rotation=TOWARDS + turn), 128)[:56])[1].mean()
        for turn in (90, -90)
    ]
    assert columns[0].mean() > 4 and columns[1].mean() < -4


@pytest.mark.parametrize("size", clevr_scene.SIZES)
def test_shapes_are_told_apart_by_outline_and_paint_at_64_pixels(size):
    def described(shape, rotation):
        thing = toy(shape, size=size, rotation=rotation)
        shown = outline(thing)
        rows, columns = np.nonzero(shown)
        around = np.zeros((32, 32))
        around[rows - rows.max() + 31, columns - (columns.min() + columns.max()) // 2 + 16] = 1
        paints = np.array(list(seen_paints(thing).values())) / shown.sum()
        return around, paints

    known = [(shape, described(shape, turn)) for shape in SHAPES for turn in range(0, 360, 30)]
    for shape, turn in itertools.product(SHAPES, range(15, 360, 30)):
        mine, paints = described(shape, turn)
        distances = [
            np.abs(other - mine).sum() / mine.sum() + np.abs(theirs - paints).sum()
            for _, (other, theirs) in known
        ]
        assert known[int(np.argmin(distances))][0] == shape


@pytest.mark.parametrize("shape", SHAPES)
def test_an_objects_own_colour_dominates(mitsuba, shape):
    for turn in range(0, 360, 45):
        paints = seen_paints(toy(shape, rotation=float(turn)))
        assert paints["own"] + paints["light"] > 0.6 * sum(paints.values())
        assert paints["own"] > 0.35 * sum(paints.values())
    for material, (colour, channel) in zip(
        ("rubber", "metal", "rubber"), (("red", 0), ("green", 1), ("blue", 2)), strict=True
    ):
        thing = toy(shape, colour, material)
        picture = clevr_pixels.render(Scene((thing,), CAMERA, LIGHTS), 32, 0).astype(float)
        mean = picture[outline(thing, 32)].mean(0)
        assert mean[channel] > 1.15 * np.delete(mean, channel).max()


def test_faces_fit_their_numbers():
    for shape in SHAPES:
        assert model(shape).faces.max() < FACES
        assert len(model(shape).triangles) < 3000
        assert set(model(shape).paints.tolist()) <= set(range(len(toy_shapes.PAINTS)))


def test_same_seed_gives_same_pixels_and_another_seed_others(sample):
    again = ClevrToy().sample(sample_rng(0, "train", 1), "train")
    other = ClevrToy().sample(sample_rng(1, "train", 1), "train")
    assert (sample.image == again.image).all() and (sample.mask == again.mask).all()
    assert sample.factors == again.factors
    assert (sample.image != other.image).any()


def test_metadata_describes_what_the_mask_shows(sample):
    assert sample.image.shape == (64, 64, 3) and sample.mask.dtype == np.uint8
    for number, item in enumerate(sample.factors["objects"], start=1):
        inside = sample.mask == number
        assert item["visible"] == inside.sum() >= 40
        assert item["shape"] in SHAPES
        thing = toy(item["shape"], size=item["size"], place=item["position"][:2])
        assert item["position"][2] == thing.radius
        x, y = item["pixel"]
        rows, columns = np.nonzero(inside)
        assert columns.min() - 8 < x < columns.max() + 9 and rows.min() - 8 < y < rows.max() + 9


def test_a_set_is_made_resumed_and_checked(mitsuba, tmp_path):
    folder = tmp_path / "set"
    make_dataset(ClevrToy(32), folder, count=2, test_count=1)
    file = folder / "train" / "000001.png"
    before = file.read_bytes()
    file.unlink()
    assert make_dataset(ClevrToy(32), folder, count=2, test_count=1).made == 1
    assert file.read_bytes() == before and check_folder(folder).ok
