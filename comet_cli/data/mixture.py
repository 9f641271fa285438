"""Pictures of several data sets as one array, drawn in given proportions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Part:
    """What one data set gives.

    Attributes:
        images: (N, R, R, 3) uint8, in memory or mapped.
        rows: which of them are used; None for all.
        share: its part of each batch, relative to the others'.
    """

    images: np.ndarray
    rows: np.ndarray | None = None
    share: float = 1.0

    def __len__(self) -> int:
        """The number of pictures that are used."""
        return len(self.images) if self.rows is None else len(self.rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of row numbers 0 to below the length, as a copy in memory."""
        return np.asarray(self.images[rows if self.rows is None else self.rows[rows]])


class Mixture:
    """(N, R, R, 3) uint8: one part after the other; nothing is read before it is asked for."""

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(self, parts: Sequence[Part]) -> None:
        """Join parts of one picture size; none may be empty."""
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])
        shares = np.array([part.share for part in self.parts])
        self._bounds = np.cumsum(shares / shares.sum())
        self._bounds[-1] = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, R, R, 3)."""
        return (len(self), *self.parts[0].images.shape[1:])

    def __len__(self) -> int:
        """The number of pictures, N."""
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> np.ndarray:
        """A picture, or those of a slice or of an array of row numbers."""
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            return self[rows[None]][0]
        taken = np.empty((len(rows), *self.shape[1:]), np.uint8)
        source = np.searchsorted(self._ends, rows, side="right")
        for number, part in enumerate(self.parts):
            here = source == number
            if here.any():
                start = self._ends[number] - len(part)
                taken[here] = part.take(rows[here] - start)
        return taken

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All pictures in memory."""
        return self[:].astype(dtype or np.uint8, copy=False)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw row numbers: of each part its share of `count`, to the next lower or higher number.

        Over many batches the shares are exact (systematic sampling); within a part, rows are drawn
        with replacement.
        """
        if len(self.parts) == 1:
            return rng.integers(len(self), size=count)
        ends = np.floor(self._bounds * count + rng.random()).astype(np.int64)
        ends[-1] = count
        counts = np.diff(ends, prepend=0)
        starts = self._ends - [len(part) for part in self.parts]
        drawn = [
            start + rng.integers(len(part), size=number)
            for start, part, number in zip(starts, self.parts, counts, strict=True)
        ]
        return np.concatenate(drawn)


Pictures = np.ndarray | Mixture


def draw_rows(images: Pictures, rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw the row numbers of a batch, ascending."""
    if isinstance(images, Mixture):
        return np.sort(images.draw(rng, count))
    return np.sort(rng.integers(len(images), size=count))


def interleave(counts: Sequence[int]) -> np.ndarray:
    """An order of concatenated parts in which any first pictures are of all parts in proportion."""
    places = np.concatenate([(np.arange(n) + 0.5) / max(n, 1) for n in counts])
    return np.argsort(places, kind="stable")
