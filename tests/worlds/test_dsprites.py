import itertools
import math

import numpy as np
import pytest

from comet_cli.data.check import check_folder
from comet_cli.data.dataset_folder import load_folder
from comet_cli.data.make import make_dataset
from comet_cli.errors import UsageError
from comet_cli.worlds.dsprites import PERIODS, DSprites
from comet_cli.worlds.factor_grid import _split_cells


def draw(shape="heart", scale=5, orientation=0, x=0, y=0, size=64):
    grid = DSprites.factors
    values = {"shape": shape, "scale": grid["scale"][scale], "x": grid["x"][x], "y": grid["y"][y]}
    generator = DSprites(size)
    return generator.draw({**values, "orientation": grid["orientation"][orientation]})


def test_the_grid_is_that_of_dsprites():
    assert DSprites.shape() == (3, 6, 40, 32, 32)
    assert DSprites.factors["scale"] == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    turns = DSprites.factors["orientation"]
    assert turns[0] == 0 and turns[-1] == pytest.approx(2 * math.pi * 39 / 40)
    assert (DSprites.factors["x"][0], DSprites.factors["x"][-1]) == (0, 1)


def test_pictures_are_binary_and_the_mask_is_exactly_the_white():
    image, mask = draw()
    assert image.shape == (64, 64, 3) and image.dtype == mask.dtype == np.uint8
    assert (image == 255 * mask[..., None]).all() and set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize("shape", PERIODS)
def test_centre_of_mass_follows_x_and_y(shape):
    for (x, y), scale, turn in itertools.product([(0, 0), (31, 4), (13, 31)], (0, 5), (0, 7, 23)):
        rows, columns = np.nonzero(draw(shape, scale, turn, x, y)[1])
        assert columns.mean() == pytest.approx(16 + x, abs=0.35)
        assert rows.mean() == pytest.approx(16 + y, abs=0.35)


@pytest.mark.parametrize("shape", PERIODS)
def test_one_step_of_x_or_y_moves_the_sprite_by_one_pixel(shape):
    here = draw(shape, 3, 7, 10, 10)[1]
    assert (draw(shape, 3, 7, 11, 10)[1] == np.roll(here, 1, axis=1)).all()
    assert (draw(shape, 3, 7, 10, 11)[1] == np.roll(here, 1, axis=0)).all()


@pytest.mark.parametrize("shape", PERIODS)
def test_area_grows_with_the_square_of_the_scale_and_no_sprite_is_cut_off(shape):
    for turn in range(0, 40, 3):
        areas = [draw(shape, scale, turn)[1].sum() for scale in range(6)]
        for area, scale in zip(areas, DSprites.factors["scale"], strict=True):
            assert area == pytest.approx(areas[-1] * scale**2, rel=0.12)
        for corner in (0, 31):
            mask = draw(shape, 5, turn, corner, corner)[1]
            edge = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
            assert mask.sum() == areas[-1] and not any(side.any() for side in edge)


def test_orientation_turns_the_sprite_counter_clockwise():
    upright, quarter = draw("heart", 5, 0, 15, 15)[1], draw("heart", 5, 10, 15, 15)[1]
    centred = np.roll(upright, (1, 1), (0, 1))[1:, 1:], np.roll(quarter, (1, 1), (0, 1))[1:, 1:]
    assert (np.rot90(centred[0]) != centred[1]).mean() < 0.002
    assert upright[:32].any(1).sum() < upright[31:].any(1).sum()  # the tip points down


def test_cells_that_are_not_the_same_by_symmetry_differ_in_their_pixels():
    seen = {}
    for shape, scale, turn in itertools.product(PERIODS, range(6), range(40)):
        key = (shape, scale, turn % PERIODS[shape])
        assert seen.setdefault(draw(shape, scale, turn)[1].tobytes(), key) == key
    assert len(seen) == 6 * sum(PERIODS.values())


def test_splits_share_no_cell_and_no_picture():
    cells = {split: _split_cells(DSprites, split) for split in ("train", "test")}
    uses, shows = np.zeros((2, 737280), int)
    for split, numbers in cells.items():
        uses[numbers] += 1
        shows[DSprites.canonical(numbers)] |= 1 + (split == "test")
    assert (uses == 1).all() and shows.max() == 2
    assert len(cells["test"]) == pytest.approx(737280 / 8, rel=0.02)


def test_cells_of_a_set_are_distinct_repeatable_and_cover_every_value():
    samples = [DSprites().sample_at(0, "train", index) for index in range(400)]
    assert len({sample.factors["cell"] for sample in samples}) == 400
    for name, values in DSprites.factors.items():
        assert {sample.factors["factors"][name] for sample in samples} == set(range(len(values)))
    again, other = (DSprites().sample_at(seed, "train", 7) for seed in (0, 1))
    assert (again.image == samples[7].image).all() and again.factors == samples[7].factors
    assert (other.image != samples[7].image).any()


def test_indices_and_values_describe_the_same_cell():
    sample = DSprites().cell(737279)
    assert list(sample.factors["factors"].values()) == [2, 5, 39, 31, 31]
    assert sample.factors["values"]["shape"] == "heart" and sample.factors["values"]["y"] == 1
    image, mask = DSprites().draw(sample.factors["values"])
    assert (image == sample.image).all() and (mask == sample.mask).all()


def test_a_set_is_made_and_checked_and_its_values_draw_its_pictures(tmp_path):
    make_dataset(DSprites(), tmp_path / "set", count=30, test_count=10, seed=3)
    loaded = load_folder(tmp_path / "set", "train")
    for image, entry in zip(loaded.images, loaded.metadata, strict=True):
        assert (DSprites().draw(entry["values"])[0] == image).all()
    assert check_folder(tmp_path / "set").ok
    with pytest.raises(UsageError, match=r"different test pictures, fewer than the 100000"):
        make_dataset(DSprites(), tmp_path / "more", count=1, test_count=100000)


@pytest.mark.parametrize("settings", [{"size": 32}, {"objects": (1, 2)}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UsageError, match="expected"):
        DSprites(**settings)
