"""Segmentation covering: how well each true segment is covered by some predicted one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def segmentation_covering(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    weighted: bool = False,
    foreground: bool = False,
) -> float:
    """Return the (mean) segmentation covering of Arbelaez et al. 2011 / Engelcke et al. 2020.

    Each true segment's best intersection over union with any predicted segment, averaged over the
    true segments: evenly ("mean segmentation covering", what the paper reports) or by size.

    Args:
        truth: integer labels; 0 is the background.
        predicted: integer labels of the same shape.
        weighted: weight segments by their pixels.
        foreground: leave the true background out of the average.

    Returns:
        0..1; nan when no segment counts.

    Raises:
        ValueError: the shapes differ.
    """
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.shape != b.shape:
        raise ValueError(f"segmentations of shapes {a.shape} and {b.shape}")
    best, sizes = [], []
    for label in np.unique(a):
        if foreground and label == 0:
            continue
        segment = a == label
        overlaps = [
            (segment & (b == other)).sum() / (segment | (b == other)).sum()
            for other in np.unique(b[segment])
        ]
        best.append(max(overlaps))
        sizes.append(segment.sum())
    if not best:
        return float("nan")
    return float(np.average(best, weights=sizes if weighted else None))
