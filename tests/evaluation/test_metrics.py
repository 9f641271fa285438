"""The adjusted Rand index: by hand, against scikit-learn, and where it degenerates."""

import math

import numpy as np
import pytest

from comet_cli.evaluation.metrics import adjusted_rand_index


def test_hand_value():
    """Of 15 pairs, 6 lie together in truth, 3 in the prediction, 2 in both: 6·3/15 by chance."""
    truth, predicted = [1, 1, 1, 2, 2, 2], [5, 5, 7, 7, 9, 9]
    expected = (2 - 1.2) / ((6 + 3) / 2 - 1.2)
    assert adjusted_rand_index(truth, predicted) == pytest.approx(expected)


def test_worse_than_chance_is_negative():
    """No pair together in both: (0 − 4/6) / (2 − 4/6)."""
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)


def test_foreground_counts_the_pixels_of_objects_only():
    truth = np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]])
    predicted = np.array([[3, 4, 5], [3, 3, 4], [4, 5, 5]])
    found = adjusted_rand_index(truth, predicted, foreground=True)
    assert found == pytest.approx(adjusted_rand_index([1, 1, 1, 2, 2, 2], [5, 5, 7, 7, 9, 9]))
    assert found != pytest.approx(adjusted_rand_index(truth, predicted))


@pytest.mark.parametrize("foreground", [False, True])
def test_agrees_with_scikit_learn_on_random_draws(foreground):
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


def test_names_of_segments_do_not_matter():
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(1, 5, (8, 8)), rng.integers(4, size=(8, 8))
    found = adjusted_rand_index(truth, predicted)
    renamed = np.array([9, 2, 40, -7])[predicted]
    assert adjusted_rand_index(truth, renamed) == found
    assert adjusted_rand_index(truth, truth * 10 + 3) == 1.0
    assert adjusted_rand_index(predicted, truth) == pytest.approx(found)


def test_one_segment_against_one_segment_is_perfect():
    assert adjusted_rand_index(np.zeros(9, int), np.full(9, 4)) == 1.0


def test_all_singletons_against_all_singletons_is_perfect():
    assert adjusted_rand_index(range(9), range(9, 0, -1)) == 1.0


def test_one_segment_against_anything_else_is_chance():
    assert adjusted_rand_index([1, 1, 2, 2], [0, 0, 0, 0]) == 0.0
    assert adjusted_rand_index([1, 1, 1, 1], [0, 1, 2, 3]) == 0.0


def test_a_single_pixel_agrees_with_itself():
    assert adjusted_rand_index([3], [5]) == 1.0


def test_without_foreground_there_is_no_figure():
    assert math.isnan(adjusted_rand_index([0, 0], [1, 2], foreground=True))
    assert math.isnan(adjusted_rand_index([], []))


def test_segmentations_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(3, 2\)"):
        adjusted_rand_index(np.zeros((2, 3)), np.zeros((3, 2)))
