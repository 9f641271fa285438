"""All figures of a card."""

import json
from dataclasses import dataclass

import numpy as np

from comet_cli.evaluation.measure import measure, rounded
from comet_cli.evaluation.reconstruction import evaluate_reconstruction
from comet_cli.evaluation.segmentation import evaluate_segmentation

IMAGES = np.random.default_rng(0).integers(256, size=(3, 8, 8, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).integers(3, size=(3, 8, 8), dtype=np.uint8)


def test_figures_are_those_of_each_measurement(stripes):
    found = measure(stripes, IMAGES, MASKS)
    assert set(found) == {"reconstruction", "segmentation"}
    assert found["reconstruction"]["psnr"] == round(
        evaluate_reconstruction(stripes, IMAGES).psnr, 4
    )
    expected = evaluate_segmentation(stripes, IMAGES, MASKS)
    assert found["segmentation"]["ari"] == round(expected.ari, 4)
    assert found["segmentation"]["mean_covering"] == round(expected.mean_covering, 4)


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
