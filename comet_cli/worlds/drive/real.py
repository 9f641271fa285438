"""Road pictures with the look of a camera: textures, soft light, haze, lens and sensor noise."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from comet_cli.worlds.drive.canvas import FOCAL, Stuff, average
from comet_cli.worlds.drive.ground import Cover, covers
from comet_cli.worlds.drive.layout import LANE_WIDTH, Layout
from comet_cli.worlds.drive.light import Surfaces, contact_image, shadow_image, surfaces
from comet_cli.worlds.drive.scene import FINE, Scene, draw_scene
from comet_cli.worlds.drive.sky import Air, air_of, cloud_field, noise_at, noise_tile, sun_angle

# Reflectance of each cover, in two shades between which it varies; amplitude of its grain.
_COVERS = {
    Cover.ASPHALT: ((0.100, 0.102, 0.106), (0.134, 0.132, 0.128), 0.13),
    Cover.PAINT: ((0.50, 0.50, 0.48), (0.72, 0.72, 0.70), 0.10),
    Cover.GRASS: ((0.070, 0.115, 0.030), (0.155, 0.170, 0.062), 0.38),
    Cover.SLABS: ((0.235, 0.225, 0.210), (0.295, 0.285, 0.270), 0.10),
    Cover.KERB: ((0.36, 0.36, 0.35), (0.44, 0.44, 0.43), 0.10),
    Cover.GRAVEL: ((0.185, 0.160, 0.125), (0.250, 0.225, 0.185), 0.32),
    Cover.MEADOW: ((0.085, 0.135, 0.036), (0.140, 0.165, 0.050), 0.28),
    Cover.WHEAT: ((0.330, 0.250, 0.095), (0.400, 0.310, 0.130), 0.22),
    Cover.SOIL: ((0.125, 0.080, 0.050), (0.175, 0.120, 0.080), 0.25),
}
_FIRST, _SECOND = (np.array([c[i] for c in _COVERS.values()], np.float32) for i in (0, 1))
_CHANGE = _SECOND - _FIRST
_GRAIN = np.array([c[2] for c in _COVERS.values()], np.float32)
_YELLOW = np.array([1.0, 0.74, 0.22], np.float32)
# Amplitude of the texture of each kind of surface.
_ROUGH = np.zeros(len(Stuff), np.float32)
_ROUGH[[Stuff.LEAF, Stuff.BARK, Stuff.WALL, Stuff.ROOF]] = (0.42, 0.25, 0.09, 0.20)
_GLOSSY = np.zeros(len(Stuff), np.float32)
_GLOSSY[[Stuff.PAINT, Stuff.GLASS, Stuff.PANE, Stuff.LIT]] = (0.05, 0.38, 0.3, 0.3)
_SUN, _SHADE = 2.7, 1.1
_BILINEAR = Image.Resampling.BILINEAR


def render(layout: Layout, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture (R, R, 3) uint8 and its mask (R, R) uint8."""
    scene, air = draw_scene(layout, size), air_of(layout)
    side, first = scene.numbers.shape[0], scene.first
    picture = np.empty((side, side, 3), np.float32)
    picture[:first] = _sky(layout, air, first, side)
    picture[first:] = _ground(scene, air)
    seen = surfaces(scene, air.towards)
    picture.reshape(-1, 3)[seen.places] = _things(scene, seen, air)
    light = average(picture, FINE)
    return _develop(light, layout, air), scene.mask


def _linear(srgb) -> np.ndarray:
    return (np.asarray(srgb, np.float32) ** np.float32(2.2)).astype(np.float32)


def _lights(air: Air) -> tuple[np.ndarray, np.ndarray]:
    """Linear RGB of direct light and of the sky's."""
    # Without the sun, clouds give back a part of its light from everywhere.
    veiled = 1.0 if air.sun or air.night else 1.75
    return _SUN * air.sun * _linear(air.sunlight), veiled * _SHADE * _linear(air.shade)


def _haze(colour: np.ndarray, depth: np.ndarray, air: Air) -> np.ndarray:
    """What is left of a colour at some depth (..., 1), and the horizon's light before it."""
    horizon = _horizon(air)
    colour -= horizon
    colour *= np.exp(depth * np.float32(-1 / air.sight))
    colour += horizon
    return colour


def _horizon(air: Air) -> np.ndarray:
    return _linear(air.horizon) * np.float32(1.05)


def _sky(layout: Layout, air: Air, first: int, side: int) -> np.ndarray:
    height = (first - np.arange(first, dtype=np.float32) - 0.5)[:, None, None] / first
    sky = _horizon(air) + (_linear(air.zenith) - _horizon(air)) * np.sqrt(height)
    sky = np.repeat(sky, side, axis=1)
    if air.clouds:
        field = cloud_field(layout, first, side)
        thick = np.clip((field + 2.6 * air.clouds - 1.35) / 1.3, 0, 1)[..., None]
        thick *= np.clip(6 * height, 0, 1)
        lit = _linear(air.sunlight) if air.sun else 0.72 * _horizon(air)
        cloud = 1.05 * lit * (1 - 0.32 * thick) if air.sun else lit
        sky += (cloud - sky) * thick * (0.9 if air.sun else 0.55)
    if air.sun:
        cosine = np.maximum(sun_angle(air, first, side, FOCAL), 0)[..., None]
        glow = 0.35 * cosine**12 + 0.9 * cosine**180 + 12 * (cosine > 0.9992)
        sky += glow * _linear(air.sunlight) * air.sun
    return sky


def _ground(scene: Scene, air: Air) -> np.ndarray:
    side = scene.numbers.shape[0]
    offset = np.random.default_rng([scene.layout.details, 3]).integers(0, 256, 2).astype(np.float32)
    # Far from the camera several grains fall into a pixel.
    near = 1 / (1 + scene.z / 14)
    across, along = scene.lateral + (offset[0] + 512), scene.along + offset[1]
    grain = noise_at(noise_tile(0.4), across * 14, along * 9) * near
    patches = noise_at(noise_tile(1.2), across * 2.5, along * 0.8)
    cover = covers(scene)
    mix = np.clip(0.5 + 0.4 * patches, 0, 1)[..., None]
    albedo = _FIRST.take(cover, axis=0)
    albedo += _CHANGE.take(cover, axis=0) * mix
    tone = 1 + _GRAIN.take(cover) * grain
    asphalt = cover == Cover.ASPHALT
    tone = np.where(asphalt, tone * _wear(scene, patches), tone)
    slabs = (cover == Cover.SLABS) & (((across % 0.8) < 0.06) | ((along % 1.2) < 0.08))
    tone[slabs] *= 0.8
    rows = (cover == Cover.SOIL) | (cover == Cover.WHEAT)
    if rows.any():
        tone = np.where(rows, tone * (1 + 0.16 * np.sin(across * 4) * near), tone)
    albedo *= np.maximum(tone, 0.25)[..., None]
    if scene.layout.road.marks == "double":
        middle = np.abs(scene.lateral - scene.layout.road.middle) < 0.3
        albedo[(cover == Cover.PAINT) & middle] *= _YELLOW

    sun, shade = _lights(air)
    below = _soften(contact_image(scene, side // 2), side)[scene.first :]
    light = shade * (1 - 0.68 * below[..., None])
    if air.sun:
        shadow = _soften(shadow_image(scene, air.towards, side // 2), side)[scene.first :]
        # Light finds its way through leaves.
        dapple = np.clip(0.93 + 0.10 * noise_at(noise_tile(0.8), across * 5, along * 4), 0, 1)
        reach = np.float32(np.sqrt(air.towards[1]))
        light = light + sun * reach * (1 - shadow * dapple)[..., None]
    colour = np.multiply(albedo, light, out=albedo)
    if air.wet:
        colour = _wet(colour, scene, cover, patches, air)
    return _haze(colour, scene.z[..., None], air)


def _wear(scene: Scene, patches: np.ndarray) -> np.ndarray:
    """Wheel tracks, oil between them, and mended places."""
    road = scene.layout.road
    inside = (scene.lateral + np.float32(road.half)) % np.float32(LANE_WIDTH) - LANE_WIDTH / 2
    tracks = np.exp(-(((np.abs(inside) - 0.8) / 0.35) ** 2))
    oil = np.exp(-((inside / 0.4) ** 2))
    return 1 + 0.09 * tracks - 0.07 * oil - 0.16 * (patches > 1.35)


def _wet(colour, scene: Scene, cover, patches, air: Air) -> np.ndarray:
    """Wet ground is darker, and a mirror where it is flat and seen from far."""
    flat = (cover != Cover.GRASS) & (cover < Cover.MEADOW)
    grazing = 0.12 + 0.5 * np.exp(-9.0 / scene.z) + 0.10 * np.clip(patches, -1, 1)
    share = np.where(flat, np.clip(grazing, 0, 0.8), 0.04)[..., None]
    return colour * np.where(flat, 0.55, 0.8)[..., None] * (1 - share) + share * _horizon(air)


def _soften(image: Image.Image, side: int) -> np.ndarray:
    """Shadows with soft edges on a canvas of `side` pixels, in [0, 1]."""
    blurred = image.filter(ImageFilter.BoxBlur(0.005 * side))
    return np.asarray(blurred.resize((side, side), _BILINEAR), np.float32) / 255


def _things(scene: Scene, seen: Surfaces, air: Air) -> np.ndarray:
    albedo = _linear(seen.colour) * np.float32(0.82)
    fine = np.maximum(90 / np.maximum(seen.depth, 4), 1.2)
    # Leaves in clumps whose size follows the distance, for they are never resolved.
    noise = noise_at(noise_tile(0.7), seen.x * fine + 4096, seen.y * fine + seen.depth)
    albedo *= np.maximum(1 + _ROUGH[seen.stuff] * noise, 0.3)[:, None]
    roof = seen.stuff == Stuff.ROOF
    albedo[roof] *= (1 - 0.14 * ((seen.y[roof] % 0.5) < 0.16))[:, None]
    sun, shade = _lights(air)
    leaf = seen.stuff == Stuff.LEAF
    # Leaves let light through, so a crown has no hard edge of shade.
    facing = np.where(leaf, 0.3 + 0.7 * seen.facing, seen.facing)
    # The sky is brighter where the sun is, also behind clouds.
    around = 0.62 + 0.38 * seen.upward + (0 if air.sun else 0.12) * seen.facing
    light = sun * np.clip(facing, 0, 1)[:, None] + shade * around[:, None]
    colour = albedo * light
    gloss = (_GLOSSY[seen.stuff] * (0.5 + 0.5 * np.clip(seen.upward + 0.3, 0, 1)))[:, None]
    colour += (_horizon(air) - colour) * gloss
    lit = air.night or air.wet or scene.layout.weather == "fog"
    if lit:
        colour[seen.stuff == Stuff.LAMP] = (1.6, 1.5, 1.25)
        colour[seen.stuff == Stuff.BRAKE] = (1.1, 0.05, 0.03)
    if air.night:
        colour[seen.stuff == Stuff.LIT] = (1.1, 0.62, 0.2)
    return _haze(colour, seen.depth[:, None], air)


def _develop(light: np.ndarray, layout: Layout, air: Air) -> np.ndarray:
    """From linear light to an 8-bit picture: lens, exposure, noise, tone."""
    size = len(light)
    rng = np.random.default_rng([layout.details, 4])
    line = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    radius = line[:, None] ** 2 + line[None, :] ** 2
    light = light * (np.float32(1.2 * air.level) * (1 - 0.55 * radius))[..., None]
    if air.wet:
        light += (0.75 * _linear(air.horizon) - light) * (0.3 * rain(layout, size))[..., None]
    tone = (1 - np.exp(-np.maximum(light, 0))) ** np.float32(1 / 2.2)
    # The contrast that cameras add.
    tone += 0.35 * tone * (1 - tone) * (2 * tone - 1)
    noise = rng.standard_normal((size, size, 4), np.float32)
    strength = 0.018 if air.night else 0.012
    tone += strength * (0.75 * noise[..., 3:] + 0.5 * noise[..., :3])
    return (np.clip(tone, 0, 1) * 255 + 0.5).astype(np.uint8)


def rain(layout: Layout, size: int) -> np.ndarray:
    """Streaks of rain: (R, R) in [0, 1]."""
    rng = np.random.default_rng([layout.details, 5])
    image = Image.new("L", (FINE * size, FINE * size), 0)
    draw, wide = ImageDraw.Draw(image), max(1, FINE * size // 160)
    for u, v, length in rng.uniform((-0.1, -0.1, 0.04), (1.0, 1.0, 0.1), (70, 3)).tolist():
        corners = (u, v, u + 0.22 * length, v + length)
        draw.line([FINE * size * each for each in corners], fill=255, width=wide)
    return np.asarray(image.reduce(FINE), np.float32) / 255
