"""A ``.z`` that stands beside its picture is read instead of encoding the picture again.

It matches where it is what encoding would give: of the same file (by its hash), by the same weights
(by theirs), by the same version of comet, in the same arithmetic, and not changed since (by its
seal). Anything else is never used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from comet_cli.errors import CometError
from comet_cli.formats.components import (
    MAX_HEADER_BYTES,
    ComponentSet,
    as_encoded,
    parse_components,
)
from comet_cli.formats.files import STANDARD, read_input
from comet_cli.models.card import ModelCard
from comet_cli.version import __version__


def path_beside(picture: str) -> Path | None:
    """Return where ``comet encode`` puts the components of a picture; None for standard input."""
    name = Path(picture).stem + ".z"
    return None if picture == STANDARD else Path(picture).with_name(name)


def read_beside(path: str | Path) -> ComponentSet | None:
    """Read a ``.z`` that may be there; None where it is not, or is no ``.z`` of this version."""
    if not os.path.isfile(path):  # a pipe would be waited for
        return None
    try:
        return parse_components(read_input(path))
    except CometError:
        return None


def matching_latents(
    places: Iterable[Path], card: ModelCard, source_sha256: str, *, precision: str
) -> tuple[np.ndarray | None, list[Path]]:
    """Find the latents that a model would infer from a picture, in files that may hold them.

    A ``.z`` does not name a device; latents of two devices differ by rounding.

    Args:
        places: the files to look in, best first.
        card: of the model.
        source_sha256: hash of the picture's file.
        precision: ``float32`` or ``bfloat16``.

    Returns:
        (K,D) float32, or None where nothing matches; and the files of another picture, or changed
        since they were encoded, which look as if they were what is looked for.
    """
    others = []
    for path in places:
        if not _may_match(path, card):
            continue
        found = read_beside(path)
        if found is None or found.model_sha256 != card.weights_sha256:
            continue
        if found.source_sha256 != source_sha256 or not as_encoded(found):
            others.append(path)
        elif (
            found.comet_version == __version__
            and _fits(found.z, card)
            and found.precision == precision
        ):
            return found.z, []
    return None, others


def _may_match(path: Path, card: ModelCard) -> bool:
    """Say whether a file is not larger than the components of this model can be."""
    try:
        largest = 8 + MAX_HEADER_BYTES + 4 * card.components * card.latent_dim
        return os.path.getsize(path) <= largest
    except OSError:
        return False


def _fits(z: np.ndarray, card: ModelCard) -> bool:
    """Say whether latents (k,D) are of this model's shape; where it colours, K is a limit."""
    fewest = 1 if card.colours else card.components
    return fewest <= len(z) <= card.components and z.shape[1] == card.latent_dim
