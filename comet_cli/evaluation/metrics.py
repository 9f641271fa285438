"""How well two segmentations agree: adjusted Rand index and segmentation covering."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def adjusted_rand_index(
    truth: ArrayLike, predicted: ArrayLike, *, foreground: bool = False
) -> float:
    """Return the ARI (Hubert and Arabie 1985) of two labelings of the same pixels.

    Args:
        truth: integer labels of any shape; 0 is the background.
        predicted: integer labels of the same shape.
        foreground: count only the pixels whose true label is not 0 (the usual "FG-ARI").

    Returns:
        1 for equal partitions, about 0 for independent ones. Two partitions that are both a
        single cluster (or both all singletons) agree perfectly: 1. No pixel counted: nan.

    Raises:
        ValueError: the shapes differ.
    """
    a, b = _same_pixels(truth, predicted)
    if foreground:
        a, b = a[a != 0], b[a != 0]
    if a.size == 0:
        return float("nan")
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)

    def pairs(n: np.ndarray) -> float:
        return float((n * (n - 1) / 2).sum())

    together, in_a, in_b = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    total = a.size * (a.size - 1) / 2
    expected = in_a * in_b / total if total else 0.0
    largest = (in_a + in_b) / 2
    if largest == expected:
        return 1.0
    return (together - expected) / (largest - expected)


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
    a, b = _same_pixels(truth, predicted)
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


def _same_pixels(truth: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.shape != b.shape:
        raise ValueError(f"segmentations of shapes {a.shape} and {b.shape}")
    return a.ravel(), b.ravel()
