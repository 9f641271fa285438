"""Swap accuracy on the card of a model that a recipe trained."""

import json

import pytest

from comet_cli.data.dataset_folder import read_metadata, write_description, write_metadata
from comet_cli.models import comet_model
from comet_cli.training import run
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import swap_pairs, train_recipe


@pytest.fixture
def labelled(data_folder):
    """The data set, whose squares now have a tone."""
    for split in ("train", "test"):
        entries = read_metadata(data_folder, split)
        for n, entry in enumerate(entries):
            entry["objects"] = [{"tone": ("light", "dark")[n % 2]}]
        write_metadata(data_folder, split, entries)
    return data_folder


def test_the_card_of_an_object_model_has_its_swap_accuracy_and_no_new_names(
    tmp_path, labelled, quadratic_toml, monkeypatch
):
    monkeypatch.setattr(run, "PROBE_ITERATIONS", 2)
    path = tmp_path / "recipe.toml"
    data = {"train": str(labelled), "swaps": str(labelled)}
    path.write_text(quadratic_toml(data=data, train={"iterations": 1}))
    card, _ = train_recipe(path, tmp_path / "tiny", device="cpu")
    found = card.figures["swaps"]
    assert found["pairs"] == 5 and set(found["factors"]) == {"tone"} and card.labels == []
    assert json.loads((tmp_path / "tiny" / "card.json").read_text())["figures"]["swaps"] == found
    assert "| swaps.swap_accuracy |" in (tmp_path / "tiny" / "README.md").read_text()
    assert comet_model.load(tmp_path / "tiny", device="cpu").card == card


def test_the_pairs_are_of_the_set_that_is_measured_where_it_is_the_same_generators(
    tmp_path, quadratic_toml
):
    for name, generator in (("a", "clevr"), ("b", "clevr"), ("c", "toon")):
        (tmp_path / name).mkdir()
        write_description(tmp_path / name, {"generator": generator})
    (tmp_path / "plain").mkdir()

    def pairs(measured, **more):
        data = {"swaps": str(tmp_path / "a")} | ({"measured": measured} if measured else {}) | more
        return swap_pairs(parse_recipe(quadratic_toml(data=data)))

    assert pairs(str(tmp_path / "b")) == tmp_path / "b"
    assert pairs(str(tmp_path / "c")) is pairs(str(tmp_path / "plain")) is None
    assert pairs(None) is pairs("hf:some/set") is None
    for measured in (None, str(tmp_path / "b")):
        assert pairs(measured, swaps_measured=str(tmp_path / "c")) == tmp_path / "c"
