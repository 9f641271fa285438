"""``comet nearest``: the components of many pictures that are closest to one.

Distances between latents mean something within one model only, so files of other models are left
out, and pictures are encoded by the model of the component asked for; nothing else here needs
torch. Distances are Euclidean, in units of the spread of the components compared: 1 is the root
mean square distance between two of them. What is compared is the component asked for and every
other one of its model in the files given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from comet_cli.errors import CometError, FileFormatError, UsageError
from comet_cli.formats.components import ComponentSet, is_components, parse_components
from comet_cli.formats.files import STANDARD, check_inputs, read_input, show
from comet_cli.inputs.selection import Selection

# (file's bytes, path, components of the model to encode it with or None) -> its components
Encode = Callable[[bytes, str, ComponentSet | None], ComponentSet]


@dataclass(frozen=True)
class Neighbour:
    """A component and its distance from the one asked for.

    Attributes:
        path: its file, as typed.
        component: its number there.
        label: its label, or "".
        source: base name of the picture that it came from, or "".
        distance: in units of the spread of the components compared.
    """

    path: str
    component: int
    label: str
    source: str
    distance: float


@dataclass(frozen=True)
class Neighbours:
    """The components closest to one.

    Attributes:
        model: the model that all of them belong to.
        compared: how many components were compared, the one asked for included.
        spread: root mean square distance between two of them, in the latents' own unit.
        nearest: closest first; equals in the order given.
        other_models: files left out because another model made them.
        failed: files that could not be read, and why.
    """

    model: str
    compared: int
    spread: float
    nearest: tuple[Neighbour, ...]
    other_models: tuple[str, ...]
    failed: tuple[tuple[str, CometError], ...]


def find_nearest(
    query: Selection,
    candidates: Sequence[Selection],
    *,
    top: int = 10,
    encode: Encode | None = None,
    told: Callable[[str, CometError], None] | None = None,
) -> Neighbours:
    """Return the components closest to one.

    The component itself is not among them, nor is any other one named twice.

    Args:
        query: a selection of one component, ``a.z:1``.
        candidates: ``.z`` files and pictures, or selections of some of their components.
        top: how many to return.
        encode: encodes pictures, those to compare with by the model of the query's components;
            without it they are errors.
        told: called with a file that cannot be compared, and why, as soon as that is known.

    Raises:
        UsageError: a file that does not exist, a query of more than one component, a weight, or
            nothing to compare it with.
        SelectionError: see :mod:`comet_cli.inputs.selection`.
        FileFormatError: the query's file is no ``.z``, or none of the others is.
    """
    for selection in (query, *candidates):
        if selection.weighted:
            raise UsageError(
                f"'{show(selection.text)}' has a weight; components are compared as they are, "
                "without weights"
            )
    check_inputs([query.path])
    check_inputs(dict.fromkeys(s.path for s in candidates), together=len(candidates) == 1)
    files = {query.path: _read(query.path, encode, None)}
    home = files[query.path]
    chosen = [k for k, _ in query.pick(len(home), home.labels)]
    if len(chosen) != 1:
        raise UsageError(
            f"'{show(query.text)}' selects {len(chosen)} components; name the one whose neighbours "
            f"are asked for: '{show(query.path)}:0'"
        )
    other_models: dict[str, None] = {}
    failed: dict[str, CometError] = {}
    found: dict[tuple[str, int], tuple[Selection, ComponentSet]] = {}
    for selection in candidates:
        path = selection.path
        try:
            if path not in files:
                files[path] = _read(path, encode, home)
        except CometError as error:
            if told is not None and path not in failed and len(candidates) > 1:
                told(path, error)
            failed.setdefault(path, error)
            continue
        components = files[path]
        if components.model_sha256 != home.model_sha256:
            other_models.setdefault(path)
            continue
        for k, _ in selection.pick(len(components), components.labels):
            found.setdefault((_identity(path), k), (selection, components))
    found.pop((_identity(query.path), chosen[0]), None)
    if not found:
        raise _nothing(home.model, other_models, failed)
    z = home.z[chosen[0]].astype(np.float64)
    latents = np.stack([components.z[k] for (_, k), (_, components) in found.items()])
    distances, spread = scaled_distances(z, latents.astype(np.float64))
    order = np.argsort(distances, kind="stable")[:top]
    rows = list(found.items())
    nearest = []
    for n in order:
        (_, k), (selection, components) = rows[n]
        label = components.labels[k] if components.labels else ""
        nearest.append(Neighbour(selection.path, k, label, components.source, float(distances[n])))
    return Neighbours(
        home.model,
        len(rows) + 1,
        spread,
        tuple(nearest),
        tuple(other_models),
        tuple(failed.items()),
    )


def scaled_distances(z: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float]:
    """Return distances in units of the spread, and the spread.

    The mean squared distance between two different ones of n points is twice the sum over
    dimensions of their variances (n − 1 in the denominator), so no pair is ever formed.

    Args:
        z: (D,).
        others: (N,D), N ≥ 1.

    Returns:
        (N,) and the root mean square distance between two of the N + 1 points; all distances are
        0 where the spread is.
    """
    spread = float(np.sqrt(2 * np.concatenate([z[None], others]).var(0, ddof=1).sum()))
    distances = np.linalg.norm(others - z, axis=1)
    return (distances / spread if spread > 0 else distances), spread


def _read(path: str, encode: Encode | None, home: ComponentSet | None) -> ComponentSet:
    data = read_input(path)
    where = f"'{show(path)}'"
    if path.endswith(".z") or is_components(data):
        return parse_components(data, where)
    if encode is None:
        raise FileFormatError(
            f"{where} is not a .z file; nearest compares .z files: comet encode makes them"
        )
    return encode(data, path, home)


def _identity(path: str) -> str:
    """Return what two names of one file share."""
    return path if path == STANDARD else os.path.realpath(path)


def _nothing(
    model: str, other_models: dict[str, None], failed: dict[str, CometError]
) -> CometError:
    if failed and not other_models:
        return FileFormatError(
            f"none of the files could be read; the first: {next(iter(failed.values()))}"
        )
    if other_models:
        return UsageError(
            f"none of the files holds other components of model '{model}'; distances mean "
            "something within one model only"
        )
    return UsageError("there is no other component to compare with; name more .z files")
