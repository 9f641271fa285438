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
