"""Where one object is before another: pairs that overlap, and what counts as the nearer seen."""

import numpy as np
import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.evaluation.occlusion import Pair, compare, draw_pair, measure
from comet_cli.models import comet_model
from comet_cli.worlds.clevr.clevr import Clevr


@pytest.fixture
def red_before_green() -> Pair:
    alone = np.zeros((2, 4, 4, 3), np.uint8)
    alone[0, ..., 1], alone[1, ..., 0] = 255, 255
    overlap = np.zeros((4, 4), bool)
    overlap[1:3, 1:3] = True
    return Pair(alone, alone[1], overlap, nearer=1)


def picture(red: float, green: float) -> torch.Tensor:
    return torch.tensor([red, green, 0.0])[:, None, None].expand(3, 4, 4)


def test_the_truth_is_perfect_and_the_object_behind_is_wrong(red_before_green):
    right = measure([picture(1, 0)], [red_before_green])
    assert right.nearer == 1 and right.psnr > 100
    wrong = measure([picture(0, 1)], [red_before_green])
    assert wrong.nearer == 0 and wrong.psnr == pytest.approx(10 * np.log10(1.5))


def test_only_the_overlap_counts(red_before_green):
    shown = picture(0, 1).clone()
    shown[:, 1:3, 1:3] = picture(1, 0)[:, :2, :2]
    assert measure([shown], [red_before_green]).nearer == 1


def test_a_mixture_goes_to_what_it_is_more_like(red_before_green):
    seen = measure([picture(0.6, 0.4), picture(0.4, 0.6)], [red_before_green] * 2)
    assert seen.nearer == 0.5 and seen.pairs == 2


def test_energies_and_masks_are_compared_on_the_pairs_whose_objects_are_found():
    pytest.importorskip("mitsuba")
    model = comet_model.load("clevr", device="cpu")
    seen = compare(model, [draw_pair(Clevr(64, (2, 2)), 5, index) for index in range(2)])
    assert set(seen) == {"energies", "masks"}
    assert all(figures.pairs == 2 and figures.psnr > 12 for figures in seen.values())


def test_a_model_without_attention_is_refused():
    with pytest.raises(CometError, match="'faces' has no attention to compose by"):
        compare(comet_model.load("faces", device="cpu"), [])


def test_no_pairs_are_no_figure():
    assert np.isnan(measure([], []).nearer)


def test_a_pair_overlaps_and_the_truth_shows_the_nearer_object():
    pytest.importorskip("mitsuba")
    generator = Clevr(32, (2, 2))
    pair, again = draw_pair(generator, 1, 0), draw_pair(generator, 1, 0)
    assert (pair.together == again.together).all() and pair.overlap.sum() >= 7
    near, far = (
        np.abs(pair.alone[n].astype(float) - pair.together)[pair.overlap].mean()
        for n in (pair.nearer, 1 - pair.nearer)
    )
    assert near < far
