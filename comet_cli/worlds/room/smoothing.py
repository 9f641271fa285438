"""Smooth the noise of traced light along surfaces, never across an edge or around a corner.

A wavelet filter "with holes" (Dammertz et al., 2010): passes of growing reach, whose weights
compare the surfaces only, so that the result is linear in the light.
"""

import numpy as np

from comet_cli.worlds.room.geometry import Surfaces

# Light that comes straight from the lamp has shadows with edges; reflected light has none.
REACHES = (1, 2, 4, 8, 16)
DIRECT_PASSES = 2
# A pixel on an edge also holds light of the neighbouring piece.
EDGE_TRUST = 0.02
# Of parallel surfaces, in metres: further apart, they do not share light.
GAP = 0.03


def smooth(direct: np.ndarray, reflected: np.ndarray, seen: Surfaces) -> np.ndarray:
    """Average light that arrives at surfaces with that at their neighbours.

    Args:
        direct: (R, R, 3), light that comes straight from the lamp.
        reflected: (R, R, 3), light that comes from other surfaces.
        seen: where it arrives.

    Returns:
        (R, R, 3), the sum of both.
    """
    normal = np.ascontiguousarray(np.moveaxis(seen.normal, -1, 0))
    place = np.ascontiguousarray(np.moveaxis(seen.place, -1, 0))
    height = _dot(normal, place)
    trust = np.where(on_edge(seen.piece), np.float32(EDGE_TRUST), np.float32(1))[..., None]
    sums = np.concatenate([direct * trust, reflected * trust, trust], -1)
    sums = np.ascontiguousarray(np.moveaxis(sums, -1, 0), np.float32)
    total = sums[:3]
    for number, reach in enumerate(REACHES):
        if number == DIRECT_PASSES:
            total, sums = sums[:3] / sums[6], sums[3:]
        wide = sums.copy()
        for down, along, share in ((0, 1, 0.5), (1, 0, 0.5), (1, 1, 0.25), (1, -1, 0.25)):
            one, other = _pairs(down * reach, along * reach)
            weight = _likeness(normal[one], normal[other]) * np.float32(share)
            gap = np.abs(_dot(normal[one], place[other]) - height[one[1:]])
            gap += np.abs(_dot(normal[other], place[one]) - height[other[1:]])
            weight *= np.maximum(1 - gap / GAP, 0)
            wide[one] += weight * sums[other]
            wide[other] += weight * sums[one]
        sums = wide
    return np.moveaxis(total + sums[:3] / sums[3], 0, -1)


def on_edge(piece: np.ndarray) -> np.ndarray:
    """(R, R) bool: whether one of a pixel's four neighbours shows another piece."""
    edge = np.zeros(piece.shape, bool)
    changes = piece[1:] != piece[:-1]
    edge[1:] |= changes
    edge[:-1] |= changes
    changes = piece[:, 1:] != piece[:, :-1]
    edge[:, 1:] |= changes
    edge[:, :-1] |= changes
    return edge


def _likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine between normals to the 16th power, 0 if they face away from each other."""
    power = np.maximum(_dot(one, other), 0)
    for _ in range(4):
        power = power * power
    return power


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _pairs(down: int, along: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where all pixels are that have a neighbour so far away, and where these neighbours are."""

    def ends(step: int) -> tuple[slice, slice]:
        if step < 0:
            return slice(-step, None), slice(0, step)
        return slice(0, -step or None), slice(step, None)

    rows, columns = ends(down), ends(along)
    return (slice(None), rows[0], columns[0]), (slice(None), rows[1], columns[1])
