"""The training loop: exact resume, what stops it, its batches, its schedule and its log."""

import json
import math
import os
import signal
import time

import numpy as np
import pytest
import torch
from torch import nn

from comet_cli.errors import CometError
from comet_cli.evaluation.probe import as_pictures
from comet_cli.models.comet_model import CometModel
from comet_cli.training import loop
from comet_cli.training.checkpoint import NAME
from comet_cli.training.loop import (
    averaged,
    draw_batch,
    held_out_psnr,
    learning_rate,
    train,
    training_loss,
    update_average,
)
from comet_cli.training.recipe import TrainSettings


def checkpoint(folder) -> dict:
    return torch.load(folder / NAME, weights_only=True)


def flat(content: object, prefix: str = "") -> dict[str, object]:
    """Return nested dictionaries and lists as one dictionary."""
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {k: v for name, value in items for k, v in flat(value, f"{prefix}/{name}").items()}
    return {prefix: content}


def assert_same_state(found: dict, expected: dict) -> None:
    """Compare two checkpoints bit for bit, except for the time they took."""
    found, expected = flat(found), flat(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value), name
        elif name not in ("/seconds", "/recipe"):
            assert found[name] == value, name


def new_folder(tmp_path, name: str):
    (tmp_path / name).mkdir()
    return tmp_path / name


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
    right = loop.training_loss

    def wrong(model, x, settings, now, taken):
        loss, error = right(model, x, settings, now, taken)
        return how(loss, error, model) if now == iteration else (loss, error)

    monkeypatch.setattr(loop, "training_loss", wrong)


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
        with pytest.raises(CometError, match=f"{sentence} at iteration 4"):
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
    with pytest.raises(CometError, match="lower learning_rate or step_size"):
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


# --- batches -----------------------------------------------------------------------------------


def numbered(count: int) -> np.ndarray:
    """Return pictures that say their number in red and are dark on the left half."""
    images = np.zeros((count, 16, 16, 3), np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    images[:, :, 8:, 1:] = 200
    return images


def test_a_batch_is_a_function_of_seed_and_iteration(quadratic):
    recipe, other = quadratic(), quadratic(train={"seed": 1})
    images = numbered(48)
    first = draw_batch(images, recipe, 7)
    np.random.seed(3)
    torch.manual_seed(3)
    assert torch.equal(draw_batch(images, recipe, 7), first)
    assert not torch.equal(draw_batch(images, recipe, 8), first)
    assert not torch.equal(draw_batch(images, other, 7), first)
    numbers = (first[:, 0, 0, 0] * 255).round().long()
    assert first.shape == (4, 3, 16, 16) and first.dtype == torch.float32
    torch.testing.assert_close(first, as_pictures(images[numbers.numpy()]))


def test_every_picture_is_drawn_in_time(quadratic):
    recipe = quadratic(train={"batch": 32})
    drawn = {
        round(float(value) * 255)
        for i in range(20)
        for value in draw_batch(numbered(40), recipe, i)[:, 0, 0, 0]
    }
    assert drawn == set(range(40))


def test_flip_mirrors_about_half_of_the_pictures_whole(quadratic):
    recipe = quadratic(train={"batch": 64}, data={"flip": True})
    x = draw_batch(numbered(48), recipe, 0)
    plain = draw_batch(numbered(48), quadratic(train={"batch": 64}), 0)
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(x, plain, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(x, plain, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_colour_jitter_scales_each_channel_of_a_picture_by_at_most_its_size(quadratic):
    recipe = quadratic(train={"batch": 64}, data={"colour_jitter": 0.1})
    grey = np.full((5, 16, 16, 3), 100, np.uint8)
    gains = draw_batch(grey, recipe, 0) / (100 / 255)
    torch.testing.assert_close(gains.amin((2, 3)), gains.amax((2, 3)))
    each = gains[:, :, 0, 0]
    assert 0.9 <= each.min() < 0.92 and 1.08 < each.max() <= 1.1001
    assert (each.std(1) > 0).all(), "channels change apart"
    assert draw_batch(np.full((5, 16, 16, 3), 255, np.uint8), recipe, 0).max() == 1.0


# --- loss --------------------------------------------------------------------------------------


def test_a_pooled_energy_cannot_be_compiled(tmp_path, images, pooled):
    with pytest.raises(CometError, match="compile is for the quadratic energy"):
        train(pooled(train={"compile": True}), images, tmp_path)


# --- optimizer, schedule, average --------------------------------------------------------------


def test_a_constant_schedule_warms_up_linearly_and_stays():
    settings = TrainSettings(100, learning_rate=0.4, warm_up=4)
    rates = [learning_rate(settings, i) for i in (0, 1, 3, 4, 50, 99)]
    assert rates == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4, 0.4])
    assert learning_rate(TrainSettings(100, learning_rate=0.4), 0) == 0.4


def test_a_cosine_schedule_falls_to_a_hundredth():
    settings = TrainSettings(100, learning_rate=0.4, schedule="cosine")
    found = [learning_rate(settings, i) for i in (0, 25, 50, 75, 100)]
    quarter = math.cos(math.pi / 4)
    shape = [1.0, 0.5 * (1 + quarter), 0.5, 0.5 * (1 - quarter), 0.0]
    assert found == pytest.approx([0.4 * (0.01 + 0.99 * part) for part in shape])


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


def test_the_average_moves_by_its_decay_and_faster_while_it_is_young():
    model = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    expected = 0.0
    for iteration, value in enumerate([1.0, 2.0, -1.0], start=1):
        nn.init.constant_(model.weight, value)
        update_average(average, model, 0.999, iteration)
        decay = iteration / (iteration + 10)
        expected = decay * expected + (1 - decay) * value
        assert average["weight"].item() == pytest.approx(expected)
    update_average(average, model, 0.9, 10**6)
    assert average["weight"].item() == pytest.approx(0.9 * expected + 0.1 * -1.0)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_result_is_the_average_which_without_decay_is_the_last_weights(
    tmp_path, images, quadratic, decay
):
    result = train(quadratic(train={"iterations": 5, "ema": decay}), images, tmp_path)
    content = checkpoint(tmp_path)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, content["ema"][name])
    trained = [name for name, _ in result.model.named_parameters()]
    same = [torch.equal(content["model"][k], content["ema"][k]) for k in trained]
    assert all(same) if decay == 0 else not any(same)
    assert not result.model.training
    assert not any(p.requires_grad for p in result.model.parameters())


def test_the_average_is_swapped_in_and_the_live_weights_come_back(quadratic):
    model = CometModel(quadratic().card).train()
    live = {k: v.clone() for k, v in model.state_dict().items()}
    average = {k: v + 1 for k, v in live.items()}
    with averaged(model, average):
        assert not model.training
        assert all(torch.equal(v, average[k]) for k, v in model.state_dict().items())
    assert model.training
    assert all(torch.equal(v, live[k]) for k, v in model.state_dict().items())


# --- log, and whether it learns ----------------------------------------------------------------


def test_the_log_has_a_line_every_so_often_and_goes_on(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 6, "log_every": 2, "ema": 0.5})
    lines = []
    train(recipe, images[:40], tmp_path, held_out=images[40:], report=lines.append)
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert written == lines
    assert [line["iteration"] for line in lines] == [2, 4, 6]
    assert set(lines[0]) == {
        "iteration", "seconds", "seconds_left", "loss",
        "train_psnr", "images_per_second", "held_out_psnr",
    }  # fmt: skip
    assert lines[-1]["seconds_left"] == 0 and lines[0]["loss"] > 0
    content = checkpoint(tmp_path)
    model = CometModel(recipe.card)
    expected = held_out_psnr(model, content["ema"], images[40:])
    assert lines[-1]["held_out_psnr"] == pytest.approx(expected, abs=1e-3)
    longer = quadratic(train={"iterations": 8, "log_every": 2, "ema": 0.5})
    train(longer, images[:40], tmp_path)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["iteration"] == 8 and "held_out_psnr" not in last


def test_train_psnr_is_of_the_mean_error_since_the_last_line(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 2, "log_every": 2, "learning_rate": 1e-12})
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


def test_a_tiny_quadratic_model_learns_a_trivial_data_set(tmp_path, images, quadratic):
    recipe = quadratic(train={"iterations": 100, "batch": 8, "ema": 0.9, "log_every": 100})
    before = train(recipe, images, new_folder(tmp_path, "before"), max_seconds=0).model
    held_out = images[40:]
    result = train(recipe, images[:40], tmp_path)
    psnrs = [held_out_psnr(m, m.state_dict(), held_out) for m in (before, result.model)]
    assert psnrs[1] > psnrs[0] + 4
    mean = as_pictures(images[:40]).mean(0)
    error = (as_pictures(held_out) - mean).square().mean((1, 2, 3))
    assert psnrs[1] > (-10 * error.log10()).mean() + 2, "better than the mean picture"
