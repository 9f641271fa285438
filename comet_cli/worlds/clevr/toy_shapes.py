"""The four toys: pin, boot, teddy bear and truck, each put together from closed solids.

Lengths are in units of an object's size (0.7 or 0.35); x is where an object looks or drives to.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from comet_cli.worlds.clevr.toy_solids import (
    Ring,
    Solid,
    box,
    disc,
    ellipsoid,
    loft,
    revolve,
    smooth,
)

# What a part is painted with: the object's own colour and material, its colour lightened, or a
# fixed colour.
PAINTS = ("own", "light", "white", "black", "glass")
# All parts of another paint are small, and one face together.
_SHADED = ("own", "light")


@dataclass(frozen=True)
class Part:
    """One solid of a toy, and what it is painted with (a word of PAINTS)."""

    solid: Solid
    paint: str = "own"


@dataclass(frozen=True, eq=False)
class Model:
    """A toy of size 1 that stands on the ground z = 0, its outline's middle above the origin.

    Attributes:
        vertices: (V, 3), those of one paint side by side.
        normals: (V, 3) unit vectors outwards.
        triangles: (T, 3) vertex numbers, counter-clockwise as seen from outside.
        faces: (T,) smooth faces, numbered from 0.
        paints: (T,) indices into PAINTS.
        height: of its highest vertex.
        reach: radius of the upright cylinder around it.
    """

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    faces: np.ndarray
    paints: np.ndarray
    height: float
    reach: float


@functools.cache
def model(shape: str) -> Model:
    """The toy of a word of SHAPES."""
    parts = sorted(SHAPES[shape](), key=lambda part: PAINTS.index(part.paint))
    vertices = np.concatenate([part.solid.vertices for part in parts])
    low, high = vertices.min(0), vertices.max(0)
    vertices = vertices - ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2])
    triangles, faces, paints = [], [], []
    first, face = 0, len(PAINTS)
    for part in parts:
        solid, paint = part.solid, PAINTS.index(part.paint)
        triangles.append(solid.triangles + first)
        paints.append(np.full(len(solid.triangles), paint))
        first += len(solid.vertices)
        if part.paint in _SHADED:
            faces.append(solid.faces + face)
            face += int(solid.faces.max()) + 1
        else:
            faces.append(paints[-1])
    return Model(
        vertices=vertices,
        normals=np.concatenate([part.solid.normals for part in parts]),
        triangles=np.concatenate(triangles),
        faces=np.concatenate(faces),
        paints=np.concatenate(paints),
        height=float(high[2] - low[2]),
        reach=float(np.hypot(vertices[:, 0], vertices[:, 1]).max()),
    )


def _pin() -> list[Part]:
    """A bowling pin with a white band around its neck."""
    outline = smooth(
        [(0.46, 0.08), (0.7, 0.55), (0.84, 1.15), (0.72, 1.75), (0.42, 2.35), (0.33, 2.65),
         (0.39, 2.95), (0.5, 3.3), (0.45, 3.62), (0.25, 3.83)]
    )  # fmt: skip
    body = [(0.0, 0.0), (0.4, 0.0), *outline.tolist(), (0.0, 3.9)]
    band = [(r + 0.035, z) for r, z in outline.tolist() if 2.2 < z < 2.85]
    ends = [(0.0, band[0][1]), *band, (0.0, band[-1][1])]
    return [Part(revolve(body, 20)), Part(revolve(ends, 20), "white")]


def _boot() -> list[Part]:
    """A high boot: foot and shaft in one loft of flat ellipses, a sole, a heel and a cuff."""
    # Height, heel, toe, half the width: the instep is where the toe draws back with the height.
    outline = smooth(
        [(0.25, -0.95, 1.75, 0.58), (0.5, -0.98, 1.82, 0.6), (0.75, -0.97, 1.66, 0.6),
         (0.95, -0.94, 1.3, 0.58), (1.1, -0.91, 0.85, 0.56), (1.3, -0.88, 0.55, 0.55),
         (1.7, -0.87, 0.46, 0.55), (2.3, -0.93, 0.5, 0.6), (2.75, -1.0, 0.56, 0.65)]
    )  # fmt: skip
    rings = [_oval(*row) for row in outline.tolist()]
    first, last = rings[0], rings[-1]
    upper = loft([_point(first), *rings, _point(last)], 20)
    sole = loft(_plate(0.16, 0.36, -1.02, 1.86, 0.66), 20, sides=True)
    heel = loft(_plate(0.0, 0.2, -1.0, 0.0, 0.6), 16, sides=True)
    ball = loft(_plate(0.0, 0.2, 0.55, 1.75, 0.6), 16, sides=True)
    cuff = loft(_plate(2.3, 2.85, -1.08, 0.64, 0.72), 20, sides=True)
    hole = loft(_plate(2.7, 2.88, -0.94, 0.5, 0.58), 20, sides=True)
    return [
        Part(upper),
        *(Part(solid, "black") for solid in (sole, heel, ball, hole)),
        Part(cuff, "light"),
    ]


def _oval(z: float, back: float, front: float, width: float) -> Ring:
    return Ring(z, (back + front) / 2, (front - back) / 2, width)


def _point(ring: Ring) -> Ring:
    return Ring(ring.z, ring.x, 0.0, 0.0)


def _plate(low: float, high: float, back: float, front: float, width: float) -> list[Ring]:
    """An upright oval cylinder with rounded rims."""
    rim = 0.05
    rings = [
        _oval(low, back + rim, front - rim, width - rim),
        _oval(low + rim, back, front, width),
        _oval(high - rim, back, front, width),
        _oval(high, back + rim, front - rim, width - rim),
    ]
    return [_point(rings[0]), *rings, _point(rings[-1])]


def _toy() -> list[Part]:
    """A sitting teddy bear."""
    parts = [
        Part(ellipsoid((0.74, 0.82, 0.94), 18).moved(0, 0, 0.9)),
        Part(ellipsoid((0.74, 0.84, 0.72), 18).moved(0.08, 0, 2.28)),
        Part(ellipsoid((0.32, 0.52, 0.56), 12).moved(0.5, 0, 0.93), "light"),
        Part(ellipsoid((0.36, 0.41, 0.32), 12).moved(0.66, 0, 2.12), "light"),
        Part(ellipsoid((0.14, 0.2, 0.14), 8).moved(1.0, 0, 2.25), "black"),
    ]
    for side in (-1, 1):
        ear = ellipsoid((0.2, 0.35, 0.35), 12).moved(0, 0.68 * side, 2.9)
        inner = ellipsoid((0.11, 0.2, 0.2), 8).moved(0.14, 0.68 * side, 2.9)
        eye = ellipsoid((0.11, 0.12, 0.14), 8).moved(0.73, 0.34 * side, 2.5)
        arm = ellipsoid((0.27, 0.3, 0.68), 12).turned(1, -40).turned(0, 24 * side)
        leg = ellipsoid((0.7, 0.38, 0.38), 12).moved(0.5, 0, 0.38).turned(2, 28 * side)
        pad = ellipsoid((0.09, 0.28, 0.28), 10).moved(1.16, 0, 0.4).turned(2, 28 * side)
        parts += [
            Part(ear),
            Part(inner, "light"),
            Part(eye, "black"),
            Part(arm.moved(0.34, 0.82 * side, 1.28)),
            Part(leg.moved(0.22, 0.28 * side, 0)),
            Part(pad.moved(0.22, 0.28 * side, 0), "light"),
        ]
    return parts


def _truck() -> list[Part]:
    """A lorry: a large box behind a cab with windows, on four wheels."""
    parts = [
        Part(box((-1.75, -0.8, 0.74), (0.5, 0.8, 2.25), 0.12)),
        Part(box((0.62, -0.74, 0.5), (1.75, 0.74, 1.65), 0.16), "light"),
        Part(box((-1.7, -0.6, 0.36), (1.6, 0.6, 0.82), 0.06), "black"),
        Part(box((1.6, -0.6, 1.0), (1.78, 0.6, 1.45), 0.04), "glass"),
        Part(box((0.85, -0.77, 1.0), (1.4, 0.77, 1.45), 0.04), "glass"),
        Part(box((1.6, -0.76, 0.34), (1.85, 0.76, 0.52), 0.06), "white"),
    ]
    for x in (-1.1, 1.1):
        for side in (-1, 1):
            parts += [
                Part(disc(0.52, 0.38, 0.06, 16).moved(x, 0.78 * side, 0.52), "black"),
                Part(disc(0.24, 0.1, 0.04, 8).moved(x, 0.95 * side, 0.52), "white"),
            ]
    return parts


SHAPES: dict[str, Callable[[], list[Part]]] = {
    "pin": _pin,
    "boot": _boot,
    "toy": _toy,
    "truck": _truck,
}
