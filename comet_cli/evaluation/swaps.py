"""Swap accuracy: with component j of another picture, do j's factors follow, and the rest stay?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comet_cli.data.dataset_folder import list_pictures, load_folder
from comet_cli.data.labels import FactorReader
from comet_cli.data.pack import is_pack, read_pack
from comet_cli.errors import CometError
from comet_cli.evaluation.object_probe import describes_objects, object_reader
from comet_cli.evaluation.object_swaps import ObjectSwapFigures, measure_object_swaps
from comet_cli.evaluation.probe import Probe, train_probe
from comet_cli.evaluation.reconstruction import as_pictures, encode_all, render_all
from comet_cli.evaluation.swap_plan import draw_partners
from comet_cli.models.comet_model import CometModel

# A factor that follows its component so often, and any other so seldom, names it.
EVIDENT, STRAY = 0.8, 0.2


@dataclass(frozen=True)
class SwapFigures:
    """What a probe reads off recombined pictures.

    Attributes:
        pairs: held-out pairs of a host and a donor, each with every component swapped in turn.
        swap_accuracy: share of all swaps and factors that are read as they should be: the donor's
            value for factors of the swapped component, the host's for all others.
        all_right: share of swaps in which every factor is read as it should be.
        donor_read: of the factors of the swapped component, where donor and host differ: how often
            the donor's value is read.
        host_read: of all other factors: how often the host's value is read.
        probe_accuracy: mean accuracy of the probe on the held-out pictures themselves.
        recomposed_accuracy: the same on the model's recompositions of them.
        factors: each factor's component, and its own figures.
    """

    pairs: int
    swap_accuracy: float
    all_right: float
    donor_read: float
    host_read: float
    probe_accuracy: float
    recomposed_accuracy: float
    factors: dict[str, dict[str, Any]]


def measure_swaps(
    model: CometModel,
    data: Path,
    *,
    measured: Path | None = None,
    names: Sequence[str] | None = None,
    count: int = 500,
    iterations: int = 1500,
    progress: Callable[[int, int], None] | None = None,
) -> SwapFigures | ObjectSwapFigures:
    """Train a probe on a labelled data set and measure a model's swaps with it.

    What is swapped is what the factors describe: the whole picture (of each component in turn it
    is asked which factors follow it), or its objects (each in turn is replaced by another's: see
    :mod:`comet_cli.evaluation.object_swaps`).

    Args:
        model: the model.
        data: a data-set folder, whose split train trains the probe; but for its first pictures
            where factors are of whole pictures: those decide what component a factor belongs to.
        measured: another one, whose split test holds the pairs; default that of ``data``.
        names: the factors; default all of a grid (see :class:`FactorReader`), or, where there is
            none, all that objects have.
        count: held-out pairs, at most.
        iterations: of the probe's training.
        progress: called with (done, total) of them.

    Raises:
        CometError: the data have no such factors, or too few pictures.
    """
    size = model.card.image_size
    train = load_folder(data, split="train", size=size)
    test = load_folder(measured or data, split="test", size=size, limit=count)
    if describes_objects(train.metadata, names):
        return measure_object_swaps(
            model, train, test, names=names, iterations=iterations, progress=progress
        )
    reader = FactorReader(train.metadata, names)
    labels, held_out = reader.labels(train.metadata), reader.labels(test.metadata)
    tuning = max(2, min(count, len(train) // 4))
    probe = train_probe(
        train.images[tuning:], labels[tuning:], iterations=iterations, progress=progress
    )
    return evaluate_swaps(
        model,
        probe,
        reader.names,
        (train.images[:tuning], labels[:tuning]),
        (test.images, held_out),
    )


def check_swaps(
    data: Path,
    *,
    measured: Path | None = None,
    names: Sequence[str] | None = None,
    count: int = 500,
) -> None:
    """Check by the labels alone, before any work, that swaps can be measured.

    Args:
        data: see :func:`measure_swaps`, as all others.
        measured: where the pairs are.
        names: the factors.
        count: held-out pairs, at most.

    Raises:
        CometError: the data have no such splits, factors or masks, or too few pictures.
    """
    train, test = _entries(data, "train"), _entries(measured or data, "test")[:count]
    if min(len(train), len(test)) < 2:
        raise CometError("swaps need at least two pictures")
    if not describes_objects(train, names):
        FactorReader(train, names).labels(test)
        return
    object_reader(train, names)
    for place, entries in ((data, train), (measured or data, test)):
        if not all(entry.get("mask") for entry in entries):
            raise CometError(f"swaps of objects need pictures with instance masks, not '{place}'")


def _entries(data: Path, split: str) -> list[dict[str, Any]]:
    """Return the metadata of a split's pictures, which only a pack has to be read for."""
    if not is_pack(data):
        return [entry for _, entry in list_pictures(data, split)]
    read = [sample for _, sample in read_pack(data, split) if sample is not None]
    return [{**sample.factors, "mask": sample.mask is not None} for sample in read]


def evident_labels(factors: Mapping[str, dict[str, Any]], components: int) -> list[str]:
    """Return a name for each component that the evidence names, or [] if it names none.

    A component is named after the factors that follow it in 8 of 10 swaps, and follow no other
    component in more than 2 of 10: the first word that they have in common (``camera`` for
    ``camera_x`` and ``camera_z``), else the one that follows most often. The other components are
    called ``component0`` and so on. Any component may hold any object, so swaps of objects name
    none.

    Args:
        factors: of the figures of :func:`measure_swaps`.
        components: K.
    """
    labels = []
    for k in range(components):
        own = {
            name.split(".")[-1]: row["donor_read"]
            for name, row in factors.items()
            if row.get("component") == k
            and row["donor_read"] >= EVIDENT
            and (row["donor_read_of_another"] or 0) <= STRAY
        }
        best = max(own, key=lambda name: own[name], default="")
        stems = {name.split("_")[0] for name in own}
        labels.append(stems.pop() if len(own) > 1 and len(stems) == 1 else best)
    if not any(labels) or len(set(filter(None, labels))) < len(list(filter(None, labels))):
        return []
    return [label or f"component{k}" for k, label in enumerate(labels)]


def swap_readings(model: CometModel, probe: Probe, z: Tensor, donors: np.ndarray) -> np.ndarray:
    """Return what the probe reads (K,N,factors) with component k of z[donors] in z (N,K,D)."""
    found = []
    for k in range(z.shape[1]):
        mixed = z.clone()
        mixed[:, k] = z[torch.from_numpy(donors).to(z.device), k]
        found.append(probe.read(render_all(model, mixed)))
    return np.stack(found)


def donor_rates(readings: np.ndarray, labels: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """Return how often the donor's value is read where it differs from the host's: (K,factors)."""
    differ = labels != labels[donors]
    hits = (readings == labels[donors][None]) & differ[None]
    return hits.sum(1) / np.maximum(differ.sum(0), 1)


def evaluate_swaps(
    model: CometModel,
    probe: Probe,
    names: list[str],
    tuning: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    seed: int = 0,
) -> SwapFigures:
    """Measure swap accuracy.

    Which component a factor belongs to is decided on the tuning pictures: the one whose swap
    makes the probe read the donor's value most often.

    Args:
        model: the model.
        probe: reads the factors ``names``.
        names: of the factors.
        tuning: pictures (N,R,R,3) uint8 and their labels (N,factors).
        held_out: the same, for the figures; each picture is host once.
        seed: of the pairs.

    Raises:
        CometError: fewer than two pictures.
    """
    if min(len(tuning[0]), len(held_out[0])) < 2:
        raise CometError("swaps need at least two pictures")
    images, labels = tuning
    donors = draw_partners(len(images), seed)
    z = encode_all(model, as_pictures(images))
    tuned = donor_rates(swap_readings(model, probe, z, donors), labels, donors)
    owner = tuned.argmax(0)

    images, labels = held_out
    x, donors = as_pictures(images), draw_partners(len(images), seed + 1)
    z = encode_all(model, x)
    readings = swap_readings(model, probe, z, donors)
    mine = (np.arange(len(readings))[:, None] == owner)[:, None]  # (K,1,factors)
    expected = np.where(mine, labels[donors][None], labels[None])
    right = readings == expected
    rates = donor_rates(readings, labels, donors)
    differ = labels != labels[donors]
    swapped = mine & differ[None]
    own = probe.read(x) == labels
    again = probe.read(render_all(model, z)) == labels
    factors = {}
    for i, name in enumerate(names):
        k, others = int(owner[i]), np.arange(len(readings)) != owner[i]
        factors[name] = {
            "component": k,
            "donor_read": _round(rates[k, i]),
            "donor_read_of_another": _round(rates[others, i].max()) if others.any() else None,
            "host_read": _round(right[others, :, i].mean()) if others.any() else None,
            "probe": _round(own[:, i].mean()),
            "recomposed": _round(again[:, i].mean()),
        }
    return SwapFigures(
        pairs=len(labels),
        swap_accuracy=float(right.mean()),
        all_right=float(right.all(-1).mean()),
        donor_read=float(right[np.broadcast_to(swapped, right.shape)].mean()),
        host_read=float(right[np.broadcast_to(~mine, right.shape)].mean()),
        probe_accuracy=float(own.mean()),
        recomposed_accuracy=float(again.mean()),
        factors=factors,
    )


def _round(value: float) -> float:
    return round(float(value), 4)
