"""Pixels of a CLEVR-like scene, by path tracing with mitsuba.

The strength of the lamps, the constant environment and the reflectance of the ground were fitted to
the look of CLEVR's own pictures: a light ground, darker towards the top, soft shadows, no horizon.
"""

import math
from typing import Any

import numpy as np

from comet_cli.worlds.clevr.scene import (
    COLOURS,
    FACES,
    FIELD_OF_VIEW,
    TEXTURE,
    ZENITH,
    Ground,
    Metal,
    Scene,
    Thing,
    face_mask,
)
from comet_cli.worlds.clevr.toy_scene import Toy
from comet_cli.worlds.clevr.toy_shapes import PAINTS
from comet_cli.worlds.clevr.toy_solids import Solid, box, disc
from comet_cli.worlds.mitsuba import load_mitsuba, to_srgb

GROUND = 0.80
# Rays are traced on a grid finer than the picture by this factor, and averaged after denoising.
SUPERSAMPLING = 4
SAMPLES_PER_PIXEL = 16
# Reflectances of a toy's parts that are not of the object's colour.
_FIXED = {"white": [0.8, 0.8, 0.8], "black": [0.02, 0.02, 0.02], "glass": [0.05, 0.08, 0.12]}


def render(scene: Scene, size: int, seed: int, samples: int = SAMPLES_PER_PIXEL) -> np.ndarray:
    """Render a scene by path tracing.

    Args:
        scene: what to render.
        size: R, pixels a side.
        seed: of the sampler, within [0, 2^32): the same seed gives the same pixels.
        samples: rays a pixel; the cost is proportional to it.

    Returns:
        (R, R, 3) uint8 sRGB.

    Raises:
        MissingExtraError: mitsuba is not installed.
    """
    mi = load_mitsuba()
    fine = size * SUPERSAMPLING
    # Optimising would order the lamps at random, and with them the random numbers.
    world = mi.load_dict(_describe(mi, scene, fine), parallel=False, optimize=False)
    rays = max(1, samples // SUPERSAMPLING**2)
    light = np.array(mi.render(world, seed=seed, spp=rays), dtype=np.float32)[..., :3]
    faces = face_mask(scene.things, scene.camera, fine)
    mirrors = {
        number
        for number, thing in enumerate(scene.things, start=1)
        if thing.material == "metal" and (thing.shape == "sphere" or scene.metal.bevel)
    }
    return to_srgb(_reduce(light, faces, mirrors, ground_passes=1 if scene.ground else 4))


def _reduce(
    light: np.ndarray, faces: np.ndarray, mirrors: set[int], ground_passes: int
) -> np.ndarray:
    """Average a fine picture down, smoothing the noise inside each face and never across edges.

    Args:
        light: (R f, R f, 3) linear radiance, f the factor of SUPERSAMPLING.
        faces: (R f, R f) as of `face_mask`.
        mirrors: numbers of the things whose reflections are finely drawn: smoothed less.
        ground_passes: how often the ground is smoothed.

    Returns:
        (R, R, 3) linear radiance.
    """
    # Nothing brighter than white is shown: one caustic ray must not outweigh its neighbours.
    light = np.minimum(light, 1.0)
    f = SUPERSAMPLING
    total = np.zeros((light.shape[0] // f, light.shape[1] // f, 3), np.float32)
    for face in np.flatnonzero(np.bincount(faces.ravel())):
        inside = faces == face
        window = tuple(slice(*_extent(inside.any(1 - axis))) for axis in (0, 1))
        fine = tuple(slice(part.start * f, part.stop * f) for part in window)
        part = inside[fine][..., None].astype(np.float32)
        share = weight = _block_mean(part)
        colour = _block_mean(light[fine] * part)
        passes = ground_passes if face == 0 else 1 if face // FACES in mirrors else 2
        for _ in range(passes):
            colour, weight = _blur(colour), _blur(weight)
        total[window] += share * colour / np.maximum(weight, 1e-9)
    return total


def _extent(fine: np.ndarray) -> tuple[int, int]:
    """The blocks from the first to the last true entry, as a half-open interval."""
    places = np.flatnonzero(fine)
    return int(places[0]) // SUPERSAMPLING, int(places[-1]) // SUPERSAMPLING + 1


def _block_mean(fine: np.ndarray) -> np.ndarray:
    f = SUPERSAMPLING
    rows = np.sum([fine[start::f] for start in range(f)], axis=0)
    return np.sum([rows[:, start::f] for start in range(f)], axis=0) / f**2


def _blur(image: np.ndarray) -> np.ndarray:
    """Smooth with 1 2 1 in both directions, repeating the border."""
    for axis in (0, 1):
        line = image.swapaxes(0, axis)
        wide = np.concatenate([line[:1], line, line[-1:]])
        image = ((wide[:-2] + wide[2:]) / 4 + line / 2).swapaxes(0, axis)
    return image


def _describe(mi: Any, scene: Scene, size: int) -> dict[str, Any]:
    transform = mi.ScalarTransform4f
    world: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 3, "hide_emitters": True},
        "sensor": {
            "type": "perspective",
            "fov": FIELD_OF_VIEW,
            "fov_axis": "y",
            "to_world": transform().look_at(list(scene.camera), [0, 0, 0], [0, 0, 1]),
            "sampler": {"type": "independent"},
            # The box filter keeps every sample in its own pixel, so threads cannot reorder sums.
            "film": {
                "type": "hdrfilm",
                "width": size,
                "height": size,
                "pixel_format": "rgb",
                "rfilter": {"type": "box"},
            },
        },
        "ambient": {
            "type": "constant",
            "radiance": _rgb([scene.ambient * scene.metal.horizon / GROUND] * 3),
            "sampling_weight": 0.7,
        },
        "ground": _ground(mi, scene.ground),
    }
    if scene.metal.horizon < 1:
        world["zenith"] = _zenith(transform, scene)
    for name, place in scene.lights.items():
        # A rectangle emits from its front only, which faces the scene. The fit was made with a
        # ground of reflectance 1, lamps of radiance 10 and area 1.
        edge = scene.lamp_sizes[name]
        radiance = [10 * strength / (GROUND * edge**2) for strength in scene.lamps[name]]
        world[name] = {
            "type": "rectangle",
            "to_world": transform().look_at(list(place), [0, 0, 0], [0, 0, 1])
            @ transform().scale(edge / 2),
            "emitter": {
                "type": "area",
                "radiance": _rgb(radiance),
                "sampling_weight": 0.2 + scene.lamps[name][1],
            },
        }
    for number, thing in enumerate(scene.things):
        name = f"thing{number}"
        world.update(
            _meshes(mi, thing, name)
            if isinstance(thing, Toy)
            else _shape(mi, thing, name, scene.metal)
        )
    return world


def _zenith(transform: Any, scene: Scene) -> dict[str, Any]:
    """The bright part of the sky: with it the ground has as much light as from an even one."""
    height, angle = 900.0, math.radians(ZENITH)
    # Of what an even sky lays on the ground, the sine squared comes from within the angle. The
    # disk hides the surroundings behind it.
    horizon = scene.metal.horizon
    share = horizon + (1 - horizon) / math.sin(angle) ** 2
    radiance = scene.ambient * share / GROUND
    return {
        "type": "disk",
        "to_world": transform()
        .translate([0, 0, height])
        .rotate([1, 0, 0], 180)
        .scale(height * math.tan(angle)),
        "emitter": {"type": "area", "radiance": _rgb([radiance] * 3), "sampling_weight": 1.5},
    }


def _ground(mi: Any, ground: Ground | None) -> dict[str, Any]:
    """The plane that all stands on."""
    transform = mi.ScalarTransform4f
    place, reflectance = transform().scale(1000), _rgb([GROUND] * 3)
    if ground is not None:
        place = transform().rotate([0, 0, 1], ground.turn) @ place
        reflectance = {
            "type": "bitmap",
            "bitmap": mi.Bitmap(ground.texture.astype(np.float32)),
            "raw": True,
            "to_uv": transform().scale(2000 / TEXTURE),
        }
    return {
        "type": "rectangle",
        "to_world": place,
        "bsdf": {"type": "diffuse", "reflectance": reflectance},
    }


def _meshes(mi: Any, toy: Toy, name: str) -> dict[str, Any]:
    """A mesh for each paint of a toy."""
    vertices, normals = toy.placed()
    shapes = {}
    for paint in np.unique(toy.model.paints):
        # Vertices of one paint lie side by side.
        triangles = toy.model.triangles[toy.model.paints == paint]
        first, last = triangles.min(), triangles.max() + 1
        part = name + PAINTS[paint]
        shapes[part] = _mesh(
            mi,
            part,
            vertices[first:last],
            normals[first:last],
            triangles - first,
            _paint(toy, PAINTS[paint]),
        )
    return shapes


def _mesh(
    mi: Any,
    name: str,
    vertices: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    surface: dict[str, Any],
) -> Any:
    """A mesh of V vertices with their normals, (V, 3) each, and (T, 3) triangles."""
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(surface)
    mesh = mi.Mesh(
        name,
        vertex_count=len(vertices),
        face_count=len(triangles),
        has_vertex_normals=True,
        props=properties,
    )
    fields = mi.traverse(mesh)
    fields["vertex_positions"] = vertices.astype(np.float32).ravel()
    fields["vertex_normals"] = normals.astype(np.float32).ravel()
    fields["faces"] = triangles.astype(np.uint32).ravel()
    fields.update()
    return mesh


def _shape(mi: Any, thing: Thing, name: str, metal: Metal) -> dict[str, Any]:
    """The mitsuba shapes of a thing; a cylinder needs its lid."""
    transform = mi.ScalarTransform4f
    surface = _surface(_reflectance(thing), thing.material, metal.roughness)
    place = transform().translate(list(thing.position)).rotate([0, 0, 1], thing.rotation)
    place = place.scale(thing.radius)
    if thing.shape == "sphere":
        return {name: {"type": "sphere", "to_world": place, "bsdf": surface}}
    if metal.bevel:
        solid = _bevelled(thing, metal.bevel)
        return {name: _mesh(mi, name, solid.vertices, solid.normals, solid.triangles, surface)}
    if thing.shape == "cube":
        return {name: {"type": "cube", "to_world": place, "bsdf": surface}}
    return {
        name: {
            "type": "cylinder",
            "p0": [0, 0, -1],
            "p1": [0, 0, 1],
            "radius": 1.0,
            "to_world": place,
            "bsdf": surface,
        },
        name + "lid": {"type": "disk", "to_world": place.translate([0, 0, 1]), "bsdf": surface},
    }


def _bevelled(thing: Thing, bevel: float) -> Solid:
    """A cube or a cylinder with rounded edges, in its place."""
    half = thing.radius
    if thing.shape == "cube":
        solid = box((-half, -half, -half), (half, half, half), bevel)
    else:
        solid = disc(half, 2 * half, bevel, around=48).turned(0, 90)
    return solid.turned(2, thing.rotation).moved(*thing.position)


def _reflectance(thing: Thing) -> list[float]:
    # As in the CLEVR generator, the sRGB numbers are taken for linear reflectances.
    return [channel / 255 for channel in COLOURS[thing.colour]]


def _paint(toy: Toy, paint: str) -> dict[str, Any]:
    own = _reflectance(toy)
    if paint == "own":
        return _surface(own, toy.material)
    if paint == "light":
        return _surface([0.5 + 0.5 * channel for channel in own], toy.material)
    return _surface(_FIXED[paint], "rubber")


def _surface(
    colour: list[float], material: str, roughness: float = Metal.roughness
) -> dict[str, Any]:
    if material == "metal":
        surface = {
            "type": "roughconductor",
            "alpha": roughness,
            "distribution": "ggx",
            "material": "none",
            "specular_reflectance": _rgb(colour),
        }
    else:
        surface = {
            "type": "principled",
            "base_color": _rgb(colour),
            "roughness": 0.7,
            "specular": 0.5,
        }
    return {"type": "twosided", "bsdf": surface}


def _rgb(values: list[float]) -> dict[str, Any]:
    return {"type": "rgb", "value": values}
