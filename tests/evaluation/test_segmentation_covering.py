"""Segmentation covering by hand."""

import math

import numpy as np
import pytest

from comet_cli.evaluation.metrics import segmentation_covering

# The background is 4 pixels, object 1 has 4, object 2 has 2.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
# 7 holds the background and one pixel of 1; 8 holds three of 1 and one of 2; 9 one of 2.
PREDICTED = np.array([7, 7, 7, 7, 7, 8, 8, 8, 8, 9])
BEST = [4 / 5, 3 / 5, 1 / 2]


def test_mean_of_each_true_segments_best_overlap():
    assert segmentation_covering(TRUTH, PREDICTED) == pytest.approx(sum(BEST) / 3)


def test_weighted_by_the_size_of_the_true_segments():
    expected = (4 * BEST[0] + 4 * BEST[1] + 2 * BEST[2]) / 10
    assert segmentation_covering(TRUTH, PREDICTED, weighted=True) == pytest.approx(expected)


def test_foreground_leaves_the_background_segment_out():
    found = segmentation_covering(TRUTH, PREDICTED, foreground=True)
    assert found == pytest.approx((BEST[1] + BEST[2]) / 2)
    weighted = segmentation_covering(TRUTH, PREDICTED, foreground=True, weighted=True)
    assert weighted == pytest.approx((4 * BEST[1] + 2 * BEST[2]) / 6)


def test_pixels_predicted_beyond_an_object_count_against_it_also_on_the_background():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([5, 6, 6, 6])
    assert segmentation_covering(truth, predicted, foreground=True) == pytest.approx(2 / 3)


def test_equal_partitions_are_covered_whatever_their_names():
    assert segmentation_covering(TRUTH, np.array([4, 9, 0])[TRUTH]) == 1.0


def test_one_segment_covers_each_by_its_share():
    found = segmentation_covering(TRUTH, np.zeros(10, int))
    assert found == pytest.approx((0.4 + 0.4 + 0.2) / 3)


def test_it_is_not_symmetric():
    assert segmentation_covering([1, 1, 1, 1], [1, 1, 1, 2]) == pytest.approx(3 / 4)
    assert segmentation_covering([1, 1, 1, 2], [1, 1, 1, 1]) == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_without_foreground_there_is_no_figure():
    assert math.isnan(segmentation_covering([0, 0], [1, 2], foreground=True))


def test_segmentations_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        segmentation_covering([0, 1], [0, 1, 2])
