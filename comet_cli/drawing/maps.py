"""Gradients of components as pictures and masks: arrays in, arrays out (section 5.2)."""

from __future__ import annotations

import numpy as np

from comet_cli.energy.gradients import PEAK

PALETTE = np.array(
    [
        (230, 85, 70),
        (58, 134, 222),
        (245, 184, 46),
        (66, 170, 112),
        (150, 96, 204),
        (237, 125, 178),
        (52, 184, 196),
        (150, 110, 74),
        (168, 196, 60),
        (92, 100, 118),
    ],
    dtype=np.uint8,
)
_HEAT = np.array(
    [(8, 6, 24), (62, 16, 88), (142, 38, 104), (214, 70, 72), (247, 142, 40), (252, 240, 176)],
    dtype=np.float64,
)


MAPS = ("signed", "heat", "overlay")
RULES = ("strongest", "threshold")


def component_map(
    kind: str, component: int, *, gradient: np.ndarray, strength: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Return a component's gradient as a picture.

    Args:
        kind: ``signed``: −∇_x E_k, the way that the picture is pushed, around mid-grey; ``heat``:
            its absolute size; ``overlay``: the picture in grey, tinted with the component's colour
            as far as it pulls.
        component: k, which decides the colour.
        gradient: (3,R,R).
        strength: (R,R) ≥ 0.
        pixels: (R,R,3) uint8, the picture.

    Returns:
        (R,R,3) uint8.
    """
    if kind == "signed":
        return signed_map(-gradient)
    if kind == "heat":
        return heat_map(strength)
    share = (strength / _peak(strength)).clip(0, 1)[..., None]
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    light = 0.25 + 0.75 * grey[..., None] / 255
    tint = palette(component + 1)[component] * (0.4 + 0.6 * light)
    return ((1 - share) * light * 255 + share * tint + 0.5).astype(np.uint8)


def _peak(values: np.ndarray) -> float:
    """Return the 99.5th percentile of values ≥ 0: one stray pixel does not dim all others."""
    return max(float(np.quantile(values, PEAK)), 1e-12)


def palette(count: int) -> np.ndarray:
    """Return a colour a component: (count,3) uint8; colours repeat after ten."""
    return PALETTE[np.arange(count) % len(PALETTE)]


def signed_map(values: np.ndarray) -> np.ndarray:
    """Return signed values (3,R,R) as a picture around mid-grey.

    The scale is the map's own peak.

    Returns:
        (R,R,3) uint8; zero is 128.
    """
    scaled = 0.5 + 0.5 * (values / _peak(np.abs(values))).clip(-1, 1)
    return (scaled * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def heat_map(values: np.ndarray) -> np.ndarray:
    """Return values ≥ 0 (R,R) as heat, from dark (0) to light (the 99.5th percentile).

    Returns:
        (R,R,3) uint8.
    """
    place = (values / _peak(values)).clip(0, 1) * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    part = (place - low)[..., None]
    return (_HEAT[low] * (1 - part) + _HEAT[low + 1] * part + 0.5).astype(np.uint8)


def overlay(pixels: np.ndarray, segments: np.ndarray, count: int) -> np.ndarray:
    """Lay component colours over a picture.

    Args:
        pixels: (R,R,3) uint8.
        segments: (R,R) component numbers, −1 for none.
        count: K.

    Returns:
        (R,R,3) uint8: the picture in grey, tinted with its components' colours.
    """
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    light = 0.35 + 0.65 * grey[..., None] / 255
    tinted = palette(count)[segments] * light
    mixed = np.where(segments[..., None] >= 0, tinted, pixels.astype(np.float64))
    return (mixed + 0.5).clip(0, 255).astype(np.uint8)
