"""Object segmentation from the gradients of the components' energies (section 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comet_cli.energy.gradients import gradient_strength, segment
from comet_cli.evaluation.autoencoder import Measured
from comet_cli.evaluation.metrics import adjusted_rand_index, segmentation_covering
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models.comet_model import CometModel


@dataclass(frozen=True)
class SegmentationFigures:
    """Agreement of gradient segmentations with true instance masks, means over pictures.

    A picture without foreground does not count in the means over the foreground.

    Attributes:
        count: pictures.
        ari: adjusted Rand index over all pixels, background included.
        ari_foreground: over the pixels of objects only.
        mean_covering: mean segmentation covering, every true segment (background too) alike.
        mean_covering_foreground: over the objects only.
        ari_one_segment: ARI (all pixels) of calling everything one segment, for comparison.
        background_recall: share of the true background's pixels that component 0 takes.
        background_precision: share of component 0's pixels that are true background.
    """

    count: int
    ari: float
    ari_foreground: float
    mean_covering: float
    mean_covering_foreground: float
    ari_one_segment: float
    background_recall: float
    background_precision: float


def segments(model: Measured, x: Tensor) -> Tensor:
    """Return the component that each pixel is of: (B,3,R,R) -> (B,R,R).

    The one whose gradient is strongest, or what a model without energies says itself.
    """
    with torch.no_grad():
        if not isinstance(model, CometModel):
            return model.segment(x)
        z = model.encode(x)
    return segment(gradient_strength(model, z))


def evaluate_segmentation(
    model: Measured,
    images: np.ndarray,
    masks: np.ndarray,
    *,
    batch: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationFigures:
    """Measure segmentation.

    Args:
        model: the model.
        images: (N,R,R,3) uint8.
        masks: (N,R,R) integer instance masks, 0 the background.
        batch: pictures at a time.
        progress: called with (done, total) pictures.
    """
    found: list[np.ndarray] = []
    for part in as_pictures(images).split(batch):
        found.append(segments(model, part.to(model.device)).cpu().numpy())
        if progress is not None:
            progress(sum(map(len, found)), len(images))
    predicted = np.concatenate(found)

    def mean(values: list[float]) -> float:
        counted = [value for value in values if not np.isnan(value)]
        return float(np.mean(counted)) if counted else float("nan")

    background, first = masks == 0, predicted == 0
    both = float((background & first).sum())
    pairs = list(zip(masks, predicted, strict=True))
    return SegmentationFigures(
        count=len(pairs),
        ari=mean([adjusted_rand_index(t, p) for t, p in pairs]),
        ari_foreground=mean([adjusted_rand_index(t, p, foreground=True) for t, p in pairs]),
        mean_covering=mean([segmentation_covering(t, p) for t, p in pairs]),
        mean_covering_foreground=mean(
            [segmentation_covering(t, p, foreground=True) for t, p in pairs]
        ),
        ari_one_segment=mean([adjusted_rand_index(t, np.zeros_like(t)) for t in masks]),
        background_recall=both / float(background.sum()) if background.any() else float("nan"),
        background_precision=both / float(first.sum()) if first.any() else float("nan"),
    )
