"""Road pictures with the look of a game: flat saturated colours, hard shadows, clean edges."""

import numpy as np

from comet_cli.worlds.drive.canvas import FOCAL, Stuff, average
from comet_cli.worlds.drive.ground import Cover, covers
from comet_cli.worlds.drive.layout import Layout
from comet_cli.worlds.drive.light import Surfaces, contact_image, shadow_image, surfaces
from comet_cli.worlds.drive.real import rain
from comet_cli.worlds.drive.scene import FINE, Scene, draw_scene
from comet_cli.worlds.drive.sky import Air, air_of, cloud_field, sun_angle

_COVERS = {
    Cover.ASPHALT: (108, 112, 124),
    Cover.PAINT: (255, 255, 255),
    Cover.GRASS: (112, 186, 74),
    Cover.SLABS: (206, 202, 196),
    Cover.KERB: (240, 240, 236),
    Cover.GRAVEL: (206, 184, 144),
    Cover.MEADOW: (138, 204, 84),
    Cover.WHEAT: (244, 206, 98),
    Cover.SOIL: (172, 124, 88),
}
_COLOURS = np.array(list(_COVERS.values()), np.float32) / 255
_YELLOW = np.array([1.0, 0.8, 0.12], np.float32)
_WET = np.float32(0.72)


def render(layout: Layout, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture (R, R, 3) uint8 and its mask (R, R) uint8."""
    scene, air = draw_scene(layout, size), air_of(layout)
    side, first = scene.numbers.shape[0], scene.first
    picture = np.empty((side, side, 3), np.float32)
    picture[:first] = _sky(layout, air, first, side)
    picture[first:] = _ground(scene, air)
    seen = surfaces(scene, air.towards)
    picture.reshape(-1, 3)[seen.places] = _things(scene, seen, air)
    picture = average(picture, FINE)
    if air.wet:
        picture += (_saturate(air.horizon) - picture) * (0.5 * rain(layout, size))[..., None]
    picture *= np.float32(1 + 0.75 * (layout.light.intensity - 1))
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8), scene.mask


def _saturate(colour, by: float = 1.35) -> np.ndarray:
    colour = np.asarray(colour, np.float32)
    grey = colour.mean(-1, keepdims=True)
    return np.clip(grey + np.float32(by) * (colour - grey), 0, 1)


def _lights(air: Air) -> tuple[np.ndarray, np.ndarray]:
    """Factors of a colour in full light and in shade."""
    if air.night:
        return (np.array([0.54, 0.56, 0.80], np.float32),) * 2
    if not air.sun:
        grey = 0.9 * air.shade / air.shade.max()
        return grey.astype(np.float32), grey.astype(np.float32)
    full = 0.45 + 0.57 * air.sunlight
    return full.astype(np.float32), (0.62 * air.shade / air.shade.max()).astype(np.float32)


def _haze(colour: np.ndarray, depth: np.ndarray, air: Air) -> np.ndarray:
    """Fog as games have it; none in clear air."""
    if air.sight > 400:
        return colour
    left = np.exp(depth * np.float32(-1 / air.sight))
    fog = _saturate(air.horizon)
    return fog + (colour - fog) * left


def _sky(layout: Layout, air: Air, first: int, side: int) -> np.ndarray:
    height = (first - np.arange(first, dtype=np.float32) - 0.5)[:, None, None] / first
    low, high = _saturate(air.horizon), _saturate(air.zenith, 1.6)
    sky = np.repeat(low + (high - low) * height, side, axis=1)
    if air.clouds and not air.wet:
        cloud = cloud_field(layout, first, side) + 2.6 * air.clouds > 1.9
        white = 0.96 * air.sunlight if air.sun else 1.1 * air.horizon
        sky[cloud] = np.clip(white, 0, 1)
    if air.sun:
        cosine = sun_angle(air, first, side, FOCAL)
        sky[cosine > 0.9978] = 1.3 * _saturate(0.25 + 0.75 * air.sunlight, 1.2)
    return sky


def _ground(scene: Scene, air: Air) -> np.ndarray:
    cover, side = covers(scene), scene.numbers.shape[0]
    colours = _COLOURS * _WET if air.wet else _COLOURS
    colour = colours.take(cover, axis=0)
    # Stripes of mown grass, and rows in the fields.
    bands = ((scene.along + scene.layout.road.phase) % 12 < 6) & (cover != Cover.ASPHALT)
    soft = bands & ((cover == Cover.GRASS) | (cover >= Cover.MEADOW))
    colour[soft] *= np.float32(0.95)
    if scene.layout.road.marks == "double":
        middle = np.abs(scene.lateral - scene.layout.road.middle) < 0.3
        colour[(cover == Cover.PAINT) & middle] *= _YELLOW
    full, shade = _lights(air)
    dark = np.asarray(contact_image(scene, side))[scene.first :] > 0
    if air.sun:
        shaded = np.asarray(shadow_image(scene, air.towards, side))[scene.first :] > 0
        colour *= np.where(shaded[..., None], shade, full)
        dark &= ~shaded
    else:
        colour *= full
    colour[dark] *= np.float32(0.7)
    return _haze(colour, scene.z[..., None], air)


def _things(scene: Scene, seen: Surfaces, air: Air) -> np.ndarray:
    colour = _vivid(seen.colour)
    full, shade = _lights(air)
    if air.sun:
        # Leaves in three flat tones, all else in the tone of its face.
        tones = np.where(seen.facing > 0.45, 1.0, np.where(seen.facing > -0.05, 0.55, 0.0))
        faces = np.clip(0.25 + 0.9 * seen.facing, 0, 1) * (seen.facing > 0)
        lit = np.where(seen.stuff == Stuff.LEAF, tones, faces)[:, None].astype(np.float32)
        colour *= shade + (full - shade) * lit
    else:
        # Clouds are brighter where the sun is, so walls still differ.
        tones = np.where(seen.upward > 0.25, 1.0, 0.84) + np.where(seen.facing > 0.1, 0.06, -0.04)
        colour *= full * tones[:, None].astype(np.float32)
    lamps = air.night or air.wet or scene.layout.weather == "fog"
    if lamps:
        colour[seen.stuff == Stuff.LAMP] = (1.0, 0.97, 0.8)
        colour[seen.stuff == Stuff.BRAKE] = (1.0, 0.16, 0.14)
    if air.night:
        colour[seen.stuff == Stuff.LIT] = (1.0, 0.84, 0.42)
    return _haze(colour, seen.depth[:, None], air)


def _vivid(colour: np.ndarray) -> np.ndarray:
    """Brighter and more saturated."""
    return np.clip(_saturate(colour, 1.45) ** np.float32(0.72), 0, 1)
