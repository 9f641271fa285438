"""Training on components that are taken from other pictures of the same factors."""

import json

import numpy as np
import pytest
import torch

from comet_cli.data.dataset_folder import read_metadata, write_metadata
from comet_cli.errors import CometError, FileFormatError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models.comet_model import CometModel
from comet_cli.training import distributed
from comet_cli.training.batches import draw_batch, draw_matched
from comet_cli.training.checkpoint import NAME
from comet_cli.training.loading import load_data, load_matches
from comet_cli.training.matching import Matches, match_pictures
from comet_cli.training.objective import training_loss
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe
from comet_cli.training.settings import TrainSettings

GLOBAL = {
    "encoder": "global",
    "attention": "lstm",
    "spatial": True,
    "ground": False,
    "components": 2,
    "num_steps": 2,
}
MATCH = [["place"], ["light.colour"]]


def entries(count: int) -> list[dict]:
    return [{"place": n % 5, "light": {"colour": "rgb"[n % 3]}} for n in range(count)]


@pytest.fixture
def labelled(data_folder):
    """The data set, whose pictures now have a place and a light."""
    for split, count in (("train", 12), ("test", 5)):
        found = read_metadata(data_folder, split)
        labels = entries(count)
        write_metadata(data_folder, split, [{**a, **b} for a, b in zip(found, labels, strict=True)])
    return data_folder


def test_components_come_from_pictures_with_the_same_values():
    classes = np.array([(n % 5, n % 3) for n in range(30)])
    matches, draw = match_pictures(entries(30), MATCH), np.random.default_rng(0)
    own = others = beside = 0
    for _ in range(50):
        rows = draw.integers(30, size=8)
        every, taken = matches.draw(rows, draw)
        assert np.array_equal(every[:8], rows) and taken.shape == (8, 2)
        assert set(np.unique(taken[taken >= 8])) == set(range(8, len(every)))
        for b, k in np.ndindex(taken.shape):
            assert classes[every[taken[b, k]], k] == classes[rows[b], k]
            own += taken[b, k] == b
            others += taken[b, k] not in (b, *range(8, 99))
            beside += taken[b, k] >= 8
    assert 0.45 < own / 800 < 0.6 and others > 100 and beside > 20


def test_every_match_outside_the_batch_is_drawn():
    matches, draw = Matches(np.array([[0], [1], [0], [0], [1]])), np.random.default_rng(0)
    found = [matches.draw(np.array([0]), draw)[0] for _ in range(60)]
    assert {int(rows[-1]) for rows in found if len(rows) > 1} == {2, 3}


def test_a_picture_that_none_matches_keeps_its_component():
    matches, draw = Matches(np.array([[0], [1], [0]])), np.random.default_rng(0)
    for _ in range(20):
        every, taken = matches.draw(np.array([1]), draw)
        assert every.tolist() == [1] and taken.tolist() == [[0]]


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ([["size"]], "match names 'size', which .* does not have; it has light.colour, place"),
        ([["place", "number"]], "match names place, number, in which no two pictures agree"),
    ],
)
def test_labels_that_cannot_be_matched_are_refused(match, message):
    pictures = [{**e, "number": n} for n, e in enumerate(entries(6))]
    if "size" in message:
        pictures = entries(6)
    with pytest.raises(CometError, match=message):
        match_pictures(pictures, match)


def test_factors_of_a_grid_have_names():
    pictures = [{"factors": {"x": n % 2}, "values": {"x": "ab"[n % 2]}} for n in range(4)]
    every, _ = match_pictures(pictures, [["x"]]).draw(np.array([1]), np.random.default_rng(3))
    assert set(every) <= {1, 3}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"train": {"match": [["place"]]}}, "the factors of each of the 2 components"),
        ({"train": {"match": [["place"], []]}}, "one or more names of factors"),
        ({"train": {"match": ["place", "light"]}}, "one or more names of factors"),
        ({"train": {"match": MATCH}, "data": {"flip": True}}, "without flip and colour_jitter"),
        ({"train": {"match": MATCH}, "data": {"colour_jitter": 0.1}}, "without flip"),
    ],
)
def test_recipes_that_cannot_be_matched_are_refused(quadratic, facts, message):
    with pytest.raises(FileFormatError, match=message):
        quadratic(model=GLOBAL, **facts)


def test_match_is_not_for_objects(quadratic):
    with pytest.raises(FileFormatError, match="match is for the global encoder"):
        quadratic(train={"match": [["a"], ["b"], ["c"]]})


def test_match_is_for_one_data_set(quadratic_toml):
    text = quadratic_toml(model=GLOBAL, train={"match": MATCH})
    text = text.replace('train = "pictures"', 'train = [{path = "a"}, {path = "b"}]')
    with pytest.raises(FileFormatError, match="match is for one data set"):
        parse_recipe(text)


def test_match_needs_a_split_with_labels(tmp_path, quadratic, data_folder):
    plain = data_folder / "train"
    (plain / "metadata.jsonl").unlink()
    recipe = quadratic(model=GLOBAL, data={"train": str(plain)}, train={"match": MATCH})
    with pytest.raises(CometError, match="match needs labels, and .* has no split train"):
        load_matches(recipe, load_data(recipe, 5)[0])


def test_the_loss_is_of_the_picture_that_its_components_taken_elsewhere_make_up(images, quadratic):
    recipe = quadratic(model=GLOBAL)
    torch.manual_seed(0)
    model, settings = CometModel(recipe.card), TrainSettings(1)
    x = as_pictures(images[:6])
    own = torch.arange(4)[:, None].repeat(1, 2)
    plain, error = training_loss(model, x[:4], settings, 0)
    loss, same = training_loss(model, x, settings, 0, own)
    assert loss.item() == pytest.approx(plain.item()) and same == pytest.approx(error)
    taken = torch.tensor([[0, 5], [1, 1], [4, 2], [3, 0]])
    z = model.encode(x)[taken, torch.arange(2)]
    model.encoder.forward = lambda pictures: z
    expected, _ = training_loss(model, x[:4], settings, 0)
    del model.encoder.forward
    loss, _ = training_loss(model, x, settings, 0, taken)
    assert loss.item() == pytest.approx(expected.item()) != pytest.approx(plain.item())


def test_a_matched_batch_begins_with_the_plain_one(labelled, quadratic):
    recipe = quadratic(model=GLOBAL, data={"train": str(labelled)}, train={"match": MATCH})
    images, _, _ = load_data(recipe, 5)
    matches = load_matches(recipe, images)
    x, taken = draw_matched(images, recipe, 3, matches)
    assert torch.equal(x[:4], draw_batch(images, recipe, 3)) and taken.max() < len(x)
    again = draw_matched(images, recipe, 3, matches)
    assert torch.equal(again[0], x) and torch.equal(again[1], taken)


def test_pictures_that_are_held_out_are_left_out_of_the_matches(labelled, quadratic):
    for path in (labelled / "test").iterdir():
        path.unlink()
    (labelled / "test").rmdir()
    recipe = quadratic(model=GLOBAL, data={"train": str(labelled)}, train={"match": MATCH})
    images, held_out, _ = load_data(recipe, 5)
    assert len(images) + len(held_out.images) == 12
    matches, labels = load_matches(recipe, images), entries(12)
    for iteration in range(20):
        draw = np.random.default_rng(iteration)
        every, taken = matches.draw(draw.integers(len(images), size=4), draw)
        rows = images.parts[0].rows[every]
        for b, k in np.ndindex(taken.shape):
            (name,) = MATCH[k][0].split(".")[:1]
            assert labels[rows[taken[b, k]]][name] == labels[rows[b]][name]


def test_a_recipe_with_matches_trains_and_resumes(tmp_path, labelled, quadratic_toml):
    text = quadratic_toml(
        model=GLOBAL, data={"train": str(labelled)}, train={"match": MATCH, "log_every": 1}
    )
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace("iterations = 20", "iterations = 6"))
    for name, stops in (("whole", [9e9]), ("parts", [0, 9e9])):
        for seconds in stops:
            train_recipe(path, tmp_path / name, max_seconds=seconds, device="cpu")
    whole, parts = (torch.load(tmp_path / n / NAME, weights_only=True) for n in ("whole", "parts"))
    for name, value in whole["model"].items():
        assert torch.equal(parts["model"][name], value), name
    plain = parse_recipe(path.read_text().replace("match =", "# match ="))
    train_recipe(plain, tmp_path / "plain", device="cpu")
    losses = {
        name: json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["loss"]
        for name in ("whole", "plain")
    }
    assert losses["whole"] != losses["plain"]


def test_processes_share_a_matched_batch_out(images, quadratic, monkeypatch):
    recipe = quadratic(model=GLOBAL)
    torch.manual_seed(0)
    model, settings = CometModel(recipe.card), TrainSettings(1)
    x = as_pictures(images[:6])
    taken = torch.tensor([[0, 5], [1, 1], [4, 2], [3, 0]])
    whole, _ = training_loss(model, x, settings, 0, taken)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "part", lambda t, rank=rank: t.chunk(2)[rank])
        parts.append(training_loss(model, x, settings, 0, taken)[0].item())
    assert parts[0] != pytest.approx(parts[1])
    assert sum(parts) / 2 == pytest.approx(whole.item(), rel=1e-5)
