"""Tetrominoes: coloured four-cell pieces on black, as in the multi-object data sets of IODINE.

A picture is a 7x7 grid of square cells. Pieces lie anywhere, in every orientation, and never
overlap; their colours are drawn independently, so two pieces of a picture may share one.
"""

import zlib
from typing import Any

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.worlds.generator import Generator, Sample, check_object_range

GRID = 7
CELL = 5
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}
_PIECES = {
    "I": ("####",),
    "O": ("##", "##"),
    "T": ("###", ".#."),
    "S": (".##", "##."),
    "Z": ("##.", ".##"),
    "J": ("#..", "###"),
    "L": ("..#", "###"),
}
# Scenes are divided among the splits by a hash of their content, one in eight to `test`, so that
# no scene can be in both however many pictures are made.
_TEST_SHARE = 8


def _orientations() -> list[tuple[str, int, np.ndarray]]:
    """The 19 fixed tetrominoes: (shape, quarter turns, boolean cells)."""
    found: list[tuple[str, int, np.ndarray]] = []
    for name, rows in _PIECES.items():
        cells = np.array([[mark == "#" for mark in row] for row in rows])
        seen: list[np.ndarray] = []
        for turns in range(4):
            turned = np.rot90(cells, turns)
            if not any(np.array_equal(turned, other) for other in seen):
                seen.append(turned)
                found.append((name, turns, turned))
    return found


ORIENTATIONS = _orientations()


def scene_split(objects: list[dict[str, Any]]) -> str:
    """The split a scene belongs to, from what is in it (not from the order of its objects)."""
    parts = sorted(f"{o['shape']}{o['turns']}{o['colour']}{o['cell']}" for o in objects)
    share = zlib.crc32(";".join(parts).encode()) % _TEST_SHARE
    return "test" if share == 0 else "train"


class Tetris(Generator):
    """Tetrominoes on a 7x7 grid; factors are shape, quarter turns, colour and cell."""

    name = "tetris"
    version = 1
    default_size = GRID * CELL
    summary = "tetrominoes on black, 35x35, exact masks"

    def __init__(self, size: int | None = None, objects: tuple[int, int] = (3, 3)):
        """Check the settings.

        Args:
            size: picture size in pixels, a multiple of 7 (default 35: cells of 5 pixels).
            objects: least and greatest number of pieces, within 1..6.

        Raises:
            UsageError: a size that is no multiple of 7, or a range outside 1..6.
        """
        self.size = self.default_size if size is None else size
        self.objects = check_object_range(objects, most=6)
        if self.size < GRID or self.size % GRID:
            raise UsageError(
                f"--size is {self.size}, expected a multiple of {GRID}, since a tetris picture is "
                f"a grid of {GRID} cells; the usual size is {self.default_size}"
            )

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw scenes until one belongs to `split`, and paint it."""
        while True:
            objects = self._draw(rng)
            if objects is not None and scene_split(objects) == split:
                return self._paint(objects)

    def _draw(self, rng: np.random.Generator) -> list[dict[str, Any]] | None:
        count = int(rng.integers(self.objects[0], self.objects[1] + 1))
        taken = np.zeros((GRID, GRID), bool)
        objects = []
        for _ in range(count):
            for _attempt in range(50):
                shape, turns, cells = ORIENTATIONS[rng.integers(len(ORIENTATIONS))]
                row = int(rng.integers(GRID - cells.shape[0] + 1))
                column = int(rng.integers(GRID - cells.shape[1] + 1))
                place = np.s_[row : row + cells.shape[0], column : column + cells.shape[1]]
                if not (taken[place] & cells).any():
                    break
            else:
                return None
            taken[place] |= cells
            colour = list(COLOURS)[rng.integers(len(COLOURS))]
            objects.append(
                {"shape": shape, "turns": turns, "colour": colour, "cell": [row, column]}
            )
        return objects

    def _paint(self, objects: list[dict[str, Any]]) -> Sample:
        labels = np.zeros((GRID, GRID), np.uint8)
        palette = np.zeros((len(objects) + 1, 3), np.uint8)
        turned = {(name, turns): cells for name, turns, cells in ORIENTATIONS}
        for number, item in enumerate(objects, start=1):
            cells = turned[item["shape"], item["turns"]]
            row, column = item["cell"]
            labels[row : row + cells.shape[0], column : column + cells.shape[1]][cells] = number
            palette[number] = COLOURS[item["colour"]]
        cell = self.size // GRID
        mask = np.kron(labels, np.ones((cell, cell), np.uint8))
        return Sample(image=palette[mask], mask=mask, factors={"objects": objects})
