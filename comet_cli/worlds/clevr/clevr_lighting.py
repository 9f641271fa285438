"""CLEVR-like scenes under strongly varying light: one key lamp anywhere around them."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.clevr import scene as clevr_scene
from comet_cli.worlds.clevr.clevr import Clevr
from comet_cli.worlds.clevr.scene import Scene
from comet_cli.worlds.generator import Sample

ELEVATION = (30.0, 75.0)
# In mireds, a million by the temperature in kelvin, in which steps look alike.
MIREDS = (45.0, 400.0)
INTENSITY = (1.8, 7.2)
# Behind the camera, so that the lamp can stand in its direction too, and beyond all ground that is
# in view, since ground behind the lamp would be dark.
DISTANCE = 40.0
# All other light is dimmed, lest it wash out the key lamp's shadows and colour.
AMBIENT = 0.07


@dataclass(frozen=True)
class KeyLight:
    """The lamp that varies.

    Attributes:
        azimuth: where it stands, seen from above, in degrees within [0, 360): 0 on the camera's
            side, 90 to the right of the picture, 180 behind the objects, 270 to the left.
        elevation: above the ground, seen from the middle of the scene, in degrees.
        temperature: colour temperature in kelvin; below 6500 warm, above cold.
        intensity: luminance of its light, in units of CLEVR's key lamp.
    """

    azimuth: float
    elevation: float
    temperature: float
    intensity: float

    @property
    def colour(self) -> tuple[float, float, float]:
        """Linear RGB of luminance 1."""
        return black_body(self.temperature)

    def place(self, camera: tuple[float, float, float]) -> tuple[float, float, float]:
        """Where the lamp is, (x, y, z), for a camera that looks at the origin."""
        turn = math.atan2(camera[1], camera[0]) + math.radians(self.azimuth)
        height = math.radians(self.elevation)
        flat = DISTANCE * math.cos(height)
        return flat * math.cos(turn), flat * math.sin(turn), DISTANCE * math.sin(height)


class ClevrLighting(Clevr):
    """Factors: those of `clevr`, and the key light's direction, temperature and intensity."""

    name = "clevr-lighting"
    version = 1
    summary = "clevr with a key light of any direction, colour and strength (needs mitsuba)"

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw a scene and its light, and render it."""
        scene, mask = self.draw(rng)
        light = draw_light(rng, scene.camera)
        sample = self.picture(illuminate(scene, light), mask, seed=int(rng.integers(2**32)))
        factors = {**sample.factors, "light": {**dataclasses.asdict(light), "colour": light.colour}}
        return dataclasses.replace(sample, factors=factors)


def draw_light(rng: np.random.Generator, camera: tuple[float, float, float]) -> KeyLight:
    """A light that the camera does not see; its factors are independent of each other."""
    while True:
        light = KeyLight(
            azimuth=float(rng.uniform(0, 360)),
            elevation=float(rng.uniform(*ELEVATION)),
            temperature=float(1e6 / rng.uniform(*MIREDS)),
            intensity=float(math.exp(rng.uniform(*np.log(INTENSITY)))),
        )
        if not clevr_scene.lamp_in_view(light.place(camera), camera):
            return light


def illuminate(scene: Scene, light: KeyLight) -> Scene:
    """The same scene with `light` for its only lamp (others would cast their own shadows)."""
    # The lamp is further away than CLEVR's: as bright on the objects, it must be brighter itself,
    # and for shadows as soft it must be larger.
    further = DISTANCE / math.hypot(*clevr_scene.LIGHTS["key"])
    strength = light.intensity * further**2 * luminance(clevr_scene.LAMPS["key"])
    red, green, blue = light.colour
    return dataclasses.replace(
        scene,
        lights={"key": light.place(scene.camera)},
        lamps={"key": (strength * red, strength * green, strength * blue)},
        lamp_sizes={"key": further * clevr_scene.LIGHT_SIZE},
        ambient=AMBIENT,
    )


def black_body(temperature: float) -> tuple[float, float, float]:
    """The colour of a black body, in linear sRGB with luminance 1.

    The Planckian locus is that of Kim et al. (US patent 7024034), good from 1667 to 25000 kelvin.
    """
    t = 1e3 / temperature
    if temperature <= 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if temperature <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif temperature <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    to_rgb = np.array(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.9692660, 1.8760108, 0.0415560],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    # Very warm light lies outside of sRGB, with a little less than no blue.
    rgb = np.maximum(to_rgb @ (x / y, 1.0, (1 - x - y) / y), 0.02)
    red, green, blue = (rgb / luminance(tuple(rgb))).tolist()
    return red, green, blue


def luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance of linear sRGB."""
    return float(np.dot((0.2126, 0.7152, 0.0722), rgb))
