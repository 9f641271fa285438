"""Latents and factors as arrays that can be measured: checks, halves, principal components."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from comet_cli.errors import CometError, MissingExtraError

LEAST = 4  # pictures


def principal_components(z: np.ndarray, count: int) -> np.ndarray:
    """Return principal components (N,count) of sets of latents (N,K,D).

    Section 5.1 of the paper: measures of disentanglement expect one vector, so D principal
    components of all K·D numbers are compared with a β-VAE's D latents. Of fewer than ``count``
    pictures or numbers there are only as many.
    """
    sklearn = scikit_learn("decomposition")
    flat = z.reshape(len(z), -1).astype(np.float64)
    found: np.ndarray = sklearn.PCA(min(count, *flat.shape), svd_solver="full").fit_transform(flat)
    return found


def check_factors(names: Sequence[str], factors: np.ndarray) -> None:
    """Check that something can be told of each factor, by halves of the pictures.

    Args:
        names: of the factors.
        factors: values (N,F).

    Raises:
        CometError: no factor, one that has a single value, or fewer than four pictures.
    """
    if len(factors) < LEAST:
        raise CometError(f"it takes at least {LEAST} labelled pictures, there are {len(factors)}")
    if not names:
        raise CometError("there is no factor to measure")
    for name, values in zip(names, factors.T, strict=True):
        if len(np.unique(values)) < 2:
            raise CometError(
                f"the factor {name} has the same value in all {len(values)} pictures, so nothing "
                "can be told of it; leave it out or take more pictures"
            )


def checked(z: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return latents (N,D) as floats and factors (N,F) as value indices from 0.

    Args:
        z: latents.
        factors: values.

    Raises:
        CometError: other shapes, too few pictures, latents that are not finite, or a factor that
            has one value.
    """
    z, factors = np.asarray(z, np.float64), np.asarray(factors)
    if z.ndim != 2 or factors.ndim != 2 or len(z) != len(factors) or not z.shape[1]:
        raise CometError(
            f"latents must be (N, D) and factors (N, F), got {z.shape} and {factors.shape}"
        )
    if not np.isfinite(z).all():
        raise CometError("the latents of some pictures are not finite, so they cannot be measured")
    check_factors([f"{n}" for n in range(factors.shape[1])], factors)
    indices = [np.unique(values, return_inverse=True)[1] for values in factors.T]
    return z, np.stack(indices, 1)


def halves(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of two halves of so many pictures, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // 2], order[count // 2 :]


def scikit_learn(module: str) -> Any:
    """Return a module of scikit-learn.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(f"sklearn.{module}")
    except ImportError:
        raise MissingExtraError(
            "disentanglement is measured with scikit-learn: pip install scikit-learn"
        ) from None
