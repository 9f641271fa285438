"""From a recipe to a model folder."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.errors import (
    CometError,
    CometWarning,
    FileFormatError,
    MissingExtraError,
    UsageError,
)
from comet_cli.evaluation.measure import measure
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models import comet_model
from comet_cli.models.comet_model import CometModel
from comet_cli.models.readme import flat, model_readme
from comet_cli.training.loading import load_data
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe, with_tensorboard
from comet_cli.training.starting import grown, start_weights

SHORT = {"iterations": 4, "ema": 0.5, "log_every": 2}


@pytest.fixture
def recipe_file(tmp_path, data_folder, quadratic_toml):
    """Return a function of facts to a recipe file on the data set."""

    def make(data=None, train=None, **rest):
        data = {"train": str(data_folder), **(data or {})}
        path = tmp_path / "recipe.toml"
        path.write_text(quadratic_toml(data=data, train={**SHORT, **(train or {})}, **rest))
        return path

    return make


def split_of(recipe_text_data: dict, quadratic_toml, measured: int = 3):
    images, held_out, _ = load_data(parse_recipe(quadratic_toml(data=recipe_text_data)), measured)
    return images, held_out.images, held_out.masks


def test_training_ends_with_a_model_folder_that_can_be_used_at_once(
    tmp_path, recipe_file, data_folder
):
    path, folder = recipe_file(), tmp_path / "runs" / "tiny"
    lines = []
    card, result = train_recipe(path, folder, report=lines.append, device="cpu")
    assert {p.name for p in folder.iterdir()} == {
        "README.md", "card.json", "checkpoint.pt", "log.jsonl", "model.safetensors", "recipe.toml",
        "samples-0000004.png",
    }  # fmt: skip
    assert [line["iteration"] for line in lines] == [2, 4]
    model = comet_model.load(folder, device="cpu")
    assert model.card == card
    average = torch.load(folder / "checkpoint.pt", weights_only=True)["ema"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, average[name])
    held_out = np.stack([np.asarray(Image.open(p)) for p in sorted(data_folder.glob("test/*.png"))])
    z = model.encode(torch.from_numpy(held_out).permute(0, 3, 1, 2).float() / 255)
    assert z.shape == (5, 3, 6) and z.isfinite().all()
    masks = np.stack(
        [np.asarray(Image.open(p)) for p in sorted(data_folder.glob("masks/testset/*.png"))]
    )
    assert card.figures == measure(model, held_out, masks)
    assert (folder / "recipe.toml").read_text() == path.read_text()
    assert (card.iterations, card.recipe) == (4, "recipe.toml")
    assert card.train_seconds == pytest.approx(result.seconds, abs=0.06)


def test_nothing_written_names_a_folder_of_this_machine(tmp_path, recipe_file, quadratic_toml):
    """Except the recipe, which is the user's own text."""
    train_recipe(recipe_file(), tmp_path / "out", device="cpu")
    for name in ("README.md", "card.json", "log.jsonl"):
        assert str(tmp_path) not in (tmp_path / "out" / name).read_text()


def test_a_second_call_goes_on_and_a_third_has_nothing_to_do(tmp_path, recipe_file):
    path, folder = recipe_file(), tmp_path / "out"
    card, result = train_recipe(path, folder, max_seconds=0, device="cpu")
    assert (card.iterations, result.finished) == (0, False)
    assert comet_model.load(folder, device="cpu").card == card, "usable, though untrained"
    card, result = train_recipe(path, folder, device="cpu")
    assert (card.iterations, result.finished) == (4, True)
    weights = (folder / "model.safetensors").read_bytes()
    again, _ = train_recipe(path, folder, device="cpu")
    assert (folder / "model.safetensors").read_bytes() == weights
    assert again.weights_sha256 == card.weights_sha256
    fresh, _ = train_recipe(path, tmp_path / "whole", device="cpu")
    assert fresh.weights_sha256 == card.weights_sha256


def test_fine_tuning_starts_from_the_weights_of_a_model_folder(tmp_path, recipe_file):
    first, _ = train_recipe(recipe_file(), tmp_path / "first", device="cpu")
    path = recipe_file(train={"start_from": str(tmp_path / "first"), "seed": 5})
    tuned, _ = train_recipe(path, tmp_path / "tuned", max_seconds=0, device="cpu")
    assert tuned.weights_sha256 == first.weights_sha256
    moved, _ = train_recipe(path, tmp_path / "tuned", device="cpu")
    assert moved.weights_sha256 != first.weights_sha256


def test_a_card_counts_what_led_to_the_weights_in_all(tmp_path, recipe_file):
    first, _ = train_recipe(recipe_file(), tmp_path / "first", device="cpu")
    assert first.started_from == {} and first.iterations == 4
    path = recipe_file(train={"start_from": str(tmp_path / "first"), "iterations": 3})
    second, result = train_recipe(path, tmp_path / "second", device="cpu")
    assert second.started_from == {
        "name": first.name,
        "weights_sha256": first.weights_sha256,
        "iterations": 4,
        "train_seconds": first.train_seconds,
    }
    assert second.iterations == 7
    assert second.train_seconds == round(first.train_seconds + result.seconds, 1)
    text = (tmp_path / "second" / "README.md").read_text()
    assert f"7 iterations, 0 minutes, of these 4 of `{first.name}`" in text
    assert first.weights_sha256[:12] in text
    with pytest.raises(FileFormatError, match="started_from must be empty or hold name"):
        second.replace(started_from={"name": "first"})


def test_what_a_training_started_from_stays_what_it_was(tmp_path, recipe_file):
    place = tmp_path / "first"
    first, _ = train_recipe(recipe_file(), place, device="cpu")
    text = recipe_file(train={"start_from": str(place), "iterations": 3}).read_text()
    path, longer = tmp_path / "short.toml", tmp_path / "longer.toml"
    path.write_text(text)
    longer.write_text(text.replace("iterations = 3", "iterations = 5"))
    train_recipe(path, tmp_path / "second", device="cpu")
    train_recipe(recipe_file(train={"iterations": 6}), place, device="cpu")
    again, _ = train_recipe(longer, tmp_path / "second", device="cpu")
    assert again.started_from["weights_sha256"] == first.weights_sha256
    assert again.iterations == 5 + 4
    shutil.rmtree(place)  # what it began from is not asked for again
    assert train_recipe(longer, tmp_path / "second", device="cpu")[0].iterations == 9


@pytest.mark.parametrize("facts", [{"filter_dim": 4}, {"filter_dim": 16}, {"latent_dim": 5}])
def test_fine_tuning_of_another_architecture_is_refused(tmp_path, recipe_file, facts):
    train_recipe(recipe_file(), tmp_path / "first", max_seconds=0, device="cpu")
    path = recipe_file(train={"start_from": str(tmp_path / "first")}, model=facts)
    with pytest.raises(CometError, match="start_from: .*first' has another architecture"):
        train_recipe(path, tmp_path / "second", device="cpu")


def test_fine_tuning_with_longer_latents_keeps_what_the_model_did(tmp_path, recipe_file, images):
    train_recipe(recipe_file(), tmp_path / "first", max_seconds=0, device="cpu")
    path = recipe_file(train={"start_from": str(tmp_path / "first")}, model={"latent_dim": 8})
    train_recipe(path, tmp_path / "second", max_seconds=0, device="cpu")
    first, second = (
        comet_model.load(str(tmp_path / "first")),
        comet_model.load(str(tmp_path / "second")),
    )
    x = as_pictures(images[:4])
    z = torch.randn(4, 3, 6)
    longer = torch.cat([z, torch.randn(4, 3, 2)], -1)
    torch.testing.assert_close(second.energy(x, longer), first.energy(x, z))


def test_half_weights_are_half_the_file_and_are_what_was_measured(tmp_path, recipe_file):
    train_recipe(recipe_file(), tmp_path / "whole", device="cpu")
    card, result = train_recipe(
        recipe_file(train={"weights": "float16"}), tmp_path / "half", device="cpu"
    )
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = comet_model.load(str(tmp_path / "half"))
    for name, value in result.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded.card.figures == card.figures


def test_fine_tuning_with_a_new_output_keeps_what_the_model_did(tmp_path, recipe_file):
    train_recipe(recipe_file(), tmp_path / "first", device="cpu")
    facts = {"start_from": str(tmp_path / "first")}
    path = recipe_file(train=facts, model={"responds": True, "num_steps": 2})
    train_recipe(path, tmp_path / "second", max_seconds=0, device="cpu")
    first, second = (
        comet_model.load(str(tmp_path / "first")),
        comet_model.load(str(tmp_path / "second")),
    )
    z = torch.randn(1, 3, 6)
    old, new = first.bind(z), second.bind(z)
    torch.testing.assert_close(new.mean, old.mean)
    torch.testing.assert_close(new.precision, old.precision)
    old_ground = first.state_dict()["encoder.to_background.0.weight"]
    ground = second.state_dict()["encoder.to_background.0.weight"]
    assert torch.equal(ground[:, :-3], old_ground) and not ground[:, -3:].any()


def test_fine_tuning_for_larger_pictures_keeps_every_level_there_was(quadratic):
    facts = {
        "encoder": "global",
        "attention": "lstm",
        "spatial": True,
        "labels": [],
        "ground": False,
    }
    small = quadratic(model={**facts, "image_size": 64})
    torch.manual_seed(1)
    old = CometModel(small.card).state_dict()
    new = CometModel(quadratic(model={**facts, "image_size": 128}).card).state_dict()
    found = grown(old, new)
    assert found is not None and found.keys() == new.keys()
    for key in old.keys() - {"energy_network.modulation.2.weight"}:
        assert torch.equal(found[key][tuple(slice(n) for n in old[key].shape)], old[key]), key
    added = found["energy_network.grow.4.weight"]
    middle = added[:, :, 1, 1]
    torch.testing.assert_close(middle, torch.eye(len(middle)), atol=0.1, rtol=0)


@pytest.mark.parametrize(("old", "new"), [(24, 32), (64, 40)])
def test_a_map_of_another_size_is_read_as_the_former_one_was(quadratic, old, new):
    facts = {"encoder": "global", "attention": "lstm", "spatial": True, "labels": []}
    facts["ground"] = False
    models = [CometModel(quadratic(model={**facts, "image_size": s}).card) for s in (old, new)]
    found = grown(*(model.state_dict() for model in models))
    assert found is not None
    filters = len(found["encoder.narrow.weight"])
    sides = [round((m.encoder.hidden.in_features / filters) ** 0.5) for m in models]
    assert sides[0] != sides[1]
    x = torch.rand(2, filters, sides[1], sides[1])
    smaller = torch.nn.functional.interpolate(x, (sides[0], sides[0]), mode="bilinear")
    expected = smaller.flatten(1) @ models[0].encoder.hidden.weight.T
    torch.testing.assert_close(x.flatten(1) @ found["encoder.hidden.weight"].T, expected)


def test_what_a_training_lacks_is_found_before_a_folder_is_made(tmp_path, recipe_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    odd = {"encoder": "global", "spatial": True, "ground": False}
    for train, model in (
        ({"tensorboard": True}, {}),
        ({"small_iterations": 2}, odd),
        ({"compile": True}, {"sees_image": True, "num_steps": 2}),
    ):
        with pytest.raises(CometError):
            train_recipe(recipe_file(train=train, model=model), tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()


def test_fine_tuning_from_nothing_is_an_unknown_model(tmp_path, recipe_file):
    path = recipe_file(train={"start_from": "no-such-model"})
    with pytest.raises(CometError, match="unknown model 'no-such-model'"):
        train_recipe(path, tmp_path / "out", device="cpu")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, recipe_file):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="out' is no folder"):
        train_recipe(recipe_file(), tmp_path / "out", device="cpu")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_checkpoint_of_another_model_is_one_sentence(tmp_path, recipe_file):
    train_recipe(recipe_file(), tmp_path / "out", max_seconds=0, device="cpu")
    path = recipe_file(model={"latent_dim": 5})
    with pytest.raises(UsageError, match="by another recipe: model.latent_dim is 5, was"):
        train_recipe(path, tmp_path / "out", device="cpu")
    with pytest.raises(FileFormatError, match="checkpoint.pt does not fit this recipe"):
        train_recipe(path, tmp_path / "out", device="cpu", force=True)


def test_a_loss_that_differs_is_named(tmp_path, recipe_file):
    """Among many losses the sentence names the one, not the first of the table."""
    many = {"parsimony": 3e-4, "purity": 5e-4, "area": 2e-3, "gradient": 0.1}
    train_recipe(recipe_file(train=many), tmp_path / "out", max_seconds=0, device="cpu")
    path = recipe_file(train={**many, "area": 1e-3, "dependence": 0.1})
    told = r"recipe: train.dependence is 0.1, was not set; train.area is 0.001, was 0.002;"
    with pytest.raises(UsageError, match=told):
        train_recipe(path, tmp_path / "out", device="cpu")
    path = recipe_file(train={"parsimony": 3e-4, "purity": 5e-4, "area": 2e-3})
    with pytest.raises(UsageError, match=r"recipe: train.gradient is not set, was 0.1;"):
        train_recipe(path, tmp_path / "out", device="cpu")


def test_of_long_settings_the_part_that_differs_is_told(tmp_path, recipe_file):
    said = "pictures " * 9
    train_recipe(
        recipe_file(model={"limits": f"{said}1"}), tmp_path / "out", max_seconds=0, device="cpu"
    )
    path = recipe_file(model={"limits": f"{said}2"})
    with pytest.warns(CometWarning, match="model.limits is …2', was …1'"):
        train_recipe(path, tmp_path / "out", max_seconds=0, device="cpu")


@pytest.mark.parametrize("seed", [0, 3])
def test_start_weights_are_those_of_the_seed(quadratic, seed):
    weights = start_weights(quadratic(train={"seed": seed}))
    torch.manual_seed(seed)
    random = CometModel(quadratic().card).state_dict()
    assert all(torch.equal(v, random[k]) for k, v in weights.items())


def names(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_of_a_data_set_the_test_split_is_held_out(data_folder, quadratic_toml):
    images, held_out, masks = split_of(
        {"train": str(data_folder), "held_out_count": 2}, quadratic_toml
    )
    assert len(images) == 12 and len(held_out) == 3 and masks.shape == (3, 16, 16)
    first = np.asarray(Image.open(data_folder / "test" / "000000.png"))
    assert np.array_equal(held_out[0], first)
    assert ((masks > 0) == (held_out != 60).any(-1)).all()
    more = split_of({"train": str(data_folder), "held_out_count": 4}, quadratic_toml)
    assert len(more[1]) == 4


@pytest.mark.parametrize("layout", ["no test split", "plain folder", "array"])
def test_where_nothing_is_set_apart_a_tenth_is_held_out_the_same_each_time(
    tmp_path, data_folder, quadratic_toml, layout
):
    source = data_folder
    pictures = [np.asarray(Image.open(p)) for p in sorted(data_folder.glob("train/*.png"))]
    if layout == "no test split":
        shutil.rmtree(data_folder / "test")
    elif layout == "plain folder":
        source = tmp_path / "plain"
        source.mkdir()
        for n, picture in enumerate(pictures):
            Image.fromarray(picture).save(source / f"{n:02d}.png")
    else:
        source = tmp_path / "pictures.npy"
        np.save(source, np.stack(pictures))
    images, held_out, masks = split_of({"train": str(source)}, quadratic_toml)
    assert len(images) == 11 and len(held_out) == 1
    assert names(images) | names(held_out) == names(np.stack(pictures))
    assert not names(images) & names(held_out)
    again = split_of({"train": str(source)}, quadratic_toml)
    assert np.array_equal(again[0], images) and np.array_equal(again[1], held_out)
    assert (masks is not None) == (layout == "no test split")


def test_held_out_pictures_may_lie_in_another_folder(tmp_path, data_folder, quadratic_toml):
    other = tmp_path / "other"
    other.mkdir()
    white = np.full((16, 16, 3), 255, np.uint8)
    Image.fromarray(white).save(other / "white.png")
    images, held_out, masks = split_of(
        {"train": str(data_folder), "held_out": str(other)}, quadratic_toml
    )
    assert len(images) == 12 and np.array_equal(held_out, [white]) and masks is None


def test_one_picture_is_too_few(tmp_path, quadratic_toml):
    Image.new("RGB", (16, 16)).save(tmp_path / "only.png")
    with pytest.raises(CometError, match="holds 1 picture.*at least 2"):
        split_of({"train": str(tmp_path)}, quadratic_toml)


def test_a_data_folder_that_is_not_there_is_named(tmp_path, recipe_file):
    path = recipe_file(data={"train": str(tmp_path / "absent")})
    with pytest.raises(CometError, match="there is no folder .*absent"):
        train_recipe(path, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_readme_says_what_the_card_says(quadratic):
    figures = {"reconstruction": {"count": 5, "psnr": 31.23456}, "segmentation": {"ari": None}}
    card = quadratic(model={"licence": "MIT", "description": "Squares."}).card
    text = model_readme(card.replace(figures=figures, iterations=1200, train_seconds=90.0))
    head, _, body = text.partition("---\n# tiny\n")
    assert "license: mit\n" in head and head.startswith("---\n")
    for row in (
        "| components K | 3 |",
        "| encoder | recurrent, colouring attention |",
        "| energy | quadratic |",
        "| rendering | 3 steps of 1, from grey |",
        "| training | 1200 iterations, 2 minutes |",
        "| reconstruction.psnr | 31.23 |",
        "| reconstruction.count | 5 |",
    ):
        assert row in body, row
    assert "Squares." in body and "-m tiny" in body


def test_nested_figures_become_dotted_rows():
    nested = json.loads('{"a": {"b": {"c": 0.123456}, "d": 2}, "e": "word"}')
    assert flat(nested) == [("a.b.c", "0.1235"), ("a.d", "2"), ("e", "word")]


def test_tensorboard_that_is_not_installed_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install tensorboard"):
        with_tensorboard(None, tmp_path)


def test_figures_are_those_of_the_measured_folder_not_of_the_one_the_log_watches(
    tmp_path, recipe_file
):
    other = tmp_path / "other"
    other.mkdir()
    rng = np.random.default_rng(5)
    for n in range(3):
        Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(
            other / f"{n}.png"
        )
    card, result = train_recipe(
        recipe_file(data={"measured": str(other)}), tmp_path / "out", device="cpu"
    )
    images = np.stack([np.asarray(Image.open(p)) for p in sorted(other.glob("*.png"))])
    assert card.figures == measure(result.model, images)
    assert "segmentation" not in card.figures
