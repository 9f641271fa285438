"""The sun, the sky and the air: what weather and time of day make of them."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.drive.layout import Layout

# Elevation of the sun in degrees, and sRGB of its light, the zenith, the horizon and the shade.
_TIMES = {
    "morning": (24.0, (255, 236, 196), (86, 138, 198), (208, 218, 222), (150, 172, 206)),
    "noon": (58.0, (255, 250, 240), (58, 116, 194), (182, 208, 232), (160, 184, 214)),
    "sunset": (11.0, (255, 176, 96), (78, 100, 156), (246, 176, 112), (146, 140, 172)),
    "dusk": (6.0, (120, 120, 176), (22, 32, 72), (120, 104, 134), (92, 104, 150)),
}
_GREY = np.array([0.70, 0.705, 0.71])
# How much of the sun, of a grey sky and of clouds there is, and how far one sees, in metres.
_WEATHERS = {
    "clear": (1.0, 0.0, 0.0, 1600.0),
    "cloudy": (0.9, 0.12, 0.5, 1200.0),
    "overcast": (0.0, 0.85, 0.6, 500.0),
    "fog": (0.0, 1.0, 0.0, 55.0),
    "rain": (0.0, 1.0, 0.35, 130.0),
}


@dataclass(frozen=True)
class Air:
    """What lights a scene.

    Attributes:
        towards: unit vector to the sun: x to the right, y up, z ahead.
        sun: strength of direct light, 0 if it casts no shadow.
        sunlight: sRGB in [0, 1] of direct light.
        shade: the same of the light from the sky.
        zenith: the same, the sky's colour above.
        horizon: the same near the horizon, and of haze.
        clouds: how much of the sky they cover, in [0, 1].
        sight: metres after which haze leaves 1/e of a colour.
        level: of all light; 1 by day.
        wet: whether it rains.
        night: whether lamps are lit.
    """

    towards: np.ndarray
    sun: float
    sunlight: np.ndarray
    shade: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    sight: float
    level: float
    wet: bool
    night: bool


def air_of(layout: Layout) -> Air:
    """The air of a layout."""
    light = layout.light
    elevation, *colours = _TIMES[light.time]
    sunlight, zenith, horizon, shade = (np.array(colour) / 255 for colour in colours)
    direct, grey, clouds, sight = _WEATHERS[layout.weather]
    turn, height = math.radians(light.azimuth), math.radians(elevation)
    flat = math.cos(height)
    night = light.time == "dusk"
    # A grey sky keeps a trace of the hour's colour.
    cover = _GREY * (0.35 * horizon / horizon.mean() + 0.65) * (0.62 if night else 1.0)
    return Air(
        towards=np.array([flat * math.sin(turn), math.sin(height), flat * math.cos(turn)]),
        sun=0.0 if night else direct,
        sunlight=sunlight,
        shade=shade + 0.7 * grey * (cover - shade),
        zenith=zenith + grey * (0.92 * cover - zenith),
        horizon=horizon + grey * (cover - horizon),
        clouds=clouds,
        sight=sight,
        level=light.intensity * (1.9 if night else 1.0),
        wet=layout.weather == "rain",
        night=night,
    )


@functools.lru_cache(maxsize=8)
def noise_tile(roughness: float) -> np.ndarray:
    """(256, 256) float32 noise that repeats, mean 0 and deviation 1.

    Its amplitude falls with frequency as f^-roughness: 0 is grain, 2 clouds.
    """
    side = 256
    white = np.random.default_rng(7).standard_normal((side, side))
    f = np.fft.fftfreq(side)
    distance = np.hypot(f[:, None], f[None, :])
    distance[0, 0] = 1.0
    spectrum = np.fft.fft2(white) * distance**-roughness
    spectrum[0, 0] = 0
    noise = np.fft.ifft2(spectrum).real
    return (noise / noise.std()).astype(np.float32)


def noise_at(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The noise at places, in cells of the tile; x and y broadcast."""
    rows, columns = y.astype(np.int32) & 255, x.astype(np.int32) & 255
    return tile.ravel()[(rows << 8) + columns]


def cloud_field(layout: Layout, first: int, side: int) -> np.ndarray:
    """Noise, smooth and thinning out towards the horizon, on the rows above it: (first, S)."""
    offset = np.random.default_rng([layout.details, 2]).integers(0, 256, 2)
    v = (np.arange(first, dtype=np.float32)[:, None] + 0.5) / side
    u = (np.arange(side, dtype=np.float32)[None, :] + 0.5) / side
    depth = 80.0 / (first / side - v + 0.14)
    return noise_at(noise_tile(2.1), (u - 0.5) * depth * 1.5 + 512 + offset[0], depth + offset[1])


def sun_angle(air: Air, first: int, side: int, focal: float) -> np.ndarray:
    """Cosine of the angle between the sun and each pixel above the horizon: (first, S)."""
    v = (first - np.arange(first, dtype=np.float32)[:, None] - 0.5) / side
    u = (np.arange(side, dtype=np.float32)[None, :] + 0.5) / side - np.float32(0.5)
    x, y, z = air.towards.astype(np.float32)
    length = np.sqrt(u * u + v * v + np.float32(focal * focal))
    return (x * u + y * v + z * np.float32(focal)) / length
