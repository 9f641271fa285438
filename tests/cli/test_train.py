"""`comet train`: recipe in, model folder out, whatever ends it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from comet_cli.errors import CometError
from comet_cli.models import comet_model, library
from comet_cli.training import run


def steps(line: str) -> None:
    text = Path("recipe.toml").read_text()
    Path("recipe.toml").write_text(re.sub("iterations = [0-9]+", line, text))


def test_the_folder_is_printed_and_encodes_at_once(train):
    done = train("train", "recipe.toml", "-o", "out", "--device", "cpu")
    assert (done.code, done.out) == (0, "out\n")
    estimate, *lines, measuring = done.err.splitlines()
    assert [line.split()[1:3] for line in lines] == [["iteration", str(i)] for i in (1, 2, 3)]
    assert "3 iterations of" in estimate
    assert measuring == "comet: measuring on 1 held-out picture"
    assert train("encode", "pictures/00.png", "-m", "out", "-o", "a.z").code == 0
    shape = train("inspect", "a.z", "--json").json
    assert "tiny" in json.dumps(shape)
    assert comet_model.load("out", device="cpu").card.iterations == 3


def test_the_folder_is_named_after_the_recipe_by_default(train):
    done = train("train", "recipe.toml", "-q", "--device", "cpu")
    assert (done.code, done.out, done.err) == (0, f"{Path('runs', 'recipe')}\n", "")
    assert (Path("runs") / "recipe" / "card.json").is_file()


def test_json_is_one_document(train):
    done = train("train", "recipe.toml", "-o", "out", "--json", "-q", "--device", "cpu")
    (output,) = done.json["outputs"]
    assert (output["path"], output["iteration"], output["finished"]) == ("out", 3, True)
    assert output["figures"] == json.loads(Path("out/card.json").read_text())["figures"]
    assert output["figures"]["reconstruction"]["count"] == 1


def test_max_time_ends_with_a_usable_model_and_the_same_command_goes_on(train):
    words = ("train", "recipe.toml", "-o", "out", "--device", "cpu")
    done = train(*words, "--max-time", "0")
    assert done.code == 0 and "stopped at iteration 0; the same command goes on" in done.err
    assert "measuring on 1 held-out picture\n" in done.err
    assert train("encode", "pictures/00.png", "-m", "out", "-o", "a.z").code == 0
    done = train(*words, "--json", "-q")
    assert done.json["outputs"][0]["finished"] is True


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("iterations = 3", "iterations = 0"), "iterations must be at least 1"),
        (("batch", "bunch"), "unknown bunch"),
        (("[data]", "[data"), "recipe.toml is not TOML"),
    ],
)
def test_a_wrong_recipe_is_one_sentence_and_writes_nothing(train, change, sentence):
    Path("recipe.toml").write_text(Path("recipe.toml").read_text().replace(*change))
    done = train("train", "recipe.toml", "-o", "out")
    assert done.code == 1 and done.out == "" and sentence in done.sentence
    assert not Path("out").exists()
    done = train("train", "recipe.toml", "-o", "out", "--json")
    assert done.json["exit_code"] == 1 and sentence in done.json["error"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train absent.toml", "there is no recipe absent.toml"),
        ("train recipe.toml", "there is no folder 'absent' to load pictures from"),
        ("train --data absent --preset objects", "there is no folder 'absent' to load"),
        ("data check absent", "there is no folder 'absent' to check"),
        ("data pack absent -o a.npz", "there is no folder 'absent' to load pictures from"),
        ("data import images absent --out out", "the source 'absent' does not exist"),
        ("data import multi-object absent --out out", "there is no TFRecord file at 'absent'"),
        ("models import absent.pth", "absent.pth is no file"),
    ],
)
def test_an_input_that_is_not_there_is_wrong_usage_and_nothing_is_done(train, words, sentence):
    recipe = Path("recipe.toml").read_text().replace('"pictures"', '"absent"')
    Path("recipe.toml").write_text(recipe)
    before = sorted(Path().rglob("*"))
    done = train(*words.split())
    assert (done.code, done.out) == (2, "") and sentence in done.sentence
    assert done.err.count("\n") == 1 and sorted(Path().rglob("*")) == before
    done = train(*words.split(), "--json")
    assert done.json["exit_code"] == 2 and sentence in done.json["error"]
    assert sorted(Path().rglob("*")) == before


def wait_for(path: Path, process: subprocess.Popen, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"no {path.name} after {seconds} s"
        time.sleep(0.05)


def test_sigterm_ends_with_130_and_a_checkpoint_that_goes_on_exactly(train):
    steps("iterations = 1000000")
    root = Path(library.__file__).resolve().parents[2]
    words = ["train", "recipe.toml", "-o", "out", "--device", "cpu", "--json", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "comet_cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        wait_for(Path("out/log.jsonl"), process, 120)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    document = json.loads(out)
    assert (document["error"], document["exit_code"]) == ("interrupted", 130)
    assert document["outputs"][0]["finished"] is False
    # Whoever interrupts does not wait for figures.
    assert document["outputs"][0]["figures"] == {}
    assert "Traceback" not in err
    done = comet_model.load("out", device="cpu").card.iterations
    logged = [json.loads(line)["iteration"] for line in open("out/log.jsonl")]
    assert logged == list(range(1, done + 1))
    # Three more from the checkpoint are what as many without a stop are.
    steps(f"iterations = {done + 3}")
    for folder in ("out", "whole"):
        words = ("train", "recipe.toml", "-o", folder, "--device", "cpu", "-q")
        assert train(*words).code == 0
    assert comet_model.load("out", device="cpu").card.figures
    found, expected = (
        torch.load(f"{folder}/checkpoint.pt", weights_only=True) for folder in ("out", "whole")
    )
    assert found["iteration"] == expected["iteration"] == done + 3
    for name, value in expected["model"].items():
        assert torch.equal(found["model"][name], value), name
    hashes = [comet_model.load(f, device="cpu").card.weights_sha256 for f in ("out", "whole")]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("ill", [True, False], ids=["a figure fails", "a signal"])
def test_measuring_that_ends_early_leaves_the_model_and_tells_it(train, monkeypatch, ill):
    def end(*_):
        if ill:
            raise CometError("no figure today")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(run, "measure_held_out", end)
    done = train("train", "recipe.toml", "-o", "out", "--device", "cpu")
    assert (done.code, done.out) == (1 if ill else 130, "out\n")
    told = "model is in out, but not all figures were" if ill else "trained, but nothing was"
    assert f"{told} measured" in done.err
    assert comet_model.load("out", device="cpu").card.figures == {}


def small(*more):
    return ("--components", 2, "--latent-dim", 4, "--size", 16, "--iterations", 2, *more)


def test_pictures_and_a_preset_are_enough(train):
    done = train("train", "--data", "pictures", "--preset", "objects", *small())
    assert (done.code, done.out) == (0, f"{Path('runs', 'pictures')}\n"), done.err
    text = Path("runs/pictures/recipe.toml").read_text()
    assert text.strip() in done.err and "about" in done.err
    assert train("encode", "pictures/00.png", "-m", "runs/pictures", "-o", "a.z").code == 0
    again = train("train", "--data", "pictures", "--preset", "objects", *small())
    assert again.code == 0 and "about" not in again.err


def test_a_folder_of_another_training_is_left_alone(train):
    train("train", "--data", "pictures", "--preset", "objects", *small("-o", "out"))
    before = Path("out/recipe.toml").read_text()
    done = train("train", "--data", "pictures", "--preset", "global", *small("-o", "out"))
    assert done.code == 2 and "'out' holds a training by another recipe" in done.err
    assert "model.encoder is 'global', was 'recurrent'" in done.err
    assert Path("out/recipe.toml").read_text() == before


def test_more_iterations_and_other_settings_go_on_as_asked(train):
    words = ("train", "--data", "pictures", "--preset", "objects", "--components", 2, "--size", 16)
    assert train(*words, "--iterations", 2, "-o", "out").code == 0
    assert "penalty_warm_up = 1\n" in Path("out/recipe.toml").read_text()
    # The penalties have been at their full weight for long: as they were, so they stay.
    done = train(*words, "--iterations", 3, "-o", "out")
    assert done.code == 0 and "train.iterations is 3, was 2" in done.err
    assert "train.penalty_warm_up" not in done.err
    text = Path("out/recipe.toml").read_text()
    assert "iterations = 3" in text and "penalty_warm_up = 1\n" in text
    # Also where a preset of so many would not have them at their full weight yet.
    done = train(*words, "--iterations", 9, "-o", "out")
    assert done.code == 0 and "train.iterations is 9, was 3" in done.err
    assert "train.penalty_warm_up" not in done.err
    assert Path("out/recipe.toml").read_text() == text.replace("iterations = 3", "iterations = 9")
    card = comet_model.load("out", device="cpu").card
    assert (card.name, card.iterations) == ("out", 9)


def test_a_warm_up_that_is_not_over_makes_another_training(train):
    words = ("train", "--data", "pictures", "--preset", "objects", "--components", 2, "--size", 16)
    assert train(*words, "--iterations", 9, "-o", "out", "--max-time", 0).code == 0
    done = train(*words, "--iterations", 20, "-o", "out")
    assert done.code == 2 and "train.penalty_warm_up is 16, was 7" in done.err


@pytest.mark.parametrize("minutes", ["nan", "-1"])
def test_a_time_that_is_none_is_refused(train, minutes):
    done = train("train", "recipe.toml", "-o", "out", f"--max-time={minutes}")
    assert done.code == 2 and f"--max-time is {minutes}, expected minutes" in done.sentence
    assert not Path("out").exists()


def test_a_file_that_cannot_be_read_is_one_sentence_and_the_training_goes_on(train):
    Path("pictures/broken.png").write_bytes(b"no picture")
    done = train("train", "recipe.toml", "-o", "out", "--device", "cpu")
    assert done.code == 0
    told = [line for line in done.err.splitlines() if "broken.png" in line]
    assert told == [
        "comet: 1 of the files in 'pictures' could not be read, and are skipped: broken.png"
    ]
    assert "Warning" not in done.err and ".py" not in done.err
    again = train("train", "recipe.toml", "-o", "again", "-q", "--device", "cpu")
    assert (again.code, again.err) == (0, "")


@pytest.mark.parametrize("absent", [True, False])
def test_without_pictures_nothing_is_written(train, absent):
    if not absent:
        os.mkdir("empty")
    done = train("train", "--data", "empty", "--preset", "objects", *small())
    assert done.code == 1 + absent and "empty'" in done.sentence
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["pictures/00.png", "pictures"])
def test_a_picture_is_no_recipe_and_what_helps_is_said(train, name):
    done = train("train", name)
    assert done.code == 1 and f"{name} cannot be read as a recipe" in done.sentence
    assert "comet train --data DIR --preset objects" in done.sentence


def test_recipe_only_prints_it_and_writes_nothing(train):
    done = train("train", "--data", "pictures", "--preset", "global", "--recipe-only")
    assert done.code == 0 and 'train = "pictures"' in done.out and not Path("runs").exists()
    Path("mine.toml").write_text(done.out)


def test_going_on_from_a_model_with_fewer_components(train):
    first = ("--data", "pictures", "--preset", "global", *small("--name", "first"))
    assert train("train", *first).code == 0
    second = ("--data", "pictures", "--from", "runs/first", "--keep", "1", "--iterations", 1)
    done = train("train", *second, "--name", "second")
    assert done.code == 0, done.err
    assert comet_model.load("runs/second").card.components == 1


def test_a_size_that_cannot_be_gone_on_with_is_told_and_the_folder_stays_free(train):
    first = ("--data", "pictures", "--preset", "global", *small("--name", "first"))
    assert train("train", *first, "--size", 24, "-q").code == 0
    words = ("train", "--data", "pictures", "--from", "runs/first", "--iterations", 1, "-o", "out")
    done = train(*words, "--size", 40)
    assert done.code == 1 and "pictures of 40 pixels need other layers, those of 24, 32 do not" in (
        done.sentence
    )
    assert not Path("out").exists()
    assert train(*words, "--size", 32).code == 0
    assert comet_model.load("out", device="cpu").card.image_size == 32


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to train on"),
        (["--data", "pictures"], "--data needs --preset global or objects, or --from MODEL"),
        (
            ["--data", "pictures", "--preset", "global", "--from", "clevr"],
            "--preset and --from both say",
        ),
        (["--data", "pictures", "--preset", "global", "--keep", "0"], "--keep is for --from"),
        (["--data", "pictures", "--preset", "global", "--name", "a/b"], "--name is 'a/b'"),
        (["recipe.toml", "--data", "pictures"], "--data is for training without a recipe"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(train, arguments, sentence):
    done = train("train", *arguments)
    assert done.code == 2 and sentence in done.sentence
    assert not Path("runs").exists()
