"""What each latent, and each component, knows of each factor: DCI and InfoMEC.

Beyond the paper: the first is the most used measure with a matrix to look at, the second the
field's present one. Functions of latents (N,D) and of the factors' values (N,F); 1 is best.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from comet_cli.evaluation.latents import checked, halves, scikit_learn

# Of InfoMEC, as in its authors' code: latents that move less than this share of the largest range
# are left out of InfoM and InfoC; neighbours of the estimate of mutual information.
INACTIVE, NEIGHBOURS = 1 / 20, 10


def dci(z: np.ndarray, factors: np.ndarray, *, seed: int = 0) -> dict[str, Any]:
    """Return disentanglement, completeness and informativeness (Eastwood and Williams 2018).

    A random forest reads each factor off the latents; how much it relies on each latent is its
    importance R. Disentanglement (equation 2) is one minus the entropy of a latent's importances
    over factors, averaged by how much a latent matters at all; completeness is that of a factor's
    importances over latents. Informativeness is the forests' accuracy on the other half of the
    pictures, between guessing the most frequent value (0) and none wrong (1).

    Args:
        z: latents (N,D).
        factors: values (N,F).
        seed: of the forests, and of the halves.

    Returns:
        ``disentanglement``, ``completeness``, ``informativeness``, and ``importance`` (F,D), whose
        rows sum to 1, or to 0 where nothing of a factor is known.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    ensemble = scikit_learn("ensemble")
    z, factors = checked(z, factors)
    train, test = halves(len(z), seed)
    importance, known = [], []
    for values in factors.T:
        # All latents at every split, or those that know nothing of a factor would get a part of it.
        forest = ensemble.RandomForestClassifier(
            n_estimators=30, max_features=None, min_samples_leaf=3, random_state=seed
        )
        forest.fit(z[train], values[train])
        importance.append(forest.feature_importances_)
        known.append(_skill(forest, z[test], values[test]))
    table = np.array(importance)
    disentanglement, completeness = importance_scores(table)
    return {
        "disentanglement": disentanglement,
        "completeness": completeness,
        "informativeness": float(np.mean(known)),
        "importance": table,
    }


def importance_scores(importance: np.ndarray) -> tuple[float, float]:
    """Return disentanglement and completeness (equations 2 to 4 there) of importances (F,D) ≥ 0."""
    if not importance.any():
        return 0.0, 0.0
    disentanglement = np.average(_certainty(importance.T), weights=importance.sum(0))
    completeness = np.average(_certainty(importance), weights=importance.sum(1))
    return float(disentanglement), float(completeness)


def _certainty(rows: np.ndarray) -> np.ndarray:
    """Return 1 − the entropy of each row's shares, in units of the largest; of one share, 1."""
    total = rows.sum(1, keepdims=True)
    shares = np.where(total > 0, rows / np.where(total > 0, total, 1), 1 / rows.shape[1])
    logs = np.log(np.where(shares > 0, shares, 1))
    return 1 + (shares * logs).sum(1) / np.log(max(2, rows.shape[1]))


def infomec(z: np.ndarray, factors: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Return InfoM, InfoE and InfoC (Hsu et al., "Disentanglement via latent quantization", 2023).

    With the table of I(z_j; v_i) / H(v_i), estimated from nearest neighbours: modularity InfoM is
    the largest share that one factor has of a latent's information, compactness InfoC the largest
    that one latent has of a factor's, both scaled from an even share (0) to 1. Latents that hardly
    move, and those that know nothing, are left out. Explicitness InfoE is the share of a factor's
    entropy that logistic regression on all latents takes away, on the same pictures: it takes many
    more pictures than latents.

    Args:
        z: continuous latents (N,D).
        factors: values (N,F).
        seed: of the estimate.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    select, scale = scikit_learn("feature_selection"), scikit_learn("preprocessing")
    z, factors = checked(z, factors)
    scaler, entropy = scale.StandardScaler(), scikit_learn("metrics").mutual_info_score
    active = _active(z)
    if not active.shape[1]:
        return {"modularity": 0.0, "explicitness": 0.0, "compactness": 0.0}
    active, z = scaler.fit_transform(active), scaler.fit_transform(z)
    rows = [
        select.mutual_info_classif(active, v, n_neighbors=NEIGHBOURS, random_state=seed)
        / entropy(v, v)
        for v in factors.T
    ]
    known = np.array(rows)
    knowing = known[:, known.sum(0) > 0]
    return {
        "modularity": _largest_share(knowing.T),
        "explicitness": float(np.mean([_explained(z, v) for v in factors.T])),
        "compactness": _largest_share(knowing),
    }


def _active(z: np.ndarray) -> np.ndarray:
    span = z.max(0) - z.min(0)
    return z[:, (span > INACTIVE * span.max()) & (span > 0)]


def _largest_share(rows: np.ndarray) -> float:
    """Return the mean largest share of rows, from an even share (0) to 1; of nothing, 0."""
    rows = rows[rows.sum(1) > 0] if rows.size else rows
    if not rows.size:
        return 0.0
    if rows.shape[1] == 1:
        return 1.0
    even = 1 / rows.shape[1]
    return float(((rows.max(1) / rows.sum(1)).mean() - even) / (1 - even))


def _explained(z: np.ndarray, values: np.ndarray) -> float:
    """Return (H(v) − H(v | z)) / H(v) under logistic regression, classes weighted alike."""
    linear, metrics = scikit_learn("linear_model"), scikit_learn("metrics")
    classes = len(np.unique(values))
    model = linear.LogisticRegression(C=np.inf, class_weight="balanced", max_iter=2000, tol=1e-3)
    told = model.fit(z, values).predict_proba(z)
    left = metrics.log_loss(values, told)
    return float(1 - left / np.log(classes))


def component_readings(z: np.ndarray, factors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return how well each factor can be read off each component alone (F,K): 0 guessing, 1 always.

    The accuracy of logistic regression on the other half of the pictures, scaled as
    informativeness is in :func:`dci`.

    Args:
        z: sets of latents (N,K,D).
        factors: values (N,F).
        seed: of the halves.

    Raises:
        CometError: latents or factors that nothing can be told of.
    """
    linear, scale, pipe = (scikit_learn(n) for n in ("linear_model", "preprocessing", "pipeline"))
    _, factors = checked(z.reshape(len(z), -1), factors)
    train, test = halves(len(z), seed)
    table = np.zeros((factors.shape[1], z.shape[1]))
    for i, values in enumerate(factors.T):
        if len(np.unique(values[train])) < 2:
            continue
        for k in range(z.shape[1]):
            model = pipe.make_pipeline(
                scale.StandardScaler(), linear.LogisticRegression(max_iter=1000)
            )
            model.fit(z[train, k], values[train])
            table[i, k] = _skill(model, z[test, k], values[test])
    return table


def _skill(reader: Any, z: np.ndarray, values: np.ndarray) -> float:
    """Return the accuracy of a classifier between the most frequent value's share (0) and 1."""
    usual = float(np.unique(values, return_counts=True)[1].max()) / len(values)
    right = float(reader.score(z, values))
    return max(0.0, (right - usual) / (1 - usual)) if usual < 1 else 0.0
