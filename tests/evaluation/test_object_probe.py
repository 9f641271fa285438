"""A probe of objects: where they are, what they are, and that it learns both."""

import numpy as np
import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.evaluation.object_probe import (
    NOTHING,
    ObjectProbe,
    describes_objects,
    draw_empty_places,
    find_objects,
    object_reader,
    train_object_probe,
    windows,
)
from comet_cli.evaluation.probe import Probe
from comet_cli.evaluation.reconstruction import as_pictures

SIZE = 20
SHADES = {"dark": 100, "bright": 255}


def bars(count: int, seed: int):
    """Grey pictures with an upright or a lying bar, dark or bright."""
    draw = np.random.default_rng(seed)
    images = np.full((count, SIZE, SIZE, 3), 40, np.uint8)
    masks, metadata = np.zeros((count, SIZE, SIZE), np.uint8), []
    for image, mask in zip(images, masks, strict=True):
        shade, upright = list(SHADES)[draw.integers(2)], bool(draw.integers(2))
        height, width = (8, 3) if upright else (3, 8)
        row, column = draw.integers(0, (SIZE - height, SIZE - width))
        image[row : row + height, column : column + width] = SHADES[shade]
        mask[row : row + height, column : column + width] = 1
        metadata.append({"objects": [{"shade": shade, "upright": upright, "at": row / 7}]})
    return images, masks, metadata


def test_places_are_the_pixels_nearest_the_centre_of_what_can_be_seen():
    masks = np.zeros((2, 9, 9), np.uint8)
    masks[0, 2:5, 3:8] = 2
    masks[1, 0, :] = masks[1, :, 0] = 1  # an angle: its centre of mass is outside of it
    each = {"colour": "red"}
    metadata = [{"objects": [each, {"colour": "blue"}]}, {"objects": [each]}]
    table = find_objects(masks, metadata, object_reader(metadata))
    assert table.places[0].tolist() == [0, 3, 5]
    assert masks[tuple(table.places[1])] == 1
    assert table.numbers.tolist() == [2, 1], "the hidden object 1 of the first picture is left out"
    assert table.labels.ravel().tolist() == [0, 1]
    assert table.mask(0, masks).sum() == 15


def test_the_factors_are_the_classes_of_objects_unless_others_are_asked_for():
    objects = [
        {"shape": "cube", "turns": n % 4, "visible": 3, "depth": n / 3, "pixel": [1, 2]}
        for n in range(9)
    ]
    reader = object_reader([{"objects": objects}])
    assert reader.names == ["shape", "turns"]
    assert reader.labels(objects)[:, 1].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert object_reader([{"objects": objects}], ["depth"]).labels(objects).max() == 3


@pytest.mark.parametrize(
    ("metadata", "names", "expected"),
    [
        ([{"objects": [{"shape": "cube"}]}], None, True),
        ([{"objects": [{"shape": "cube"}], "factors": {"hair": 1}}], None, False),
        ([{"objects": [{"shape": "cube"}], "light": {"power": 1.0}}], ["light.power"], False),
        ([{"objects": [{"shape": "cube"}], "light": {"power": 1.0}}], ["shape", "x"], True),
        ([{"objects": []}, {"objects": [{"shape": "cube"}]}], None, True),
        ([{"objects": 3}], None, False),
        ([], None, False),
    ],
)
def test_factors_are_of_objects_where_there_is_no_grid_and_none_of_the_picture_is_named(
    metadata, names, expected
):
    assert describes_objects(metadata, names) is expected


def test_pictures_without_masks_objects_or_factors_are_refused_in_a_sentence():
    metadata = [{"objects": [{"shape": "cube"}]}]
    reader = object_reader(metadata)
    with pytest.raises(CometError, match="need pictures with instance masks"):
        find_objects(None, metadata, reader)
    with pytest.raises(CometError, match="no object in the pictures"):
        find_objects(np.zeros((1, 4, 4), np.uint8), metadata, reader)
    with pytest.raises(CometError, match="no training picture has shape ball"):
        find_objects(np.ones((1, 4, 4), np.uint8), [{"objects": [{"shape": "ball"}]}], reader)
    with pytest.raises(CometError, match="have no factors"):
        object_reader([{"objects": [{"pixel": [1, 2]}]}])


def test_windows_are_cut_around_places_and_the_rim_goes_on():
    pictures = np.arange(25).reshape(1, 5, 5, 1)
    found = windows(pictures, np.array([[0, 2, 2], [0, 0, 4]]), 1)
    assert found.shape == (2, 3, 3, 1)
    assert found[0, ..., 0].tolist() == [[6, 7, 8], [11, 12, 13], [16, 17, 18]]
    assert found[1, ..., 0].tolist() == [[3, 4, 4], [3, 4, 4], [8, 9, 9]]


def test_empty_places_are_on_no_object_and_half_of_them_near_one():
    images, masks, metadata = bars(30, 0)
    table = find_objects(masks, metadata, object_reader(metadata))
    places = draw_empty_places(masks, table, 200, 4, np.random.default_rng(0))
    assert 100 < len(places) <= 200
    assert (masks[tuple(places.T)] == 0).all()
    everywhere = draw_empty_places(np.ones_like(masks), table, 50, 4, np.random.default_rng(0))
    assert len(everywhere) == 0


def test_a_probe_learns_what_is_where_and_that_nothing_is_elsewhere():
    images, masks, metadata = bars(200, 1)
    reader = object_reader(metadata)
    assert reader.names == ["shade", "upright"]
    table = find_objects(masks, metadata, reader)
    probe = train_object_probe(images, masks, table, iterations=80, batch=32)
    images, masks, metadata = bars(100, 2)
    unseen = find_objects(masks, metadata, reader)
    found = probe.read(as_pictures(images), unseen.places)
    assert (found == unseen.labels).mean() > 0.95
    empty = draw_empty_places(masks, unseen, 200, probe.reach, np.random.default_rng(0))
    assert (probe.read(as_pictures(images), empty) == NOTHING).mean() > 0.95
    assert probe.read(as_pictures(images), empty[:0]).shape == (0, 2)


def test_the_same_seed_gives_the_same_probe_and_the_batch_changes_no_reading():
    images, masks, metadata = bars(20, 3)
    table = find_objects(masks, metadata, object_reader(metadata))
    one, two = (train_object_probe(images, masks, table, iterations=3, batch=8) for _ in range(2))
    assert torch.equal(one.network.heads.weight, two.network.heads.weight)
    x = as_pictures(images)
    assert (one.read(x, table.places, batch=3) == one.read(x, table.places)).all()


def test_a_probe_knows_its_place():
    torch.manual_seed(0)
    probe = ObjectProbe(Probe(5, [2, 3], extra=2).eval(), reach=2)
    with torch.no_grad():
        probe.network.heads.bias.zero_()
        probe.network.heads.weight.zero_()
        probe.network.hidden.weight.zero_()
        probe.network.hidden.bias.zero_()
        probe.network.hidden.weight[0, -2] = 1  # how far down
        probe.network.heads.weight[1, 0] = 1  # something is there in the lower half
        probe.network.heads.bias[0] = 0.01
        probe.network.heads.bias[4] = 1
    x = torch.rand(1, 3, 10, 10)
    assert probe.read(x, np.array([[0, 1, 1], [0, 9, 1]])).tolist() == [[NOTHING], [2]]
