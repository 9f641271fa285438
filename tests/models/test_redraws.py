"""Encoding again from drawn seeds."""

import numpy as np
import pytest
import torch

from comet_cli.errors import FileFormatError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models import comet_model
from comet_cli.models.redraws import recompositions, squared_errors
from comet_cli.worlds.tetris import Tetris


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(77)
    samples = [Tetris().sample(draw, "test") for _ in range(80)]
    return as_pictures(np.stack([sample.image for sample in samples]))


@pytest.fixture(scope="module")
def encoded(pictures):
    """The same pictures by the shipped model without redraws, and with them."""
    model = comet_model.load("tetris", device="cpu")
    assert model.card.redraws
    return model, model.encode(pictures, redraws=False), model.encode(pictures)


def test_only_pictures_that_are_not_made_up_are_encoded_again(pictures, encoded):
    model, plain, again = encoded
    before = squared_errors(recompositions(model, plain), pictures)
    after = squared_errors(recompositions(model, again), pictures)
    good = before <= model.card.redraw_above
    assert 0 < (~good).sum() < 20, "some are encoded again, most are not"
    assert torch.equal(again[good], plain[good])
    assert (after <= before).all()
    assert after[~good].mean() < before[~good].mean()


def test_what_is_encoded_beside_a_picture_does_not_matter(pictures, encoded):
    model, plain, again = encoded
    changed = (plain != again).flatten(1).any(1).nonzero().flatten().tolist()
    assert changed
    for n in changed[:2]:
        assert torch.equal(model.encode(pictures[n : n + 1])[0], again[n])


def test_a_model_in_training_encodes_once(pictures, encoded):
    model, _, _ = encoded
    torch.manual_seed(0)
    model.train()
    try:
        torch.manual_seed(5)
        once = model.encode(pictures[:8])
        torch.manual_seed(5)
        assert torch.equal(once, model.encode(pictures[:8], redraws=False))
    finally:
        model.eval()


def test_redraws_leave_the_random_state_alone(pictures, encoded):
    model, _, _ = encoded
    torch.manual_seed(3)
    before = torch.get_rng_state()
    model.encode(pictures[:20])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "facts",
    [
        {"redraws": -1},
        {"redraws": True},
        {"redraws": 2000},
        {"redraws": 4, "redraw_above": 0.0},
        {"redraws": 4, "responds": True},
        {"redraws": 4, "sees_image": True},
        {"redraws": 4, "attention": "lstm"},
    ],
)
def test_redraws_are_for_models_that_draw_seeds(facts):
    card = comet_model.load("tetris", device="cpu").card
    with pytest.raises(FileFormatError, match="redraws must be 0 or|redraw_above must be"):
        card.replace(labels=[], **facts)
