"""What surfaces look like from near: planks, the picture, the sky behind the window, the lantern.

Light that travels on through the room sees their mean colours only.
"""

import numpy as np

from comet_cli.worlds.room.geometry import Surfaces
from comet_cli.worlds.room.scene import Piece, View

PLANK_WIDTH, PLANK_LENGTH = 0.24, 1.5
# What is seen of the lantern's paper at intensity 1. As bright as its light is, it would be a white
# disc; it grows with the square root of the intensity.
PAPER = (2.4, 1.75, 1.0)


def finish(
    arriving: np.ndarray, seen: Surfaces, pieces: tuple[Piece, ...], view: View
) -> np.ndarray:
    """The light that leaves towards the camera.

    Args:
        arriving: (R, R, 3), light that arrives at a surface, over pi.
        seen: the surfaces.
        pieces: what `seen.piece` counts.
        view: lamp and camera.

    Returns:
        (R, R, 3), linear.
    """
    shown = arriving * np.array([piece.colour for piece in pieces], np.float32)[seen.piece]
    for index, piece in enumerate(pieces):
        if not piece.finish:
            continue
        here = seen.piece == index
        local = seen.local[here]
        if piece.finish == "lantern":
            towards = (seen.normal[here] * _to_camera(seen.place[here], view)).sum(1)
            shown[here] = np.sqrt(view.intensity) * np.outer(0.45 + 0.55 * towards, PAPER)
            continue
        # From the lower left corner, in metres.
        across, up = local[:, 0] + piece.size[0] / 2, local[:, 2] + piece.size[1] / 2
        if piece.finish == "planks":
            shown[here] *= planks(across, up)
        elif piece.finish == "art":
            shown[here] = arriving[here] * art(across / piece.size[0], up / piece.size[1])
        else:
            shown[here] = sky(across / piece.size[0], up / piece.size[1])
    return shown


def planks(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(N, 3): the tone of the plank at a place on the floor, 1 on average; joints are dark."""
    row, beside = np.divmod(across, PLANK_WIDTH)
    number, on = np.divmod(along + 0.61 * PLANK_LENGTH * (row * 0.618 % 1 + row % 2), PLANK_LENGTH)
    tone = 0.78 + 0.62 * ((row * 0.754877 + number * 0.569840) % 1)
    joint = (beside < 0.02) | (on < 0.02)
    return np.where(joint, 0.5, tone)[:, None] * (1.0, 0.98, 0.96)


def art(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 3): a sun over two hills, x and y in [0, 1]."""
    layers = (
        (np.ones_like(x, bool), (0.92, 0.66, 0.42)),
        (np.hypot((x - 0.62) * 1.47, y - 0.6) < 0.21, (0.86, 0.22, 0.12)),
        (y < 0.42 + 0.14 * np.sin(4.0 * x + 0.4), (0.20, 0.38, 0.45)),
        (y < 0.20 + 0.13 * np.sin(5.0 * x + 3.6), (0.06, 0.14, 0.25)),
    )
    shown = np.zeros((len(x), 3))
    for where, colour in layers:
        shown[where] = colour
    return shown


def sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 3): the radiance of an evening sky over dark trees, x and y in [0, 1]."""
    low, high = np.array([1.5, 0.85, 0.9]), np.array([0.12, 0.30, 0.95])
    shown = low + np.clip(y, 0, 1)[:, None] * (high - low)
    trees = y < 0.22 + 0.05 * np.sin(23 * x) + 0.06 * np.sin(9 * x + 1)
    moon = np.hypot((x - 0.74) * 1.1, y - 0.76) < 0.09
    shown[trees] = (0.03, 0.10, 0.16)
    shown[moon] = (2.2, 2.1, 1.7)
    return shown


def _to_camera(places: np.ndarray, view: View) -> np.ndarray:
    rays = view.camera - places
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)
