"""DCI and InfoMEC by hand, and against others' code."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from comet_cli.evaluation.informativeness import dci, importance_scores, infomec


def test_disentanglement_and_completeness_by_hand():
    """Latent 0 is of factor 0 alone, latent 1 of both alike: 1 and 0, weighed 0.5 and 1."""
    importance = np.array([[0.5, 0.5], [0.0, 0.5]])
    disentanglement, completeness = importance_scores(importance)
    assert disentanglement == pytest.approx((0.5 * 1 + 1.0 * 0) / 1.5)
    assert completeness == pytest.approx((1.0 * 0 + 0.5 * 1) / 1.5)
    assert importance_scores(np.eye(3)) == pytest.approx((1, 1))
    assert importance_scores(np.ones((3, 3))) == pytest.approx((0, 0))
    assert importance_scores(np.zeros((2, 2))) == (0, 0)


@pytest.mark.parametrize(
    "seed, expected",
    [
        (0, (0.3319112269115861, 0.2613784245331724)),
        (1, (0.47752859719089613, 0.3329742446852162)),
        (2, (0.7469991338202171, 0.34844659810213163)),
    ],
)
def test_importance_scores_are_what_disent_says_of_random_draws(seed, expected):
    """The figures are those of disent 0.8.0 (PyPI), `metrics/_dci.py`."""
    draw = np.random.default_rng(seed)
    draw.integers(0, [3, 5, 4], size=(500, 3)), draw.normal(size=(3, 6)), draw.normal(size=(500, 6))
    assert importance_scores(draw.random((3, 6)) ** 4) == pytest.approx(expected, abs=1e-8)


def test_importance_lies_where_the_factor_is_and_repeats():
    draw = np.random.default_rng(0)
    factors = draw.integers(0, 4, size=(300, 2))
    z = np.concatenate([draw.normal(size=(300, 1)), factors + 0.01 * draw.normal(size=(300, 2))], 1)
    found = dci(z, factors)
    assert found["importance"].argmax(1).tolist() == [1, 2]
    assert found["importance"].sum(1) == pytest.approx([1, 1])
    assert (dci(z, factors)["importance"] == found["importance"]).all()


def test_infomec_tells_modular_from_compact():
    """A factor in two latents is modular and half compact; two factors in a latent the reverse."""
    draw = np.random.default_rng(1)
    factors = draw.integers(0, 4, size=(800, 2))

    def noisy(*columns: np.ndarray) -> np.ndarray:
        z = np.stack(columns, 1).astype(float)
        return z + 0.01 * draw.normal(size=z.shape)

    split = infomec(noisy(factors[:, 0], factors[:, 0], factors[:, 1], factors[:, 1]), factors)
    assert split["modularity"] > 0.95 and split["explicitness"] > 0.95
    # The larger of two equal shares is a half: (1/2 - 1/4) / (1 - 1/4).
    assert split["compactness"] == pytest.approx(1 / 3, abs=0.02)
    joined = infomec(noisy(4 * factors[:, 0] + factors[:, 1]), factors)
    assert joined["modularity"] < 0.1 and joined["compactness"] == 1


def test_explicitness_by_hand():
    """A latent that leaves a value of four open between two takes half of the entropy away."""
    values = np.repeat([0, 1, 2, 3], 50)[:, None]
    known = infomec((values // 2).astype(float), values)["explicitness"]
    assert known == pytest.approx(0.5, abs=0.01)


def test_latents_that_hardly_move_are_left_out_of_shares():
    draw = np.random.default_rng(2)
    factors = draw.integers(0, 4, size=(400, 2))
    z = factors + 0.01 * draw.normal(size=(400, 2))
    whole = infomec(z, factors)
    small = infomec(np.concatenate([z, 0.01 * factors], 1), factors)
    assert small["compactness"] == pytest.approx(whole["compactness"], abs=0.02)
    assert infomec(np.concatenate([z, factors], 1), factors)["compactness"] < 0.5


@pytest.mark.parametrize(
    "seed, expected",
    [
        (0, (0.5930037407206639, 0.7118962701754712, 0.3537584515805262)),
        (1, (0.4343790255787024, 0.602314987620931, 0.2733276222719908)),
        (2, (0.4691688196925547, 0.660690923050906, 0.2835439122421827)),
    ],
)
def test_infomec_is_what_its_authors_code_says_of_random_draws(seed, expected):
    """The figures are those of `infomec.py` in kylehkhsu/latent_quantization, of this seed."""
    draw = np.random.default_rng(seed)
    factors = draw.integers(0, [3, 5, 4], size=(500, 3))
    z = factors @ draw.normal(size=(3, 6)) + draw.normal(size=(500, 6))
    found = infomec(z, factors)
    measured = [found[name] for name in ("modularity", "explicitness", "compactness")]
    assert measured == pytest.approx(expected, abs=2e-3)
