"""Figures of a model from one call: those of its card, and one kind on a data set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import LoadedPictures, load_folder, splits_in
from comet_cli.errors import CometError
from comet_cli.evaluation.autoencoder import Measured
from comet_cli.evaluation.latent_figures import DisentanglementFigures, measure_disentanglement
from comet_cli.evaluation.reconstruction import as_pictures, encode_all, evaluate_reconstruction
from comet_cli.evaluation.segmentation import evaluate_segmentation

DIGITS = 4
MOST_DECIMALS = 10
# What is measured on pictures alone, and what on pictures with instance masks.
ON_PICTURES: dict[str, Callable[..., Any]] = {"reconstruction": evaluate_reconstruction}
ON_MASKS: dict[str, Callable[..., Any]] = {"segmentation": evaluate_segmentation}


def measure(model: Measured, images: np.ndarray, masks: np.ndarray | None = None) -> dict[str, Any]:
    """Measure reconstruction and, where there are masks, segmentation.

    Args:
        model: the model.
        images: (N,R,R,3) uint8, held out.
        masks: (N,R,R) integer instance masks, 0 the background.

    Returns:
        ``{"reconstruction": {...}, "segmentation": {...}}``, see :func:`rounded`.
    """
    found = {kind: rounded(figures(model, images)) for kind, figures in ON_PICTURES.items()}
    if masks is not None:
        for kind, figures in ON_MASKS.items():
            found[kind] = rounded(figures(model, images, masks))
    return found


def measure_on(
    kind: str,
    model: Measured,
    data: Path,
    *,
    split: str = "test",
    count: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure one kind of figures on a data set.

    Args:
        kind: ``reconstruction`` or ``segmentation``.
        model: the model.
        data: a data-set folder, a folder of pictures or a pack.
        split: of the data set; a plain folder has none, and is taken whole for ``test``.
        count: the most pictures; default all.
        progress: called with (done, total).

    Raises:
        CometError: no such pictures, or no masks where they are needed.
    """
    return measure_kind(kind, model, load_pictures(model, data, split, count), data, progress)


def measure_kind(
    kind: str,
    model: Measured,
    pictures: LoadedPictures,
    data: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure one kind of figures on pictures of a data set; see :func:`measure_on`."""
    if kind in ON_PICTURES:
        return rounded(ON_PICTURES[kind](model, pictures.images, progress=progress))
    if pictures.masks is None:
        raise CometError(f"{data} has no instance masks, which {kind} is measured against")
    return rounded(ON_MASKS[kind](model, pictures.images, pictures.masks, progress=progress))


def measure_latents_on(
    model: Measured,
    data: Path,
    *,
    split: str = "test",
    count: int | None = None,
    names: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DisentanglementFigures:
    """Measure how well a model's latents tell a data set's factors apart.

    Args:
        model: the model.
        data: a labelled data-set folder or pack.
        split: see :func:`measure_on`.
        count: the most pictures; default all.
        names: the factors; default all of a grid.
        progress: called with (done, total) steps.

    Raises:
        CometError: no such pictures, or no labels that could be measured against.
    """
    return measure_latents(model, load_pictures(model, data, split, count), names, progress)


def measure_latents(
    model: Measured,
    pictures: LoadedPictures,
    names: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DisentanglementFigures:
    """Measure how well latents tell labelled pictures' factors apart: :func:`measure_latents_on`.

    Raises:
        CometError: no labels that could be measured against.
    """

    def encode(images: np.ndarray) -> np.ndarray:
        return encode_all(model, as_pictures(images)).float().cpu().numpy()

    return measure_disentanglement(encode, pictures, names, progress)


def load_pictures(model: Measured, data: Path, split: str, count: int | None) -> LoadedPictures:
    """Return pictures of a split at a model's size; see :func:`measure_on`."""
    return load_folder(
        data, split=split_taken(data, split), size=model.card.image_size, limit=count
    )


def split_taken(data: Path, split: str) -> str | None:
    """Return the split that is measured on: none, which is all, of plain pictures for ``test``."""
    return None if split == "test" and not splits_in(data) else split


def rounded(figures: Any) -> dict[str, Any]:
    """Return a dataclass of figures as a dictionary, floats rounded.

    To four decimals; of what is small, such as a mean square error, to four significant digits. A
    figure that nothing could be measured for (nan) is None, which JSON can hold.
    """
    found = {}
    for name, value in dataclasses.asdict(figures).items():
        if isinstance(value, float):
            value = _round(value) if math.isfinite(value) else None
        found[name] = value
    return found


def _round(value: float) -> float:
    """Return a number rounded; what rounding errors leave of nothing is 0."""
    before = math.floor(math.log10(abs(value))) if value else 0
    return round(value, min(max(DIGITS, DIGITS - 1 - before), MOST_DECIMALS))
