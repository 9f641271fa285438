"""How well latents tell factors apart: the three measures of table 1 of the paper.

Each is a function of latents (N,D) and of the factors' values (N,F), whose order means something
only to :func:`mcc`, and is 1 at best. Latents that are sets (N,K,D) are measured by their principal
components (:func:`comet_cli.evaluation.latents.principal_components`; section 5.1).
"""

from __future__ import annotations

import numpy as np

from comet_cli.errors import CometError
from comet_cli.evaluation.latents import checked, halves, scikit_learn

PAIRS = 64  # of a vote of the BetaVAE score, as in disentanglement_lib (Locatello et al. 2019)
BINS = 20  # of a latent's range in MIG, as there


def beta_vae_score(
    z: np.ndarray, factors: np.ndarray, *, votes: int = 4000, pairs: int = PAIRS, seed: int = 0
) -> float:
    """Return the BetaVAE score (Higgins et al., "β-VAE", 2017, section 3).

    In each vote, ``pairs`` pairs of pictures have the same value of one factor; a linear classifier
    says which factor it is from the latents' mean absolute differences. The score is its accuracy
    on votes among the other half of the pictures. Guessing gives 1/F.

    Args:
        z: latents (N,D).
        factors: values (N,F).
        votes: that the classifier learns from, and is measured on.
        pairs: of a vote.
        seed: of the draws.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    linear, scale, pipe = (scikit_learn(n) for n in ("linear_model", "preprocessing", "pipeline"))
    z, factors = checked(z, factors)
    draw = np.random.default_rng(seed)
    fixed, votes_of = [], []
    for half in halves(len(z), seed):
        chosen = draw.integers(factors.shape[1], size=votes)
        fixed.append(chosen)
        votes_of.append(
            np.stack([_vote(z[half], factors[half, k], pairs, draw) for k in chosen.tolist()])
        )
    if len(np.unique(fixed[0])) == 1:  # a single factor: there is nothing to confuse it with
        return 1.0
    # A linear classifier whose penalty does not depend on the latents' units.
    model = pipe.make_pipeline(scale.StandardScaler(), linear.LogisticRegression(max_iter=1000))
    return float(model.fit(votes_of[0], fixed[0]).score(votes_of[1], fixed[1]))


def _vote(z: np.ndarray, values: np.ndarray, pairs: int, draw: np.random.Generator) -> np.ndarray:
    """Return the mean absolute difference (D,) of pairs of pictures that have the same value."""
    by_value = np.argsort(values, kind="stable")
    ordered = values[by_value]
    begin, end = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))
    shared = np.flatnonzero(end - begin > 1)  # places in that order, of values not met only once
    if not len(shared):
        raise CometError("no two pictures have the same value of a factor; give more pictures")
    first = shared[draw.integers(len(shared), size=pairs)]
    others = end[first] - begin[first] - 1
    second = begin[first] + (draw.random(pairs) * others).astype(int)
    second += second >= first  # not the picture itself
    difference: np.ndarray = np.abs(z[by_value[first]] - z[by_value[second]]).mean(0)
    return difference


def mig(z: np.ndarray, factors: np.ndarray, *, bins: int = BINS) -> float:
    """Return the mutual information gap (Chen et al., "Isolating sources", 2018, equation 6).

    The mean over factors of (I(z_1; v) − I(z_2; v)) / H(v), z_1 and z_2 being the latents that know
    most of the factor v. Latents are cut into bins of equal width.

    Args:
        z: latents (N,D).
        factors: values (N,F).
        bins: of each latent's range.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    z, factors = checked(z, factors)
    known = normalised_information(_binned(z, bins), factors)
    best = np.sort(np.pad(known, ((0, 0), (1, 0))), axis=1)  # of one latent, the second knows 0
    return float((best[:, -1] - best[:, -2]).mean())


def normalised_information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return I(z_j; v_i) / H(v_i) (F,D) of latents that are classes (N,D)."""
    score = scikit_learn("metrics").mutual_info_score
    rows = [[score(v, code) for code in codes.T] for v in factors.T]
    entropies = np.array([score(v, v) for v in factors.T])
    return np.array(rows) / entropies[:, None]


def _binned(z: np.ndarray, bins: int) -> np.ndarray:
    low, high = z.min(0), z.max(0)
    places = (z - low) / np.where(high > low, high - low, 1)
    return np.minimum((places * bins).astype(int), bins - 1)


def mcc(z: np.ndarray, factors: np.ndarray) -> float:
    """Return the mean correlation coefficient (Hyvärinen and Morioka 2016, section 5).

    The mean absolute Pearson correlation of each factor with the latent that it is assigned; no
    latent is assigned twice, and the sum is the largest there is. A factor that is left without
    one, as D < F, counts 0.

    Args:
        z: latents (N,D).
        factors: values (N,F) whose order means something.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    scikit_learn("metrics")  # which brings scipy
    from scipy.optimize import linear_sum_assignment

    z, factors = checked(z, factors)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.corrcoef(factors.T, z.T)[: factors.shape[1], factors.shape[1] :]
    table = np.abs(np.nan_to_num(table))  # a latent that never moves is correlated with nothing
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / factors.shape[1])
