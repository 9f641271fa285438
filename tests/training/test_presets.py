"""Recipes that nobody has to write."""

import dataclasses

import pytest
import torch

from comet_cli.errors import CometError, UsageError
from comet_cli.models import comet_model, library
from comet_cli.models.comet_model import CometModel
from comet_cli.training.objective import training_loss
from comet_cli.training.presets import PRESETS, Wishes, preset_recipe, recipe_name, tuning_recipe
from comet_cli.training.recipe import parse_recipe
from comet_cli.training.run import train_recipe
from comet_cli.training.starting import start_weights, with_components

WISHES = Wishes("mine", "pictures")
GLOBAL = {
    "encoder": "global",
    "attention": "lstm",
    "spatial": True,
    "ground": False,
    "labels": [],
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_whole_recipe_with_the_presets_facts(preset):
    recipe = parse_recipe(preset_recipe(preset, WISHES))
    assert recipe.card.name == "mine" and recipe.data.train == "pictures"
    for name, value in PRESETS[preset].model.items():
        assert getattr(recipe.card, name) == value
    assert recipe.train.iterations == PRESETS[preset].iterations
    CometModel(recipe.card)


def test_wishes_replace_what_the_preset_says():
    wishes = Wishes("n", "d", components=6, latent_dim=8, image_size=96, iterations=50)
    recipe = parse_recipe(preset_recipe("global", wishes))
    card = recipe.card
    assert (card.components, card.latent_dim, card.image_size) == (6, 8, 96)
    assert (recipe.train.iterations, recipe.train.warm_up) == (50, 5)


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"components": 0}, "--components is 0, expected at least 1"),
        ({"latent_dim": 1}, "--latent-dim is 1, expected at least 2"),
        ({"image_size": 8}, "--size is 8, expected at least 16"),
        ({"image_size": 70}, "--size is 70, expected a multiple of 8"),
        ({"iterations": 0}, "--iterations is 0, expected at least 1"),
    ],
)
def test_wishes_that_cannot_be_are_named_as_they_were_typed(wishes, sentence):
    with pytest.raises(UsageError, match=sentence):
        preset_recipe("global", dataclasses.replace(WISHES, **wishes))


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(UsageError, match="no preset 'faces', expected one of global, objects"):
        preset_recipe("faces", WISHES)


def test_odd_folders_become_names_and_valid_toml():
    data = 'my "best"\\pictures\n/ä b'
    recipe = parse_recipe(preset_recipe("objects", Wishes(recipe_name("ä b"), data)))
    assert recipe.data.train == data and recipe.card.name == "b"


def test_without_muon_the_preset_takes_adam(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    recipe = parse_recipe(preset_recipe("global", WISHES))
    assert recipe.train.optimizer == "adam" and recipe.train.learning_rate == 1e-3


def small_global(quadratic):
    return quadratic(model={**GLOBAL, "components": 3})


def test_fine_tuning_keeps_the_networks_and_may_change_their_number(quadratic):
    card = small_global(quadratic).card
    recipe = parse_recipe(tuning_recipe(card, "old", dataclasses.replace(WISHES, components=5)))
    for name in ("encoder", "energy", "spatial", "filter_dim", "latent_dim", "image_size"):
        assert getattr(recipe.card, name) == getattr(card, name)
    assert recipe.card.components == 5 and recipe.train.start_from == "old"


def test_kept_components_are_counted_and_labels_stay_only_with_all_of_them(quadratic):
    card = small_global(quadratic).card.replace(labels=["a", "b", "c"])
    all_kept = parse_recipe(tuning_recipe(card, "old", WISHES))
    assert all_kept.card.labels == ["a", "b", "c"]
    fewer = parse_recipe(tuning_recipe(card, "old", dataclasses.replace(WISHES, keep=(2, 0))))
    assert fewer.card.components == 2 and fewer.train.keep == [2, 0] and not fewer.card.labels


@pytest.mark.parametrize(
    ("keep", "components", "sentence"),
    [
        ((0, 1), 1, "--keep names 2 components, more than --components, which is 1"),
        ((1, 1), None, "--keep names component 1 twice"),
    ],
)
def test_components_that_cannot_be_kept_are_refused(quadratic, keep, components, sentence):
    wishes = dataclasses.replace(WISHES, keep=keep, components=components)
    with pytest.raises(UsageError, match=sentence):
        tuning_recipe(small_global(quadratic).card, "old", wishes)


def test_positional_flags_follow_the_kept_components(quadratic):
    card = small_global(quadratic).card.replace(positional=[False, True, True])
    wishes = dataclasses.replace(WISHES, keep=(1, 0), components=3)
    assert parse_recipe(tuning_recipe(card, "old", wishes)).card.positional == [True, False, True]


@pytest.mark.parametrize(
    ("old", "components", "new"),
    [
        ([False] * 3, None, [False] * 3),
        ([False] * 3, 4, [False] * 4),
        ([False, True, True], 4, [False, True, True, True]),
        ([True] * 3, 4, [True] * 4),
    ],
)
def test_a_model_that_sees_no_positions_goes_on_so(tmp_path, quadratic, old, components, new):
    card = small_global(quadratic).card.replace(positional=old)
    comet_model.save(CometModel(card), tmp_path / "old", card=card)
    wishes = dataclasses.replace(WISHES, components=components)
    recipe = parse_recipe(tuning_recipe(card, str(tmp_path / "old"), wishes))
    assert recipe.card.positional == new
    start_weights(recipe)  # whose layers are the same


def test_fine_tuning_cannot_change_d_of_global_components(quadratic):
    card = small_global(quadratic).card
    with pytest.raises(UsageError, match="--latent-dim is 99, but .* fine-tuning cannot change"):
        tuning_recipe(card, "old", dataclasses.replace(WISHES, latent_dim=99))


def test_fine_tuning_may_raise_d_of_a_recurrent_model(quadratic):
    card = quadratic().card
    wishes = dataclasses.replace(WISHES, latent_dim=card.latent_dim + 1)
    found = parse_recipe(tuning_recipe(card, "old", wishes)).card
    assert found.latent_dim == card.latent_dim + 1
    with pytest.raises(UsageError, match="fine-tuning can only raise it"):
        tuning_recipe(card, "old", dataclasses.replace(WISHES, latent_dim=card.latent_dim - 1))


def test_components_are_chosen_with_their_weights():
    weights = {
        "encoder.to_latents.weight": torch.arange(6.0)[:, None],
        "encoder.to_latents.bias": torch.arange(6.0),
        "encoder.stem.bias": torch.arange(6.0),
    }
    found = with_components(weights, 3, [2, 0])
    assert found["encoder.to_latents.bias"].tolist() == [4, 5, 0, 1]
    assert found["encoder.to_latents.weight"].flatten().tolist() == [4, 5, 0, 1]
    assert found["encoder.stem.bias"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("components", "keep"), [(2, []), (4, []), (2, [2, 1])])
def test_components_come_and_go_when_fine_tuning(tmp_path, quadratic, components, keep):
    old = small_global(quadratic)
    torch.manual_seed(0)
    model = CometModel(old.card).eval()
    comet_model.save(model, tmp_path / "old", card=old.card, overwrite=True)
    train = {"start_from": str(tmp_path / "old"), **({"keep": keep} if keep else {})}
    new = parse_recipe(
        quadratic(
            model={**GLOBAL, "components": components},
            train=train,
        ).text
    )
    tuned = CometModel(new.card).eval()
    tuned.load_state_dict(start_weights(new))
    x = torch.rand(2, 3, old.card.image_size, old.card.image_size)
    before, after = model.encode(x), tuned.encode(x)
    kept = keep or list(range(min(3, components)))
    torch.testing.assert_close(after[:, : len(kept)], before[:, kept])


def test_a_component_to_keep_that_is_not_there_is_named(tmp_path, quadratic):
    old = small_global(quadratic)
    comet_model.save(CometModel(old.card), tmp_path / "old", card=old.card, overwrite=True)
    new = quadratic(
        model={**GLOBAL, "components": 2},
        train={"start_from": str(tmp_path / "old"), "keep": [0, 7]},
    )
    with pytest.raises(CometError, match="keep names component 7, but start_from has 0 to 2"):
        start_weights(new)


def test_the_estimate_comes_before_training_and_counts_what_is_left(tmp_path, data_folder):
    text = preset_recipe(
        "objects",
        Wishes("m", str(data_folder), components=2, latent_dim=4, image_size=16, iterations=3),
    )
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace("filter_dim = 32", "filter_dim = 4"))
    told = []
    for _ in range(2):
        train_recipe(
            path,
            tmp_path / "out",
            device="cpu",
            estimate=lambda each, left: told.append((each, left)),
        )
    assert [left for _, left in told] == [3] and told[0][0] > 0


@pytest.mark.parametrize("name", sorted(path.name for path in library.shipped_root().iterdir()))
def test_every_shipped_model_can_be_gone_on_with(name):
    """By the losses of the recipe that `comet train --from` writes, all of them in force."""
    card = dataclasses.replace(comet_model.load(name, device="cpu").card, filter_dim=8)
    text = tuning_recipe(card, name, WISHES)
    recipe = parse_recipe(text)
    kept = (
        "encoder",
        "energy",
        "redraws",
        "glimpses",
        "spatial",
        "responds",
        "mean_margin",
        "init",
    )
    for fact in kept:
        assert getattr(recipe.card, fact) == getattr(card, fact)
    for fact in ("attention", "redraws", "glimpses"):
        assert (f"\n{fact} =" in text) <= card.colours
    torch.manual_seed(0)
    model = CometModel(recipe.card)
    x = torch.rand(4, 3, card.image_size, card.image_size)
    loss, _ = training_loss(model, x, recipe.train, recipe.train.iterations)
    loss.backward()
    assert loss.isfinite()
