"""Figures of a training: what they need is checked before it, and none of them costs the model."""

import os
import signal

import pytest
import torch

from comet_cli.data.dataset_folder import read_metadata, write_metadata
from comet_cli.errors import CometError, CometWarning
from comet_cli.models import comet_model
from comet_cli.training import going_on, run
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe


@pytest.fixture
def labelled(data_folder):
    """The data set, whose pictures now have a tone."""
    for split in ("train", "test"):
        entries = read_metadata(data_folder, split)
        tones = [{**entry, "tone": ("light", "dark")[n % 2]} for n, entry in enumerate(entries)]
        write_metadata(data_folder, split, tones)
    return data_folder


@pytest.fixture
def recipe(labelled, quadratic_toml):
    """Return a function of what is set beside `swaps` to a recipe of one iteration."""

    def make(**data):
        data = {"train": str(labelled), "swaps": str(labelled), **data}
        if data["swaps"]:
            data = {"swap_factors": ["tone"], **data}
        return parse_recipe(quadratic_toml(data=data, train={"iterations": 1}))

    return make


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"swaps": "nope"}, "no folder 'nope'"),
        ({"swap_factors": ["colr"]}, "no factor 'colr' in the data; there are tone"),
        ({"swaps_measured": "plain"}, "no split 'test' in 'plain'"),
        ({"swaps_measured": "bare"}, "a picture lacks the factor 'tone'"),
    ],
)
def test_swaps_that_cannot_be_measured_are_refused_before_anything_is_written(
    tmp_path, recipe, labelled, monkeypatch, data, sentence
):
    monkeypatch.chdir(tmp_path)
    os.mkdir("plain")
    os.makedirs("bare/test")
    write_metadata(tmp_path / "bare", "test", [{"file_name": f"{n}.png"} for n in range(3)])
    with pytest.raises(CometError, match=sentence):
        train_recipe(recipe(**data), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_objects_without_masks_are_refused_before_anything_is_written(tmp_path, recipe, labelled):
    entries = read_metadata(labelled, "test")
    for entry in entries:
        del entry["mask"]
    for split in ("train", "test"):
        changed = entries if split == "test" else read_metadata(labelled, split)
        write_metadata(labelled, split, [{**e, "objects": [{"hue": "red"}]} for e in changed])
    with pytest.raises(CometError, match="instance masks"):
        train_recipe(recipe(swap_factors=["hue"]), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CometError("the probe is ill"), "the probe is ill"),
        (torch.OutOfMemoryError("CUDA out of memory.\nSee more"), "CUDA out of memory."),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_figure_that_fails_costs_neither_the_model_nor_the_other_figures(
    tmp_path, recipe, monkeypatch, error, reason
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(run, "measure_swaps", fail)
    with pytest.warns(CometWarning, match=f"not all figures were measured: {reason}"):
        card, result = train_recipe(recipe(), tmp_path / "out", device="cpu")
    assert result.finished and result.unmeasured == reason
    assert "reconstruction" in card.figures and "swaps" not in card.figures
    assert comet_model.load(tmp_path / "out", device="cpu").card == card


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_measuring_leaves_a_model_without_figures(
    tmp_path, recipe, monkeypatch, number
):
    def stopped(*_):
        signal.raise_signal(number)
        pytest.fail("it went on measuring")

    before = signal.getsignal(number)
    with monkeypatch.context() as patched:
        patched.setattr(run, "measure_held_out", stopped)
        card, result = train_recipe(recipe(swaps=""), tmp_path / "out", device="cpu")
    assert result.finished and result.interrupted and card.figures == {}
    assert comet_model.load(tmp_path / "out", device="cpu").card == card
    assert not (tmp_path / "out" / going_on.LOCK).exists()
    assert signal.getsignal(number) == before
    again, result = train_recipe(recipe(swaps=""), tmp_path / "out", device="cpu")
    assert again.figures and not result.interrupted
    assert again.weights_sha256 == card.weights_sha256


def test_a_signal_while_the_model_is_written_is_heard_then(tmp_path, recipe, monkeypatch):
    real = comet_model.save

    def save(*words, **more):
        signal.raise_signal(signal.SIGINT)
        return real(*words, **more)

    monkeypatch.setattr(comet_model, "save", save)
    card, result = train_recipe(recipe(swaps=""), tmp_path / "out", device="cpu")
    assert result.interrupted and card.figures == {}
    assert comet_model.load(tmp_path / "out", device="cpu").card == card
