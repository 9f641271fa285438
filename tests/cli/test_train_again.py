"""Going on with a training: what differs is said, what was held out stays, nothing is lost."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from comet_cli.errors import UsageError
from comet_cli.formats.files import write_output
from comet_cli.models import library
from comet_cli.training import checkpoint, going_on, loop, run
from comet_cli.training.checkpoint import look

WORDS = ("train", "recipe.toml", "-o", "out", "--device", "cpu")


@pytest.fixture
def begun(train):
    """A training of three iterations in out/; return the runner."""
    done = train(*WORDS, "-q")
    assert done.code == 0, done.err
    return train


def change(old: str, new: str) -> None:
    text = Path("recipe.toml").read_text()
    assert old in text
    Path("recipe.toml").write_text(text.replace(old, new))


def contents() -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path("out").iterdir() if p.is_file()}


@pytest.mark.parametrize("more", [True, False], ids=["more iterations", "nothing left"])
def test_another_recipe_is_refused_unless_it_is_asked_for(begun, more):
    before = contents()
    change("ema = 0.9", "ema = 0.5")
    change("batch = 2", "batch = 3")
    if more:
        change("iterations = 3", "iterations = 4")
    done = begun(*WORDS)
    assert done.code == 2 and contents() == before
    assert "batch is 3, was 2" in done.err and "ema is 0.5, was 0.9" in done.err
    done = begun(*WORDS, "--force")
    assert done.code == 0 and "goes on by another recipe" in done.err
    assert look(Path("out")).iteration == 3 + more


def test_a_training_that_replaces_a_model_leaves_nothing_of_it(begun):
    Path("out", "checkpoint.pt").unlink()
    for name in ("measured.json", "origin.json", "samples-0000900.png", "notes.txt"):
        Path("out", name).write_text("{}")
    assert begun(*WORDS).code == 2 and Path("out", "measured.json").exists()
    assert begun(*WORDS, "--force").code == 0
    assert {*contents()} == {
        "README.md", "card.json", "checkpoint.pt", "log.jsonl", "model.safetensors", "notes.txt",
        "recipe.toml", "samples-0000003.png",
    }  # fmt: skip
    lines = Path("out", "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [1, 2, 3]


def test_a_training_that_went_astray_before_it_was_saved_says_so(train):
    change("learning_rate = 1e-3", "learning_rate = 1e30")
    done = train(*WORDS)  # the first line of the log renders held-out pictures
    assert done.code == 1 and "energy of held-out pictures is not finite at iteration 1" in done.err
    assert "nothing was saved yet" in done.err and "--step-size" not in done.err
    change("learning_rate = 1e30", "learning_rate = 1e-3")
    assert train(*WORDS).code == 0


def test_a_training_that_went_astray_goes_on_with_a_lower_learning_rate(train):
    change("iterations = 3", "iterations = 6\ncheckpoint_minutes = 0")
    change("log_every = 1", "log_every = 100")
    change("learning_rate = 1e-3", "learning_rate = 1e30\nwarm_up = 2")
    done = train(*WORDS)
    assert done.code == 1 and "is not finite at iteration" in done.err
    kept = int(re.search("the checkpoint of iteration ([0-9]) is kept", done.err)[1])
    assert look(Path("out")).iteration == kept
    change("learning_rate = 1e30", "learning_rate = 1e-3")
    assert "train.learning_rate is 0.001, was 1e+30" in train(*WORDS).err


def test_more_iterations_are_told_and_go_on(begun):
    change("iterations = 3", "iterations = 5")
    done = begun(*WORDS)
    assert done.code == 0 and "train.iterations is 5, was 3" in done.err
    assert "learning rate" not in done.err
    assert look(Path("out")).iteration == 5


def test_a_setting_that_comet_no_longer_knows_is_named_without_all_that_it_does(begun):
    path = Path("out", "checkpoint.pt")
    content = torch.load(path, weights_only=True)
    content["recipe"] = content["recipe"].replace("batch = 2", "batch = 2\nyonder = 1e-3")
    torch.save(content, path)
    done = begun(*WORDS)
    assert done.code == 2 and "not one that this comet reads" in done.err
    assert "unknown yonder" in done.err and "known are" not in done.err
    assert begun(*WORDS, "--force").code == 0


def held() -> set[str]:
    return set(look(Path("out")).pictures["0"]["held_out"])


def test_what_was_held_out_stays_held_out_when_the_folder_grows(begun):
    before = held()
    shutil.copy("pictures/00.png", "pictures/z.png")
    for n in range(30):
        pixels = np.random.default_rng(n).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"pictures/0{n}-new.png")
    change("iterations = 3", "iterations = 4")
    done = begun(*WORDS)
    assert done.code == 2 and "holds 43 pictures, 12 when this training began" in done.err
    assert look(Path("out")).iteration == 3
    done = begun(*WORDS, "--force")
    assert done.code == 0 and held() == before
    change("iterations = 4", "iterations = 5")
    assert begun(*WORDS).code == 0 and held() == before


def test_other_pictures_of_the_same_names_are_told(begun):
    for path in list(Path("pictures").iterdir())[:6]:
        pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    done = begun(*WORDS)
    assert done.code == 2 and "other pictures than when this training began" in done.err


def test_one_training_at_a_time_in_a_folder(begun):
    pytest.importorskip("fcntl")
    change("iterations = 3", "iterations = 4")
    with going_on.alone(Path("out")):
        done = begun(*WORDS)
        assert done.code == 2 and "another training is at work in 'out'" in done.err
    assert begun(*WORDS).code == 0
    assert going_on.LOCK not in os.listdir("out")


def test_a_lock_that_another_training_takes_away_is_not_held(begun, monkeypatch):
    """It ends between our opening its file and our locking it."""
    pytest.importorskip("fcntl")
    opened, real = [], os.open

    def open_and_lose(path, *rest):
        handle = real(path, *rest)
        if not opened:
            os.unlink(path)
        opened.append(path)
        return handle

    monkeypatch.setattr(going_on.os, "open", open_and_lose)
    with going_on.alone(Path("out")):
        assert len(opened) == 2
        with pytest.raises(UsageError, match="another training"), going_on.alone(Path("out")):
            pass
    assert going_on.LOCK not in os.listdir("out")


def test_more_iterations_of_a_cosine_say_what_the_learning_rate_does(begun):
    change("learning_rate = 1e-3", 'learning_rate = 1e-3\nschedule = "cosine"')
    assert begun(*WORDS, "--force").code == 0
    change("iterations = 3", "iterations = 5")
    done = begun(*WORDS)
    assert done.code == 0 and "the learning rate follows the cosine over all of" in done.err


def test_a_full_disk_at_the_checkpoint_loses_no_model(train, monkeypatch):
    def full(path, data):
        if Path(path).name == checkpoint.NAME:
            raise checkpoint.FileFormatError("no space left for 'checkpoint.pt'")
        write_output(path, data)

    monkeypatch.setattr(checkpoint, "write_output", full)
    change("log_every = 1", "log_every = 1\ncheckpoint_minutes = 0")
    done = train(*WORDS)
    assert done.code == 1 and "the model is in out" in done.err and "no space left" in done.err
    assert "iteration 3" in done.err  # it went on after a checkpoint on the way had failed
    assert json.loads(Path("out/card.json").read_text())["iterations"] == 3
    assert train("encode", "pictures/00.png", "-m", "out", "-o", "a.z").code == 0


def test_a_full_disk_at_the_log_or_a_sample_sheet_stops_no_training(train, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    usual = Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, *a, **k: (full if p.name == "log.jsonl" else usual)(p, *a, **k)
    )
    monkeypatch.setattr(loop, "write_samples", full)
    change("log_every = 1", "log_every = 1\nsample_minutes = 0")
    done = train(*WORDS)
    assert done.code == 0 and look(Path("out")).iteration == 3
    assert "no line of the log was written: No space left" in done.err
    assert "no sample sheet was written: No space left" in done.err


def test_a_model_without_a_checkpoint_is_not_replaced(begun):
    os.unlink("out/checkpoint.pt")
    before = contents()
    done = begun(*WORDS)
    assert done.code == 2 and "holds a model and no checkpoint" in done.sentence
    assert contents() == before
    assert begun(*WORDS, "--force").code == 0 and contents() != before


def test_a_readme_that_comet_did_not_write_is_kept(begun):
    written = Path("out/README.md").read_text()
    change("iterations = 3", "iterations = 4")
    assert begun(*WORDS).code == 0
    assert Path("out/README.md").read_text() != written  # it is of the new figures
    Path("out/README.md").write_text("mine")
    change("iterations = 4", "iterations = 5")
    done = begun(*WORDS)
    assert done.code == 0 and "'out/README.md' is not as comet wrote it" in done.err
    assert Path("out/README.md").read_text() == "mine"


def test_a_recipe_that_was_edited_is_kept(train):
    words = ("train", "--data", "pictures", "--preset", "objects", "-k", 2, "--size", 16)
    assert train(*words, "--iterations", 2, "-o", "out").code == 0
    mine = Path("out/recipe.toml").read_text() + "# mine\n"
    Path("out/recipe.toml").write_text(mine)
    done = train(*words, "--iterations", 3, "-o", "out")
    assert done.code == 0 and "'out/recipe.toml' is not as comet wrote it" in done.err
    assert Path("out/recipe.toml").read_text() == mine
    assert json.loads(Path("out/card.json").read_text())["recipe"] == ""
    done = train("train", "out/recipe.toml", "-o", "out")  # by the edited one itself
    assert done.code == 0 and "not as comet wrote it" not in done.err
    assert json.loads(Path("out/card.json").read_text())["recipe"] == "recipe.toml"


@pytest.mark.parametrize("place", ["closed", "closed/new", "file", "file/new"])
def test_a_folder_that_cannot_be_written_is_found_before_the_pictures_are_read(
    train, monkeypatch, place
):
    Path("file").touch()
    os.mkdir("closed")
    usual = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda p, mode: not (str(p).endswith("closed") and mode & os.W_OK) and usual(p, mode),
    )
    monkeypatch.setattr(run, "load_data", None)
    done = train("train", "recipe.toml", "-o", place, "--device", "cpu")
    assert done.code == 2 and f"'{place}' cannot be" in done.sentence


def test_a_path_spelled_otherwise_is_no_other_recipe(begun):
    change('train = "pictures"', 'train = "./pictures/"')
    done = begun(*WORDS)
    assert done.code == 0 and "another recipe" not in done.err
    words = ("train", "--preset", "objects", "--recipe-only", "--data")
    assert begun(*words, "pictures/").out == begun(*words, "pictures").out


def test_a_training_in_the_folder_of_its_pictures_goes_on(train, monkeypatch):
    change('train = "pictures"', 'train = "."')
    change("log_every = 1", "log_every = 1\nsample_minutes = 0")
    Path("recipe.toml").rename("pictures/recipe.toml")
    monkeypatch.chdir("pictures")
    assert train(*WORDS, "-q").code == 0 and list(Path("out").glob("*.png"))
    change("iterations = 3", "iterations = 4")
    done = train(*WORDS)
    assert done.code == 0 and look(Path("out")).iteration == 4
    assert look(Path("out")).pictures["0"]["pictures"] == 12


@pytest.mark.parametrize("output", ["pictures", "./pictures/", "link"])
def test_a_model_is_not_written_among_the_pictures_that_it_learns_from(train, output):
    os.symlink("pictures", "link")
    before = sorted(os.listdir("pictures"))
    for words in (["recipe.toml"], ["--data", "pictures", "--preset", "objects"]):
        done = train("train", *words, "-o", output, "--force")
        assert done.code == 2 and "is a folder of pictures that this recipe reads" in done.sentence
    assert sorted(os.listdir("pictures")) == before


@pytest.mark.parametrize("model", ["out", "out/card.json", "tiny"])
def test_it_is_told_how_many_of_the_measured_pictures_were_trained_on(begun, model):
    shutil.copytree("out", library.shipped_root() / "tiny")
    words = ("evaluate", "reconstruction", "-m", model, "--device", "cpu", "--data")
    done = begun(*words, "pictures/")
    assert done.code == 0 and "11 of these pictures were trained on" in done.err
    shutil.copytree("pictures", "others")
    assert "trained on" not in begun(*words, "others").err, "another folder is not looked through"
