"""Adjusted Rand index and covering: by hand, against scikit-learn, and where they degenerate."""

import math

import numpy as np
import pytest

from comet_cli.evaluation.metrics import adjusted_rand_index, segmentation_covering


def test_ari_hand_value():
    """Of 15 pairs, 6 lie together in truth, 3 in the prediction, 2 in both: 6·3/15 by chance."""
    truth, predicted = [1, 1, 1, 2, 2, 2], [5, 5, 7, 7, 9, 9]
    expected = (2 - 1.2) / ((6 + 3) / 2 - 1.2)
    assert adjusted_rand_index(truth, predicted) == pytest.approx(expected)


def test_ari_worse_than_chance_is_negative():
    """No pair together in both: (0 − 4/6) / (2 − 4/6)."""
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)


def test_ari_foreground_counts_the_pixels_of_objects_only():
    truth = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    predicted = np.array([[3, 4, 5], [3, 3, 4], [4, 5, 5]])
    found = adjusted_rand_index(truth, predicted, foreground=True)
    assert found == pytest.approx(adjusted_rand_index([1, 1, 1, 2, 2, 2], [5, 5, 7, 7, 9, 9]))
    assert found != pytest.approx(adjusted_rand_index(truth, predicted))


@pytest.mark.parametrize("foreground", [False, True])
def test_ari_agrees_with_scikit_learn_on_random_draws(foreground):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for _ in range(40):
        size, a, b = rng.integers(2, 200), rng.integers(1, 9), rng.integers(1, 9)
        truth, predicted = rng.integers(a, size=size), rng.integers(b, size=size)
        mixed = np.where(rng.random(size) < 0.5, truth, predicted)
        counted = truth != 0 if foreground else np.ones(size, bool)
        if not counted.any():
            continue
        for other in (predicted, mixed):
            expected = metrics.adjusted_rand_score(truth[counted], other[counted])
            found = adjusted_rand_index(truth, other, foreground=foreground)
            assert found == pytest.approx(expected, abs=1e-12)


def test_ari_names_of_segments_do_not_matter():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(1, 5, (8, 8)), rng.integers(4, size=(8, 8))
    found = adjusted_rand_index(truth, predicted)
    renamed = np.array([9, 2, 40, -7])[predicted]
    assert adjusted_rand_index(truth, renamed) == found
    assert adjusted_rand_index(truth, truth * 10 + 3) == 1.0
    assert adjusted_rand_index(predicted, truth) == pytest.approx(found)


def test_ari_one_segment_against_one_segment_is_perfect():
    assert adjusted_rand_index(np.zeros(9, int), np.full(9, 4)) == 1.0


def test_ari_all_singletons_against_all_singletons_is_perfect():
    assert adjusted_rand_index(range(9), range(9, 0, -1)) == 1.0


def test_ari_one_segment_against_anything_else_is_chance():
    assert adjusted_rand_index([1, 1, 2, 2], [0, 0, 0, 0]) == 0.0
    assert adjusted_rand_index([1, 1, 1, 1], [0, 1, 2, 3]) == 0.0


def test_ari_a_single_pixel_agrees_with_itself():
    assert adjusted_rand_index([3], [5]) == 1.0


def test_ari_without_foreground_there_is_no_figure():
    assert math.isnan(adjusted_rand_index([0, 0], [1, 2], foreground=True))
    assert math.isnan(adjusted_rand_index([], []))


def test_ari_segmentations_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(3, 2\)"):
        adjusted_rand_index(np.zeros((2, 3)), np.zeros((3, 2)))


# The background is 4 pixels, object 1 has 4, object 2 has 2.
TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
# 7 holds the background and one pixel of 1; 8 holds three of 1 and one of 2; 9 one of 2.
PREDICTED = np.array([7, 7, 7, 7, 7, 8, 8, 8, 8, 9])
BEST = [4 / 5, 3 / 5, 1 / 2]


def test_covering_mean_of_each_true_segments_best_overlap():
    assert segmentation_covering(TRUTH, PREDICTED) == pytest.approx(sum(BEST) / 3)


def test_covering_weighted_by_the_size_of_the_true_segments():
    expected = (4 * BEST[0] + 4 * BEST[1] + 2 * BEST[2]) / 10
    assert segmentation_covering(TRUTH, PREDICTED, weighted=True) == pytest.approx(expected)


def test_covering_foreground_leaves_the_background_segment_out():
    found = segmentation_covering(TRUTH, PREDICTED, foreground=True)
    assert found == pytest.approx((BEST[1] + BEST[2]) / 2)
    weighted = segmentation_covering(TRUTH, PREDICTED, foreground=True, weighted=True)
    assert weighted == pytest.approx((4 * BEST[1] + 2 * BEST[2]) / 6)


def test_covering_pixels_predicted_beyond_an_object_count_against_it_also_on_the_background():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([5, 6, 6, 6])
    assert segmentation_covering(truth, predicted, foreground=True) == pytest.approx(2 / 3)


def test_covering_equal_partitions_are_covered_whatever_their_names():
    assert segmentation_covering(TRUTH, np.array([4, 9, 0])[TRUTH]) == 1.0


def test_covering_one_segment_covers_each_by_its_share():
    found = segmentation_covering(TRUTH, np.zeros(10, int))
    assert found == pytest.approx((0.4 + 0.4 + 0.2) / 3)


def test_covering_it_is_not_symmetric():
    assert segmentation_covering([1, 1, 1, 1], [1, 1, 1, 2]) == pytest.approx(3 / 4)
    assert segmentation_covering([1, 1, 1, 2], [1, 1, 1, 1]) == pytest.approx((3 / 4 + 1 / 4) / 2)


def test_covering_without_foreground_there_is_no_figure():
    assert math.isnan(segmentation_covering([0, 0], [1, 2], foreground=True))


def test_covering_segmentations_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        segmentation_covering([0, 1], [0, 1, 2])
