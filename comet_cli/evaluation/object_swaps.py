"""Swap accuracy of objects: an object of one picture put into another, in the place of one there.

A swap is drawn from the true masks alone, so that it is the same for every model: an object i of
the host A is taken out, an object d of the donor B put in where it was in B. A model does so by
giving the component that holds i in A the latent of the one that holds d in B. Then a probe must
read, in the picture that this renders,

* d's factors at d's place in B,
* every other object's factors at its place in A,
* nothing at i's place.

A component *holds* an object if the pixels where its energy pulls hardest and the object's true
mask have an intersection over union above ½; at most one component can (Kirillov et al. 2019). A
swap of an object that no component holds counts as wrong in all it has.

Left out, since the result has no defined truth: d's true mask would share a pixel with that of an
object that stays, and that for all objects d of B (d is drawn from those that fit). Nor is i's
place read where i touches d or another object in A, which may go on behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comet_cli.data.dataset_folder import LoadedPictures
from comet_cli.energy.gradients import gradient_strength, strongest_segments
from comet_cli.errors import CometError
from comet_cli.evaluation.object_probe import (
    NOTHING,
    ObjectProbe,
    ObjectTable,
    draw_empty_places,
    find_objects,
    object_reader,
    train_object_probe,
)
from comet_cli.evaluation.reconstruction import as_pictures, encode_all, render_all
from comet_cli.evaluation.swap_plan import (
    DONOR,
    GONE,
    HOST,
    draw_partners,
    draw_swaps,
    expected_readings,
)
from comet_cli.models.comet_model import CometModel

HELD = 0.5  # intersection over union
NOBODY = -1
BATCH = 20
EMPTY_PLACES = 4  # a held-out picture, to try the probe on


@dataclass(frozen=True)
class ObjectSwapFigures:
    """What a probe reads off pictures with one object replaced.

    Attributes:
        pairs: held-out pairs of a host and a donor.
        swaps: that count: each of a host's objects is replaced once.
        left_out: swaps that do not count, since any object of the donor would overlap.
        held: share of the swaps whose two objects have a component each.
        swap_accuracy: share of all readings that are right; those of swaps not held are wrong.
        all_right: share of swaps in which every reading is right; none that is not held is.
        swap_accuracy_held, all_right_held: the same of the swaps that are held alone.
        donor_read: of the swaps that are held, how often a factor of the donor's object is read.
        host_read: how often a factor of an object that stays is read.
        gone_read: how often nothing is read in the place of the object that was replaced.
        probe_accuracy: mean accuracy of the probe on the objects of the held-out pictures.
        probe_all_right: share of the held-out pictures all of whose objects it reads right.
        probe_empty: share of places without an object that it reads as such.
        recomposed_accuracy, recomposed_all_right: as of the probe, on the model's recompositions.
        factors: each factor's own figures.
    """

    pairs: int
    swaps: int
    left_out: int
    held: float
    swap_accuracy: float
    all_right: float
    swap_accuracy_held: float
    all_right_held: float
    donor_read: float
    host_read: float
    gone_read: float
    probe_accuracy: float
    probe_all_right: float
    probe_empty: float
    recomposed_accuracy: float
    recomposed_all_right: float
    factors: dict[str, dict[str, Any]]


def measure_object_swaps(
    model: CometModel,
    train: LoadedPictures,
    test: LoadedPictures,
    *,
    names: Sequence[str] | None = None,
    iterations: int = 1500,
    progress: Callable[[int, int], None] | None = None,
) -> ObjectSwapFigures:
    """Train a probe on objects and measure a model's swaps of objects with it.

    Args:
        model: the model.
        train: labelled pictures with masks, for the probe.
        test: the same, held out; each picture is host once.
        names: the factors; default all that are classes.
        iterations: of the probe's training.
        progress: called with (done, total) of them.

    Raises:
        CometError: no such factors, no masks, or too few pictures.
    """
    reader = object_reader(train.metadata, names)
    known = find_objects(train.masks, train.metadata, reader)
    table = find_objects(test.masks, test.metadata, reader)
    assert train.masks is not None and test.masks is not None
    probe = train_object_probe(
        train.images, train.masks, known, iterations=iterations, progress=progress
    )
    return evaluate_object_swaps(model, probe, reader.names, test.images, test.masks, table)


def evaluate_object_swaps(
    model: CometModel,
    probe: ObjectProbe,
    names: list[str],
    images: np.ndarray,
    masks: np.ndarray,
    table: ObjectTable,
    *,
    seed: int = 0,
) -> ObjectSwapFigures:
    """Measure swap accuracy of objects.

    Args:
        model: the model.
        probe: reads the factors ``names``.
        names: of the factors.
        images: (N,R,R,3) uint8, held out.
        masks: (N,R,R) integer instance masks.
        table: their objects.
        seed: of the pairs and the donors' objects.

    Raises:
        CometError: fewer than two pictures.
    """
    if len(images) < 2:
        raise CometError("swaps need at least two pictures")
    draw = np.random.default_rng(seed)
    swaps, left_out = draw_swaps(masks, table, draw_partners(len(images), seed), draw)
    x = as_pictures(images)
    z = encode_all(model, x)
    holders = find_holders(model, z, masks, table)
    held = (holders[swaps] != NOBODY).all(1)
    readings = expected_readings(swaps, masks, table)
    mine = held[readings.places[:, 0]]
    right = np.zeros(readings.expected.shape, bool)
    if held.any():
        held_by = np.stack([table.places[:, 0], holders], 1)  # picture and component
        rendered = render_swaps(model, z, *held_by[swaps[held].T])
        places = readings.places[mine]
        places[:, 0] = (held.cumsum() - 1)[places[:, 0]]
        right[mine] = probe.read(rendered, places) == readings.expected[mine]
    # Nothing is one thing to read, whatever the number of factors.
    once = np.ones(right.shape, bool)
    once[readings.kinds == GONE, 1:] = False
    whole = _all_right(right, readings.places[:, 0], len(swaps))
    own = probe.read(x, table.places) == table.labels
    again = probe.read(render_all(model, z, BATCH), table.places) == table.labels
    empty = draw_empty_places(masks, table, EMPTY_PLACES * len(masks), probe.reach, draw)
    by_kind = [right[mine & (readings.kinds == kind)] for kind in (DONOR, HOST, GONE)]
    pictures = table.places[:, 0]
    return ObjectSwapFigures(
        pairs=len(images),
        swaps=len(swaps),
        left_out=left_out,
        held=_share(held),
        swap_accuracy=_share(right[once]),
        all_right=_share(whole),
        swap_accuracy_held=_share(right[mine][once[mine]]),
        all_right_held=_share(whole[held]),
        donor_read=_share(by_kind[DONOR]),
        host_read=_share(by_kind[HOST]),
        gone_read=_share(by_kind[GONE][:, 0]),
        probe_accuracy=_share(own),
        probe_all_right=_share(_all_right(own, pictures, len(images))),
        probe_empty=_share(probe.read(x, empty)[:, 0] == NOTHING),
        recomposed_accuracy=_share(again),
        recomposed_all_right=_share(_all_right(again, pictures, len(images))),
        factors={
            name: {
                "donor_read": _rounded(by_kind[DONOR][:, i]),
                "host_read": _rounded(by_kind[HOST][:, i]),
                "probe": _rounded(own[:, i]),
                "recomposed": _rounded(again[:, i]),
            }
            for i, name in enumerate(names)
        },
    )


def find_holders(model: CometModel, z: Tensor, masks: np.ndarray, table: ObjectTable) -> np.ndarray:
    """Return the component (M,) that holds each object of a table, ``NOBODY`` if none does.

    A component for the ground (number 0, where the card has one) holds no object.

    Args:
        model: the model.
        z: (N,K,D), of the pictures.
        masks: (N,R,R) integer instance masks.
        table: their objects.
    """
    ground = model.card.ground
    segments = np.concatenate(
        [
            np.stack([strongest_segments(s, everywhere=ground) for s in strength.cpu().numpy()])
            for strength in (gradient_strength(model, part) for part in z.split(BATCH))
        ]
    )
    holders = np.full(len(table), NOBODY)
    for row, (picture, *_) in enumerate(table.places):
        true = table.mask(row, masks)
        for k in range(int(ground), z.shape[1]):
            mine = segments[picture] == k
            if (true & mine).sum() > HELD * (true | mine).sum():
                holders[row] = k
    return holders


@torch.no_grad()
def render_swaps(
    model: CometModel, z: Tensor, replaced: np.ndarray, inserted: np.ndarray
) -> Tensor:
    """Return the pictures (S,3,R,R) of components z (N,K,D) with one replaced in each.

    Args:
        model: the model.
        z: of the pictures.
        replaced: (S,2) the host's picture and component.
        inserted: (S,2) the donor's.
    """
    mixed = z[replaced[:, 0]].clone()
    mixed[np.arange(len(mixed)), replaced[:, 1]] = z[inserted[:, 0], inserted[:, 1]]
    return render_all(model, mixed, BATCH)


def _all_right(right: np.ndarray, owners: np.ndarray, count: int) -> np.ndarray:
    """Return for each of ``count`` owners of rows (P,factors) whether all of them are right."""
    whole = np.ones(count, bool)
    np.logical_and.at(whole, owners, right.all(1))
    return whole


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if right.size else math.nan


def _rounded(right: np.ndarray) -> float | None:
    return round(float(right.mean()), 4) if right.size else None
