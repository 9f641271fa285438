"""Which model a picture is encoded with where none is named."""

import numpy as np
import pytest
from PIL import Image

from comet_cli.inputs.auto_model import choose_model, closest, usual_error
from comet_cli.models import comet_model
from comet_cli.models.card import ModelCard
from comet_cli.models.comet_model import CometModel


def decibels(**values):
    return {name: 10 ** (-value / 10) for name, value in values.items()}


USUAL = decibels(plain=35.0, toys=36.0)


def test_the_least_error_wins():
    assert closest(decibels(plain=36.0, toys=34.0), USUAL) == "plain"
    assert closest(decibels(plain=33.8, toys=35.0), USUAL) == "toys"


def test_of_models_that_are_about_as_good_the_one_that_does_better_than_usual():
    assert closest(decibels(plain=36.5, toys=37.0), USUAL) == "plain"
    assert closest(decibels(plain=36.5, toys=37.7), USUAL) == "toys"  # too far apart


def test_where_a_card_tells_nothing_errors_alone_decide():
    assert closest(decibels(plain=36.5, toys=37.0), {**USUAL, "plain": None}) == "toys"
    assert closest(decibels(mine=36.5), {}) == "mine"


def test_equal_models_are_told_apart_by_name():
    assert closest(decibels(b=30.0, a=30.0), decibels(a=30.0, b=30.0)) == "a"


CARD = ModelCard(
    name="m", encoder="global", energy="pooled-64", filter_dim=8, components=1, latent_dim=8,
    image_size=32, positional=[False], step_size=1.0, num_steps=1, render_step_size=1.0,
    render_steps=1,
)  # fmt: skip


@pytest.mark.parametrize("offered, judged", [({"b"}, ["b"]), ({"a", "b"}, ["a", "b"])])
def test_models_that_are_not_offered_are_for_who_names_them(tmp_path, monkeypatch, offered, judged):
    monkeypatch.setenv("COMET_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("comet_cli.models.library.shipped_root", lambda: tmp_path / "none")
    for name in ("a", "b"):
        card = CARD.replace(name=name, offered=name in offered)
        comet_model.save(CometModel(card), tmp_path / "models" / name, card=card)
    path = tmp_path / "picture.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    seen = []
    chosen = choose_model(
        [(path.read_bytes(), "picture")],
        "picture",
        load=lambda folder: comet_model.load(folder, device="cpu"),
        judge=lambda model, data, x: seen.append(model.card.name) or 1.0,
        note=lambda text: None,
        environment={},
        fresh=True,
    )
    assert chosen.card.name == judged[0]
    assert seen == (judged if len(judged) > 1 else [])


def test_usual_is_what_the_card_says():
    card = CARD
    assert usual_error(card) is None
    assert usual_error(card.replace(figures={"reconstruction": {"psnr": 20.0}})) == 0.01
    assert usual_error(card.replace(figures={"reconstruction": 3})) is None
