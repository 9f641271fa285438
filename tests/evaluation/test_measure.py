"""All figures of a card."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from comet_cli.evaluation.measure import measure, rounded
from comet_cli.evaluation.reconstruction import evaluate_reconstruction
from comet_cli.evaluation.segmentation import evaluate_segmentation

IMAGES = np.random.default_rng(0).integers(256, size=(3, 8, 8, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).integers(3, size=(3, 8, 8), dtype=np.uint8)


def test_figures_are_those_of_each_measurement(stripes):
    found = measure(stripes, IMAGES, MASKS)
    assert set(found) == {"reconstruction", "segmentation"}
    assert found["reconstruction"] == rounded(evaluate_reconstruction(stripes, IMAGES))
    assert found["segmentation"] == rounded(evaluate_segmentation(stripes, IMAGES, MASKS))


def test_without_masks_segmentation_is_left_out(stripes):
    assert set(measure(stripes, IMAGES)) == {"reconstruction"}


def test_what_could_not_be_measured_is_null_in_json(stripes):
    found = measure(stripes, IMAGES, np.zeros_like(MASKS))
    assert found["segmentation"]["ari_foreground"] is None
    json.dumps(found, allow_nan=False)


def test_floats_are_rounded_and_counts_stay_whole():
    @dataclass
    class Figures:
        count: int
        psnr: float

    assert rounded(Figures(3, 1.23456789)) == {"count": 3, "psnr": 1.2346}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.98765432, 0.9877),
        (-0.12345678, -0.1235),
        (0.012345678, 0.01235),
        (1.2345678e-5, 1.235e-5),
        (36.876543, 36.8765),
        (0.0, 0.0),
        (2.2e-16, 0.0),
        (float("nan"), None),
    ],
)
def test_what_is_small_keeps_four_digits(value, shown):
    @dataclass
    class Figures:
        mse: float

    assert rounded(Figures(value)) == {"mse": shown}
