"""Swap accuracy, on a model whose components are known: each holds one stripe's colour."""

import numpy as np
import pytest
import torch

from comet_cli.data.labels import FactorReader
from comet_cli.errors import CometError
from comet_cli.evaluation.probe import Probe, train_probe
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.evaluation.swaps import SwapFigures, donor_rates, evaluate_swaps, evident_labels

NAMES = ["first", "second", "third", "last"]


class StripeProbe:
    """Reads whether each stripe is dark (0), middling (1) or bright (2)."""

    def read(self, x: torch.Tensor, batch: int = 0) -> np.ndarray:
        means = torch.stack([s.mean((1, 2, 3)) for s in x.tensor_split(4, -1)], 1)
        return (means * 2).round().long().numpy()


def stripe_pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.random.default_rng(seed).integers(3, size=(count, 4))
    row = np.repeat(np.array([0, 128, 255], np.uint8)[labels], 2, axis=1)
    return np.broadcast_to(row[:, None, :, None], (count, 8, 8, 3)).copy(), labels


def swaps(model, names=NAMES, probe=None):
    tuning, held_out = stripe_pictures(40, 0), stripe_pictures(60, 1)
    return evaluate_swaps(model, probe or StripeProbe(), list(names), tuning, held_out)


def test_a_model_of_one_stripe_a_component_swaps_without_a_mistake(stripes):
    found = swaps(stripes)
    assert [found.factors[n]["component"] for n in NAMES] == [0, 1, 2, 3]
    assert found.pairs == 60
    exact = (found.swap_accuracy, found.all_right, found.donor_read, found.host_read)
    assert exact == (1.0, 1.0, 1.0, 1.0)
    assert (found.probe_accuracy, found.recomposed_accuracy) == (1.0, 1.0)
    assert found.factors["third"]["donor_read_of_another"] == 0


def test_a_model_whose_components_all_hold_everything_is_found_out(stripes):
    """Every component wants a quarter of the way to the whole picture: no swap gets it across."""
    encode = stripes.encoder.forward
    stripes.encoder.forward = lambda x: encode(x).mean(1, keepdim=True).expand(-1, 4, -1) * 1.0
    found = swaps(stripes)
    assert found.donor_read < 0.6 and found.all_right < 0.2


def test_components_in_the_wrong_places_are_matched_to_their_factors(stripes):
    encode = stripes.encoder.forward
    stripes.encoder.forward = lambda x: encode(x)[:, [2, 0, 3, 1]]
    found = swaps(stripes)
    assert [found.factors[n]["component"] for n in NAMES] == [1, 3, 0, 2]
    assert found.swap_accuracy == 1.0


def test_a_probe_that_reads_wrong_limits_the_accuracy_and_shows_it(stripes):
    class Blind(StripeProbe):
        def read(self, x, batch=0):
            found = super().read(x)
            found[:, 3] = 0
            return found

    found = swaps(stripes, probe=Blind())
    assert found.factors["last"]["probe"] == pytest.approx(1 / 3, abs=0.2)
    assert found.swap_accuracy < 0.9 and found.factors["last"]["donor_read"] < 0.5


def test_donor_rates_count_differing_pairs_alone():
    labels = np.array([[0], [1], [1]])
    donors = np.array([1, 2, 0])  # differ: 0 takes from 1, 2 takes from 0
    readings = np.array([[[1], [1], [1]], [[0], [0], [0]]])
    assert donor_rates(readings, labels, donors).tolist() == [[0.5], [0.5]]


def test_one_picture_cannot_be_swapped(stripes):
    one = stripe_pictures(1, 0)
    with pytest.raises(CometError, match="at least two pictures"):
        evaluate_swaps(stripes, StripeProbe(), NAMES, one, one)


def test_labels_of_a_grid_are_its_indices_in_the_order_asked_for():
    metadata = [{"factors": {"hair": 2, "skin": 0}}, {"factors": {"hair": 1, "skin": 3}}]
    assert FactorReader(metadata).names == ["hair", "skin"]
    assert FactorReader(metadata, ["skin", "hair"]).labels(metadata).tolist() == [[0, 2], [3, 1]]


def test_numbers_are_cut_into_quarters_and_texts_are_classes():
    metadata = [
        {"index": n, "light": {"power": n / 2, "kind": "cold" if n % 2 else "warm"}}
        for n in range(8)
    ]
    reader = FactorReader(metadata, ["light.power", "light.kind"])
    found = reader.labels(metadata)
    assert found[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found[:, 1].tolist() == [1, 0] * 4
    unseen = [{"light": {"power": 100, "kind": "cold"}}, {"light": {"power": -1, "kind": "warm"}}]
    assert reader.labels(unseen).tolist() == [[3, 0], [0, 1]]
    with pytest.raises(CometError, match="no training picture has light.kind red"):
        reader.labels([{"light": {"power": 1, "kind": "red"}}])


@pytest.mark.parametrize("values", [[1, 2, 10], [-2, -1, 0, 1], [5, 10, 20, 100]])
def test_numbers_are_classes_in_their_order(values):
    metadata = [{"size": v} for v in reversed(values)]
    found = FactorReader(metadata, ["size"]).labels([{"size": v} for v in values])
    assert found[:, 0].tolist() == list(range(len(values)))


@pytest.mark.parametrize(
    ("metadata", "names", "sentence"),
    [
        ([], None, "have no grid of factors"),
        ([{"objects": [], "index": 3}], None, "have no grid of factors"),
        ([{"light": {"x": 0.5}}], None, "no grid of factors .*; name some of light.x"),
        ([{"light": {"x": 0.5}}], ["light.y"], "no factor 'light.y' in the data; there are"),
        ([{"factors": {"hair": 1}}], ["nose"], "no factor 'nose' in the data; there are hair"),
        ([{"factors": {"hair": 1}}, {"factors": {}}], None, "lacks the factor 'hair'"),
        ([{"light": 1.0}, {"index": 2}], ["light"], "lacks the factor 'light'"),
    ],
)
def test_data_without_the_factors_is_refused_in_a_sentence(metadata, names, sentence):
    with pytest.raises(CometError, match=sentence):
        FactorReader(metadata, names).labels(metadata)


def evidence(**rows: tuple[int, float, float]) -> SwapFigures:
    factors = {
        name: {"component": k, "donor_read": own, "donor_read_of_another": other}
        for name, (k, own, other) in rows.items()
    }
    return SwapFigures(1, 0, 0, 0, 0, 0, 0, factors)


def test_components_are_named_where_the_evidence_names_them():
    found = evidence(
        camera_x=(0, 0.9, 0.1), camera_z=(0, 0.85, 0.2), hair=(2, 0.95, 0.0), mouth=(1, 0.7, 0.1)
    )
    assert evident_labels(found.factors, 3) == ["camera", "component1", "hair"]
    assert evident_labels(evidence(**{"light.power": (0, 0.9, 0.0)}).factors, 1) == ["power"]
    two = evidence(glasses=(0, 0.85, 0.1), skin=(0, 0.95, 0.0))
    assert evident_labels(two.factors, 1) == ["skin"]


def test_nothing_is_named_without_evidence_and_no_name_twice():
    assert evident_labels(evidence(hair=(0, 0.79, 0.0)).factors, 2) == []
    assert evident_labels(evidence(hair=(0, 0.9, 0.5)).factors, 2) == []
    twice = evidence(**{"light.power": (0, 0.9, 0.1), "lamp.power": (1, 0.9, 0.1)})
    assert evident_labels(twice.factors, 2) == []


def test_a_probe_learns_its_factors_and_the_same_seed_gives_the_same_probe():
    images, labels = stripe_pictures(300, 2)
    images = images.repeat(2, 1).repeat(2, 2)
    probe = train_probe(images, labels, iterations=80, batch=32)
    unseen, expected = stripe_pictures(100, 3)
    found = probe.read(as_pictures(unseen.repeat(2, 1).repeat(2, 2)))
    assert found.shape == (100, 4) and (found == expected).mean() > 0.95
    short = [train_probe(images, labels, iterations=2, batch=8).heads.weight for _ in range(2)]
    assert torch.equal(*short)


def test_a_probe_has_a_head_a_factor():
    outputs = Probe(16, [2, 5])(torch.rand(3, 3, 16, 16))
    assert [tuple(o.shape) for o in outputs] == [(3, 2), (3, 5)]
