"""The sheet of a measurement: a matrix, pictures made again, and swaps."""

import numpy as np

from comet_cli.drawing.readings import reading_matrix
from comet_cli.evaluation import latent_sheet as sheets


def striped(count: int) -> np.ndarray:
    """Return pictures of four upright stripes of one colour each."""
    colours = np.random.default_rng(0).integers(40, 216, (count, 1, 4, 3), dtype=np.uint8)
    return colours.repeat(2, 2).repeat(8, 1)


def test_what_is_read_better_is_darker():
    names = ["a", "b", "c"]
    pixels = np.asarray(reading_matrix({"lamp": [0.0, 0.5, 1.0]}, names, 60).convert("L"))
    low = pixels[-4]  # below the numbers, above the edge
    cells = [int(low[-60 - 68 * n + 4]) for n in (2, 1, 0)]
    assert cells[0] == 255 and cells[0] > cells[1] > cells[2]


def test_each_swap_has_one_component_of_the_picture_below(stripes, monkeypatch):
    seen = {}

    def framed(pixels, side):
        seen.setdefault("pictures", []).append(pixels)
        return keep(pixels, side)

    keep = sheets.framed
    monkeypatch.setattr(sheets, "framed", framed)
    images = striped(3)
    names = ["first", "second", "third", "fourth"]
    sheet = sheets.latent_sheet(stripes, images, {"lamp": [0.1, 0.2, 0.3, 0.4]}, names)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    columns = np.stack(seen["pictures"]).reshape(6, 3, 8, 8, 3).astype(int)
    assert np.array_equal(columns[0], images)
    assert np.abs(columns[1] - images).max() <= 2  # made again
    for k in range(4):
        expected = images.astype(int)
        mine = slice(2 * k, 2 * k + 2)
        expected[:, :, mine] = np.roll(images, -1, 0)[:, :, mine]
        assert np.abs(columns[2 + k] - expected).max() <= 2


def test_a_sheet_shows_no_more_pictures_than_fit(stripes):
    few, many = (
        sheets.latent_sheet(stripes, striped(n), {"lamp": [0.0] * 4}, list("abcd")).shape
        for n in (sheets.SHOWN, sheets.SHOWN + 5)
    )
    assert few == many
