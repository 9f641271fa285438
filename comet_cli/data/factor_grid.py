"""Data sets whose pictures are the cells of a grid of factors."""

import functools
import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from comet_cli.data.generator import SPLITS, Generator, Sample

# One picture in eight belongs to the test split, whatever the seed and the counts are.
_TEST_SHARE = 8


class GridGenerator(Generator):
    """A generator that draws distinct cells of a factor grid; no picture is in both splits.

    Attributes:
        factors: factor name to its values, in the order of the grid's axes.
    """

    factors: ClassVar[dict[str, tuple[Any, ...]]]

    @abstractmethod
    def draw(self, values: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """The picture (R, R, 3) uint8 and the mask (R, R) uint8 of one value of each factor."""

    @classmethod
    def canonical(cls, cells: np.ndarray) -> np.ndarray:
        """For each cell number, that of one cell among those that show the same picture."""
        return cells

    @classmethod
    def shape(cls) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple(len(values) for values in cls.factors.values())

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw any cell of `split`."""
        cells = _split_cells(type(self), split)
        return self.cell(int(cells[rng.integers(len(cells))]))

    def sample_at(self, seed: int, split: str, index: int) -> Sample:
        """The cell at place `index` of the split's cells, shuffled by `seed`."""
        return self.cell(int(_shuffled(type(self), seed, split)[index]))

    def limit(self, split: str) -> int:
        """The number of cells of a split."""
        return len(_split_cells(type(self), split))

    def cell(self, number: int) -> Sample:
        """The picture of a cell, numbered in row-major order."""
        indices = dict(zip(self.factors, np.unravel_index(number, self.shape()), strict=True))
        factors = {name: int(index) for name, index in indices.items()}
        values = {name: self.factors[name][index] for name, index in factors.items()}
        image, mask = self.draw(values)
        return Sample(image, mask, {"cell": number, "factors": factors, "values": values})


@functools.lru_cache(maxsize=4)
def _split_cells(kind: type[GridGenerator], split: str) -> np.ndarray:
    """The numbers of the cells of a split, ascending."""
    return np.flatnonzero(_in_test(kind) == (split == "test")).astype(np.uint32)


@functools.lru_cache(maxsize=2)
def _in_test(kind: type[GridGenerator]) -> np.ndarray:
    """Whether each cell belongs to the test split: a hash of its canonical cell decides."""
    cells = np.arange(math.prod(kind.shape()), dtype=np.uint32)
    # The finalizer of murmur3 (Appleby 2011); products wrap around.
    mixed = kind.canonical(cells).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    return mixed % np.uint32(_TEST_SHARE) == 0


@functools.lru_cache(maxsize=4)
def _shuffled(kind: type[GridGenerator], seed: int, split: str) -> np.ndarray:
    order = np.random.default_rng([seed, SPLITS.index(split)])
    return order.permutation(_split_cells(kind, split))
