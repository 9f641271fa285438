"""CLEVR's things on a table of wood or on a cloth, as photographs would show them."""

import dataclasses

import numpy as np

from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.scene import Ground
from comet_cli.worlds.generator import Sample

SIDE = 256  # of a texture, in pixels
WOODS = ((0.42, 0.25, 0.12), (0.55, 0.38, 0.20), (0.24, 0.13, 0.07), (0.62, 0.50, 0.34))
CLOTHS = ((0.55, 0.10, 0.10), (0.12, 0.20, 0.45), (0.15, 0.35, 0.18), (0.55, 0.45, 0.30))


class ClevrTable(Clevr):
    """Factors: those of `clevr`, and the table's kind, colour and turn."""

    name = "clevr-table"
    version = 1
    summary = "clevr's things on a wooden table or a checked cloth (needs mitsuba)"

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw a scene and its table, and render it."""
        scene, mask = self.draw(rng)
        kind = ("wood", "cloth")[rng.integers(2)]
        colour = int(rng.integers(4))
        turn = float(rng.uniform(0, 360))
        texture = wood(rng, WOODS[colour]) if kind == "wood" else cloth(rng, CLOTHS[colour])
        scene = dataclasses.replace(scene, ground=Ground(texture, turn))
        sample = self.picture(scene, mask, seed=int(rng.integers(2**32)))
        table = {"kind": kind, "colour": colour, "turn": turn}
        return dataclasses.replace(sample, factors={**sample.factors, "table": table})


def wood(rng: np.random.Generator, colour: tuple[float, float, float]) -> np.ndarray:
    """Return (256,256,3) reflectance of four planks with grain, which repeats in both directions.

    Args:
        rng: draws each plank's tone and grain.
        colour: mean reflectance (red, green, blue), linear.
    """
    wide = SIDE // 4
    planks = []
    for _ in range(4):
        grain = _noise(rng, (3, 24), (SIDE, wide))
        tone = rng.uniform(0.8, 1.15)
        plank = tone * (1 + 0.35 * grain)
        plank[:, :2] *= 0.45  # the joint
        planks.append(plank)
    return _coloured(np.concatenate(planks, axis=1), colour)


def cloth(rng: np.random.Generator, colour: tuple[float, float, float]) -> np.ndarray:
    """Return (256,256,3) reflectance of a checked weave, which repeats in both directions.

    Args:
        rng: draws the width of the checks and their strength.
        colour: of the dark checks (red, green, blue), linear reflectance.
    """
    checks = int(rng.integers(3, 7))
    place = np.arange(SIDE) * checks / SIDE % 1 < 0.5
    strength = rng.uniform(0.4, 0.8)
    light = strength * (place[:, None].astype(float) + place[None]) / 2
    weave = 1 + 0.15 * _noise(rng, (64, 64), (SIDE, SIDE))
    white = 0.75 * light[..., None] + (1 - light[..., None]) * np.asarray(colour)
    return np.clip(white * weave[..., None], 0.02, 0.9)


def _noise(rng: np.random.Generator, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Smooth noise within −1 to 1 that repeats: random cells, enlarged with linear weights."""
    noise = rng.uniform(-1, 1, size=cells)
    for axis in (0, 1):
        place = np.arange(size[axis]) * cells[axis] / size[axis]
        low = place.astype(int)
        part = np.expand_dims(place - low, 1 - axis)
        after = np.take(noise, (low + 1) % cells[axis], axis)
        noise = np.take(noise, low, axis) * (1 - part) + after * part
    return noise


def _coloured(brightness: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    return np.clip(brightness[..., None] * np.asarray(colour), 0.02, 0.9)
