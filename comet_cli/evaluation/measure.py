"""All figures of a card from one call."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from comet_cli.evaluation.reconstruction import evaluate_reconstruction
from comet_cli.evaluation.segmentation import evaluate_segmentation
from comet_cli.models.comet_model import CometModel


def measure(
    model: CometModel, images: np.ndarray, masks: np.ndarray | None = None
) -> dict[str, Any]:
    """Measure reconstruction and, where there are masks, segmentation.

    Args:
        model: the model.
        images: (N,R,R,3) uint8, held out.
        masks: (N,R,R) integer instance masks, 0 the background.

    Returns:
        ``{"reconstruction": {...}, "segmentation": {...}}``, rounded to four decimals.
    """
    figures = {"reconstruction": rounded(evaluate_reconstruction(model, images))}
    if masks is not None:
        figures["segmentation"] = rounded(evaluate_segmentation(model, images, masks))
    return figures


def rounded(figures: Any) -> dict[str, Any]:
    """Return a dataclass of figures as a dictionary, floats rounded to four decimals.

    A figure that nothing could be measured for (nan) is None, which JSON can hold.
    """
    found = {}
    for name, value in dataclasses.asdict(figures).items():
        if isinstance(value, float):
            value = round(value, 4) if math.isfinite(value) else None
        found[name] = value
    return found
