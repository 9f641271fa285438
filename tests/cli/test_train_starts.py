"""A recipe that starts from another recipe: that one is trained first, once."""

import json
import shutil
from pathlib import Path

import pytest

from comet_cli.training.recipe import read_recipe
from comet_cli.training.starting import untrained_starts


@pytest.fixture
def chain(train):
    """recipe.toml starts from second.toml, which starts from first.toml."""
    text = Path("recipe.toml").read_text()
    for name, start in (("first", ""), ("second", "first.toml"), ("recipe", "second.toml")):
        line = f'start_from = "{start}"\n' if start else ""
        Path(f"{name}.toml").write_text(text.replace("[train]\n", f"[train]\n{line}"))
    return train


def card(folder):
    return json.loads(Path(folder, "card.json").read_text())


def test_the_recipes_before_are_trained_first_and_counted(chain):
    done = chain("train", "recipe.toml", "-o", "mine")
    assert (done.code, done.out.splitlines()[-1]) == (0, "mine"), done.err
    assert "training runs/first, 1 of 3" in done.err
    assert [card(f)["iterations"] for f in ("runs/first", "runs/second", "mine")] == [3, 6, 9]
    start = card("mine")["started_from"]
    assert start["weights_sha256"] == card("runs/second")["weights_sha256"]
    assert start["iterations"] == 6


def test_what_is_trained_is_not_trained_again(chain):
    assert chain("train", "second.toml").code == 0
    when = Path("runs/second/card.json").stat().st_mtime_ns
    assert untrained_starts(read_recipe(Path("recipe.toml")), Path("mine")) == []
    assert chain("train", "recipe.toml").code == 0
    assert Path("runs/second/card.json").stat().st_mtime_ns == when
    # By another recipe it is another model.
    first = Path("first.toml")
    first.write_text(first.read_text().replace("iterations = 3", "iterations = 4"))
    again = untrained_starts(read_recipe(Path("second.toml")), Path("mine"))
    assert [str(f) for _, f in again] == ["runs/first"]


def test_a_training_that_has_begun_needs_its_start_no_more(chain):
    assert chain("train", "recipe.toml", "-o", "mine", "--max-time", 0).code == 0
    assert chain("train", "second.toml").code == 0
    assert chain("train", "recipe.toml", "-o", "mine").code == 0
    shutil.rmtree("runs")
    recipe = Path("recipe.toml")
    recipe.write_text(recipe.read_text().replace("iterations = 3", "iterations = 4"))
    longer = chain("train", "recipe.toml", "-o", "mine")
    assert longer.code == 0 and not Path("runs").exists(), longer.err
    assert card("mine")["iterations"] == 10


def test_time_that_ends_before_stops_there_and_the_same_command_goes_on(chain):
    stopped = chain("train", "recipe.toml", "-o", "mine", "--max-time", 0, "--json")
    assert stopped.code == 0
    assert stopped.json["outputs"][0]["finished"] is False
    assert not Path("mine").exists() and not Path("runs/second").exists()
    assert chain("train", "recipe.toml", "-o", "mine").code == 0
    assert card("mine")["iterations"] == 9


def test_a_start_that_is_not_there_or_goes_round_is_one_sentence(chain):
    first = Path("first.toml")
    first.unlink()
    missing = chain("train", "recipe.toml")
    assert missing.code == 2 and "there is no recipe first.toml" in missing.err
    first.write_text(Path("second.toml").read_text().replace("first.toml", "second.toml"))
    round_ = chain("train", "recipe.toml")
    assert round_.code == 2 and "'second.toml' starts from itself" in round_.err
    assert not Path("runs").exists()


def test_nothing_is_trained_into_the_folder_of_what_it_starts_from(chain):
    refused = chain("train", "recipe.toml", "-o", "runs/first")
    assert refused.code == 2 and "'first.toml' is trained into 'runs/first'" in refused.err
    Path("sub").mkdir()
    Path("first.toml").rename("sub/second.toml")
    second = Path("second.toml")
    second.write_text(second.read_text().replace("first.toml", "sub/second.toml"))
    refused = chain("train", "recipe.toml")
    assert refused.code == 2 and "'sub/second.toml' is trained into 'runs/second'" in refused.err
    assert not Path("runs").exists()
