"""Segmentation by gradients, on a model whose segments are known."""

import math
import warnings

import numpy as np
import pytest
import torch

from comet_cli.energy.gradients import gradient_strength, segment
from comet_cli.energy.render import start_picture
from comet_cli.evaluation.metrics import adjusted_rand_index
from comet_cli.evaluation.segmentation import evaluate_segmentation

STRIPES = np.repeat(np.arange(4, dtype=np.uint8), 2)[None].repeat(8, 0)


def latents(stripes, images: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return stripes.encode(x)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(3, 8, 8, 3), dtype=np.uint8)


def test_strength_is_the_root_mean_square_gradient_over_colours_and_starts(stripes, images):
    z = latents(stripes, images)
    bound = stripes.bind(z)
    squares = []
    for seed in range(3):
        x0 = start_picture(3, 8, init="noise", seed=seed)
        gradients = bound.precision * (x0[:, None] - bound.mean)
        squares.append(gradients.square().mean(2))
    found = gradient_strength(stripes, z, starts=3)
    assert found.shape == (3, 4, 8, 8)
    torch.testing.assert_close(found, torch.stack(squares).mean(0).sqrt())


def test_each_pixel_goes_to_the_component_that_pulls_hardest():
    strength = torch.tensor([[[[0.1, 0.9]], [[0.4, 0.2]], [[0.3, 0.8]]]])
    assert segment(strength).tolist() == [[[1, 0]]]


def test_components_that_hold_their_places_segment_them(stripes, images):
    found = segment(gradient_strength(stripes, latents(stripes, images)))
    assert all(np.array_equal(each, STRIPES) for each in found.numpy())


def test_figures_of_true_masks_are_perfect(stripes, images):
    figures = evaluate_segmentation(stripes, images, np.stack([STRIPES] * 3), batch=2)
    assert figures.count == 3
    assert figures.ari == figures.ari_foreground == 1.0
    assert figures.mean_covering == figures.mean_covering_foreground == 1.0
    assert figures.ari_one_segment == 0.0


def test_figures_are_means_over_pictures(stripes, images):
    rows = np.ascontiguousarray(STRIPES.T)
    halves = (STRIPES >= 2).astype(np.uint8)
    masks = np.stack([STRIPES, rows, halves])
    figures = evaluate_segmentation(stripes, images, masks)
    half = adjusted_rand_index(halves, STRIPES)
    across = adjusted_rand_index(rows, STRIPES)
    assert figures.ari == pytest.approx((1 + across + half) / 3)
    # Rows cross every stripe: 4 of 28 pixels; a half is covered to a half.
    assert figures.mean_covering == pytest.approx((1 + 4 / 28 + 1 / 2) / 3)
    # The only object of the third picture is cut in two: chance.
    inside = adjusted_rand_index(rows, STRIPES, foreground=True)
    assert figures.ari_foreground == pytest.approx((1 + inside + 0) / 3)


def test_pictures_without_objects_do_not_count_in_the_foreground(stripes, images):
    masks = np.stack([STRIPES, np.zeros_like(STRIPES), STRIPES])
    figures = evaluate_segmentation(stripes, images, masks)
    assert figures.ari_foreground == 1.0 and figures.mean_covering_foreground == 1.0
    assert figures.ari < 1.0


def test_without_any_object_there_is_no_figure_and_no_warning(stripes, images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = evaluate_segmentation(stripes, images, np.zeros((3, 8, 8), np.uint8))
    assert math.isnan(figures.ari_foreground)
