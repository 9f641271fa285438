"""What a data-set generator is: settings, and a function from a random state to one sample."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from comet_cli.errors import UsageError

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Sample:
    """One generated picture.

    Attributes:
        image: (R, R, 3) uint8, RGB.
        mask: (R, R) uint8: 0 background, i the i-th entry of `factors["objects"]`, from 1; in a
            data set without objects, the parts that its generator numbers; None if an imported
            picture has none.
        factors: what the picture shows, as JSON values.
    """

    image: np.ndarray
    mask: np.ndarray | None
    factors: dict[str, Any]


class Generator(ABC):
    """A data set that can be generated: the same random state gives the same bytes.

    Attributes:
        name: the word after `comet data make`.
        version: raised whenever the same seed would give other pixels.
        default_size: picture size R in pixels when none is asked for.
        summary: one line for `comet data list`.
        size: picture size R in pixels.
        objects: least and greatest number of objects.
    """

    name: str
    version: int
    default_size: int
    summary: str

    size: int
    objects: tuple[int, int]

    @abstractmethod
    def __init__(self, size: int | None = None, objects: tuple[int, int] = (1, 1)):
        """Check and keep the settings; a size of None is the default one."""

    def prepare(self) -> None:  # noqa: B027 (most generators need nothing)
        """Check that everything needed is installed, before any work is started.

        Raises:
            MissingExtraError: a package of an extra is not installed.
        """

    @abstractmethod
    def sample(self, rng: np.random.Generator, split: str) -> Sample:
        """Draw one scene of `split` ("train" or "test") and make its picture."""

    def sample_at(self, seed: int, split: str, index: int) -> Sample:
        """Picture `index` of a split; it depends on these three alone."""
        return self.sample(sample_rng(seed, split, index), split)

    def limit(self, split: str) -> int | None:
        """The most pictures that a split can have; None if there is no such number."""
        return None


def check_object_range(objects: tuple[int, int], most: int) -> tuple[int, int]:
    """Return `objects` = (least, greatest), checked to lie in order within 1..most.

    Raises:
        UsageError: otherwise.
    """
    least, greatest = objects
    if not 1 <= least <= greatest <= most:
        raise UsageError(f"--objects is {least}-{greatest}, expected a range within 1-{most}")
    return least, greatest


def sample_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """The random state of one picture, independent of every other picture's."""
    return np.random.default_rng([seed, SPLITS.index(split), index])
