"""A model's latents against a data set's factors (section 5.1 and table 1 of the paper)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from comet_cli.data.dataset_folder import LoadedPictures
from comet_cli.data.labels import FactorReader
from comet_cli.errors import CometError
from comet_cli.evaluation.disentanglement import beta_vae_score, mcc, mig
from comet_cli.evaluation.informativeness import component_readings, dci, infomec
from comet_cli.evaluation.latents import check_factors, principal_components

Progress = Callable[[int, int], None]
STEPS = 7  # pictures encoded, then six measures


@dataclass(frozen=True)
class DisentanglementFigures:
    """How well a model's latents tell the factors of a data set apart; 1 is best everywhere.

    Attributes:
        count: pictures.
        latents: numbers of the vector that was measured.
        principal_components: whether that vector is the first principal components of a set.
        beta_vae, mig, mcc: :mod:`comet_cli.evaluation.disentanglement`.
        disentanglement, completeness, informativeness: DCI.
        modularity, explicitness, compactness: InfoMEC.
        factors: for each factor how well it can be read off each component alone, from 0 (guessing)
            to 1.
    """

    count: int
    latents: int
    principal_components: bool
    beta_vae: float
    mig: float
    mcc: float
    disentanglement: float
    completeness: float
    informativeness: float
    modularity: float
    explicitness: float
    compactness: float
    factors: dict[str, list[float]]


def evaluate_disentanglement(
    z: np.ndarray,
    names: Sequence[str],
    factors: np.ndarray,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> DisentanglementFigures:
    """Measure latents.

    Args:
        z: (N,K,D); of sets (K above 1) the first D principal components are measured, as in the
            paper.
        names: of the F factors.
        factors: value indices (N,F).
        seed: of all draws.
        progress: called with (done, total) steps, of which encoding was the first.

    Raises:
        CometError: latents or factors that nothing can be measured of.
    """
    if not np.isfinite(z).all():
        raise CometError("the latents of some pictures are not finite, so they cannot be measured")
    check_factors(names, factors)
    several = z.shape[1] > 1
    vector = principal_components(z, z.shape[2]) if several else z[:, 0]
    measures: dict[str, Callable[[], Any]] = {
        "beta_vae": lambda: beta_vae_score(vector, factors, seed=seed),
        "mig": lambda: mig(vector, factors),
        "mcc": lambda: mcc(vector, factors),
        "dci": lambda: dci(vector, factors, seed=seed),
        "infomec": lambda: infomec(vector, factors, seed=seed),
        "components": lambda: component_readings(z, factors, seed=seed),
    }
    found = {}
    for done, (name, taken) in enumerate(measures.items(), start=2):
        found[name] = taken()
        if progress is not None:
            progress(done, STEPS)
    forest, table = found.pop("dci"), found.pop("components")
    return DisentanglementFigures(
        count=len(z),
        latents=vector.shape[1],
        principal_components=several,
        **{n: forest[n] for n in ("disentanglement", "completeness", "informativeness")},
        **found.pop("infomec"),
        **found,
        factors={
            name: [round(float(v), 4) for v in row] for name, row in zip(names, table, strict=True)
        },
    )


def measure_disentanglement(
    encode: Callable[[np.ndarray], np.ndarray],
    pictures: LoadedPictures,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> DisentanglementFigures:
    """Measure what an encoder says of labelled pictures.

    Args:
        encode: (N,R,R,3) uint8 -> (N,K,D).
        pictures: with labels.
        names: the factors; default all of a grid (see :class:`.FactorReader`).
        progress: called with (done, total) steps.

    Raises:
        CometError: pictures without such labels, or with one value of a factor.
    """
    reader = FactorReader(pictures.metadata, names)
    labels = reader.labels(pictures.metadata)
    check_factors(reader.names, labels)
    z = encode(pictures.images)
    if progress is not None:
        progress(1, STEPS)
    return evaluate_disentanglement(z, reader.names, labels, progress=progress)
