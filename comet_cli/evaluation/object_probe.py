"""A probe of objects: what stands at a place of a picture, nothing or an object of which factors?

It is told a place and sees the window around it, never a mask: a mask would give shape and size
away. Like the probe of whole pictures it is trained on real pictures and their labels alone; half
of the objects are cut out and put into another real picture, where nothing near them gives them
away: without that, a sphere without its shadow is read as a cube.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from comet_cli.data.labels import FactorReader, are_classes, plain_values
from comet_cli.errors import CometError
from comet_cli.evaluation.probe import Probe, fit, soften, sum_of_losses
from comet_cli.evaluation.reconstruction import as_pictures

NOTHING = -1
PASTED = 0.5  # share of training objects that are seen in another picture


@dataclass(frozen=True)
class ObjectTable:
    """The objects of pictures that can be seen, M in all, picture by picture.

    Attributes:
        places: (M,3) picture, row and column: the object's pixel nearest to its centre of mass.
        numbers: (M,) its value in the picture's mask.
        labels: (M,factors) its classes, from 0.
    """

    places: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """The number of objects, M."""
        return len(self.numbers)

    def mask(self, row: int, masks: np.ndarray) -> np.ndarray:
        """Return the pixels (R,R) bool of the object in a row of the table."""
        return masks[self.places[row, 0]] == self.numbers[row]


def describes_objects(metadata: Sequence[dict[str, Any]], names: Sequence[str] | None) -> bool:
    """Say whether factors are of objects, not of whole pictures.

    Args:
        metadata: entries of pictures.
        names: the factors; None stands for those of a grid, else for those of objects.
    """
    objects = _all_objects(metadata)
    if names is None:
        return bool(objects) and "factors" not in metadata[0]
    return bool(objects) and not set(names).isdisjoint(plain_values(objects[0]))


def object_reader(
    metadata: Sequence[dict[str, Any]], names: Sequence[str] | None = None
) -> FactorReader:
    """Return a reader of the factors of objects.

    Args:
        metadata: entries of the training pictures, with ``objects``.
        names: the factors; default all that are classes (texts, truth values, and whole numbers of
            at most four values).

    Raises:
        CometError: objects without such factors.
    """
    objects = [plain_values(each) for each in _all_objects(metadata)]
    if names is None:
        names = [
            name
            for name in (objects[0] if objects else {})
            if are_classes([each[name] for each in objects if name in each])
        ]
    if not names:
        raise CometError("the objects of the pictures have no factors (in metadata.jsonl)")
    return FactorReader(objects, names)


def find_objects(
    masks: np.ndarray | None, metadata: Sequence[dict[str, Any]], reader: FactorReader
) -> ObjectTable:
    """Return where the objects of pictures are, and their classes.

    Args:
        masks: (N,R,R) integer instance masks, i the i-th object of a picture.
        metadata: entries of the pictures.
        reader: of the factors of objects.

    Raises:
        CometError: no masks, no object in sight, or factors that cannot be read.
    """
    if masks is None:
        raise CometError("swaps of objects need pictures with instance masks")
    places, numbers, chosen = [], [], []
    for n, (mask, entry) in enumerate(zip(masks, metadata, strict=True)):
        for number, each in enumerate(entry.get("objects", []), start=1):
            rows, columns = np.nonzero(mask == number)
            if len(rows):
                off = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
                places.append((n, rows[off.argmin()], columns[off.argmin()]))
                numbers.append(number)
                chosen.append(plain_values(each))
    if not places:
        raise CometError("there is no object in the pictures that has a mask and factors")
    return ObjectTable(np.array(places), np.array(numbers), reader.labels(chosen))


@dataclass(frozen=True)
class ObjectProbe:
    """Reads the classes of the object at a place.

    Attributes:
        network: window (B,3,2·reach+1,2·reach+1), and place -> is something there, and factors.
        reach: pixels that it sees on each side of the place; beyond the picture its rim goes on.
    """

    network: Probe
    reach: int

    @torch.no_grad()
    def read(self, x: Tensor, places: np.ndarray, batch: int = 500) -> np.ndarray:
        """Return the classes (M,factors) of what is at places, ``NOTHING`` where nothing is.

        Args:
            x: pictures (B,3,R,R) in [0, 1].
            places: (M,3) picture, row and column.
            batch: places at a time.
        """
        pictures, found = x.permute(0, 2, 3, 1).cpu().numpy(), []
        for first in range(0, len(places), batch):
            part = places[first : first + batch]
            seen = torch.from_numpy(windows(pictures, part, self.reach)).permute(0, 3, 1, 2)
            there, *factors = self.network(seen, _relative(part, x.shape[-1]))
            classes = torch.stack([o.argmax(-1) for o in factors], -1)
            classes[there.argmax(-1) == 0] = NOTHING
            found.append(classes.numpy())
        factors_read = len(self.network.levels) - 1
        return np.concatenate(found) if found else np.empty((0, factors_read), int)


def train_object_probe(
    images: np.ndarray,
    masks: np.ndarray,
    table: ObjectTable,
    *,
    iterations: int = 1500,
    batch: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ObjectProbe:
    """Train a probe on the objects of pictures, and on places where none is.

    Args:
        images: (N,R,R,3) uint8.
        masks: (N,R,R), 0 where no object is.
        table: their objects.
        iterations: optimizer steps.
        batch: objects a step; there are up to half as many empty places.
        seed: of weights and batches.
        progress: called with (done, total) iterations.
    """
    torch.manual_seed(seed)
    size = images.shape[1]
    # An object may be drawn, and its place be found, a pixel beside where it should be.
    slack = max(1, size // 64)
    reach = _usual_reach(table, masks) + 2 * slack
    probe = Probe(2 * reach + 1, [2, *(table.labels.max(0) + 1).tolist()], extra=2)
    draw = np.random.default_rng(seed)
    targets = torch.from_numpy(table.labels).long()

    def loss() -> Tensor:
        chosen = draw.integers(len(table), size=batch)
        full = table.places[chosen]
        full[:, 1:] += draw.integers(-slack, slack + 1, size=(batch, 2))
        full = full.clip(0, [len(images), size - 1, size - 1])
        own = windows(masks[..., None], full, reach) == table.numbers[chosen, None, None, None]
        pasted = draw.random((batch, 1, 1, 1)) < PASTED
        elsewhere = np.concatenate([draw.integers(len(images), size=(batch, 1)), full[:, 1:]], 1)
        there = np.where(
            pasted & ~own, windows(images, elsewhere, reach), windows(images, full, reach)
        )
        empty = draw_empty_places(masks, table, batch // 2, reach, draw)
        seen = np.concatenate([there, windows(images, empty, reach)])
        places = np.concatenate([full, empty])
        presence, *factors = probe(soften(as_pictures(seen), draw), _relative(places, size))
        occupied = (torch.arange(len(places)) < batch).long()
        found = sum_of_losses([o[:batch] for o in factors], targets[chosen])
        return F.cross_entropy(presence, occupied) + found

    return ObjectProbe(fit(probe, loss, iterations, progress), reach)


def draw_empty_places(
    masks: np.ndarray, table: ObjectTable, count: int, reach: int, draw: np.random.Generator
) -> np.ndarray:
    """Return at most ``count`` places (picture, row, column) of no object, half of them near one.

    Args:
        masks: (N,R,R), 0 where no object is.
        table: their objects.
        count: places to try.
        reach: how many rows and columns near an object is.
        draw: random numbers.
    """
    size = masks.shape[-1]
    anywhere = np.stack([draw.integers(n, size=count) for n in (len(masks), size, size)], 1)
    near = table.places[draw.integers(len(table), size=count)]
    near[:, 1:] += draw.integers(-reach, reach + 1, size=(count, 2))
    near = near.clip(0, [len(masks), size - 1, size - 1])
    places = np.where((np.arange(count) % 2 == 0)[:, None], anywhere, near)
    return places[masks[tuple(places.T)] == 0]


def windows(pictures: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """Return windows (M,2·reach+1,2·reach+1,C) of pictures (N,R,R,C) around places (M,3).

    Beyond a picture its rim goes on.
    """
    steps = np.arange(-reach, reach + 1)
    rows, columns = (
        (places[:, axis, None] + steps).clip(0, pictures.shape[axis] - 1) for axis in (1, 2)
    )
    return pictures[places[:, 0, None, None], rows[:, :, None], columns[:, None, :]]


def _usual_reach(table: ObjectTable, masks: np.ndarray, objects: int = 2000) -> int:
    """Return how far objects reach from their places, but for one in a hundred."""
    far = []
    for row in range(0, len(table), max(1, len(table) // objects)):
        pixels = np.argwhere(table.mask(row, masks))
        far.append(np.abs(pixels - table.places[row, 1:]).max())
    return int(np.ceil(np.quantile(far, 0.99)))


def _relative(places: np.ndarray, size: int) -> Tensor:
    """Return rows and columns (M,2) as numbers from −1 to 1."""
    return torch.from_numpy(places[:, 1:] / size * 2 - 1).float()


def _all_objects(metadata: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for entry in metadata:
        objects = entry.get("objects")
        found += [o for o in objects if isinstance(o, dict)] if isinstance(objects, list) else []
    return found
