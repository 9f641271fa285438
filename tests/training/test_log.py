"""The log of a training and its sample sheets."""

import json
import math

import numpy as np
import pytest
import torch
from checkpoints import assert_same_state, checkpoint, new_folder

from comet_cli.cli.train import progress_line
from comet_cli.models.comet_model import CometModel
from comet_cli.training.batches import draw_batch
from comet_cli.training.log import held_out_figures
from comet_cli.training.loop import train
from comet_cli.training.objective import training_loss


def test_the_log_has_a_line_every_so_often_and_goes_on(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 6, "log_every": 2, "ema": 0.5})
    lines = []
    train(recipe, images[:40], tmp_path, held_out=images[40:], report=lines.append)
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert written == lines
    assert [line["iteration"] for line in lines] == [2, 4, 6]
    assert set(lines[0]) == {
        "iteration", "seconds", "seconds_left", "loss",
        "train_psnr", "images_per_second", "held_out_psnr", "largest",
    }  # fmt: skip
    assert lines[-1]["seconds_left"] == 0 and lines[0]["loss"] > 0
    content = checkpoint(tmp_path)
    model = CometModel(recipe.card)
    expected = held_out_figures(model, content["ema"], images[40:])
    assert lines[-1]["held_out_psnr"] == expected["held_out_psnr"]
    longer = quadratic(train={"iterations": 8, "log_every": 2, "ema": 0.5})
    train(longer, images[:40], tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["iteration"] == 8 and "held_out_psnr" not in last


def test_what_a_killed_training_does_again_is_told_once(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 4, "log_every": 1})
    train(recipe, images, tmp_path)
    path = tmp_path / "log.jsonl"
    first = path.read_text()
    with path.open("a") as log:  # as one that was killed after its last checkpoint leaves it
        log.write('{"iteration": 5, "loss": 1.0}\n{"iteration": 6, "lo')
    train(quadratic(train={"iterations": 6, "log_every": 1}), images, tmp_path)
    assert path.read_text().startswith(first)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4, 5, 6]
    (tmp_path / "checkpoint.pt").unlink()  # from the start
    train(quadratic(train={"iterations": 1, "log_every": 1}), images, tmp_path)
    assert [json.loads(line)["iteration"] for line in path.read_text().splitlines()] == [1]


def test_a_model_that_colours_says_who_has_the_background(images, quadratic):
    """The logits of the background are the first output of the encoder's last convolution."""
    model = CometModel(quadratic().card)
    bias = model.encoder.head.bias
    with torch.no_grad():
        model.encoder.log_scale.fill_(10.0)  # every pixel is like every seed
    for logit, first in ((20.0, True), (-20.0, False)):
        with torch.no_grad():
            bias[0] = logit
        largest = held_out_figures(model, model.state_dict(), images[:4])["largest"]
        assert (largest == 0) == first
    line = {"iteration": 1, "loss": 1.0, "train_psnr": 1.0, "images_per_second": 1.0}
    line |= {"seconds_left": 1, "held_out_psnr": 9.0}
    assert "background" not in progress_line(line | {"largest": 0})
    assert "component 2 has most of the pictures" in progress_line(line | {"largest": 2})


def test_train_psnr_is_of_the_mean_error_since_the_last_line(tmp_path, images, spatial):
    train_by = {"iterations": 2, "log_every": 2, "learning_rate": 1e-12}
    recipe = spatial(train=train_by)
    lines = []
    result = train(recipe, images, tmp_path, report=lines.append)
    errors = [
        training_loss(result.model, draw_batch(images, recipe, i), recipe.train, i)[1]
        for i in range(2)
    ]
    expected = -10 * math.log10(np.mean(errors))
    assert lines[0]["train_psnr"] == pytest.approx(expected, abs=2e-3)


def test_logging_and_sampling_change_no_weight(tmp_path, images, quadratic):
    facts = {"iterations": 3, "ema": 0.5}
    quiet, chatty = new_folder(tmp_path, "quiet"), new_folder(tmp_path, "chatty")
    train(quadratic(train=facts), images, quiet)
    often = {"log_every": 1, "sample_minutes": 0, "checkpoint_minutes": 0}
    train(quadratic(train={**facts, **often}), images, chatty, held_out=images[:2])
    assert_same_state(checkpoint(chatty), checkpoint(quiet))
    sheets = sorted(path.name for path in chatty.glob("samples-*.png"))
    assert sheets == [f"samples-{i:07d}.png" for i in (1, 2, 3)]
