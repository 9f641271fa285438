"""CLEVR-like scenes: cubes, spheres and cylinders on a grey ground, rendered with mitsuba."""

import dataclasses
import math
from typing import Any

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.worlds import mitsuba
from comet_cli.worlds.clevr import pixels as clevr_pixels
from comet_cli.worlds.clevr import scene as clevr_scene
from comet_cli.worlds.clevr.scene import Scene, Thing
from comet_cli.worlds.generator import Generator, Sample, check_object_range

EXTENT = 3.0
MARGIN = 0.25
CAMERA_JITTER = 0.5
LIGHT_JITTER = 1.0


class Clevr(Generator):
    """Factors: shape, colour, material, size, position and rotation of each object.

    Attributes:
        shapes: words that an object's shape is drawn from.
        kind: what its objects are.
        visible: pixels that every object must show in a 64-pixel picture; scaled by area elsewhere.
    """

    name = "clevr"
    version = 1
    default_size = 64
    summary = "CLEVR-like scenes, 64x64, instance masks (needs mitsuba)"
    shapes: tuple[str, ...] = clevr_scene.SHAPES
    kind: type[Thing] = Thing
    visible = 40

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (4, 4)):
        """Check the settings.

        Args:
            size: picture size in pixels, 16..1024 (default 64).
            objects: least and greatest number of objects, within 1..10.

        Raises:
            UsageError: a size or a range outside these bounds.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=10)
        if not 16 <= self.size <= 1024:
            raise UsageError(
                f"--size is {self.size}, expected 16 to 1024 pixels for a {self.name} picture"
            )

    @property
    def min_visible(self) -> int:
        """The number of pixels that every object must show at least."""
        return math.ceil(self.visible * (self.size / 64) ** 2)

    def prepare(self) -> None:
        """Check that mitsuba is installed."""
        mitsuba.load_mitsuba()

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw a scene and render it; scenes are continuous, so splits differ by their seeds."""
        scene, mask = self.draw(rng)
        return self.picture(scene, mask, seed=int(rng.integers(2**32)))

    def picture(self, scene: Scene, mask: np.ndarray, seed: int) -> Sample:
        """Render a scene; `mask` is its own, `seed` that of the sampler, within [0, 2^32)."""
        image = clevr_pixels.render(scene, self.size, seed)
        objects = [
            _attributes(thing, scene.camera, mask == number)
            for number, thing in enumerate(scene.things, start=1)
        ]
        factors = {
            "objects": objects,
            "camera": list(scene.camera),
            "lights": {name: list(place) for name, place in scene.lights.items()},
        }
        return Sample(image=image, mask=mask, factors=factors)

    def draw(self, rng: np.random.Generator) -> tuple[Scene, np.ndarray]:
        """Draw scenes until all objects have their place and can be seen.

        Returns:
            The scene, and its (R, R) uint8 instance mask.
        """
        while True:
            camera = _jitter(rng, clevr_scene.CAMERA, CAMERA_JITTER)
            lights = {
                name: _jitter_lamp(rng, place, camera) for name, place in clevr_scene.LIGHTS.items()
            }
            count = int(rng.integers(self.objects[0], self.objects[1] + 1))
            placed = self._place(rng, camera, count)
            if placed is not None:
                things, mask = placed
                return Scene(things=things, camera=camera, lights=lights), mask

    def draw_thing(self, rng: np.random.Generator) -> Thing:
        """An object with its factors, anywhere on the ground."""

        def pick(words):
            return tuple(words)[rng.integers(len(words))]

        shape, colour = pick(self.shapes), pick(clevr_scene.COLOURS)
        material, size = pick(clevr_scene.MATERIALS), pick(clevr_scene.SIZES)
        x, y = rng.uniform(-EXTENT, EXTENT, size=2).tolist()
        thing = self.kind(shape, colour, material, size, (x, y, 0.0), float(rng.uniform(0, 360)))
        return dataclasses.replace(thing, position=(x, y, thing.radius))

    def _place(self, rng, camera, count: int) -> tuple[tuple[Thing, ...], np.ndarray] | None:
        """Add objects one by one, each where it leaves all of them visible."""
        things: tuple[Thing, ...] = ()
        mask = np.zeros((self.size, self.size), np.uint8)
        for _attempt in range(40 * count):
            thing = self.draw_thing(rng)
            if any(gap(thing, other) < MARGIN for other in things):
                continue
            candidate = (*things, thing)
            seen = clevr_scene.instance_mask(candidate, camera, self.size)
            visible = np.bincount(seen.ravel(), minlength=len(candidate) + 1)[1:]
            if visible.min() >= self.min_visible:
                things, mask = candidate, seen
            if len(things) == count:
                return things, mask
        return None


def gap(one: Thing, other: Thing) -> float:
    """Least distance between the upright cylinders around two things, negative if they overlap."""
    return math.dist(one.position[:2], other.position[:2]) - (one.reach + other.reach)


def _jitter(rng: np.random.Generator, place, reach: float) -> tuple[float, float, float]:
    x, y, z = (np.asarray(place) + rng.uniform(-reach, reach, size=3)).tolist()
    return x, y, z


def _jitter_lamp(rng: np.random.Generator, place, camera) -> tuple[float, float, float]:
    """A place near the lamp's from where it cannot be seen by the camera."""
    while True:
        jittered = _jitter(rng, place, LIGHT_JITTER)
        if not clevr_scene.lamp_in_view(jittered, camera):
            return jittered


def _attributes(thing: Thing, camera, seen: np.ndarray) -> dict[str, Any]:
    """A thing's factors; `pixel` is its centre in the picture (it may lie outside of it)."""
    x, y, depth = clevr_scene.project(np.asarray(thing.position), camera).tolist()
    size = seen.shape[0]
    return {
        "shape": thing.shape,
        "colour": thing.colour,
        "material": thing.material,
        "size": thing.size,
        "position": list(thing.position),
        "rotation": thing.rotation,
        "pixel": [x * size, y * size],
        "depth": depth,
        "visible": int(seen.sum()),
    }
