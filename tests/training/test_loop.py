"""The training loop: exact resume, what stops it, what it refuses, and whether it learns."""

import math
import os
import signal
import time

import numpy as np
import pytest
import torch
from checkpoints import assert_same_state, checkpoint, flat, new_folder

from comet_cli.errors import CometError
from comet_cli.evaluation.reconstruction import as_pictures
from comet_cli.models.comet_model import CometModel
from comet_cli.training import objective
from comet_cli.training.checkpoint import NAME
from comet_cli.training.log import held_out_figures
from comet_cli.training.loop import train
from comet_cli.training.optimizers import learning_rate


def stop_at(iteration: int, number: int = signal.SIGTERM):
    """Return a report that sends this process a signal at an iteration."""

    def report(line: dict) -> None:
        if line["iteration"] == iteration:
            os.kill(os.getpid(), number)

    return report


SCHEDULED = {"schedule": "cosine", "warm_up": 5, "ema": 0.95, "log_every": 1}
VARIANTS = {
    "quadratic": ("quadratic", {"train": SCHEDULED, "data": {"flip": True}}),
    "quadratic, bfloat16, all penalties": (
        "quadratic",
        {"train": {**SCHEDULED, "precision": "bfloat16", "parsimony": 1e-3, "area": 1e-3}},
    ),
    "spatial, responds, swap, dependence, noise and gradients": (
        "quadratic",
        {
            "model": {
                "encoder": "global",
                "attention": "lstm",
                "spatial": True,
                "responds": True,
                "num_steps": 2,
            },
            "train": {
                **SCHEDULED,
                "swap": 0.1,
                "dependence": 0.1,
                "latent_noise": 0.2,
                "gradient": 0.1,
            },
        },
    ),
    "spatial, sees the image, independent, longer": (
        "quadratic",
        {
            "model": {
                "encoder": "global",
                "attention": "lstm",
                "spatial": True,
                "sees_image": True,
                "num_steps": 2,
            },
            "train": {**SCHEDULED, "swap": 0.1, "dependence": 0.1, "extra_steps": 2},
        },
    ),
    "colouring, small pictures first": (
        "quadratic",
        {
            "model": {"attention": "colouring"},
            "train": {**SCHEDULED, "optimizer": "adamw", "small_iterations": 13},
            "data": {"flip": True},
        },
    ),
    "colouring, adapts and responds": (
        "quadratic",
        {"model": {"attention": "colouring", "responds": True}, "train": SCHEDULED},
    ),
    "adapts and responds": ("quadratic", {"model": {"responds": True}, "train": SCHEDULED}),
    "sees the image": (
        "quadratic",
        {"model": {"sees_image": True, "num_steps": 2}, "train": {**SCHEDULED, "batch": 2}},
    ),
    "pooled, all iterates": (
        "pooled",
        {"train": {**SCHEDULED, "loss": "all", "batch": 2}, "data": {"colour_jitter": 0.2}},
    ),
}


@pytest.mark.parametrize(("kind", "facts"), VARIANTS.values(), ids=VARIANTS.keys())
def test_10_steps_a_stop_and_10_steps_equal_20_steps(request, tmp_path, images, kind, facts):
    recipe = request.getfixturevalue(kind)(**facts)
    whole, parts = new_folder(tmp_path, "whole"), new_folder(tmp_path, "parts")
    expected = train(recipe, images, whole)
    assert expected.finished and not expected.interrupted
    stopped = train(recipe, images, parts, report=stop_at(10))
    assert (stopped.iteration, stopped.finished, stopped.interrupted) == (10, False, True)
    halfway = checkpoint(parts)
    torch.manual_seed(999)  # what happened between the two calls has no say
    np.random.seed(999)
    found = train(recipe, images, parts)
    assert (found.iteration, found.finished) == (20, True)
    assert_same_state(checkpoint(parts), checkpoint(whole))
    for name, value in expected.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value), name
    live = checkpoint(parts)["model"]
    assert any(not torch.equal(v, live[k]) for k, v in halfway["model"].items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_its_iteration_and_handlers_come_back(
    tmp_path, images, quadratic, number
):
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    result = train(quadratic(train={"log_every": 1}), images, tmp_path, report=stop_at(3, number))
    assert result.interrupted and result.iteration == checkpoint(tmp_path)["iteration"] == 3
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize(("end", "lines"), [(5, [2, 4, 5]), (4, [2, 4])])
def test_where_training_ends_there_are_a_line_and_a_sheet(tmp_path, images, quadratic, end, lines):
    recipe, told = quadratic(train={"iterations": end, "log_every": 2}), []

    def report(line: dict) -> None:
        told.append(line)

    train(recipe, images, tmp_path, held_out=images[:2], report=report)
    assert [line["iteration"] for line in told] == lines and "held_out_psnr" in told[-1]
    assert [p.name for p in tmp_path.glob("*.png")] == [f"samples-{end:07d}.png"]
    train(recipe, images, tmp_path, held_out=images[:2], report=report)  # nothing is left to do
    assert len(told) == len(lines) and len(list(tmp_path.glob("*.png"))) == 1


def test_an_interrupted_training_ends_with_a_sheet(tmp_path, images, quadratic):
    recipe = quadratic(train={"log_every": 1})
    train(recipe, images, tmp_path, held_out=images[:2], report=stop_at(3))
    assert (tmp_path / "samples-0000003.png").is_file()


def test_a_training_that_is_done_does_nothing_more(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 3})
    train(recipe, images, tmp_path)
    done = checkpoint(tmp_path)
    again = train(recipe, images, tmp_path)
    assert again.finished and again.iteration == 3
    assert_same_state(checkpoint(tmp_path), done)


def test_no_time_at_all_leaves_the_first_weights_and_a_checkpoint(tmp_path, images, quadratic):
    recipe = quadratic()
    result = train(recipe, images, tmp_path, max_seconds=0)
    assert (result.iteration, result.finished, result.interrupted) == (0, False, False)
    assert checkpoint(tmp_path)["iteration"] == 0
    found = train(recipe, images, tmp_path)
    whole = train(recipe, images, new_folder(tmp_path, "whole"))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value)


def test_time_ends_a_training(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 10**6})
    began = time.monotonic()
    result = train(recipe, images, tmp_path, max_seconds=0.3)
    assert 1 <= result.iteration < 10**6 and not result.finished and not result.interrupted
    assert time.monotonic() - began < 10
    assert result.seconds == checkpoint(tmp_path)["seconds"] >= 0.3
    more = train(recipe, images, tmp_path, max_seconds=0.1)
    assert more.seconds >= result.seconds + 0.1, "the time of all calls counts"


def spoil(monkeypatch, iteration: int, how) -> None:
    """Let the loss of one iteration be replaced by how(loss, error, model)."""
    right = objective.training_loss

    def wrong(model, x, settings, now, taken):
        loss, error = right(model, x, settings, now, taken)
        return how(loss, error, model) if now == iteration else (loss, error)

    monkeypatch.setattr(objective, "training_loss", wrong)


def infinite_slope(loss, error, model):
    parameter = next(model.parameters())
    return loss + (parameter * 0).sqrt().sum(), error


SPOILT = {
    "error": ("the loss is not finite", lambda loss, error, model: (loss, math.nan)),
    "loss": ("the loss is not finite", lambda loss, error, model: (loss * math.inf, error)),
    "gradient": ("the gradient is not finite", infinite_slope),
}


@pytest.mark.parametrize(("sentence", "how"), SPOILT.values(), ids=SPOILT.keys())
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    tmp_path, images, quadratic, monkeypatch, sentence, how
):
    recipe = quadratic(train={"iterations": 6, "checkpoint_minutes": 0, "ema": 0.9})
    spoilt, whole = new_folder(tmp_path, "spoilt"), new_folder(tmp_path, "whole")
    with monkeypatch.context() as patch:
        spoil(patch, 4, how)
        with pytest.raises(CometError, match=f"{sentence} at iteration 4; the checkpoint of .* 4 "):
            train(recipe, images, spoilt)
    kept = checkpoint(spoilt)
    assert kept["iteration"] == 4
    assert all(v.isfinite().all() for v in flat(kept).values() if isinstance(v, torch.Tensor))
    train(recipe, images, spoilt)
    train(recipe, images, whole)
    assert_same_state(checkpoint(spoilt), checkpoint(whole))


def test_without_a_checkpoint_a_loss_that_is_not_finite_leaves_none(
    tmp_path, images, quadratic, monkeypatch
):
    spoil(monkeypatch, 1, SPOILT["loss"][1])
    with pytest.raises(CometError, match="nothing was saved yet: lower learning_rate or"):
        train(quadratic(), images, tmp_path)
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("shape", [(4, 17, 17, 3), (4, 16, 16, 1), (16, 16, 3)])
def test_pictures_that_do_not_fit_the_model_are_refused(tmp_path, quadratic, shape):
    with pytest.raises(CometError, match="the model takes 16-pixel pictures"):
        train(quadratic(), np.zeros(shape, np.uint8), tmp_path)


def test_an_empty_data_set_is_refused(tmp_path, quadratic):
    with pytest.raises(CometError, match="no picture to train on"):
        train(quadratic(), np.zeros((0, 16, 16, 3), np.uint8), tmp_path)


def test_given_weights_are_the_start_unless_there_is_a_checkpoint(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 2})
    initial = {k: v + 0.01 for k, v in CometModel(recipe.card).state_dict().items()}
    start = train(recipe, images, new_folder(tmp_path, "a"), initial=initial, max_seconds=0)
    assert all(torch.equal(start.model.state_dict()[k], v) for k, v in initial.items())
    train(recipe, images, tmp_path / "a")
    done = checkpoint(tmp_path / "a")
    train(recipe, images, tmp_path / "a", initial=initial)
    assert_same_state(checkpoint(tmp_path / "a"), done)


def test_the_seed_alone_decides(tmp_path, images, quadratic):
    def weights(name: str, seed: int) -> torch.Tensor:
        torch.manual_seed(ord(name))
        recipe = quadratic(train={"iterations": 2, "seed": seed})
        model = train(recipe, images, new_folder(tmp_path, name)).model
        return torch.cat([v.flatten() for v in model.state_dict().values()])

    first = weights("a", 0)
    assert torch.equal(weights("b", 0), first)
    assert not torch.equal(weights("c", 1), first)


def test_a_pooled_energy_cannot_be_compiled(tmp_path, images, pooled):
    with pytest.raises(CometError, match="compile is for the quadratic energy"):
        train(pooled(train={"compile": True}), images, tmp_path)


def test_the_optimizer_uses_the_schedule(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 4, "schedule": "cosine", "warm_up": 1})
    train(recipe, images, tmp_path)
    (group,) = checkpoint(tmp_path)["optimizer"]["param_groups"]
    assert group["lr"] == learning_rate(recipe.train, 3) < recipe.train.learning_rate


def test_gradients_are_clipped_to_the_norm_asked_for(tmp_path, images, quadratic):
    """After one step Adam's first moment is a tenth of the gradient."""
    train(quadratic(train={"iterations": 1, "clip": 1e-3}), images, tmp_path)
    moments = [s["exp_avg"].flatten() for s in checkpoint(tmp_path)["optimizer"]["state"].values()]
    assert torch.cat(moments).norm().item() == pytest.approx(1e-4, rel=1e-2)


def test_a_tiny_quadratic_model_learns_a_trivial_data_set(tmp_path, images, spatial):
    facts = {"iterations": 160, "batch": 8, "ema": 0.9, "log_every": 160}
    recipe = spatial(train=facts)
    before = train(recipe, images, new_folder(tmp_path, "before"), max_seconds=0).model
    held_out = images[40:]
    result = train(recipe, images[:40], tmp_path)
    models = (before, result.model)
    psnrs = [held_out_figures(m, m.state_dict(), held_out)["held_out_psnr"] for m in models]
    assert psnrs[1] > psnrs[0] + 4
    mean = as_pictures(images[:40]).mean(0)
    error = (as_pictures(held_out) - mean).square().mean((1, 2, 3))
    assert psnrs[1] > (-10 * error.log10()).mean() + 2, "better than the mean picture"
