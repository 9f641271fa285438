"""Gradients of components as pictures and masks: arrays in, arrays out (section 5.2)."""

from __future__ import annotations

import numpy as np

from comet_cli.drawing.sheets import heat_map, palette, signed_map

MAPS = ("signed", "heat", "overlay")
RULES = ("strongest", "threshold")
# A pixel where the strongest component pulls less than a fiftieth as hard as where it pulls
# hardest is nobody's.
QUIET = 0.02
# What a component's strength is measured against, so that one stray pixel does not empty its mask.
PEAK = 0.995


def strongest_segments(strength: np.ndarray, *, everywhere: bool = False) -> np.ndarray:
    """Return the strongest component at each pixel.

    Args:
        strength: (K,R,R) ≥ 0.
        everywhere: a component takes the ground, so that no pixel is nobody's.

    Returns:
        (R,R) integers; −1 where all are quiet.
    """
    strongest = strength.argmax(0)
    if everywhere:
        return strongest
    loudest = strength.max((1, 2))[strongest]
    return np.where(strength.max(0) > QUIET * loudest, strongest, -1)


def component_mask(strength: np.ndarray, threshold: float) -> np.ndarray:
    """Return where a component pulls at least ``threshold`` times as hard as at its peak.

    Args:
        strength: (R,R) ≥ 0 of one component; its peak is its 99.5th percentile.
        threshold: above 0, up to 1.

    Returns:
        (R,R) bool; empty for a component that pulls nowhere. Masks of several may overlap.
    """
    return (strength > 0) & (strength >= threshold * np.quantile(strength, PEAK))


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
    share = (strength / max(float(np.quantile(strength, PEAK)), 1e-12)).clip(0, 1)[..., None]
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    light = 0.25 + 0.75 * grey[..., None] / 255
    tint = palette(component + 1)[component] * (0.4 + 0.6 * light)
    return ((1 - share) * light * 255 + share * tint + 0.5).astype(np.uint8)
