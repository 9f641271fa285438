"""Contact sheets: pictures arrive unchanged in their places; maps mean what they say."""

import numpy as np
import pytest
from PIL import ImageFont

from comet_cli.drawing.layout import fit_label, wrap
from comet_cli.drawing.maps import heat_map, overlay, palette, signed_map
from comet_cli.drawing.sheets import Sheet, cell_side, draw_sheet


def plain(colour, size: int = 16) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def find(sheet: np.ndarray, colour) -> np.ndarray:
    return np.argwhere((sheet == colour).all(-1))


RED, GREEN, BLUE, GOLD = (250, 1, 2), (3, 240, 4), (5, 6, 245), (201, 160, 9)


def test_cells_stand_in_rows_and_columns_at_equal_size():
    cells = [[plain(RED), plain(GREEN)], [plain(BLUE), plain(GOLD)]]
    sheet = draw_sheet(Sheet(["one", "two"], ["a", "b"], cells))
    side = cell_side(cells)
    boxes = {}
    for colour in (RED, GREEN, BLUE, GOLD):
        places = find(sheet, colour)
        assert len(places) == side * side
        boxes[colour] = places[0].tolist()
    assert boxes[RED][0] == boxes[GREEN][0] < boxes[BLUE][0] == boxes[GOLD][0]
    assert boxes[RED][1] == boxes[BLUE][1] < boxes[GREEN][1] == boxes[GOLD][1]


@pytest.mark.parametrize(
    ("size", "side"), [(16, 144), (35, 140), (64, 128), (128, 128), (300, 300)]
)
def test_cells_are_about_as_large_as_they_should_be(size, side):
    assert cell_side([[plain(RED, size)]]) == side


def test_pixels_are_repeated_never_mixed():
    cell = np.random.default_rng(0).integers(0, 256, (35, 35, 3), dtype=np.uint8)
    sheet = draw_sheet(Sheet(["x"], [""], [[cell]]))
    factor = 140 // 35
    large = cell.repeat(factor, 0).repeat(factor, 1)
    height, width = sheet.shape[:2]
    assert any(
        np.array_equal(sheet[y : y + 140, x : x + 140], large)
        for y in range(height - 139)
        for x in range(15, 25)
    )


def test_margins_are_white_and_labels_are_dark():
    sheet = draw_sheet(Sheet(["label"], ["row"], [[plain(RED)]]))
    for edge in (sheet[:10], sheet[-10:], sheet[:, :10], sheet[:, -10:]):
        assert (edge == 255).all()
    without = draw_sheet(Sheet([""], [""], [[plain(RED)]]))
    assert (sheet.min(-1) < 100).sum() > (without.min(-1) < 100).sum() - 144 * 144


def test_empty_places_stay_white_and_pictures_of_other_sizes_fit():
    sheet = draw_sheet(
        Sheet(["a", "b"], ["", ""], [[plain(RED, 32), None], [plain(GREEN, 48), plain(BLUE, 32)]])
    )
    assert len(find(sheet, RED)) == len(find(sheet, GREEN)) == 144 * 144


def test_long_labels_do_not_leave_their_cell():
    short = draw_sheet(Sheet(["x", "y"], ["r"], [[plain(RED), plain(RED)]]))
    long = draw_sheet(Sheet(["x" * 500, "y"], ["r" * 500], [[plain(RED), plain(RED)]]))
    assert short.shape == long.shape
    assert (long[:, :8] == 255).all() and (long[:8] == 255).all()


def test_breaks_widen_the_gap():
    cells = [[plain(RED), plain(RED)]]
    narrow = draw_sheet(Sheet(["", ""], [""], cells))
    wide = draw_sheet(Sheet(["", ""], [""], cells, breaks=frozenset({1})))
    assert wide.shape[1] > narrow.shape[1] and wide.shape[0] == narrow.shape[0]


def test_signed_map_is_grey_at_zero_and_odd():
    values = np.random.default_rng(0).standard_normal((3, 9, 9)).astype(np.float32)
    assert (signed_map(values * 0) == 128).all()
    both = signed_map(values).astype(int) + signed_map(-values).astype(int)
    assert np.abs(both - 255).max() <= 1
    assert np.array_equal(signed_map(values), signed_map(values * 1000))


def test_signed_map_shows_colour_where_the_value_is():
    values = np.zeros((3, 4, 4), np.float32)
    values[0, 1, 2] = 1
    values[2, 3, 0] = -1
    found = signed_map(values)
    assert found[1, 2].tolist() == [255, 128, 128] and found[3, 0].tolist() == [128, 128, 0]


def test_heat_grows_lighter_with_the_value():
    light = heat_map(np.linspace(0, 1, 100).reshape(10, 10)).astype(int).sum(-1).ravel()
    assert (np.diff(light) >= 0).all() and light[0] < 60 and light[-1] > 600


def test_overlay_tints_segments_and_leaves_nobodys_pixels():
    pixels = plain((120, 60, 200), 4)
    segments = np.full((4, 4), -1)
    segments[0] = 0
    segments[1] = 11
    found = overlay(pixels, segments, 12)
    assert np.array_equal(found[2:], pixels[2:])
    for row, component in ((0, 0), (1, 11)):
        tint = found[row, 0] / np.linalg.norm(found[row, 0])
        colour = palette(12)[component] / np.linalg.norm(palette(12)[component].astype(float))
        assert tint @ colour > 0.999


def test_first_ten_components_have_different_colours():
    assert len({tuple(colour) for colour in palette(10)}) == 10
    assert palette(25).shape == (25, 3)


def test_captions_stand_under_their_cells_and_change_nothing_else():
    cells = [[plain(RED), plain(GREEN)], [plain(BLUE), plain(GOLD)]]
    bare = draw_sheet(Sheet(["one", "two"], ["a", "b"], cells))
    captions = [["a.z:0,2 b.z:1", ""], ["", "c.z"]]
    sheet = draw_sheet(Sheet(["one", "two"], ["a", "b"], cells, captions=captions))
    assert sheet.shape[0] > bare.shape[0] and sheet.shape[1] == bare.shape[1]
    bottoms = {}
    for colour in (RED, GREEN, BLUE, GOLD):
        places = find(sheet, colour)
        assert len(places) == cell_side(cells) ** 2
        bottoms[colour] = places.max(0)
    for colour, dark in ((RED, True), (GREEN, False), (BLUE, False), (GOLD, True)):
        y, x = bottoms[colour] + 2
        below = sheet[y : y + 12, x - cell_side(cells) : x - 2]
        assert (below.min() < 200) == dark
    assert np.array_equal(draw_sheet(Sheet(["one", "two"], ["a", "b"], cells)), bare)


def test_long_captions_are_wrapped_and_lose_nothing():
    from PIL import ImageFont

    font = ImageFont.load_default(size=12)
    caption = "a.z:0,2,4-7 b.z:1 a-very-long-name-of-a-file-that-fits-no-line.z:1%0.25%b.z:1"
    lines = wrap(caption, font, 100)
    assert all(font.getlength(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == caption.replace(" ", "")
    assert wrap("a.z b.z", font, 100) == ["a.z  b.z"] and wrap("", font, 100) == []


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("face-128-a, face-128-b", "face-128-a, b"),
        ("a, b", "a, b"),
        ("hair of face-b", "hair of face-b"),
        ("ann-in-the-garden-in-may, bob", "ann-in-th…en-in-may, bob"),
        ("my_first_photo, my_second_photo", "my_first_photo, second_photo"),
    ],
)
def test_labels_of_several_names_stay_readable(label, shown):
    font = ImageFont.load_default(size=15)
    width = max(font.getlength(shown), font.getlength("face-128-…ce-128-b"))
    if shown != label:
        assert font.getlength(label) > width
    assert fit_label(label, font, width) == shown


def test_a_name_alone_is_shortened_in_its_middle_as_far_as_needed():
    font = ImageFont.load_default(size=15)
    name = "a-very-long-name-of-a-picture"
    assert fit_label(name, font, font.getlength(name)) == name
    short = fit_label(name, font, 80)
    first, last = short.split("…")
    assert font.getlength(short) <= 80 and name.startswith(first) and name.endswith(last)
    assert 0 <= len(first) - len(last) <= 1
