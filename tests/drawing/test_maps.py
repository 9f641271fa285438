"""Maps and masks of gradients, on strengths whose answers are known."""

import numpy as np

from comet_cli.drawing.maps import component_map, palette
from comet_cli.energy.gradients import component_mask, strongest_segments


def ramp(side: int = 10) -> np.ndarray:
    """Strengths 0, 1/99 … 1 over a square, row by row."""
    return (np.arange(side * side) / (side * side - 1)).reshape(side, side)


def test_each_pixel_is_the_strongest_components_or_nobodys():
    strength = np.zeros((2, 2, 3))
    strength[0] = [[1.0, 0.5, 0.019], [0.0, 0.2, 0.021]]
    strength[1] = [[0.2, 0.6, 0.001], [0.0, 10.0, 0.0]]
    assert strongest_segments(strength).tolist() == [[0, 1, -1], [-1, 1, 0]]
    assert strongest_segments(strength, everywhere=True).tolist() == [[0, 1, 0], [0, 1, 0]]


def test_a_threshold_is_a_share_of_the_peak():
    strength = ramp()
    half = component_mask(strength, 0.5)
    assert np.array_equal(half, strength >= 0.5 * np.quantile(strength, 0.995))
    assert component_mask(strength, 0.9).sum() < half.sum()
    assert np.array_equal(component_mask(strength * 1e-6, 0.5), half)


def test_one_stray_pixel_does_not_empty_a_mask():
    strength = np.pad(np.ones((20, 20)), 5)
    expected = strength > 0
    strength[10, 10] = 1e6
    assert np.array_equal(component_mask(strength, 0.5), expected)


def test_a_component_that_pulls_nowhere_has_an_empty_mask():
    assert not component_mask(np.zeros((6, 6)), 0.5).any()


def test_an_overlay_is_grey_where_the_component_is_quiet_and_its_colour_where_it_pulls():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    strength = np.zeros((8, 8))
    strength[:4] = 3.0
    shown = component_map(
        "overlay", 2, gradient=np.zeros((3, 8, 8)), strength=strength, pixels=pixels
    ).astype(int)
    assert (np.ptp(shown[4:], axis=-1) == 0).all()
    colour = palette(3)[2].astype(float)
    assert np.allclose(shown[:4] / shown[:4, :, :1], colour / colour[0], atol=0.02)


def test_a_signed_map_shows_the_way_that_the_picture_is_pushed():
    gradient = np.zeros((3, 4, 4))
    gradient[0, 0, 0] = -1.0
    shown = component_map(
        "signed",
        0,
        gradient=gradient,
        strength=np.zeros((4, 4)),
        pixels=np.zeros((4, 4, 3), np.uint8),
    )
    assert shown[0, 0].tolist() == [255, 128, 128] and (shown[1:] == 128).all()
