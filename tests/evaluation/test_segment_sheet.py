"""The sheet of a comparison of objects: masks, pictures made again, components, swaps."""

import numpy as np

from comet_cli.baselines.sheets import heading
from comet_cli.drawing.maps import overlay
from comet_cli.evaluation import segment_sheet as sheets


def test_all_components_but_the_first_are_those_of_the_picture_below(stripes, monkeypatch):
    seen = []
    keep = sheets.framed

    def framed(pixels, side):
        seen.append(pixels)
        return keep(pixels, side)

    monkeypatch.setattr(sheets, "framed", framed)
    colours = np.random.default_rng(0).integers(40, 216, (3, 1, 4, 3), dtype=np.uint8)
    images = colours.repeat(2, 2).repeat(8, 1)
    masks = np.zeros((3, 8, 8), np.uint8)
    masks[:, :, 4:] = 1
    sheet = sheets.segment_sheet([("stripes", stripes)], lambda model: (images, masks))
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    inputs, truth, again, components, swapped = np.stack(seen).reshape(5, 3, 8, 8, 3).astype(int)
    assert np.array_equal(inputs, images)
    assert np.array_equal(truth[0], overlay(images[0], masks[0], 2))
    assert np.abs(again - images).max() <= 2
    stripe = np.arange(8)[None].repeat(8, 0) // 2
    assert np.array_equal(components[0], overlay(images[0], stripe, 4))
    expected = np.roll(images, -1, 0).astype(int)
    expected[:, :, :2] = images[:, :, :2]
    assert np.abs(swapped - expected).max() <= 2


def test_no_more_pictures_than_fit(stripes):
    shapes = []
    for count in (sheets.SHOWN, sheets.SHOWN + 3):
        pictures = np.zeros((count, 8, 8, 3), np.uint8), np.zeros((count, 8, 8), np.uint8)
        shapes.append(sheets.segment_sheet([("a", stripes)], lambda m, p=pictures: p).shape)
    assert shapes[0] == shapes[1]


def test_a_row_is_called_by_its_settings():
    settings = {"model": "COMET", "encoder": "global", "D": "64", "positional embedding": "yes"}
    assert heading(settings) == "COMET\nglobal, D 64, positional embedding"
    assert heading({**settings, "positional embedding": "no"}) == "COMET\nglobal, D 64"
