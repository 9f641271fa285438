"""BetaVAE score, MIG and MCC: by hand, against others' code, invariances, and degenerate input."""

import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from comet_cli.errors import CometError, MissingExtraError
from comet_cli.evaluation.disentanglement import beta_vae_score, mcc, mig
from comet_cli.evaluation.informativeness import component_readings, dci, infomec
from comet_cli.evaluation.latents import check_factors, principal_components

DRAW = np.random.default_rng(0)
FACTORS = DRAW.integers(0, [3, 5, 4], size=(600, 3))
PERFECT = np.concatenate(
    [FACTORS * 2.0 + 0.01 * DRAW.normal(size=(600, 3)), 0.01 * DRAW.normal(size=(600, 1))], 1
)
NOISE = DRAW.normal(size=(600, 4))
MEASURES = {
    "beta_vae": lambda z, f: beta_vae_score(z, f, votes=300, pairs=16),
    "mig": mig,
    "mcc": mcc,
    "dci": lambda z, f: dci(z, f)["disentanglement"],
    "completeness": lambda z, f: dci(z, f)["completeness"],
    "informativeness": lambda z, f: dci(z, f)["informativeness"],
    "modularity": lambda z, f: infomec(z, f)["modularity"],
    "explicitness": lambda z, f: infomec(z, f)["explicitness"],
    "compactness": lambda z, f: infomec(z, f)["compactness"],
}
# Of what knows nothing of any factor. Modularity and compactness are shares of what is known: they
# say nothing there.
CHANCE = {"beta_vae": 1 / 3}
SHARES = ("modularity", "compactness")


@pytest.mark.parametrize("name", MEASURES)
def test_a_code_of_one_factor_in_each_latent_is_near_the_top(name):
    assert MEASURES[name](PERFECT, FACTORS) > 0.94


@pytest.mark.parametrize("name", sorted(set(MEASURES) - set(SHARES)))
def test_noise_is_near_chance(name):
    assert MEASURES[name](NOISE, FACTORS) == pytest.approx(CHANCE.get(name, 0), abs=0.09)


@pytest.mark.parametrize("name", sorted(set(MEASURES) - {"informativeness", "explicitness"}))
def test_a_rotated_code_is_below_one_in_line(name):
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    turned = PERFECT @ signs / 2
    least = 0 if name == "beta_vae" else 0.1  # differences of a turned code still tell factors
    assert MEASURES[name](turned, FACTORS) <= MEASURES[name](PERFECT, FACTORS) - least


@pytest.mark.parametrize("name", MEASURES)
def test_order_sign_unit_and_origin_of_latents_and_names_of_values_do_not_matter(name):
    z = FACTORS @ np.random.default_rng(2).normal(size=(3, 4)) + 0.2 * NOISE
    found = MEASURES[name](z, FACTORS)
    # Bins of equal width, nearest neighbours and forests see rounding, and forests the order.
    assert MEASURES[name](z[:, ::-1], FACTORS) == pytest.approx(found, abs=0.03)
    assert MEASURES[name](-z, FACTORS) == pytest.approx(found, abs=0.03)
    assert MEASURES[name](z * 1000 + 5, FACTORS) == pytest.approx(found, abs=0.03)
    assert MEASURES[name](z, FACTORS * 7 - 3) == pytest.approx(found, abs=1e-9)


def test_mig_by_hand():
    """v is known by z_0 whole (ln 2), by z_1 not at all; w, equal to v, the same: a gap of 1."""
    v = np.array([0, 0, 1, 1])
    z = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    assert mig(z, v[:, None]) == pytest.approx(1)
    assert mig(z, np.stack([v, [0, 1, 0, 1]], 1)) == pytest.approx(1)
    assert mig(z[:, [0, 0]], v[:, None]) == pytest.approx(0)
    assert mig(z[:, :1], v[:, None]) == pytest.approx(1)
    # z_1 knows v in half of the pictures: I = ln 2 - (1/2) ln 2 where w = z_1 splits 2, 1, 1.
    halfway = np.array([[0, 0], [0, 2], [1, 1], [1, 0]], float)
    known = np.log(2) - 0.5 * np.log(2)
    assert mig(halfway, v[:, None]) == pytest.approx((np.log(2) - known) / np.log(2))


@pytest.mark.parametrize(
    "seed, expected",
    [(0, 0.13474797922850942), (1, 0.08843469009559785), (2, 0.07015482247829725)],
)
def test_mig_is_what_disent_says_of_random_draws(seed, expected):
    """The figures are those of disent 0.8.0 (PyPI), `metrics/_mig.py`."""
    draw = np.random.default_rng(seed)
    factors = draw.integers(0, [3, 5, 4], size=(500, 3))
    z = factors @ draw.normal(size=(3, 6)) + draw.normal(size=(500, 6))
    assert mig(z, factors) == pytest.approx(expected, abs=1e-9)


def test_mcc_by_hand():
    """Correlations of v: 1 with z_0, 0.6 with z_1; of w: 0.8 with z_0, 0 with z_1 and z_2."""
    v, w = np.array([-1, -1, 1, 1]), np.array([-1, 1, -1, 1])
    z = np.stack([v, w, 0.6 * v + 0.8 * w], 1).astype(float)
    assert mcc(z, np.stack([v, w], 1)) == pytest.approx(1)
    assert mcc(z[:, 2:], v[:, None]) == pytest.approx(0.6)
    assert mcc(z[:, 2:], np.stack([v, w], 1)) == pytest.approx(0.8 / 2)  # one latent, two factors
    # v takes z_0 and leaves 0.8 to w: better than the other way round, 0.6 + 0.
    assert mcc(z[:, [0, 2]], np.stack([v, w], 1)) == pytest.approx((1 + 0.8) / 2)


def test_the_order_of_values_means_something_to_mcc_alone():
    swapped = np.array([0, 2, 1, 3, 4])[FACTORS]
    assert mcc(PERFECT, swapped) < 0.95 < mcc(PERFECT, FACTORS)
    assert mig(PERFECT, swapped) == pytest.approx(mig(PERFECT, FACTORS))


def test_the_beta_vae_score_is_of_pictures_that_its_classifier_did_not_see():
    """Latents that only name the picture tell nothing of any other picture's factors."""
    names = np.random.default_rng(3).normal(size=(60, 40))
    factors = np.random.default_rng(4).integers(0, 2, size=(60, 2))
    assert beta_vae_score(names, factors, votes=300, pairs=8) < 0.7


@pytest.mark.parametrize("pictures", [2, 4, 20])
def test_a_pair_is_of_two_pictures(pictures):
    """A picture that is compared with itself differs by 0, which would give the factor away."""
    found = []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        factors = draw.permuted(np.tile(np.arange(800) // pictures, (2, 1)), axis=1).T
        factors[:, 1] //= 2  # twice as many pictures have a value
        noise = draw.normal(size=(800, 4))
        found.append(beta_vae_score(noise, factors, votes=300))
    assert np.mean(found) == pytest.approx(1 / 2, abs=0.1)


def test_values_that_no_two_pictures_share_are_refused():
    with pytest.raises(CometError, match="no two pictures have the same value"):
        beta_vae_score(NOISE, np.arange(1200).reshape(2, -1).T)


def test_principal_components_keep_what_varies_and_are_uncorrelated():
    z = np.random.default_rng(5).normal(size=(50, 3, 4))
    z[:, 1] *= 100
    found = principal_components(z, 4)
    assert found.shape == (50, 4)
    total = np.cov(z[:, 1].T).trace()
    assert np.allclose(np.cov(found.T), np.diag(np.cov(found.T).diagonal()), atol=1e-6 * total)
    assert np.cov(found.T).trace() == pytest.approx(total, rel=1e-3)
    assert principal_components(z[:3], 64).shape == (3, 3)  # no more than there are pictures


@pytest.mark.parametrize("name", MEASURES)
def test_degenerate_input_gets_a_sentence(name):
    measure = MEASURES[name]
    broken = PERFECT.copy()
    broken[3, 1] = np.nan
    with pytest.raises(CometError, match="not finite"):
        measure(broken, FACTORS)
    with pytest.raises(CometError, match="same value in all 600 pictures"):
        measure(PERFECT, np.where([True, False, True], FACTORS, 1))
    with pytest.raises(CometError, match="at least 4 labelled pictures, there are 1"):
        measure(PERFECT[:1], FACTORS[:1])
    with pytest.raises(CometError, match=r"must be \(N, D\)"):
        measure(PERFECT[:, 0], FACTORS)
    assert measure(np.zeros_like(PERFECT), FACTORS) <= 1 / 3 + 0.09  # latents that never move


def test_factors_that_say_nothing_are_named():
    with pytest.raises(CometError, match="the factor lamp has the same value in all 4 pictures"):
        check_factors(["camera", "lamp"], np.array([[0, 2], [1, 2], [0, 2], [1, 2]]))
    with pytest.raises(CometError, match="no factor"):
        check_factors([], np.zeros((4, 0)))


def test_components_are_read_one_by_one():
    z = np.stack([PERFECT[:, :2], NOISE[:, :2]], 1)  # component 0 has two factors, 1 none
    table = component_readings(z, FACTORS)
    assert table.shape == (3, 2)
    assert table[0, 0] > 0.9 and table[1, 0] > 0.5 and table[2, 0] < 0.1 and table[:, 1].max() < 0.1


def test_without_scikit_learn_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtraError, match="pip install scikit-learn"):
        mig(PERFECT, FACTORS)
