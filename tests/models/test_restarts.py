"""Encoding again from other seeds."""

import numpy as np
import pytest
import torch

from comet_cli.errors import FileFormatError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models import comet_model
from comet_cli.models.restarts import recompositions, squared_errors
from comet_cli.networks.clustering.seeds import drawn_seeds
from comet_cli.networks.competitive_encoder import CompetitiveEncoder
from comet_cli.worlds.tetris import Tetris


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(77)
    samples = [Tetris().sample(draw, "test") for _ in range(60)]
    return as_pictures(np.stack([sample.image for sample in samples]))


@pytest.fixture(scope="module")
def encoded(pictures):
    """The same pictures by the shipped model without restarts, and with them."""
    model = comet_model.load("tetris", device="cpu")
    assert model.card.restarts
    again = model.encode(pictures)
    card, model.card = model.card, model.card.replace(restarts=0)
    plain = model.encode(pictures)
    model.card = card
    return model, plain, again


def test_only_pictures_that_are_not_made_up_are_encoded_again(pictures, encoded):
    model, plain, again = encoded
    before = squared_errors(recompositions(model, plain), pictures)
    after = squared_errors(recompositions(model, again), pictures)
    good = before <= model.card.restart_above
    assert 0 < (~good).sum() < 20
    assert torch.equal(again[good], plain[good])
    assert (after <= before).all()
    assert after[~good].mean() < 0.5 * before[~good].mean()


def test_what_is_encoded_beside_a_picture_does_not_matter(pictures, encoded):
    model, plain, again = encoded
    changed = (plain != again).flatten(1).any(1).nonzero().flatten().tolist()
    assert changed
    for n in changed[:2]:
        alone = model.encode(pictures[n : n + 1])
        torch.testing.assert_close(alone[0], again[n], atol=1e-4, rtol=0)


def test_a_model_in_training_encodes_once(pictures, encoded):
    model, plain, _ = encoded
    model.train()
    try:
        assert torch.equal(model.encode(pictures), plain)
    finally:
        model.eval()


def test_drawn_seeds_are_salient_and_apart():
    embedding = torch.zeros(1, 5, 8, 8)
    salience = torch.zeros(1, 8, 8)
    for n, (row, column) in enumerate([(0, 0), (0, 5), (5, 0)]):
        embedding[0, n, row : row + 3, column : column + 3] = 20
        salience[0, row : row + 3, column : column + 3] = 9
    draws = torch.rand(40, 3, generator=torch.Generator().manual_seed(3))
    seeds = drawn_seeds(embedding.expand(40, -1, -1, -1), salience.expand(40, -1, -1), draws)
    squares = seeds[..., :3].argmax(-1).sort().values
    assert (seeds[..., :3].amax(-1) > 0).all(), "none where there is nothing"
    assert (squares == torch.arange(3)).all(1).float().mean() > 0.4, (
        "one on each, twice as often as by chance"
    )
    assert not torch.equal(seeds[0], seeds[1])


def test_parts_are_merged_otherwise_by_chance(pictures):
    torch.manual_seed(0)
    encoder = CompetitiveEncoder(8, 4, 6, 35, ground=False, parts=8).eval()
    with torch.no_grad():
        z = encoder(pictures[:1])
        tried = torch.cat([encoder.otherwise(pictures[:1], t) for t in (range(16), range(1, 16))])
        last = encoder.otherwise(pictures[:1], range(15, 16))
    assert tried.shape == (16, 4, 6) and torch.isfinite(tried).all()
    assert len({tuple(t.flatten().tolist()) for t in tried}) > 3
    assert any(torch.allclose(t, z[0], atol=1e-4) for t in tried[1:]), "little chance, same merges"
    torch.testing.assert_close(last[0], tried[15])


@pytest.mark.parametrize(
    "facts",
    [
        {"restarts": -1},
        {"restarts": True},
        {"restarts": 2000},
        {"restarts": 4, "restart_above": 0.0},
        {"restarts": 4, "responds": True},
        {"restarts": 4, "sees_image": True},
        {"restarts": 4, "attention": "lstm", "responds": False},
    ],
)
def test_restarts_are_for_models_that_start_from_seeds(facts):
    card = comet_model.load("tetris", device="cpu").card
    with pytest.raises(FileFormatError, match="restarts must be 0 or|restart_above must be"):
        card.replace(**facts)
