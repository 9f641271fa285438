"""``comet replay``: what has changed since, and by how much the picture differs."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from comet_cli import __version__
from comet_cli.formats.images import decode_png, write_png
from comet_cli.formats.picture_recipe import read_recipe
from comet_cli.models import comet_model, known_folders, library
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel


def retrained(models: Path, home: Path, **changes) -> Path:
    """Return a home like another, with other weights of `quad`."""
    shutil.copytree(models, home)
    folder = home / "models" / "quad"
    card = dataclasses.replace(ModelCard.read(folder), **changes)
    shutil.rmtree(folder)
    torch.manual_seed(9)
    comet_model.save(CometModel(card).eval().requires_grad_(False), folder)
    return home


@pytest.fixture
def made(pictures):
    """Make out.png of the model `quad`; return the runner."""
    done = pictures("compose", "a.png", "-m", "quad", "--steps", "2", "-o", "out.png")
    assert done.code == 0
    return pictures


def test_changed_weights_are_named_and_the_picture_is_compared(made, models, tmp_path, monkeypatch):
    home = retrained(models, tmp_path / "home")
    old = read_recipe(Path("out.png").read_bytes()).models[0].sha256
    monkeypatch.setenv("COMET_HOME", str(home))
    new = library.list_models()[-1].card.weights_sha256
    done = made("replay", "out.png", "--json")
    found = done.json["outputs"][0]
    sentence = f"the weights of model 'quad' are {new[:12]}…, were {old[:12]}…"
    assert done.code == 0 and sentence in found["changes"] and found["identical"] is False
    before, after = (decode_png(Path(p).read_bytes()) for p in ("out.png", "out-replay.png"))
    distances = np.abs(before.astype(int) - after.astype(int))
    assert found["difference"] == distances.max() > 0
    assert found["mean_difference"] == pytest.approx(distances.mean())
    assert found["pixels_differing"] == distances.any(-1).sum()
    # The new picture says what made it, so it is replayed as it is.
    assert read_recipe(Path("out-replay.png").read_bytes()).models[0].sha256 == new
    done = made("replay", "out-replay.png", "-o", "again.png")
    assert done.sentence == "comet: the replay has the same pixels"


def test_a_folder_that_holds_the_weights_goes_before_the_model_of_that_name(
    made, models, tmp_path, monkeypatch
):
    shutil.copytree(models / "models" / "quad", tmp_path / "own")
    done = made("compose", "a.png", "-m", str(tmp_path / "own"), "-o", "own.png")
    assert done.code == 0, done.err
    other = retrained(models, tmp_path / "home") / "models" / "quad"
    monkeypatch.setenv("COMET_HOME", str(tmp_path / "home"))
    known_folders.remember(tmp_path / "own", ModelCard.read(tmp_path / "own").weights_sha256)
    found = made("replay", "own.png", "-m", str(other), "--json").json["outputs"][0]
    assert found["identical"] and not found["changes"]


def test_a_model_of_the_name_that_takes_other_latents_is_refused(
    made, models, tmp_path, monkeypatch
):
    home = retrained(models, tmp_path / "home", latent_dim=4)
    monkeypatch.setenv("COMET_HOME", str(home))
    done = made("replay", "out.png")
    assert done.code == 1 and "latent of 8 numbers, model 'quad' takes 4" in done.sentence


def test_a_picture_that_was_changed_and_other_settings_are_told_in_numbers(made):
    data = Path("out.png").read_bytes()
    recipe, pixels = read_recipe(data), decode_png(data)
    pixels[:2, 0] ^= 64
    changed = dataclasses.replace(
        recipe,
        settings={**recipe.settings, "device": "cuda"},
        versions={**recipe.versions, "comet": "0.0.1"},
    )
    write_png(pixels, "out.png", changed)
    done = made("replay", "out.png")
    assert done.code == 0
    assert (
        f"comet is {__version__}, was 0.0.1" in done.err and "device is cpu, was cuda" in done.err
    )
    assert "differs by at most 64/255 (on average" in done.err and "in 2 of 576 pixels)" in done.err
    now = read_recipe(Path("out-replay.png").read_bytes())
    assert now.versions == recipe.versions and now.settings == recipe.settings


def test_another_size_is_told(made):
    data = Path("out.png").read_bytes()
    write_png(decode_png(data)[:10], "out.png", read_recipe(data))
    done = made("replay", "out.png", "--json")
    found = done.json["outputs"][0]
    assert found["identical"] is False and found["difference"] is None
    assert "another size: 24 × 24, was 24 × 10" in made("replay", "out.png").err


def test_replays_are_not_replayed_when_all_pictures_of_a_folder_are(made):
    assert made("compose", "b.png", "-m", "quad", "--steps", "1", "-o", "other.png").code == 0
    first = made("replay", "other.png", "out.png")
    assert first.out.split() == ["other-replay.png", "out-replay.png"]
    words = ("other-replay.png", "other.png", "out-replay.png", "out.png")
    again = made("replay", *words)
    assert (again.code, again.out) == (0, first.out)
    assert "2 of the pictures are replays of others" in again.err
    # Alone, a replay is a picture like any other.
    assert made("replay", "out-replay.png").out.split() == ["out-replay-replay.png"]
