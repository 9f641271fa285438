"""How well the blocks of tetris pictures could be told apart at best.

    python benchmarks/tetris_ceiling.py --data datasets/tetris-unseen

Where blocks of one colour touch, their cells can sometimes be divided into blocks in several ways.
Nothing in the picture says which way it was drawn. Prints in how many pictures that is so, and the
ARI on objects of an observer who knows every block there is: in each picture it gives the answer
that is best on average, where every way is as likely as any other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from comet_cli.data.dataset_folder import load_folder
from comet_cli.evaluation.metrics import adjusted_rand_index
from comet_cli.worlds.tetris import GRID, ORIENTATIONS

Cells = frozenset[int]


def placements() -> list[Cells]:
    """Return the cells, numbered row by row, of every block at every place of the grid."""
    found = []
    for _, _, cells in ORIENTATIONS:
        height, width = cells.shape
        for row in range(GRID - height + 1):
            for column in range(GRID - width + 1):
                taken = np.zeros((GRID, GRID), bool)
                taken[row : row + height, column : column + width] = cells
                found.append(frozenset(np.flatnonzero(taken).tolist()))
    return found


def divisions(cells: Cells, among: Iterable[Cells]) -> list[list[Cells]]:
    """Return all ways of dividing cells into blocks that are ``among`` the placements."""
    if not cells:
        return [[]]
    first = min(cells)
    fitting = [block for block in among if block <= cells]
    return [
        [block, *rest]
        for block in fitting
        if first in block
        for rest in divisions(cells - block, fitting)
    ]


def answers(colours: np.ndarray, among: Iterable[Cells]) -> list[np.ndarray]:
    """Return the instance masks (49,) of all ways to divide a picture.

    Args:
        colours: (49,3), of the cells; black is the background.
        among: the placements.
    """
    ways: list[list[Cells]] = [[]]
    for colour in np.unique(colours[colours.any(1)], axis=0):
        region = frozenset(np.flatnonzero((colours == colour).all(1)).tolist())
        parts = divisions(region, among)
        ways = [way + part for way in ways for part in parts]
    masks = []
    for way in ways:
        mask = np.zeros(GRID * GRID, int)
        for number, block in enumerate(way, start=1):
            mask[list(block)] = number
        masks.append(mask)
    return masks


def best_expected(masks: list[np.ndarray]) -> float:
    """Return the best answer's mean ARI on objects, each mask being as likely the true one."""
    return max(
        float(np.mean([adjusted_rand_index(true, said, foreground=True) for true in masks]))
        for said in masks
    )


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    asked = parser.parse_args()
    images = load_folder(asked.data, split=asked.split).images
    cell = images.shape[1] // GRID
    among = placements()
    found = [
        answers(picture[cell // 2 :: cell, cell // 2 :: cell].reshape(-1, 3), among)
        for picture in images
    ]
    several = sum(len(masks) > 1 for masks in found)
    print(f"several ways to divide: {several} of {len(found)} pictures")
    print(f"best expected ARI on objects: {np.mean([best_expected(masks) for masks in found]):.3f}")


if __name__ == "__main__":
    main()
