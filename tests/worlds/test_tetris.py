import numpy as np
import pytest

from comet_cli.errors import CometError
from comet_cli.worlds.generator import sample_rng
from comet_cli.worlds.tetris import COLOURS, ORIENTATIONS, Tetris, scene_split


def draw(index, split="train", seed=0, **settings):
    return Tetris(**settings).sample(sample_rng(seed, split, index), split)


def test_there_are_nineteen_fixed_tetrominoes_of_four_cells():
    assert len(ORIENTATIONS) == 19
    assert all(cells.sum() == 4 for _, _, cells in ORIENTATIONS)
    assert len({cells.tobytes() + bytes(cells.shape) for _, _, cells in ORIENTATIONS}) == 19


def test_same_seed_gives_same_pixels_and_another_seed_others():
    one, again, other = draw(5), draw(5), draw(5, seed=1)
    assert (one.image == again.image).all() and (one.mask == again.mask).all()
    assert one.factors == again.factors
    assert (one.image != other.image).any()


@pytest.mark.parametrize("index", range(20))
def test_masks_are_exactly_the_pieces_in_their_colour_without_overlap(index):
    sample = draw(index)
    assert sample.image.shape == (35, 35, 3) and sample.mask.shape == (35, 35)
    assert (sample.image[sample.mask == 0] == 0).all()
    assert set(np.unique(sample.mask)) == {0, 1, 2, 3}
    by_name = {(name, turns): cells for name, turns, cells in ORIENTATIONS}
    for number, item in enumerate(sample.factors["objects"], start=1):
        inside = sample.mask == number
        # Four whole cells each: had pieces overlapped, one would have lost some.
        assert inside.sum() == 4 * 25
        assert (sample.image[inside] == COLOURS[item["colour"]]).all()
        row, column = item["cell"]
        cells = by_name[item["shape"], item["turns"]]
        expected = np.zeros((7, 7), bool)
        expected[row : row + cells.shape[0], column : column + cells.shape[1]] = cells
        assert (inside[2::5, 2::5] == expected).all()


def test_a_scene_belongs_to_one_split_whatever_the_order_of_its_pieces():
    for split in ("train", "test"):
        for index in range(30):
            objects = draw(index, split).factors["objects"]
            assert scene_split(objects) == scene_split(objects[::-1]) == split


def test_another_size_scales_the_cells():
    small, large = draw(3), draw(3, size=70)
    assert (large.image[::2, ::2] == small.image).all()


def test_number_of_pieces_stays_in_its_range():
    counts = {len(draw(i, objects=(1, 4)).factors["objects"]) for i in range(60)}
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize("settings", [{"size": 64}, {"size": 0}, {"objects": (3, 2)}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(CometError, match="expected"):
        Tetris(**settings)


@pytest.fixture(scope="module")
def ceiling(benchmark):
    return benchmark("tetris_ceiling")


def cells_of(*rows):
    colours = np.zeros((7, 7, 3), np.uint8)
    for row, marks in enumerate(rows):
        for column, mark in enumerate(marks):
            if mark != ".":
                colours[row, column] = COLOURS[{"r": "red", "b": "blue"}[mark]]
    return colours.reshape(-1, 3)


@pytest.mark.parametrize(
    ("rows", "ways"),
    [
        (["rrbb", "rrbb"], 1),  # colours tell two squares apart
        (["rrrr", "rrrr"], 4),  # two squares, two lines, two of J or two of L
        (["rr.rr", "rr.rr"], 1),  # apart
        (["rrr", ".rr", ".rr", "..r"], 3),  # T and T, J and S, J and the line
    ],
)
def test_the_ways_to_divide_a_picture_into_blocks(ceiling, rows, ways):
    masks = ceiling.answers(cells_of(*rows), ceiling.placements())
    assert len(masks) == ways
    for mask in masks:
        assert sorted(np.bincount(mask)[1:]) == [4, 4]


def test_no_answer_is_right_in_every_way(ceiling):
    masks = ceiling.answers(cells_of("rrrr", "rrrr"), ceiling.placements())
    assert 1 / 4 < ceiling.best_expected(masks) < 1
    assert ceiling.best_expected(masks[:1]) == 1
