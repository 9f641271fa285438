"""Data sets whose pictures are the cells of a grid of factors."""

import copy
import functools
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from comet_cli.errors import UsageError
from comet_cli.formats.files import show
from comet_cli.worlds.generator import SPLITS, Generator, Sample

# Factor name to the class indices that it keeps to.
Subset = dict[str, tuple[int, ...]]

# One picture in eight belongs to the test split, whatever the seed and the counts are.
_TEST_SHARE = 8
_Grid = TypeVar("_Grid", bound="GridGenerator")


class GridGenerator(Generator):
    """A generator that draws distinct cells of a factor grid; no picture is in both splits.

    Attributes:
        factors: factor name to its values, in the order of the grid's axes.
        subset: for factors that do not take all of their values, the class indices of those that
            they take, ascending.
    """

    factors: ClassVar[dict[str, tuple[Any, ...]]]
    subset: Subset = {}

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

    def restrict(self: _Grid, fixed: Mapping[str, Iterable[int | str]]) -> _Grid:
        """A generator of those cells only in which some factors keep to some of their values.

        A cell stays in its split, numbered as in the whole grid, and its picture is the same.

        Args:
            fixed: factor name to values: class indices, as numbers or in digits, or, of a factor
                whose values are words, these words.

        Raises:
            UsageError: an unknown factor or value, or a factor without a value.
        """
        subset = dict(self.subset)
        for name, values in fixed.items():
            if name not in self.factors:
                raise UsageError(
                    f"{self.name} has no factor '{show(name)}' to fix; choose one of: "
                    f"{', '.join(self.factors)}"
                )
            subset[name] = tuple(sorted({self._index(name, value) for value in values}))
            if not subset[name]:
                raise UsageError(f"the factor {name} is fixed to no value, expected one or more")
        part = copy.copy(self)
        part.subset = {
            name: kept for name, kept in subset.items() if len(kept) < len(self.factors[name])
        }
        return part

    def _index(self, name: str, value: int | str) -> int:
        """The class index that a user means."""
        known = self.factors[name]
        words = [word for word in known if isinstance(word, str)]
        if value in words:
            return known.index(value)
        digits = str(value)
        if digits.isascii() and digits.isdigit() and int(digits) < len(known):
            return int(digits)
        names = f", or one of: {', '.join(words)}" if words else ""
        raise UsageError(
            f"{name} of {self.name} cannot be fixed to '{show(digits)}', expected a number from 0 "
            f"to {len(known) - 1}{names}"
        )

    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw any cell of `split`."""
        cells = _part_cells(type(self), split, self._key())
        return self.cell(int(cells[rng.integers(len(cells))]))

    def sample_at(self, seed: int, split: str, index: int) -> Sample:
        """The cell at place `index` of the split's cells, shuffled by `seed`."""
        return self.cell(int(_shuffled(type(self), seed, split, self._key())[index]))

    def limit(self, split: str) -> int:
        """The number of cells of a split."""
        return len(_part_cells(type(self), split, self._key()))

    def _key(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple(sorted(self.subset.items()))

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
def _part_cells(kind: type[GridGenerator], split: str, subset: tuple) -> np.ndarray:
    """The numbers of the cells of a split in a subset, given as its items, ascending."""
    cells = _split_cells(kind, split)
    for name, kept in subset:
        axis = list(kind.factors).index(name)
        cells = cells[np.isin(np.unravel_index(cells, kind.shape())[axis], kept)]
    return cells


@functools.lru_cache(maxsize=4)
def _shuffled(kind: type[GridGenerator], seed: int, split: str, subset: tuple) -> np.ndarray:
    order = np.random.default_rng([seed, SPLITS.index(split)])
    return order.permutation(_part_cells(kind, split, subset))
