"""Recipes: what they mean, and one sentence for everything that is wrong with one."""

import dataclasses
from pathlib import Path

import pytest

from comet_cli.errors import FileFormatError, MissingInputError
from comet_cli.training.recipe import parse_recipe, read_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
STARTS = sorted((ROOT / "recipes" / "starts").glob("*.toml"))


@pytest.mark.parametrize("path", [*RECIPES, *STARTS], ids=lambda p: p.stem)
def test_shipped_recipes_parse_and_are_called_like_their_model(path):
    recipe = read_recipe(path)
    assert recipe.card.name == path.stem
    assert recipe.text == path.read_text(encoding="utf-8")


def test_there_are_shipped_recipes():
    assert {path.stem for path in RECIPES} >= {"tetris", "clevr"}


def test_a_recipe_starts_from_one_of_the_same_networks():
    starting = [read_recipe(path) for path in (*RECIPES, *STARTS)]
    starting = [recipe for recipe in starting if recipe.train.start_from.endswith(".toml")]
    assert {ROOT / recipe.train.start_from for recipe in starting} == set(STARTS)
    texts = "name description intended_use limits dataset licence".split()
    for recipe in starting:
        start = read_recipe(ROOT / recipe.train.start_from)
        same = {name: getattr(recipe.card, name) for name in texts}
        assert dataclasses.replace(start.card, **same) == recipe.card


def test_values_arrive_where_they_belong(quadratic_toml):
    recipe = parse_recipe(
        quadratic_toml(
            model={"render_steps": 7, "render_step_size": 0.5},
            train={"schedule": "cosine", "ema": 0.9, "learning_rate": 1},
            data={"flip": True, "held_out": "elsewhere"},
        )
    )
    assert (recipe.card.name, recipe.card.components, recipe.card.render_steps) == ("tiny", 3, 7)
    assert recipe.card.render_step_size == 0.5
    assert (recipe.train.schedule, recipe.train.ema, recipe.train.learning_rate) == (
        "cosine", 0.9, 1,
    )  # fmt: skip
    assert recipe.data.flip is True and recipe.data.held_out == "elsewhere"


@pytest.mark.parametrize("name", ["../evil", "a b/c", "x."])
def test_a_name_that_no_model_can_have_is_refused(quadratic_toml, name):
    with pytest.raises(FileFormatError, match="is no model name"):
        parse_recipe(quadratic_toml(model={"name": name}))


def test_rendering_is_as_in_training_and_positions_are_seen_unless_told_otherwise(quadratic_toml):
    text = quadratic_toml(model={"num_steps": 4, "step_size": 0.25, "render_steps": None})
    card = parse_recipe(text).card
    assert (card.render_steps, card.render_step_size) == (4, 0.25)
    assert card.positional == [True, True, True]
    text = quadratic_toml(model={"positional": [False, True, True]})
    assert parse_recipe(text).card.positional == [False, True, True]


BAD = {
    "unknown key": ({"train": {"speed": 3}}, r"\[train\]: unknown speed; known are iterations"),
    "unknown fact": ({"model": {"colour": "red"}}, r"\[model\]: unknown colour"),
    "integer": ({"train": {"iterations": 1.5}}, r"iterations must be of type int, not 1\.5"),
    "boolean for integer": ({"train": {"batch": True}}, "batch must be of type int, not True"),
    "number": ({"train": {"ema": "much"}}, "ema must be of type float, not 'much'"),
    "text": ({"data": {"train": 3}}, r"\[data\]: train must be of type str, not 3"),
    "boolean": ({"data": {"flip": 1}}, "flip must be of type bool, not 1"),
    "list": ({"model": {"positional": 3}}, r"\[model\]: .*len\(\)"),
    "components": ({"model": {"components": "many"}}, "components must be of type int"),
    "missing": ({"train": {"iterations": None}}, r"\[train\]: missing iterations$"),
    "missing fact": (
        {"model": {"num_steps": None, "name": None, "render_steps": None}},
        r"\[model\]: missing name, num_steps$",
    ),
    "no data": ({"data": {"train": None}}, r"\[data\]: missing train$"),
    "iterations": ({"train": {"iterations": 0}}, "iterations must be at least 1"),
    "batch": ({"train": {"batch": 0}}, "batch must be at least 1"),
    "a batch of one": (
        {"train": {"batch": 1, "swap": 0.1}},
        "latent_noise, swap, depth_order and cover need a batch of 2 or more",
    ),
    "learning rate": ({"train": {"learning_rate": 0.0}}, "learning_rate must be a positive"),
    "schedule": ({"train": {"schedule": "linear"}}, "schedule must be constant or cosine"),
    "loss": ({"train": {"loss": "first"}}, "loss must be last or all"),
    "precision": ({"train": {"precision": "int8"}}, "precision must be auto, float32 or"),
    "optimizer": ({"train": {"optimizer": "sgd"}}, "optimizer must be adam, adamw or muon"),
    "keep without a start": ({"train": {"keep": [0]}}, "keep is for start_from"),
    "keep twice": (
        {"train": {"keep": [0, 0], "start_from": "a"}},
        "keep must list different components",
    ),
    "ema": ({"train": {"ema": 1.0}}, "ema must be at least 0 and below 1"),
    "parsimony": ({"train": {"parsimony": -1.0}}, "must not be negative"),
    "full size, a list": (
        {"train": {"full_size": [1], "small_iterations": 3}},
        "full_size must be a table of losses and their weights",
    ),
    "full size, unknown": (
        {"train": {"full_size": {"speed": 1}, "small_iterations": 3}},
        r"\[train\]: full_size: unknown speed",
    ),
    "full size, text": (
        {"train": {"full_size": {"area": "much"}, "small_iterations": 3}},
        "area must be of type float, not 'much'",
    ),
    "full size, negative": (
        {"train": {"full_size": {"area": -1}, "small_iterations": 3}},
        "area must not be negative or infinite",
    ),
    "full size all along": (
        {"train": {"full_size": {"area": 1.0}}},
        "full_size is for trainings whose small_iterations are some of the iterations",
    ),
    "a batch of one at full size": (
        {"train": {"batch": 1, "full_size": {"swap": 0.1}, "small_iterations": 3}},
        "need a batch of 2 or more",
    ),
    "margin": ({"model": {"mean_margin": 1.5}}, "mean_margin must be a number from 0 to 1"),
    "margin of another energy": (
        {"model": {"energy": "pooled-64", "mean_margin": 0.5}},
        "mean_margin is for the quadratic energy",
    ),
    "clip": ({"train": {"clip": 0.0}}, "clip must be positive"),
    "log_every": ({"train": {"log_every": 0}}, "log_every must be at least 1"),
    "minutes": ({"train": {"sample_minutes": -1}}, "sample_minutes must not be negative"),
    "seed": ({"train": {"seed": -1}}, "seed must not be negative"),
    "num_steps": (
        {"train": {"num_steps": -1}},
        "num_steps must not be negative",
    ),
    "held out": ({"data": {"held_out_count": 0}}, "held_out_count must be at least 1"),
    "jitter": ({"data": {"colour_jitter": 1.0}}, "colour_jitter must be at least 0 and below 1"),
    "colouring elsewhere": (
        {"model": {"encoder": "global", "attention": "colouring", "ground": True}},
        'colouring attention is for encoder = "recurrent"',
    ),
    "sigma of nothing": ({"train": {"mixture_sigma": 0.2}}, "mixture_sigma is for mixture and"),
    "warm-up of nothing": (
        {"train": {"perceptual_warm_up": 2}},
        "perceptual_warm_up is for perceptual",
    ),
    "factors of nothing": ({"data": {"swap_factors": ["x"]}}, "swap_factors is for swaps"),
    "pairs of nothing": ({"data": {"swaps_measured": "x"}}, "swaps_measured is for swaps"),
    "encoder": ({"model": {"encoder": "deep"}}, "encoder must be one of"),
    "no size": ({"model": {"image_size": 0}}, "must be positive integers"),
    "step size": ({"model": {"step_size": -1.0}}, "must be positive numbers"),
}


@pytest.mark.parametrize(("facts", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_wrong_recipe_is_one_sentence(quadratic_toml, facts, sentence):
    with pytest.raises(FileFormatError, match=sentence) as caught:
        parse_recipe(quadratic_toml(**facts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("key", ["learning_rate", "ema", "parsimony", "purity", "area"])
def test_numbers_that_are_none_are_refused(quadratic_toml, key, value):
    text = quadratic_toml(train={key: None}) + f"{key} = {value}\n"
    with pytest.raises(FileFormatError, match=key):
        parse_recipe(text)


def test_unknown_and_absent_sections_are_named(quadratic_toml):
    with pytest.raises(FileFormatError, match=r"unknown section \[extra\]"):
        parse_recipe(quadratic_toml() + "[extra]\n")
    model, _, rest = quadratic_toml().partition("[data]")
    data, _, train = rest.partition("[train]")
    with pytest.raises(FileFormatError, match=r"no section \[data\]"):
        parse_recipe(model + "[train]" + train)
    with pytest.raises(FileFormatError, match=r"no section \[train\]"):
        parse_recipe(model + "[data]" + data)
    with pytest.raises(FileFormatError, match=r"no section \[model\]"):
        parse_recipe("[data]" + data + "[train]" + train)
    with pytest.raises(FileFormatError, match=r"no section \[model\]"):
        parse_recipe("model = 3\n[data]" + data + "[train]" + train)


def test_text_that_is_not_toml_is_said_so():
    with pytest.raises(FileFormatError, match="mine.toml is not TOML: "):
        parse_recipe("[model\n", where="mine.toml")


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="there is no recipe .*absent.toml"):
        read_recipe(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="binary.toml cannot be read"):
        read_recipe(tmp_path / "binary.toml")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_recipe(tmp_path)
