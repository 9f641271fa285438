"""The world of CLEVR-like scenes: its things, its camera, its lamps, and what is seen where.

Numbers are those of the CLEVR generator (Johnson et al. 2017): its camera, the places of its three
area lamps, its colours and sizes. The square picture is the centre crop of its 4:3 one: the same
camera, the full height.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

COLOURS = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
SHAPES = ("cube", "sphere", "cylinder")
MATERIALS = ("rubber", "metal")
SIZES = {"large": 0.7, "small": 0.35}

CAMERA = (7.48, -6.51, 5.34)
# 35 mm lens, 32 mm wide sensor, 4:3: the height of the picture, and so all of the square.
FIELD_OF_VIEW = math.degrees(2 * math.atan(0.75 * 16 / 35))
LIGHTS = {
    "key": (6.45, -2.91, 4.26),
    "fill": (-4.67, -4.01, 3.01),
    "back": (-1.17, 2.65, 5.82),
}
LIGHT_SIZE = 1.0
# Brightness of each lamp (red, green, blue): the key lamp is warm, the fill lamp cool. Fitted, as
# what `clevr_pixels` adds to them, to the look of CLEVR's own pictures.
LAMPS = {
    "key": (1.51, 1.39, 1.20),
    "fill": (0.05, 0.056, 0.07),
    "back": (0.77, 0.75, 0.745),
}
# What the ground shows where no lamp reaches it, in linear light.
AMBIENT = 0.137
# Half the angle of the bright part of the sky, in degrees: no flat lid mirrors it to the camera.
ZENITH = 35.0
TEXTURE = 8.0  # edge of the square after which a ground's texture repeats

# Smooth faces that a thing can have.
FACES = 64
# Rows and columns of a window of the picture, and for each of its pixels the depth at which the
# pixel's centre ray meets a thing (infinite where it does not) and the smooth face it meets there.
Layer = tuple[tuple[slice, slice], np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        shape: a word of SHAPES.
        colour: a word of COLOURS.
        material: a word of MATERIALS.
        size: a word of SIZES.
        position: centre (x, y, z); z is `radius`, since it rests on the ground z = 0.
        rotation: turn about the vertical axis in degrees, [0, 360).
    """

    shape: str
    colour: str
    material: str
    size: str
    position: tuple[float, float, float]
    rotation: float

    @property
    def radius(self) -> float:
        """Half of its height (a cube's edge is the radius times the square root of two)."""
        return SIZES[self.size] / (math.sqrt(2) if self.shape == "cube" else 1)

    @property
    def reach(self) -> float:
        """Radius of an upright cylinder around it."""
        return SIZES[self.size]

    def layer(self, camera: tuple[float, float, float], rays: np.ndarray) -> Layer:
        """What can be seen of it.

        Args:
            camera: place of the camera.
            rays: (R, R, 3) directions through the pixels' centres, of depth 1.
        """
        window = _window(self, camera, len(rays))
        return window, *_meet(self, np.asarray(camera), rays[window])


@dataclass(frozen=True, eq=False)
class Ground:
    """What the ground is covered with.

    Attributes:
        texture: (S,S,3) linear reflectance; repeats every TEXTURE units of the world.
        turn: about the vertical axis, in degrees.
    """

    texture: np.ndarray
    turn: float


@dataclass(frozen=True)
class Metal:
    """How the metals of a scene look.

    Attributes:
        roughness: alpha of the GGX distribution; 0 is a mirror.
        bevel: radius of the rounded edges of cubes and cylinders, of rubber too, in units of the
            world; the masks leave it out.
        horizon: what is bright around the scene, as a share of the even surroundings that light
            the ground as much. What is missing comes from above, within ZENITH of the vertical.
    """

    roughness: float = 0.1
    bevel: float = 0.0
    horizon: float = 1.0


@dataclass(frozen=True)
class Scene:
    """What is rendered: things on the ground, a camera and three lamps.

    Attributes:
        things: the objects, in the order of their mask numbers from 1.
        camera: where the camera stands, (x, y, z); it looks at the origin.
        lights: lamp name to place (x, y, z).
        lamps: lamp name to brightness (red, green, blue), linear; the default is CLEVR's.
        lamp_sizes: lamp name to the edge of its square.
        ambient: what the ground shows where no lamp reaches it, linear.
        ground: its texture; None for CLEVR's even one.
        metal: how metals look.
    """

    things: tuple[Thing, ...]
    camera: tuple[float, float, float]
    lights: dict[str, tuple[float, float, float]]
    lamps: Mapping[str, tuple[float, float, float]] = field(default_factory=lambda: dict(LAMPS))
    lamp_sizes: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(LIGHTS, LIGHT_SIZE)
    )
    ambient: float = AMBIENT
    ground: Ground | None = None
    metal: Metal = Metal()


def camera_axes(camera: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors right, up and forward of a camera that looks at the origin."""
    forward = -np.asarray(camera) / np.linalg.norm(camera)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def project(points: np.ndarray, camera: tuple[float, float, float]) -> np.ndarray:
    """Where points fall in the square picture.

    Args:
        points: (..., 3) world coordinates.
        camera: place of the camera.

    Returns:
        (..., 3): x to the right and y downwards in [0, 1] inside the picture, and the depth.
    """
    right, up, forward = camera_axes(camera)
    rays = np.asarray(points) - camera
    depth = rays @ forward
    scale = _height(depth)
    return np.stack([0.5 + rays @ right / scale, 0.5 - rays @ up / scale, depth], axis=-1)


def lamp_in_view(place: tuple[float, float, float], camera: tuple[float, float, float]) -> bool:
    """Whether any part of a lamp at `place` could be seen by the camera."""
    x, y, depth = project(np.asarray(place), camera)
    reach = LIGHT_SIZE / _height(max(depth, 0.1))
    return depth > -LIGHT_SIZE and max(abs(x - 0.5), abs(y - 0.5)) < 0.5 + reach


def instance_mask(
    things: tuple[Thing, ...], camera: tuple[float, float, float], size: int
) -> np.ndarray:
    """Which thing each pixel's centre ray meets first, by closed-form intersections.

    Args:
        things: up to 60 objects.
        camera: place of the camera.
        size: R, pixels a side.

    Returns:
        (R, R) uint8: 0 for the ground, i for `things[i - 1]`.
    """
    return (face_mask(things, camera, size) // FACES).astype(np.uint8)


def face_mask(
    things: tuple[Thing, ...], camera: tuple[float, float, float], size: int
) -> np.ndarray:
    """As `instance_mask`, but told apart by smooth face: int32, 0 or FACES i + face."""
    right, up, forward = camera_axes(camera)
    line = ((np.arange(size) + 0.5) / size - 0.5) * _height(1.0)
    rays = forward + line[None, :, None] * right - line[:, None, None] * up
    nearest = np.full((size, size), np.inf)
    mask = np.zeros((size, size), np.int32)
    for number, thing in enumerate(things, start=1):
        window, distance, face = thing.layer(camera, rays)
        closer = distance < nearest[window]
        nearest[window][closer] = distance[closer]
        mask[window][closer] = FACES * number + face[closer]
    return mask


def _window(thing: Thing, camera: tuple[float, float, float], size: int) -> tuple[slice, slice]:
    """Rows and columns of a square picture that surely hold all of the thing."""
    x, y, depth = project(np.asarray(thing.position), camera)
    # No point of a thing is further than sqrt(3) radii from its centre.
    reach = 2 * thing.radius / (depth - 2 * thing.radius) / _height(1.0) * 1.1
    low = np.clip(np.floor((np.array([y, x]) - reach) * size), 0, size).astype(int)
    high = np.clip(np.ceil((np.array([y, x]) + reach) * size), 0, size).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _height(depth: Any) -> Any:
    """How high (and wide) the square view is at a depth."""
    return 2 * math.tan(math.radians(FIELD_OF_VIEW) / 2) * depth


def _meet(thing: Thing, start: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance along each ray to the thing (infinite where it is missed), and the face met."""
    origin = start - np.asarray(thing.position)
    radius = thing.radius
    with np.errstate(divide="ignore", invalid="ignore"):
        if thing.shape == "sphere":
            spans = [_roots(rays, origin, radius)]
        elif thing.shape == "cylinder":
            spans = [
                _roots(rays[..., :2], origin[:2], radius),
                _slab(rays[..., 2], origin[2], radius),
            ]
        else:
            c, s = math.cos(math.radians(thing.rotation)), math.sin(math.radians(thing.rotation))
            turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
            turned, around = rays @ turn.T, turn @ origin
            spans = [_slab(turned[..., axis], around[axis], radius) for axis in range(3)]
        # Inside all spans at once is inside the thing; the last one entered is the face met.
        entries = np.stack([near for near, _ in spans])
        near = entries.max(0)
        far = np.min([far for _, far in spans], axis=0)
        hit = (near < far) & (near > 0)
    return np.where(hit, near, np.inf), entries.argmax(0)


def _roots(rays: np.ndarray, origin: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the sphere (or, in two dimensions, the circle) |p| = radius."""
    a = (rays * rays).sum(-1)
    b = rays @ origin
    root = np.sqrt(b * b - a * (origin @ origin - radius * radius))
    return (-b - root) / a, (-b + root) / a


def _slab(rays: np.ndarray, origin: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the layer in which one coordinate is within +-radius."""
    one, other = (-radius - origin) / rays, (radius - origin) / rays
    return np.minimum(one, other), np.maximum(one, other)
