import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from comet_cli.data.check import check_folder
from comet_cli.data.make import make_dataset
from comet_cli.errors import UsageError
from comet_cli.worlds.drive import canvas as drive_canvas
from comet_cli.worlds.drive import drive
from comet_cli.worlds.drive import layout as drive_layout
from comet_cli.worlds.drive import light as drive_light
from comet_cli.worlds.drive import scene as drive_scene
from comet_cli.worlds.drive import sky as drive_sky
from comet_cli.worlds.drive.canvas import Part
from comet_cli.worlds.drive.drive import DriveReal, DriveVirtual, draw_layout
from comet_cli.worlds.drive.layout import Car, House, Layout, Light, Road, Tree
from comet_cli.worlds.generator import sample_rng

LOOKS = (DriveReal, DriveVirtual)
ROAD = Road(
    curve=0.0,
    lanes=2,
    lane=1,
    offset=0.0,
    phase=0.0,
    marks="solid",
    verge="grass",
    field="meadow",
)
NOON = Light(time="noon", azimuth=180, intensity=1.0)
EMPTY = Layout(ROAD, "clear", NOON, hills=0.03, trees=(), houses=(), cars=(), details=3)
CAR = Car("van", "red", lane=1, distance=14, oncoming=False)
HOUSE = House(22, 12.0, 9, 8, 2, gable=False, wall="white", roof="slate")
TREE = Tree("broadleaf", 18, 7.5, 8, 0.5)

both_looks = pytest.mark.parametrize("look", LOOKS)


def with_light(layout=EMPTY, **changes):
    return dataclasses.replace(layout, light=dataclasses.replace(layout.light, **changes))


def changed(layout, **changes):
    return dataclasses.replace(layout, **changes)


def picture(look, layout):
    return look().render(layout)[0].astype(float)


def near(mask, reach=1):
    """A mask with what lies within `reach` pixels of it."""
    grown = np.pad(mask, reach)
    for axis in (0, 1):
        grown = np.any([np.roll(grown, step, axis) for step in range(-reach, reach + 1)], axis=0)
    return grown[reach:-reach, reach:-reach]


def shadow_of(layout):
    """Pixels of which some part lies in shadow, the sun's or that below a thing."""
    scene = drive_scene.draw_scene(layout, 64)
    air = drive_sky.air_of(layout)
    images = [drive_light.contact_image(scene, 256)]
    if air.sun:
        images.append(drive_light.shadow_image(scene, air.towards, 256))
    return np.any([np.asarray(i).reshape(64, 4, 64, 4).any((1, 3)) for i in images], axis=0)


def test_both_looks_share_factors_and_mask_and_differ_in_pixels():
    for index in range(6):
        real, virtual = (look().sample_at(2, "train", index) for look in LOOKS)
        assert real.factors == virtual.factors
        assert real.mask.tobytes() == virtual.mask.tobytes()
        assert (real.image != virtual.image).any(2).mean() > 0.9


def test_the_virtual_look_is_flat_and_the_real_one_has_grain():
    near_road = np.s_[50:, 24:40]
    grain = {look: picture(look, EMPTY)[near_road].std((0, 1)).max() for look in LOOKS}
    assert grain[DriveVirtual] == 0 and grain[DriveReal] > 2
    # A step in the fog from pixel to pixel is noise, the lens's fall-off is much slower.
    foggy = changed(EMPTY, weather="fog")
    noise = {look: np.diff(picture(look, foggy)[4:12], axis=1).std((0, 1)) for look in LOOKS}
    assert not noise[DriveVirtual].any() and 1.5 < noise[DriveReal].min() < 8


def test_a_seed_repeats_and_another_one_differs():
    for look in LOOKS:
        one, again = (look().sample_at(4, "test", 1) for _ in range(2))
        assert (one.image == again.image).all() and (one.mask == again.mask).all()
        assert one.factors == again.factors == json.loads(json.dumps(one.factors))
        other = look().sample_at(5, "test", 1)
        assert (one.image != other.image).any() and one.factors != other.factors


def test_all_values_of_all_factors_occur_within_their_ranges():
    layouts = [draw_layout(sample_rng(0, "train", index)) for index in range(300)]
    roads, lights = [each.road for each in layouts], [each.light for each in layouts]
    trees, houses, cars = (
        [thing for each in layouts for thing in getattr(each, kind)]
        for kind in ("trees", "houses", "cars")
    )
    for things, name, values in (
        (roads, "marks", drive_layout.MARKS),
        (roads, "verge", drive_layout.VERGES),
        (roads, "field", drive_layout.FIELDS),
        (roads, "lanes", (2, 3, 4)),
        (layouts, "weather", drive_layout.WEATHERS),
        (lights, "time", drive_layout.TIMES),
        (trees, "kind", drive_layout.TREES),
        (houses, "wall", drive_layout.WALL_COLOURS),
        (houses, "roof", drive_layout.ROOF_COLOURS),
        (houses, "floors", (1, 2, 3)),
        (houses, "gable", (False, True)),
        (cars, "kind", drive_layout.CARS),
        (cars, "colour", drive_layout.CAR_COLOURS),
        (cars, "lane", range(-1, 5)),
        (cars, "oncoming", (False, True)),
    ):
        assert {getattr(thing, name) for thing in things} == set(values), name
    for things, name, (low, high) in (
        (roads, "curve", (-drive.CURVE, drive.CURVE)),
        (roads, "offset", (-drive.OFFSET, drive.OFFSET)),
        (lights, "azimuth", (0, 360)),
        (lights, "intensity", drive.INTENSITY),
        (layouts, "hills", (0, drive.HILLS)),
    ):
        found = np.histogram([getattr(thing, name) for thing in things], 5, (low, high))[0]
        assert found.sum() == 300 and found.min() > 30, name
    assert {len(each.cars) for each in layouts} == set(range(drive.MOST_CARS + 1))
    assert all(each.road.lanes // 2 <= each.road.lane < each.road.lanes for each in layouts)


def test_cars_of_a_lane_keep_their_distance_and_nothing_else_stands_on_the_road():
    for index in range(100):
        layout = draw_layout(sample_rng(1, "train", index))
        for i, one in enumerate(layout.cars):
            for other in layout.cars[:i]:
                assert one.lane != other.lane or abs(one.distance - other.distance) > drive.GAP
        for house in layout.houses:
            assert abs(house.lateral) - house.depth / 2 > layout.road.half + 3
        for tree in layout.trees:
            assert abs(tree.lateral) > layout.road.half + 1.5


def test_ground_and_projection_are_inverse_and_so_are_road_coordinates():
    first, x, z = drive_canvas.ground_below(32)
    points = np.stack([x, np.zeros_like(x), np.broadcast_to(z, x.shape)], axis=-1)
    places = drive_canvas.project(points) * 32 - 0.5
    rows, columns = np.indices(x.shape)
    assert places[..., 0] == pytest.approx(columns, abs=1e-3)
    assert places[..., 1] == pytest.approx(rows + first, abs=1e-3)
    road = dataclasses.replace(ROAD, curve=0.01, offset=0.2)
    for distance, lateral in ((10.0, -2.0), (40.0, 1.5), (60.0, 3.0)):
        x0, z0, _ = road.place(distance, lateral)
        found = road.coordinates(np.array(x0), np.array(z0))[1]
        assert found == pytest.approx(lateral, abs=0.1)
    assert road.coordinates(np.array(0.0), np.array(0.0))[1] == pytest.approx(road.eye)


def test_a_shadow_is_as_long_as_the_suns_height_says():
    box = np.array([(x, y, z) for x in (0, 1) for y in (0, 2.0) for z in (10, 11)], float)
    towards = np.array([0.6, 0.8, 0.0])
    outline = drive_light.cast(box, towards)
    # A height of 2 falls 2 * 0.6 / 0.8 = 1.5 metres away from the sun, which is on the right.
    assert outline[:, 0].min() == pytest.approx(-1.5) and outline[:, 0].max() == pytest.approx(1)
    assert not outline[:, 1].any() and set(outline[:, 2]) == {10, 11}
    x, z = outline[:, 0], outline[:, 2]
    area = abs(x @ np.roll(z, 1) - z @ np.roll(x, 1)) / 2
    assert area == pytest.approx(2.5)


def test_what_lies_behind_the_camera_is_cut_off_at_the_near_plane():
    square = np.array([(0, 0, -1), (1, 0, -1), (1, 0, 3), (0, 0, 3)], float)
    cut = drive_canvas.clip_near(square)
    assert sorted(cut[:, 2].tolist()) == pytest.approx([drive_canvas.NEAR] * 2 + [3, 3])
    assert len(drive_canvas.clip_near(square - (0, 0, 9))) == 0
    assert (drive_canvas.clip_near(square + (0, 0, 9)) == square + (0, 0, 9)).all()


def test_a_curve_moves_the_far_end_of_the_road_to_its_side():
    def far_end(curve):
        layout = changed(EMPTY, road=dataclasses.replace(ROAD, curve=curve))
        mask = DriveVirtual().render(layout)[1]
        return np.nonzero(mask[31:34] == Part.ROAD)[1].mean()

    places = [far_end(curve) for curve in (-0.012, -0.005, 0, 0.005, 0.012)]
    assert (np.diff(places) > 3).all()
    assert places[2] == pytest.approx(31.5 - 1.65 * 64 * 0.85 / 40, abs=2)


def test_a_car_twice_as_far_is_half_as_wide():
    # The tail is 2.4 metres closer than the middle.
    widths = []
    for distance in (12.4, 22.4):
        layout = changed(EMPTY, cars=(dataclasses.replace(CAR, distance=distance),))
        mask = DriveVirtual(256).render(layout)[1]
        widths.append((mask == Part.CAR).any(0).sum())
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.05)
    assert widths[0] == pytest.approx(2 * 0.98 * 0.85 * 256 / 10, rel=0.05)


@both_looks
@pytest.mark.parametrize("thing", [{"cars": (CAR,)}, {"houses": (HOUSE,)}, {"trees": (TREE,)}])
@pytest.mark.parametrize("weather", ["clear", "overcast"])
def test_a_mask_covers_the_pixels_that_a_thing_changes_besides_its_shadow(look, thing, weather):
    without = changed(with_light(azimuth=120), weather=weather)
    layout = changed(without, **thing)
    image, mask = look().render(layout)
    before, ground = look().render(without)
    part = {"cars": Part.CAR, "houses": Part.HOUSE, "trees": Part.TREE}[next(iter(thing))]
    own = mask == part
    assert own.sum() > 40 and not (ground == part).any()
    assert (mask == ground)[~own].all()
    differs = (image != before).any(2)
    # Pixels on an edge mix two parts, and soft shadows are wider than hard ones.
    assert not differs[~near(own, 2) & ~near(shadow_of(layout), 3)].any()
    assert differs[own].mean() > 0.97


@both_looks
@pytest.mark.parametrize("kind", drive_layout.CARS)
def test_cars_ahead_show_red_lamps_and_oncoming_ones_white(look, kind):
    red = {}
    for oncoming in (False, True):
        car = Car(kind, "silver", lane=0 if oncoming else 1, distance=12, oncoming=oncoming)
        image, mask = look(128).render(changed(EMPTY, weather="rain", cars=(car,)))
        r, g, _ = image[mask == Part.CAR].astype(float).T
        red[oncoming] = (r > 1.8 * g).sum()
        assert ((r > 200) & (g > 200)).any() or not oncoming
    assert red[False] > 20 and red[True] == 0


@both_looks
def test_shadows_fall_away_from_the_sun(look):
    layout = changed(EMPTY, cars=(CAR,))
    own = near(look().render(layout)[1] == Part.CAR)
    middle = np.nonzero(own)[1].mean()
    for azimuth, side in ((90, -1), (270, 1)):
        sun = with_light(layout, azimuth=azimuth, time="morning")
        darker = picture(look, changed(sun, cars=())).sum(2) - picture(look, sun).sum(2) > 60
        columns = np.nonzero(darker & ~own)[1]
        assert len(columns) > 20 and side * (columns.mean() - middle) > 4
    cloudy = changed(layout, weather="overcast")
    dark = picture(look, changed(cloudy, cars=())).sum(2) - picture(look, cloudy).sum(2) > 60
    assert (dark & ~own).sum() < 20


@both_looks
def test_the_lit_side_of_houses_and_crowns_follows_the_sun(look):
    layout = changed(EMPTY, houses=(HOUSE,), trees=(dataclasses.replace(TREE, lateral=-7.0),))
    image = {a: picture(look, with_light(layout, azimuth=a, time="morning")) for a in (0, 90, 270)}
    _, mask = look().render(layout)
    # Of the house on the right one sees the wall towards the road, so towards the left.
    wall = np.zeros((64, 64), bool)
    wall[22:28, 46:49] = True
    assert (mask[wall] == Part.HOUSE).all()
    assert image[270][wall].mean() > 1.25 * image[90][wall].mean()
    crown = mask == Part.TREE
    crown[24:] = False
    columns = np.nonzero(crown)[1]
    slopes = {a: np.polyfit(columns, each.mean(2)[crown], 1)[0] for a, each in image.items() if a}
    assert slopes[90] > 1 and slopes[270] < -1


@both_looks
def test_sunset_is_warmer_than_noon_dusk_is_darker_and_intensity_counts(look):
    road = look().render(EMPTY)[1] == Part.ROAD
    road[:40] = False

    def colour(**changes):
        return picture(look, with_light(**changes))[road].mean(0)

    warmth = [np.divide(*colour(time=time)[[0, 2]]) for time in ("noon", "morning", "sunset")]
    assert warmth[0] * 1.04 < warmth[1] < warmth[2] / 1.15
    assert np.divide(*colour(time="dusk")[[0, 2]]) < warmth[0]
    assert colour(time="dusk").mean() < 0.75 * colour().mean()
    levels = [colour(intensity=level).mean() for level in (0.7, 1.0, 1.3)]
    assert levels[0] * 1.1 < levels[1] < levels[2] / 1.05


@both_looks
def test_fog_takes_more_contrast_from_what_is_far(look):
    left = {}
    for distance in (10, 60):
        car = dataclasses.replace(CAR, colour="black", distance=distance)
        contrast = {}
        for weather in ("overcast", "fog"):
            layout = changed(EMPTY, weather=weather, cars=(car,))
            image, mask = look(128).render(layout)
            sky = image[40:50].mean((0, 1))
            own = mask == Part.CAR
            contrast[weather] = np.abs(image[own].mean(0) - sky).mean()
        left[distance] = contrast["fog"] / contrast["overcast"]
    assert left[60] < 0.6 * left[10] < 0.7


@both_looks
def test_each_weather_and_time_gives_another_picture_of_the_same_mask(look):
    layout = changed(EMPTY, houses=(HOUSE,), cars=(CAR,), trees=(TREE,))
    seen = [
        look().render(with_light(changed(layout, weather=weather), time=time))
        for weather in drive_layout.WEATHERS
        for time in drive_layout.TIMES
    ]
    assert len({image.tobytes() for image, _ in seen}) == len(seen) == 20
    assert len({mask.tobytes() for _, mask in seen}) == 1


def test_marks_are_where_their_names_say():
    def marked(**changes):
        layout = changed(EMPTY, road=dataclasses.replace(ROAD, **changes))
        return DriveVirtual().render(layout)[1] == Part.MARK

    solid, dashed, double = (
        marked(marks=marks) for marks in drive_layout.MARKS[1::-1] + ("double",)
    )
    # The middle line runs on the left of the picture, the road's border on the right.
    left, right = np.s_[36:, :32], np.s_[36:48, 34:]
    assert solid[left].any(1).all() and not dashed[left].any(1).all() and dashed[left].any()
    assert double[left].sum() > 1.2 * solid[left].sum()
    assert (solid[right] == dashed[right]).all() and solid[right].any()
    assert not marked(verge="pavement")[right].any()


def test_parts_of_a_picture_are_where_they_belong():
    for index in range(4):
        layout = draw_layout(sample_rng(3, "train", index))
        mask = DriveVirtual().render(layout)[1]
        horizon = round(64 * drive_canvas.HORIZON)
        assert not (mask[horizon + 1 :] == Part.SKY).any()
        assert not np.isin(mask[: horizon - 1], (Part.ROAD, Part.MARK)).any()


@pytest.mark.parametrize("size", [32, 128])
def test_another_size_shows_the_same_scene(size):
    for look in LOOKS:
        image, mask = look(size).render(changed(EMPTY, houses=(HOUSE,), cars=(CAR,)))
        usual, parts = look().render(changed(EMPTY, houses=(HOUSE,), cars=(CAR,)))
        assert image.shape == (size, size, 3) and mask.shape == (size, size)
        small, large = sorted((mask, parts), key=len)
        enlarged = small.repeat(2, 0).repeat(2, 1)
        assert (enlarged == large).mean() > 0.95
        shrunk = [np.asarray(Image.fromarray(i).resize((16, 16), 4), float) for i in (image, usual)]
        assert np.abs(shrunk[0] - shrunk[1]).mean() < 4


def test_a_set_is_made_resumed_and_checked(tmp_path):
    for look in LOOKS:
        folder = tmp_path / look.name
        make_dataset(look(32), folder, count=3, test_count=2)
        file = folder / "train" / "000001.png"
        before = file.read_bytes()
        file.unlink()
        assert make_dataset(look(32), folder, count=3, test_count=2).made == 1
        assert file.read_bytes() == before and check_folder(folder).ok


@both_looks
@pytest.mark.parametrize("settings", [{"size": 16}, {"size": 600}, {"objects": (2, 2)}])
def test_impossible_settings_are_refused(look, settings):
    with pytest.raises(UsageError, match="expected"):
        look(**settings)
